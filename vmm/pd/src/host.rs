// SPDX-License-Identifier: BSD-2-Clause
//! What a guest's virtual machine needs of the PD it runs in.

use crate::boot::{BootError, Start};
use crate::device::DataRegion;
use crate::vcpu::Vcpu;
use crate::virtio::Slot;
use ring::memory::RingMemory;
use ring::pages::Memory as Pages;
use vmm_devices::Transmit;
use vmm_virtio::GuestMemory;

/// The console behind the emulated UART.
pub trait Console: Transmit {
    /// Makes everything that was put visible to the other side.
    fn flush(&mut self);

    /// Whether there is input; if not, [`crate::Guest::console`] will be called when there is.
    fn has_input(&mut self) -> bool;

    /// Takes input, as much as there is and fits; 0 means that [`crate::Guest::console`] will be called for more.
    fn read(&mut self, buffer: &mut [u8]) -> usize;
}

/// The PD.
pub trait Host {
    /// A vCPU.
    type Vcpu: Vcpu;
    /// The console.
    type Console: Console;
    /// The guest's memory.
    type Memory: GuestMemory + Copy;
    /// Regions of links.
    type Pages: Pages;
    /// Data regions beside links.
    type Data: DataRegion<Self::Memory>;
    /// Rings of bytes.
    type Bytes: RingMemory;

    /// The handle on vCPU `index`.
    fn vcpu(&self, index: usize) -> Self::Vcpu;

    /// The console.
    fn console(&mut self) -> &mut Self::Console;

    /// The guest's memory.
    fn memory(&self) -> Self::Memory;

    /// Notifies the other side of a device's link or rings.
    fn notify(&mut self, slot: Slot);

    /// The physical count (CNTPCT_EL0), in ticks.
    fn now(&self) -> u64;

    /// Seconds since 1970.
    fn wall_clock(&self) -> u32;

    /// Ticks a second.
    fn frequency_hz(&self) -> u64;

    /// Asks for [`crate::Guest::timeout`] when the count reaches `deadline`; replaces the earlier request. `None`: never.
    fn set_timeout(&mut self, deadline: Option<u64>);

    /// Puts instructions at the start of the guest's RAM.
    fn place(&mut self, code: &[u32]);

    /// Scrubs `length` bytes of the guest's memory from byte `offset` on, as far as there are any. False: none are left.
    fn scrub(&mut self, offset: u64, length: u64) -> bool;

    /// Loads the guest's memory for a start. All of it is zero: new, or scrubbed.
    ///
    /// # Errors
    /// The images cannot be placed.
    fn load(&mut self, memory: Memory) -> Result<Start, BootError>;
}

/// What the guest's memory holds before it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Zeroes, everywhere.
    Zeroed,
    /// What a guest left there until it was scrubbed.
    Used,
}
