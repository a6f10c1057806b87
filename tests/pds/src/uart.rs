// SPDX-License-Identifier: BSD-2-Clause
//! Polled output on a PL011 that the PD maps itself (Arm DDI 0183). For systems without a UART driver PD.

use core::fmt;
use core::ptr::NonNull;

use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// The registers up to the control register.
#[repr(C)]
struct Registers {
    dr: ReadPureWrite<u32>,
    reserved: [u32; 5],
    fr: ReadPure<u32>,
}

/// `FR.TXFF`: the transmit FIFO is full.
const TXFF: u32 = 1 << 5;

/// The UART.
pub struct Uart {
    registers: UniqueMmioPointer<'static, Registers>,
}

impl Uart {
    /// The UART at `base`.
    ///
    /// # Safety
    /// 1. `base` is where a PL011 is mapped as device memory, for as long as the PD runs.
    /// 2. Nothing else in this PD uses it.
    pub unsafe fn new(base: NonNull<u8>) -> Self {
        // SAFETY: promised by the caller.
        Self { registers: unsafe { UniqueMmioPointer::new(base.cast()) } }
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while field_shared!(self.registers, fr).read() & TXFF != 0 {}
            field!(self.registers, dr).write(byte.into());
        }
        Ok(())
    }
}
