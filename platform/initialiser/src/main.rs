// SPDX-License-Identifier: BSD-2-Clause
//! The root task: builds the system that the microkit tool described.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
