// SPDX-License-Identifier: BSD-2-Clause
//! The C headers of an SDK, in the form that C projects for seL4 and Microkit know: `sel4/sel4.h`,
//! `interfaces/sel4_client.h`, `kernel/gen_config.h` and what they include.
//!
//! Beside them the interface as data, from which bindings to other languages are generated (`interface.rs`).
//!
//! Everything that depends on the configuration is generated from the same values as the SDK's JSON files ([`Numbers`]);
//! the rest is in `include/`, written by hand. Names are those of the seL4 reference manual; the text is ours.
#![forbid(unsafe_code)]

mod client;
mod config;
mod constants;
mod fault;
mod interface;
pub mod methods;

use serde_json::{Map, Value};

/// What a configuration's JSON files say.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    /// `gen_config.json`.
    pub config: &'a Map<String, Value>,
    /// `invocations_all.json`.
    pub labels: &'a Map<String, Value>,
    /// `object_sizes.json`.
    pub sizes: &'a Map<String, Value>,
    /// `address_space_constants.json`.
    pub space: &'a Map<String, Value>,
}

impl Numbers<'_> {
    /// Whether an option of the configuration is on.
    fn option(&self, name: &str) -> bool {
        self.config.get(name) == Some(&Value::Bool(true))
    }
}

/// First lines of a generated header.
fn opening(what: &str) -> String {
    format!("/* SPDX-License-Identifier: BSD-2-Clause */\n/* {what} Generated for one configuration. */\n")
}

/// Headers that are written by hand: path, text.
const WRITTEN: &[(&str, &str)] = &[
    ("sel4/sel4.h", include_str!("../include/sel4/sel4.h")),
    ("sel4/macros.h", include_str!("../include/sel4/macros.h")),
    ("sel4/simple_types.h", include_str!("../include/sel4/simple_types.h")),
    ("sel4/types.h", include_str!("../include/sel4/types.h")),
    ("sel4/errors.h", include_str!("../include/sel4/errors.h")),
    ("sel4/constants.h", include_str!("../include/sel4/constants.h")),
    ("sel4/objecttype.h", include_str!("../include/sel4/objecttype.h")),
    ("sel4/functions.h", include_str!("../include/sel4/functions.h")),
    ("sel4/syscalls.h", include_str!("../include/sel4/syscalls.h")),
    ("sel4/debug.h", include_str!("../include/sel4/debug.h")),
    ("sel4/bootinfo_types.h", include_str!("../include/sel4/bootinfo_types.h")),
    ("sel4/assert.h", include_str!("../include/sel4/assert.h")),
    ("sel4/benchmark_utilisation_types.h", include_str!("../include/sel4/benchmark_utilisation_types.h")),
    ("sel4/virtual_client.h", include_str!("../include/sel4/virtual_client.h")),
];

/// Headers under whose names others look for the same things: path, the header that has them.
const FORWARDED: &[(&str, &str)] = &[
    ("autoconf.h", "sel4/config.h"),
    ("sel4/autoconf.h", "sel4/config.h"),
    ("sel4/arch/simple_types.h", "sel4/simple_types.h"),
    ("sel4/sel4_arch/simple_types.h", "sel4/simple_types.h"),
    ("sel4/arch/types.h", "sel4/types.h"),
    ("sel4/sel4_arch/types.h", "sel4/types.h"),
    ("sel4/sel4_arch/types_gen.h", "sel4/faults.h"),
    ("sel4/mode/types.h", "sel4/types.h"),
    ("sel4/shared_types.h", "sel4/types.h"),
    ("sel4/shared_types_gen.h", "sel4/types.h"),
    ("sel4/arch/shared_types.h", "sel4/types.h"),
    ("sel4/arch/constants.h", "sel4/constants.h"),
    ("sel4/plat/api/constants.h", "sel4/constants.h"),
    ("sel4/arch/objecttype.h", "sel4/objecttype.h"),
    ("sel4/sel4_arch/objecttype.h", "sel4/objecttype.h"),
    ("sel4/arch/syscalls.h", "sel4/syscalls.h"),
    ("sel4/sel4_arch/syscalls.h", "sel4/syscalls.h"),
    ("sel4/syscalls_mcs.h", "sel4/syscalls.h"),
    ("sel4/arch/invocation.h", "sel4/invocation.h"),
    ("sel4/sel4_arch/invocation.h", "sel4/invocation.h"),
    ("sel4/sel4_arch/faults.h", "sel4/faults.h"),
    ("sel4/arch/mapping.h", "sel4/functions.h"),
    ("sel4/sel4_arch/mapping.h", "sel4/functions.h"),
    ("sel4/bootinfo.h", "sel4/bootinfo_types.h"),
    ("sel4/debug_assert.h", "sel4/assert.h"),
    ("sel4/deprecated.h", "sel4/sel4.h"),
    ("sel4/benchmark_track_types.h", "sel4/config.h"),
];

/// All headers of a configuration, and the interface as data: path below `include/`, text.
#[must_use]
pub fn headers(numbers: Numbers<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        WRITTEN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    for (path, target) in FORWARDED {
        let text =
            format!("/* SPDX-License-Identifier: BSD-2-Clause */\n#pragma once\n\n#include <{target}>\n");
        headers.push(((*path).to_owned(), text));
    }
    let mut generated = |path: &str, text: String| headers.push((path.to_owned(), text));
    generated("kernel/gen_config.h", config::kernel(numbers));
    generated("sel4/gen_config.h", config::library());
    generated("sel4/config.h", config::both());
    generated("sel4/syscall.h", constants::syscalls());
    generated("sel4/invocation.h", constants::labels(numbers.labels));
    generated("sel4/sel4_arch/constants.h", constants::arch(numbers));
    generated("sel4/faults.h", fault::header(numbers));
    generated("interfaces/sel4_client.h", client::header(numbers.labels));
    generated("sel4/gen_config.json", config::library_json());
    generated("api/syscall.xml", interface::syscalls());
    for (path, text) in interface::objects(numbers.labels) {
        generated(path, text);
    }
    generated("sel4/shared_types.pbf", interface::shared_types());
    generated("sel4/sel4_arch/types.pbf", fault::bit_fields(numbers));
    headers
}
