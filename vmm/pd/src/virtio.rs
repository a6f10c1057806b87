// SPDX-License-Identifier: BSD-2-Clause
//! The guest's virtio devices: their registers, their work, and their back ends' events.
//!
//! A device is in the device tree iff its link or rings are there. A disk or a network interface is what its virtualiser
//! says it is, so until that has spoken for the first time a vCPU that looks at the device is held: a guest sees a pause,
//! and no device without a size. If it says that there is no disk for this guest, the slot is empty. Later pauses of the virtualiser only make requests wait.

use crate::device::{BlockLink, ConsoleRings, EntropyRing, NetLink};
use crate::exit::Reply;
use crate::guest::{Guest, Life};
use crate::host::Host;
use crate::machine::Run;
use crate::trap::Trap;
use ring::link::State;
use serde::{Deserialize, Serialize};
use vmm_arm::Access;
use vmm_fdt::machine::map;
use vmm_virtio::block::Block;
use vmm_virtio::console::Console;
use vmm_virtio::entropy::Entropy;
use vmm_virtio::mmio::registers;
use vmm_virtio::model::Progress;
use vmm_virtio::net::Net;
use vmm_virtio::{BlockDevice, ConsoleDevice, EntropyDevice, GuestMemory, Mmio, Model, NetDevice, Written};

/// How often a device works on in one event, when there is ever more to do. Then others have their turn.
const ROUNDS: usize = 8;

/// How many times a second a vCPU that is busy is interrupted by its disk, at most.
const DISK_INTERRUPTS_HZ: u64 = 5000;

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
    /// The source of entropy.
    pub entropy: Option<EntropyDevice>,
    /// The console.
    pub console: Option<ConsoleDevice>,
    /// Levels of the interrupts as the interrupt controller knows them, a bit for each slot.
    lines: u32,
}

/// What became of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accessed {
    /// It is done.
    Done,
    /// There is nothing at that address.
    Nobody,
    /// It has to be tried again, after the next event of the back end.
    Later,
}

/// An access to a register page.
struct Register<'a, 't, V> {
    offset: u64,
    access: &'a Access,
    trap: &'a mut Trap<'t, V>,
}

impl<V: crate::Vcpu> Register<'_, '_, V> {
    #[inline]
    fn perform<D: Model>(&mut self, device: &mut Mmio<D>, memory: &impl GuestMemory) -> Written {
        let width = self.access.width.bytes() as usize;
        if self.access.write {
            let value = self.access.stored(self.trap.gpr(self.access.register));
            device.write(self.offset, width, value, memory)
        } else {
            let value = device.read(self.offset, width);
            self.trap.set_gpr(self.access.register, self.access.loaded(value));
            Written::Done
        }
    }
}

impl<V: crate::Vcpu> Register<'_, '_, V> {
    /// The register of a slot without a device (section 4.2.2: device id 0), as QEMU has them too.
    fn perform_empty(&mut self) {
        if !self.access.write {
            let value = match self.offset {
                registers::MAGIC => registers::MAGIC_VALUE,
                registers::VERSION => registers::VERSION_VALUE,
                registers::VENDOR_ID => registers::VENDOR_VALUE,
                _ => 0,
            };
            self.trap.set_gpr(self.access.register, self.access.loaded(value.into()));
        }
    }
}

impl<H: Host> Guest<H> {
    /// An access to the virtio slots.
    #[inline]
    pub(crate) fn virtio(&mut self, address: u64, access: &Access, trap: &mut Trap<'_, H::Vcpu>) -> Accessed {
        let offset = address.wrapping_sub(map::VIRTIO);
        let number = offset / map::VIRTIO_SIZE;
        let Some(&slot) = Slot::ALL.iter().find(|slot| u64::from(**slot as u32) == number) else {
            return Accessed::Nobody;
        };
        if self.links.slots() & slot.bit() == 0 {
            return Accessed::Nobody;
        }
        let mut register = Register { offset: offset % map::VIRTIO_SIZE, access, trap };
        let mut written = self.access_register(slot, &mut register);
        if written.is_none()
            && slot == Slot::Block
            && self.links.block.as_ref().is_some_and(BlockLink::is_absent)
        {
            register.perform_empty();
            return Accessed::Done;
        }
        if written == Some(Written::Again) {
            // What has not gone to the back end yet is dropped, and need not be waited for.
            self.work(slot);
            written = self.access_register(slot, &mut register);
        }
        match written {
            Some(Written::Kick(_)) => self.work(slot),
            Some(Written::Done) => {
                let console = self.machine.devices.console.as_ref();
                if slot == Slot::Console && console.is_some_and(ConsoleDevice::has_emergency_output) {
                    self.work(slot);
                }
                self.update_virtio_line(slot);
            }
            Some(Written::Again) | None => return Accessed::Later,
        }
        Accessed::Done
    }

    /// `None`: the device's back end has not said what it is.
    #[inline]
    fn access_register(&mut self, slot: Slot, register: &mut Register<'_, '_, H::Vcpu>) -> Option<Written> {
        let memory = self.host.memory();
        let devices = &mut self.machine.devices;
        Some(match slot {
            Slot::Block => register.perform(devices.block.as_mut()?, &memory),
            Slot::Net => register.perform(devices.net.as_mut()?, &memory),
            Slot::Entropy => register.perform(devices.entropy.as_mut()?, &memory),
            Slot::Console => register.perform(devices.console.as_mut()?, &memory),
        })
    }

    /// Holds a vCPU that will execute the instruction at `trap` again after the next event of a back end.
    pub(crate) fn try_again(&mut self, index: usize, trap: Trap<'_, H::Vcpu>) -> Reply {
        let pc = trap.hold();
        if let Some(cpu) = self.machine.cpus.get_mut(index) {
            cpu.run = Run::Held { pc, deadline: None };
        }
        self.retrying |= 1u32.checked_shl(index as u32).unwrap_or(0);
        Reply::Hold
    }

    /// Lets the vCPUs go on that wait to try again.
    fn retry(&mut self) {
        let retrying = core::mem::take(&mut self.retrying);
        for index in (0..self.machine.vcpus()).filter(|index| retrying & 1 << index != 0) {
            self.wake(index);
        }
    }

    /// The other side of a slot's link or rings has notified.
    pub fn virtio_event(&mut self, slot: Slot) {
        match slot {
            Slot::Block => self.look_at_disk(),
            Slot::Net => self.look_at_network(),
            Slot::Entropy | Slot::Console => {}
        }
        match self.life {
            Life::Running => {
                if slot == Slot::Block {
                    self.may_be_late();
                }
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

    /// Looks for what is new about the link to the disk's virtualiser itself.
    fn look_at_disk(&mut self) {
        let (Some(link), devices) = (&mut self.links.block, &mut self.machine.devices) else { return };
        match link.poll() {
            State::Fresh => {
                if let Some(device) = &mut devices.block {
                    let waiting = device.model().in_flight();
                    device.replay();
                    log::info!("disk: connected again, {waiting} requests repeated");
                }
            }
            State::Up => {}
            State::Down | State::PeerRestarted => {
                if let Some(error) = link.take_error() {
                    log::error!("disk: {error}; it waits until its virtualiser restarts");
                }
            }
        }
        match (link.changed_info(), &mut devices.block) {
            (Some(info), Some(device)) => device.set_info(info),
            (Some(info), None) => devices.block = Some(BlockDevice::new(Block::new(info))),
            (None, _) => {}
        }
        // While there is no device, nothing else does this.
        if devices.block.is_none() {
            if link.commit() {
                self.host.notify(Slot::Block);
            }
            // A description comes with a notification whether it was asked for or not.
            link.wait();
        }
    }

    /// The same for the network.
    fn look_at_network(&mut self) {
        let (Some(link), devices) = (&mut self.links.net, &mut self.machine.devices) else { return };
        match link.poll() {
            State::Fresh => {
                if let Some(device) = &mut devices.net {
                    device.replay();
                    log::info!("network: connected again");
                }
            }
            State::Up => {}
            State::Down | State::PeerRestarted => {
                if let Some(error) = link.take_error() {
                    log::error!("network: {error}; it is off until its switch restarts");
                }
            }
        }
        match (link.changed_info(), &mut devices.net) {
            (Some(info), Some(device)) => device.set_info(info),
            (Some(info), None) => devices.net = Some(NetDevice::new(Net::new(info))),
            (None, _) => {}
        }
        if devices.net.is_none() {
            if link.commit() {
                self.host.notify(Slot::Net);
            }
            link.wait();
        }
    }

    /// Lets a device do what there is to do, and its interrupt follow.
    #[inline]
    pub(crate) fn work(&mut self, slot: Slot) {
        let more = match slot {
            Slot::Block => self.work_on_disk(),
            Slot::Net => self.work_on_network(),
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
    }

    /// True: there is more to do.
    #[inline]
    fn work_on_disk(&mut self) -> bool {
        let memory = self.host.memory();
        let (Some(link), Some(device)) = (&mut self.links.block, &mut self.machine.devices.block) else {
            return false;
        };
        for _ in 0..ROUNDS {
            if link.poll() == State::Fresh {
                device.replay();
            }
            let progress = device.run(&memory, link);
            if link.commit() {
                self.host.notify(Slot::Block);
            }
            if progress == Progress::Done && link.wait() {
                return false;
            }
        }
        true
    }

    #[inline]
    fn work_on_network(&mut self) -> bool {
        let memory = self.host.memory();
        let (Some(link), Some(device)) = (&mut self.links.net, &mut self.machine.devices.net) else {
            return false;
        };
        for _ in 0..ROUNDS {
            if link.poll() == State::Fresh {
                device.replay();
            }
            let progress = device.run(&memory, link);
            if link.commit() {
                self.host.notify(Slot::Net);
            }
            if progress == Progress::Done && link.wait() {
                return false;
            }
        }
        true
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

    /// Brings a device's interrupt line to the interrupt controller.
    #[inline]
    fn update_virtio_line(&mut self, slot: Slot) {
        let devices = &mut self.machine.devices;
        let asserted = match slot {
            Slot::Block => devices.block.as_ref().is_some_and(Mmio::asserted),
            Slot::Net => devices.net.as_ref().is_some_and(Mmio::asserted),
            Slot::Entropy => devices.entropy.as_ref().is_some_and(Mmio::asserted),
            Slot::Console => devices.console.as_ref().is_some_and(Mmio::asserted),
        };
        if asserted != (devices.lines & slot.bit() != 0) && !(asserted && self.late & slot.bit() != 0) {
            devices.lines ^= slot.bit();
            self.set_level(slot.intid(), asserted);
        }
    }

    /// The disk is about to complete requests. A guest whose vCPUs all run has something to do, often the next request:
    /// it is told of all completions together, when it waits, at its timer's next event, or after a moment.
    #[inline]
    fn may_be_late(&mut self) {
        if self.late != 0 || self.machine.cpus.iter().any(|cpu| matches!(cpu.run, Run::Held { .. })) {
            return;
        }
        let asserted = self.machine.devices.block.as_ref().is_some_and(Mmio::asserted);
        if !asserted {
            self.late = Slot::Block.bit();
        }
    }

    /// Sees to it that an interrupt that waits does not wait for long; called when the work that may have raised it is done.
    #[inline]
    fn bound_delay(&mut self) {
        if self.late == 0 || self.late_until.is_some() {
            return;
        }
        if self.machine.devices.block.as_ref().is_some_and(Mmio::asserted) {
            let moment = self.host.frequency_hz() / DISK_INTERRUPTS_HZ;
            self.late_until = Some(self.host.now().saturating_add(moment));
            self.arm_timeout();
        } else {
            // Nothing was raised.
            self.late = 0;
        }
    }

    /// Delivers interrupts that waited.
    #[inline]
    pub(crate) fn deliver_late(&mut self) {
        if self.late != 0 {
            self.late = 0;
            self.late_until = None;
            self.update_virtio_line(Slot::Block);
        }
    }

    /// Makes the devices that need to hear nothing from their back ends first.
    pub(crate) fn make_devices(&mut self) {
        let devices = &mut self.machine.devices;
        if self.links.entropy.is_some() {
            devices.entropy.get_or_insert_with(|| EntropyDevice::new(Entropy));
        }
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
            self.work_on_disk();
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
