// SPDX-License-Identifier: BSD-2-Clause
//! The Ethernet driver PD of the Raspberry Pi 4: owns the device and its interrupts, and serves one link (the switch's). Untested
//! on hardware.
//!
//! Symbols: `regs` (registers, 64 KiB), `switch_ch`, and those of [`link_pd`]. `dma`, `dma_paddr` and `dma_size`, which network
//! drivers are given, are not used: the descriptors are registers. A notification on `line_ch` has it look
//! at the line, if a second has passed.
#![no_std]
#![no_main]

use core::arch::asm;

use genet_driver::Driver;
use genet_driver::registers::Registers;
use ring::net::Server;
use ring::pages::SharedPages;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field};
use sel4_microkit::{Handler, PdCell, memory_region_symbol, protection_domain, var};

/// Words of registers.
const WORDS: usize = 0x1_0000 / 4;

/// The registers as they lie in memory.
#[repr(C)]
struct Layout {
    words: [ReadPureWrite<u32>; WORDS],
}

struct Mmio(UniqueMmioPointer<'static, Layout>);

impl Registers for Mmio {
    fn read(&mut self, offset: usize) -> u32 {
        field!(self.0, words).get(offset / 4).map_or(0, |word| word.read())
    }

    fn write(&mut self, offset: usize, value: u32) {
        if let Some(mut word) = field!(self.0, words).get(offset / 4) {
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

static DRIVER: PdCell<Option<Driver<Mmio, SharedPages>>> = PdCell::new(None);

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    let _ = (
        *var!(line_ch: usize = usize::MAX),
        *var!(dma: usize = 0),
        *var!(dma_paddr: u64 = 0),
        *var!(dma_size: usize = 0),
    );
    DRIVER.try_with(|driver| *driver = Some(Driver::new(Mmio(registers), link_pd::link(Server::new))));
    link_pd::run(&DRIVER, *var!(switch_ch: usize = usize::MAX))
}
