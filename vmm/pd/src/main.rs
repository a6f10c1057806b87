// SPDX-License-Identifier: BSD-2-Clause
//! The per-guest VMM protection domain.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_'>) -> ! {
    loop {}
}
