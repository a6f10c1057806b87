// SPDX-License-Identifier: BSD-2-Clause
//! The guest's accesses to the devices' registers.

use super::Slot;
use crate::device::{BlockLink, EntropyRing};
use crate::exit::Reply;
use crate::guest::Guest;
use crate::host::Host;
use crate::machine::Run;
use crate::trap::Trap;
use vmm_arm::Access;
use vmm_fdt::machine::map;
use vmm_virtio::entropy::Entropy;
use vmm_virtio::mmio::registers;
use vmm_virtio::{ConsoleDevice, EntropyDevice, GuestMemory, Mmio, Model, Written};

/// What became of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accessed {
    /// A load found this.
    Loaded(u64),
    /// A store is done.
    Stored,
    /// There is nothing at that address.
    Nobody,
    /// It has to be tried again, after the next event of the back end.
    Later,
}

/// An access to a register page.
struct Register<'a> {
    offset: u64,
    access: &'a Access,
    /// What a store stores, and then what a load found.
    value: u64,
}

impl Register<'_> {
    #[inline]
    fn perform<D: Model>(&mut self, device: &mut Mmio<D>, memory: &impl GuestMemory) -> Written {
        let width = self.access.width.bytes() as usize;
        if self.access.write {
            device.write(self.offset, width, self.value, memory)
        } else {
            self.value = device.read(self.offset, width);
            Written::Done
        }
    }

    /// The register of a slot without a device (section 4.2.2: device id 0), as QEMU has them too.
    fn perform_empty(&mut self) {
        let value = match self.offset {
            registers::MAGIC => registers::MAGIC_VALUE,
            registers::VERSION => registers::VERSION_VALUE,
            registers::VENDOR_ID => registers::VENDOR_VALUE,
            _ => 0,
        };
        self.value = value.into();
    }

    fn done(&self) -> Accessed {
        if self.access.write { Accessed::Stored } else { Accessed::Loaded(self.value) }
    }
}

impl<H: Host> Guest<H> {
    /// An access to the virtio slots.
    #[inline]
    pub(crate) fn virtio(&mut self, address: u64, access: &Access, value: u64) -> Accessed {
        let offset = address.wrapping_sub(map::VIRTIO);
        let number = offset / map::VIRTIO_SIZE;
        let Some(&slot) = Slot::ALL.iter().find(|slot| u64::from(**slot as u32) == number) else {
            return Accessed::Nobody;
        };
        if self.links.slots() & slot.bit() == 0 {
            return Accessed::Nobody;
        }
        let mut register = Register { offset: offset % map::VIRTIO_SIZE, access, value };
        let mut written = self.access_register(slot, &mut register);
        if written.is_none() && self.is_absent(slot) {
            register.perform_empty();
            return register.done();
        }
        if written == Some(Written::Again) {
            // What has not gone to the back end yet is dropped, and need not be waited for.
            self.work(slot);
            written = self.access_register(slot, &mut register);
        }
        match written {
            Some(Written::Kick(queue)) => self.kicked(slot, queue),
            Some(Written::Done) => {
                let console = self.machine.devices.console.as_ref();
                if slot == Slot::Console && console.is_some_and(ConsoleDevice::has_emergency_output) {
                    self.work(slot);
                }
                self.update_virtio_line(slot);
            }
            Some(Written::Again) | None => return Accessed::Later,
        }
        register.done()
    }

    /// Whether the back end of a slot has said that there is no device.
    fn is_absent(&self, slot: Slot) -> bool {
        match slot {
            Slot::Block => self.links.block.as_ref().is_some_and(BlockLink::is_absent),
            Slot::Entropy => self.links.entropy.as_ref().is_some_and(EntropyRing::is_closed),
            Slot::Net | Slot::Console => false,
        }
    }

    /// `None`: the device's back end has not said what it is, or that there is none.
    #[inline]
    fn access_register(&mut self, slot: Slot, register: &mut Register<'_>) -> Option<Written> {
        let memory = self.host.memory();
        let devices = &mut self.machine.devices;
        Some(match slot {
            Slot::Block => register.perform(devices.block.as_mut()?, &memory),
            Slot::Net => register.perform(devices.net.as_mut()?, &memory),
            Slot::Entropy => {
                if devices.entropy.is_none() && !self.links.entropy.as_ref()?.is_closed() {
                    devices.entropy = Some(EntropyDevice::new(Entropy));
                }
                register.perform(devices.entropy.as_mut()?, &memory)
            }
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
    pub(super) fn retry(&mut self) {
        let retrying = core::mem::take(&mut self.retrying);
        for index in (0..self.machine.vcpus()).filter(|index| retrying & 1 << index != 0) {
            self.wake(index);
        }
    }
}
