// SPDX-License-Identifier: BSD-2-Clause
//! AArch64 part of the kernel: exceptions, GICv2, generic timer, vCPU switch; the kernel image.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
