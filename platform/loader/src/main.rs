// SPDX-License-Identifier: BSD-2-Clause
//! Brings the machine from reset (EL3 or EL2) to the kernel's entry.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
