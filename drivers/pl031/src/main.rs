// SPDX-License-Identifier: BSD-2-Clause
//! The clock's driver PD: serves the protocol on every channel that calls it.
//!
//! Symbols: `regs`, the PL031's registers, mapped as device memory.
#![no_std]
#![no_main]

use pl031_driver::Rtc;
use pl031_driver::protocol::{BAD_REQUEST, OK};
use pl031_driver::registers::{Layout, Mmio};
use safe_mmio::UniqueMmioPointer;
use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, MessageInfo, memory_region_symbol, protection_domain, set_mr,
};

struct Pl031Driver {
    rtc: Rtc<Mmio<'static>>,
}

impl Handler for Pl031Driver {
    type Error = Infallible;

    /// Clients that notify instead of calling get nothing.
    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        Ok(())
    }

    fn protected(&mut self, _channel: Channel, info: MessageInfo) -> Result<MessageInfo, Infallible> {
        Ok(match self.rtc.answer(info.label()) {
            Some(seconds) => {
                set_mr(0, seconds);
                MessageInfo::new(OK, 1)
            }
            None => MessageInfo::new(BAD_REQUEST, 0),
        })
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `regs` is where the system description maps the registers, as device memory, for this PD alone.
    let registers = unsafe { UniqueMmioPointer::new(memory_region_symbol!(regs: *mut Layout)) };
    Pl031Driver { rtc: Rtc::new(Mmio(registers)) }
}
