// SPDX-License-Identifier: BSD-2-Clause
//! Marks for measurements: one instruction each that does nothing, and that the counting plugin of `make bench` counts.
//! So a load's exits and notifications can be told from those before and after it.

use core::arch::asm;

/// An exit of the guest has reached the VMM.
#[inline(always)]
pub fn exit() {
    mark::<0xb0c0>();
}

/// The VMM notifies the other side of a device's link.
#[inline(always)]
pub fn notifies() {
    mark::<0xb0c1>();
}

/// The VMM has been notified.
#[inline(always)]
pub fn notified() {
    mark::<0xb0c2>();
}

#[inline(always)]
fn mark<const NUMBER: u16>() {
    // SAFETY: writes to the zero register (DDI 0487 C6.2, MOVZ): nothing happens.
    unsafe { asm!("movz xzr, #{number}", number = const NUMBER, options(nomem, nostack, preserves_flags)) };
}
