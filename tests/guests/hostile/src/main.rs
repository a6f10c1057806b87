// SPDX-License-Identifier: BSD-2-Clause
//! A bare-metal guest that does what no sane guest does.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
