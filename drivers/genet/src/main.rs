// SPDX-License-Identifier: BSD-2-Clause
//! The Ethernet driver PD of the Raspberry Pi 4: owns the device and its interrupts, and serves one link (the switch's). Untested
//! on hardware.
//!
//! Symbols: `regs` (registers, 64 KiB), `irq_ch`, `switch_ch`; `link`, `link_size`. `dma`, `dma_paddr` and `dma_size`, which network
//! drivers are given, are not used: the descriptors are registers.
#![no_std]
#![no_main]

use core::arch::asm;

use genet_driver::registers::Registers;
use genet_driver::{Driver, Event};
use ring::net::Server;
use ring::pages::SharedPages;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field};
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, PdCell,
    memory_region_symbol, protection_domain, var,
};

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

/// The driver. Not in the handler, because it would not fit twice on a stack of the default size while it is moved there.
static DRIVER: PdCell<Option<Driver<Mmio, SharedPages>>> = PdCell::new(None);

struct NetDriver {
    interrupt: Channel,
    client: Channel,
    deferred: DeferredActionSlot,
}

/// Works until there is nothing to do. Gives whether to notify the client.
fn service(interrupted: bool) -> bool {
    let work = |driver: &mut Option<Driver<Mmio, SharedPages>>| {
        let driver = driver.as_mut()?;
        if interrupted {
            driver.handle_interrupt();
        }
        let mut notify = false;
        loop {
            let outcome = driver.service();
            notify |= outcome.notify;
            if !outcome.again {
                break;
            }
        }
        while let Some(event) = driver.take_event() {
            match event {
                Event::Line(_) => log::info!("{event}"),
                _ => log::error!("{event}"),
            }
        }
        Some(notify)
    };
    DRIVER.try_with(work).flatten().unwrap_or(false)
}

impl Handler for NetDriver {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        let interrupted = channels.contains(self.interrupt);
        let notify = service(interrupted);
        if interrupted {
            self.deferred.defer_irq_ack(self.interrupt)?;
        }
        if notify {
            self.deferred.defer_notify(self.client)?;
        }
        Ok(())
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    let _ = (*var!(dma: usize = 0), *var!(dma_paddr: u64 = 0), *var!(dma_size: usize = 0));
    // SAFETY: the link is mapped read-write for the PD's whole life with this size, and nothing else here uses it.
    let link = unsafe { SharedPages::at(*var!(link: usize = 0), *var!(link_size: usize = 0)) };
    let Some(Ok(link)) = link.map(Server::new) else {
        panic!("the link is not mapped, or too small");
    };
    DRIVER.try_with(|driver| *driver = Some(Driver::new(Mmio(registers), link)));
    let client = Channel::new(*var!(switch_ch: usize = usize::MAX));
    if service(false) {
        client.notify();
    }
    let interrupt = Channel::new(*var!(irq_ch: usize = usize::MAX));
    NetDriver { interrupt, client, deferred: DeferredActionSlot::new() }
}
