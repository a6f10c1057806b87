// SPDX-License-Identifier: BSD-2-Clause
//! The guest's virtio devices: their registers, their work, and their back ends' events.
//!
//! A device is in the device tree iff its link or rings are there. A disk or a network interface is what its virtualiser
//! says it is, so until that has spoken for the first time a vCPU that looks at the device is held: a guest sees a pause,
//! and no device without a size. If it says that there is no disk for this guest, the slot is empty. Later pauses of the virtualiser only make requests wait.

mod access;
mod interrupt;
mod kick;
mod link;

pub(crate) use access::Accessed;
pub(crate) use kick::Moment;

use crate::device::{BlockLink, ConsoleRings, EntropyRing, NetLink};
use crate::guest::{Guest, Life};
use crate::host::Host;
use crate::machine::Run;
use link::{look, work};
use serde::{Deserialize, Serialize};
use vmm_fdt::machine::map;
use vmm_virtio::console::Console;
use vmm_virtio::model::Progress;
use vmm_virtio::{BlockDevice, ConsoleDevice, EntropyDevice, Mmio, NetDevice};

/// A device, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Slot {
    /// The disk.
    Block = 0,
    /// The network interface.
    Net = 1,
    /// The source of entropy.
    Entropy = 2,
    /// The console.
    Console = 3,
}

impl Slot {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Block, Self::Net, Self::Entropy, Self::Console];

    /// Its bit in a set of slots.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    const fn intid(self) -> u32 {
        map::VIRTIO_INTID + self as u32
    }
}

/// This side of everything that the devices are connected to.
pub struct Links<H: Host> {
    /// Of the disk.
    pub block: Option<BlockLink<H::Pages, H::Data>>,
    /// Of the network interface.
    pub net: Option<NetLink<H::Pages, H::Data>>,
    /// Of the source of entropy.
    pub entropy: Option<EntropyRing<H::Bytes>>,
    /// Of the console.
    pub console: Option<ConsoleRings<H::Bytes>>,
}

impl<H: Host> Links<H> {
    /// No devices.
    pub const fn none() -> Self {
        Self { block: None, net: None, entropy: None, console: None }
    }

    /// The slots that have a device.
    pub const fn slots(&self) -> u32 {
        let mut slots = 0;
        if self.block.is_some() {
            slots |= Slot::Block.bit();
        }
        if self.net.is_some() {
            slots |= Slot::Net.bit();
        }
        if self.entropy.is_some() {
            slots |= Slot::Entropy.bit();
        }
        if self.console.is_some() {
            slots |= Slot::Console.bit();
        }
        slots
    }
}

/// The devices' state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// The disk, once it is known what it is.
    pub block: Option<BlockDevice>,
    /// The network interface, once it is known what it is.
    pub net: Option<NetDevice>,
    /// The source of entropy, once the guest has looked for it and the driver has not said that there is none.
    pub entropy: Option<EntropyDevice>,
    /// The console.
    pub console: Option<ConsoleDevice>,
    /// Levels of the interrupts as the interrupt controller knows them, a bit for each slot.
    lines: u32,
}

impl<H: Host> Guest<H> {
    /// The other side of a slot's link or rings has notified.
    pub fn virtio_event(&mut self, slot: Slot) {
        match slot {
            Slot::Block => {
                look(self.links.block.as_mut(), &mut self.machine.devices.block, || self.host.notify(slot))
            }
            Slot::Net => {
                look(self.links.net.as_mut(), &mut self.machine.devices.net, || self.host.notify(slot))
            }
            Slot::Entropy | Slot::Console => {}
        }
        match self.life {
            Life::Running => {
                self.may_be_late(slot);
                self.work(slot);
                self.bound_delay();
                self.retry();
            }
            Life::Rebooting => {
                self.work(slot);
                self.reboot_when_quiet();
            }
            Life::Ended => {}
        }
    }

    /// Begins to listen to all links and rings.
    pub(crate) fn connect(&mut self) {
        Slot::ALL.into_iter().for_each(|slot| self.virtio_event(slot));
    }

    /// Lets a device do what there is to do, and its interrupt follow.
    #[inline]
    pub(crate) fn work(&mut self, slot: Slot) {
        let more = match slot {
            Slot::Block => self.work_on_disk(self.is_idle()),
            Slot::Net => {
                let patience = self.patience();
                if let Some(link) = &mut self.links.net {
                    link.set_patience(patience);
                }
                let (memory, devices) = (self.host.memory(), &mut self.machine.devices);
                work(self.links.net.as_mut(), devices.net.as_mut(), &memory, || self.host.notify(slot))
            }
            Slot::Entropy => self.work_on_entropy(),
            Slot::Console => self.work_on_console(),
        };
        if more {
            self.unfinished |= slot.bit();
        } else {
            self.unfinished &= !slot.bit();
        }
        self.update_virtio_line(slot);
    }

    /// Goes on with devices that had too much to do for one event.
    #[cold]
    pub(crate) fn work_on(&mut self) {
        for slot in Slot::ALL {
            if self.unfinished & slot.bit() != 0 {
                self.work(slot);
            }
        }
        self.bound_delay();
    }

    /// True: there is more to do.
    #[inline]
    fn work_on_disk(&mut self, idle: bool) -> bool {
        let (memory, devices) = (self.host.memory(), &mut self.machine.devices);
        if let Some(device) = &mut devices.block {
            device.set_busy(!idle);
        }
        work(self.links.block.as_mut(), devices.block.as_mut(), &memory, || self.host.notify(Slot::Block))
    }

    /// Whether a vCPU waits for something. If none does, the guest is busy.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.machine.cpus.iter().any(|cpu| matches!(cpu.run, Run::Held { .. }))
    }

    fn work_on_entropy(&mut self) -> bool {
        let memory = self.host.memory();
        let (Some(ring), Some(device)) = (&mut self.links.entropy, &mut self.machine.devices.entropy) else {
            return false;
        };
        let progress = device.run(&memory, ring);
        if let Some(error) = ring.take_error() {
            log::error!("entropy: {error}; there is no more");
        }
        if ring.commit() {
            self.host.notify(Slot::Entropy);
        }
        progress == Progress::More
    }

    fn work_on_console(&mut self) -> bool {
        let memory = self.host.memory();
        let (Some(rings), Some(device)) = (&mut self.links.console, &mut self.machine.devices.console) else {
            return false;
        };
        let progress = device.run(&memory, rings);
        if let Some(error) = rings.take_error() {
            log::error!("virtio console: {error}; it is off");
        }
        if rings.commit() {
            self.host.notify(Slot::Console);
        }
        progress == Progress::More
    }

    /// Makes the device that needs to hear nothing from its back end first.
    pub(crate) fn make_devices(&mut self) {
        let devices = &mut self.machine.devices;
        if self.links.console.is_some() {
            devices.console.get_or_insert_with(|| ConsoleDevice::new(Console::new(0, 0)));
        }
    }

    /// Whether nothing of the devices uses guest memory any more; they are reset then.
    pub(crate) fn devices_are_quiet(&mut self) -> bool {
        // A link that has come up again has nothing of its last epoch in flight.
        let connected = self.links.block.as_mut().is_none_or(BlockLink::is_up);
        (connected || !self.recovering) && self.reset_devices()
    }

    /// Resets all devices, as soon as nothing of them uses guest memory any more. True when that is so.
    pub(crate) fn reset_devices(&mut self) -> bool {
        let mut quiet = self.machine.devices.block.as_mut().is_none_or(Mmio::reset);
        if !quiet {
            // What has not gone to the virtualiser yet is dropped, and need not be waited for.
            self.work_on_disk(true);
            quiet = self.machine.devices.block.as_mut().is_none_or(Mmio::reset);
        }
        let devices = &mut self.machine.devices;
        quiet &= devices.net.as_mut().is_none_or(Mmio::reset);
        quiet &= devices.entropy.as_mut().is_none_or(Mmio::reset);
        quiet &= devices.console.as_mut().is_none_or(Mmio::reset);
        Slot::ALL.into_iter().for_each(|slot| self.update_virtio_line(slot));
        quiet
    }
}
