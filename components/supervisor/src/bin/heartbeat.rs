// SPDX-License-Identifier: BSD-2-Clause
//! The heartbeat PD: notifies another PD (the supervisor) once in every period of its own budget, until that notifies it. It
//! does nothing else.
//!
//! Its clock is the kernel's: a PD that yields gives up the rest of its budget and runs again when the budget is there
//! again, one period later (seL4 manual, "Scheduling contexts"). So no timer and no driver has to work for the
//! supervisor to find out that one does not. The system description chooses the period; the budget must be below it.
//!
//! Symbol: `supervisor_ch`, the channel of who is notified.
#![no_std]
#![no_main]

use sel4_microkit::sel4_sys::seL4_Yield;
use sel4_microkit::{Channel, Handler, NullHandler, ipc, protection_domain, var};

#[protection_domain]
fn init() -> impl Handler {
    let supervisor = *var!(supervisor_ch: usize = usize::MAX);
    assert!(supervisor != usize::MAX, "supervisor_ch is not set");
    let supervisor = Channel::new(supervisor);
    while !ipc::poll().contains(supervisor) {
        supervisor.notify();
        seL4_Yield();
    }
    NullHandler::new()
}
