// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a real controller, and of the BCM2711's DMA engine (BCM2711 ARM Peripherals, chapter 4).

use core::arch::asm;

use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field};
use sdhci_driver::registers::{Engine, Register, Registers};

/// Where the DMA engine sees the data port (2.2.8) of EMMC2: peripherals' bus addresses begin with 0x7e.
pub const DATA_PORT: u32 = 0x7e34_0020;

/// A controller's registers as they lie in memory.
#[repr(C)]
pub struct Layout {
    words: [ReadPureWrite<u32>; 64],
}

/// A controller's registers.
#[derive(Debug)]
pub struct Mmio<'a>(pub UniqueMmioPointer<'a, Layout>);

impl Registers for Mmio<'_> {
    fn read(&mut self, register: Register) -> u32 {
        field!(self.0, words).get(register as usize / 4).map_or(0, |word| word.read())
    }

    fn write(&mut self, register: Register, value: u32) {
        if let Some(mut word) = field!(self.0, words).get(register as usize / 4) {
            word.write(value);
        }
    }

    fn now_us(&mut self) -> u64 {
        let (count, frequency): (u64, u64);
        // SAFETY: reads counters that the kernel lets user level read.
        unsafe {
            asm!("isb", "mrs {}, cntpct_el0", "mrs {}, cntfrq_el0", out(reg) count, out(reg) frequency,
                options(nomem, nostack, preserves_flags));
        }
        (u128::from(count) * 1_000_000 / u128::from(frequency.max(1))) as u64
    }
}

/// One channel of the engine (4.2.1.2).
#[repr(C)]
pub struct ChannelLayout {
    control: ReadPureWrite<u32>,
    block: ReadPureWrite<u32>,
    others: [u32; 62],
}

/// The channel that is used: one that the firmware leaves alone.
const CHANNEL: usize = 5;

/// Control: goes on until the list ends.
const ACTIVE: u32 = 1 << 0;
/// Control: resets the channel.
const RESET: u32 = 1 << 31;

/// The engine's registers as they lie in memory, up to the channel that is used.
#[repr(C)]
pub struct EngineLayout {
    before: [ChannelLayout; CHANNEL],
    channel: ChannelLayout,
}

/// The engine.
#[derive(Debug)]
pub struct Channels<'a>(UniqueMmioPointer<'a, EngineLayout>);

impl<'a> Channels<'a> {
    /// Takes the channel over.
    pub fn new(registers: UniqueMmioPointer<'a, EngineLayout>) -> Self {
        let mut this = Self(registers);
        this.stop();
        this
    }
}

impl Engine for Channels<'_> {
    fn start(&mut self, control_block: u64) {
        let mut channel = field!(self.0, channel);
        // Bus addresses have 32 bits.
        field!(channel, block).write(control_block as u32);
        field!(channel, control).write(ACTIVE);
    }

    fn stop(&mut self) {
        let mut channel = field!(self.0, channel);
        field!(channel, control).write(RESET);
    }
}
