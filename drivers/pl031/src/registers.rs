// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a PL031 (Arm DDI 0224, chapter 3).

use safe_mmio::fields::{ReadPure, ReadPureWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// `RTCCR`: the clock runs (3.3.4). Once set, writing it has no effect until a reset.
pub const CONTROL_START: u32 = 1;

/// The one interrupt, of `RTCIMSC` and `RTCICR` (3.3.5, 3.3.8).
pub const INTERRUPT: u32 = 1;

/// What the driver does with the clock's registers.
pub trait Registers {
    /// Reads `RTCDR`: the seconds.
    fn seconds(&self) -> u32;
    /// Reads `RTCCR`.
    fn control(&self) -> u32;
    /// Writes `RTCCR`.
    fn set_control(&mut self, value: u32);
    /// Writes `RTCIMSC`: whether the alarm interrupts.
    fn set_interrupt_mask(&mut self, value: u32);
    /// Writes `RTCICR`: clears these interrupts.
    fn clear_interrupts(&mut self, value: u32);
}

/// The registers as they lie in memory, up to the last one used (table 3-1).
#[repr(C)]
pub struct Layout {
    dr: ReadPure<u32>,
    mr: ReadPureWrite<u32>,
    lr: ReadPureWrite<u32>,
    cr: ReadPureWrite<u32>,
    imsc: ReadPureWrite<u32>,
    ris: ReadPure<u32>,
    mis: ReadPure<u32>,
    icr: WriteOnly<u32>,
}

const _: () = assert!(core::mem::offset_of!(Layout, icr) == 0x1c, "DDI 0224, table 3-1");

/// The registers of a real clock.
#[derive(Debug)]
pub struct Mmio<'a>(pub UniqueMmioPointer<'a, Layout>);

impl Registers for Mmio<'_> {
    fn seconds(&self) -> u32 {
        field_shared!(self.0, dr).read()
    }

    fn control(&self) -> u32 {
        field_shared!(self.0, cr).read()
    }

    fn set_control(&mut self, value: u32) {
        field!(self.0, cr).write(value);
    }

    fn set_interrupt_mask(&mut self, value: u32) {
        field!(self.0, imsc).write(value);
    }

    fn clear_interrupts(&mut self, value: u32) {
        field!(self.0, icr).write(value);
    }
}
