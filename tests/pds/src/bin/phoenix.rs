// SPDX-License-Identifier: BSD-2-Clause
//! Dies when told to, in several ways, and tells whether it was reborn with the memory of its first start.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use sel4_microkit::{Channel, Handler, Infallible, MessageInfo, protection_domain, set_mr, starts};
use test_pds::phoenix::{CRASH, DAMAGE, HANG, PANIC, STATE};

static INITIALISED: AtomicU64 = AtomicU64::new(7);
static ZERO: AtomicU64 = AtomicU64::new(0);

/// The copy that restarts need (`microkit.ld`).
fn damage() {
    unsafe extern "C" {
        static mut __sel4_microkit_copy: u8;
    }
    // SAFETY: not safe at all: this PD is there to break itself. The byte is its own, and nothing else reads it meanwhile.
    unsafe { core::ptr::addr_of_mut!(__sel4_microkit_copy).write_volatile(0xff) };
}

struct Phoenix;

impl Handler for Phoenix {
    type Error = Infallible;

    fn protected(&mut self, _channel: Channel, info: MessageInfo) -> Result<MessageInfo, Infallible> {
        match info.label() {
            CRASH => {}
            PANIC => panic!("as told"),
            HANG => loop {
                core::hint::spin_loop();
            },
            DAMAGE => damage(),
            _ => {
                set_mr(0, starts());
                set_mr(1, INITIALISED.fetch_add(1, Ordering::Relaxed) + 1);
                set_mr(2, ZERO.fetch_add(1, Ordering::Relaxed) + 1);
                return Ok(MessageInfo::new(STATE, 3));
            }
        }
        // SAFETY: as above: nothing is mapped there, which is the point.
        unsafe { core::ptr::without_provenance::<u64>(0x8).read_volatile() };
        Ok(MessageInfo::new(STATE, 0))
    }
}

#[protection_domain(stack_size = 8192)]
fn init() -> impl Handler {
    Phoenix
}
