// SPDX-License-Identifier: BSD-2-Clause
//! Small PDs for whole-system tests and benches.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
