// SPDX-License-Identifier: BSD-2-Clause
//! Says hello with its name, through `log` and through the debug console.
#![no_std]
#![no_main]

use sel4_microkit::{Handler, NullHandler, debug_println, pd_name, protection_domain};

#[protection_domain]
fn init() -> impl Handler {
    log::info!("hello");
    debug_println!("TEST hello from {}", pd_name().unwrap_or("?"));
    NullHandler::new()
}
