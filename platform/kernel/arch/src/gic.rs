// SPDX-License-Identifier: BSD-2-Clause
//! The interrupt controller: what the kernel needs of one, whichever version the board has (`kernel-config`).

#[cfg(not(gic_v3))]
mod v2;
#[cfg(gic_v3)]
mod v3;

#[cfg(not(gic_v3))]
pub use v2::{Acknowledged, Gic, PAGES, VirtualGic};
#[cfg(gic_v3)]
pub use v3::{Acknowledged, Gic, PAGES, VirtualGic};

use crate::board;
use kernel_core::machine::VirtualInterrupt;

/// Interrupt numbers from here on are special (spurious and so on).
const FIRST_SPECIAL: u64 = 1020;
/// First interrupt number that is not private to a CPU.
const FIRST_SHARED: u64 = 32;
/// First interrupt number whose trigger can be configured.
const FIRST_CONFIGURABLE: u64 = 16;

/// The word of a priority register for four interrupts, `first` and those behind: all have the highest priority but the
/// kernel's own timer, which therefore lets those of devices go first when it comes again and again.
fn priorities(first: u64) -> u32 {
    const LOWER: u32 = 0x80;
    match board::KERNEL_TIMER_IRQ.checked_sub(first) {
        Some(place) if place < 4 => LOWER << (8 * place),
        _ => 0,
    }
}

/// The physical interrupts. All go to this CPU.
pub trait Controller: Copy {
    /// Takes the controller over, whose pages are mapped, and brings it into a known state: everything masked,
    /// level-triggered.
    fn new() -> Self;
    /// Masks or unmasks a line.
    fn set_masked(self, irq: u64, masked: bool);
    /// Makes a line edge or level triggered. Software-generated interrupts are left alone.
    fn set_trigger(self, irq: u64, edge: bool);
    /// Takes the most urgent waiting interrupt.
    fn acknowledge(self) -> Option<Acknowledged>;
    /// Ends the handling of an interrupt; it may come again if it is not masked.
    fn complete(self, interrupt: Acknowledged);
    /// Whether a software-generated interrupt could be sent to `target`, whether or not there is such a CPU.
    fn is_sgi_target(target: u64) -> bool;
    /// Sends a software-generated interrupt to a CPU.
    fn send_sgi(self, sgi: u64, target: u64);
}

/// The interface through which guests get virtual interrupts.
pub trait VirtualInterface: Copy {
    /// Takes the interface over, switched off.
    fn new() -> Self;
    /// Number of list registers.
    fn list_registers(self) -> u64;
    /// Lets the running guest see it, or not.
    fn set_enabled(self, enabled: bool);
    /// A bit for each list register whose interrupt has ended.
    fn ended(self) -> u64;
    /// Reads list register `index`.
    fn list_register(self, index: u64) -> u64;
    /// Writes list register `index`.
    fn set_list_register(self, index: u64, value: u64);
    /// The rest of its state: priorities, masks and enables that the guest set, and active priorities.
    fn state(self) -> [u64; STATE_WORDS];
    /// Sets the rest of its state.
    fn set_state(self, state: [u64; STATE_WORDS]);
    /// The list register of a pending interrupt whose end is to be told.
    fn pending(interrupt: VirtualInterrupt) -> u64;
    /// The interrupt in a list register.
    fn interrupt(list_register: u64) -> VirtualInterrupt;
    /// Whether it waits for the guest.
    fn is_pending(list_register: u64) -> bool;
    /// Whether the guest is handling the interrupt of a list register.
    fn is_active(list_register: u64) -> bool;
}

/// Words of a virtual interface's state.
pub const STATE_WORDS: usize = 3;
