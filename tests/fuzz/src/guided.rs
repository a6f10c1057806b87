// SPDX-License-Identifier: BSD-2-Clause
//! The target that the variable `FUZZ_TARGET` names, under libFuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: no such target"))
});

fuzz_target!(|data: &[u8]| TARGET(data));
