// SPDX-License-Identifier: BSD-2-Clause
//! The default fault handler: reports which PD faulted, where and why.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
