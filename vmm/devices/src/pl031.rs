// SPDX-License-Identifier: BSD-2-Clause
//! PL031 real-time clock (Arm DDI 0224).
//!
//! The clock counts seconds; `now` is what the VMM says the time is, in seconds since 1970, and the guest's clock is
//! an offset from it, so that setting it changes nobody else's. An alarm asserts the interrupt.

use crate::primecell::identification;
use serde::{Deserialize, Serialize};

const DR: u64 = 0x00;
const MR: u64 = 0x04;
const LR: u64 = 0x08;
const CR: u64 = 0x0c;
const IMSC: u64 = 0x10;
const RIS: u64 = 0x14;
const MIS: u64 = 0x18;
const ICR: u64 = 0x1c;
const ID: [u8; 8] = [0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// The clock's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pl031 {
    /// The guest's clock minus `now`.
    offset: u32,
    load: u32,
    matching: u32,
    /// An alarm is set and its moment has not come.
    armed: bool,
    raw: bool,
    mask: bool,
}

impl Pl031 {
    /// A clock that shows the VMM's time.
    pub const fn new() -> Self {
        Self { offset: 0, load: 0, matching: 0, armed: false, raw: false, mask: false }
    }

    /// Reads the register at byte offset `offset` (a multiple of four; others and unknown ones read as zero).
    pub fn read(&mut self, offset: u64, now: u32) -> u32 {
        self.tick(now);
        match offset {
            DR => now.wrapping_add(self.offset),
            MR => self.matching,
            LR => self.load,
            CR => 1,
            IMSC => self.mask.into(),
            RIS => self.raw.into(),
            MIS => (self.raw && self.mask).into(),
            _ => identification(&ID, offset),
        }
    }

    /// Writes the register at byte offset `offset`; unknown and read-only ones ignore it.
    pub fn write(&mut self, offset: u64, value: u32, now: u32) {
        self.tick(now);
        match offset {
            MR => {
                self.matching = value;
                self.armed = true;
                self.tick(now);
            }
            LR => {
                self.load = value;
                self.offset = value.wrapping_sub(now);
                self.tick(now);
            }
            IMSC => self.mask = value & 1 != 0,
            ICR if value & 1 != 0 => self.raw = false,
            _ => {}
        }
    }

    /// Lets time pass: raises the alarm when its second has come.
    pub fn tick(&mut self, now: u32) {
        if self.armed && now.wrapping_add(self.offset) == self.matching {
            self.armed = false;
            self.raw = true;
        }
    }

    /// Level of the interrupt.
    pub const fn asserted(&self) -> bool {
        self.raw && self.mask
    }

    /// Seconds from `now` until the alarm, if one is set that would interrupt. [`Pl031::tick`] is due then.
    pub const fn deadline(&self, now: u32) -> Option<u32> {
        if self.armed && self.mask {
            Some(self.matching.wrapping_sub(now.wrapping_add(self.offset)))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_time_it_is_given() {
        let mut rtc = Pl031::new();
        assert_eq!(rtc.read(DR, 1_767_225_600), 1_767_225_600);
        assert_eq!(rtc.read(CR, 0), 1);
    }

    #[test]
    fn setting_the_clock_moves_only_this_clock() {
        let mut rtc = Pl031::new();
        rtc.write(LR, 100, 1000);
        assert_eq!((rtc.read(DR, 1000), rtc.read(DR, 1005), rtc.read(LR, 1005)), (100, 105, 100));
        assert_eq!(Pl031::new().read(DR, 1005), 1005);
    }

    #[test]
    fn alarm_asserts_once_when_unmasked() {
        let mut rtc = Pl031::new();
        rtc.write(MR, 1010, 1000);
        assert_eq!(rtc.deadline(1000), None, "masked");
        rtc.write(IMSC, 1, 1000);
        assert_eq!(rtc.deadline(1000), Some(10));
        rtc.tick(1009);
        assert!(!rtc.asserted());
        rtc.tick(1010);
        assert!(rtc.asserted());
        assert_eq!((rtc.read(RIS, 1011), rtc.read(MIS, 1011)), (1, 1));
        rtc.write(ICR, 1, 1010);
        assert!(!rtc.asserted(), "the same second does not ring twice");
        assert_eq!(rtc.deadline(1011), None);
    }

    #[test]
    fn alarm_in_the_current_second_rings_at_once() {
        let mut rtc = Pl031::new();
        rtc.write(MR, 5, 5);
        assert_eq!((rtc.read(RIS, 5), rtc.read(MIS, 5)), (1, 0));
    }

    #[test]
    fn identification_is_qemus() {
        let mut rtc = Pl031::new();
        let id: Vec<u32> = (0..8).map(|n| rtc.read(0xfe0 + 4 * n, 0)).collect();
        assert_eq!(id, [0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
    }

    #[test]
    fn unknown_registers_read_zero_and_ignore_writes() {
        for offset in (0x20..0xfe0).step_by(4).chain([0x1000, u64::MAX]) {
            let mut rtc = Pl031::new();
            rtc.write(offset, u32::MAX, 7);
            assert_eq!(rtc, Pl031::new());
            assert_eq!(rtc.read(offset, 7), 0, "{offset:#x}");
        }
        let mut rtc = Pl031::new();
        for offset in [DR, CR, RIS, MIS] {
            rtc.write(offset, u32::MAX, 7);
        }
        assert_eq!(rtc, Pl031::new());
    }
}
