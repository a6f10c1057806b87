// SPDX-License-Identifier: BSD-2-Clause
//! A driver in the guest: reaches devices by exits alone.

use super::fake::*;
use crate::virtio::Slot;
use crate::{Exit, Reply};
use vmm_fdt::machine::map;
use vmm_virtio::mmio::registers::{self, Status};
use vmm_virtio::mock::DriverQueue;
use vmm_virtio::mock::driver::QUEUE_BYTES;

/// Where the driver keeps its buffers: behind its queues.
pub const BUFFERS: u64 = map::RAM + 0x20_0000;

/// The address of a register.
pub fn register(slot: Slot, offset: u64) -> u64 {
    map::VIRTIO + map::VIRTIO_SIZE * slot as u64 + offset
}

pub fn write(guest: &mut TestGuest, slot: Slot, offset: u64, value: u32) -> Reply {
    store(guest, register(slot, offset), value.into())
}

pub fn read(guest: &mut TestGuest, slot: Slot, offset: u64) -> u32 {
    load(guest, register(slot, offset)) as u32
}

/// Brings a device up with all features it offers and `queues` queues of at most 16, and lets its interrupt through.
pub fn bring_up(guest: &mut TestGuest, slot: Slot, queues: u16) -> Vec<DriverQueue> {
    enable(guest, u64::from(map::VIRTIO_INTID) + slot as u64);
    assert_eq!(read(guest, slot, registers::MAGIC), registers::MAGIC_VALUE);
    let mut status = Status::ACKNOWLEDGE | Status::DRIVER;
    write(guest, slot, registers::STATUS, status);
    for select in 0..2 {
        write(guest, slot, registers::DEVICE_FEATURES_SEL, select);
        let features = read(guest, slot, registers::DEVICE_FEATURES);
        write(guest, slot, registers::DRIVER_FEATURES_SEL, select);
        write(guest, slot, registers::DRIVER_FEATURES, features);
    }
    status |= Status::FEATURES_OK;
    write(guest, slot, registers::STATUS, status);
    assert_eq!(read(guest, slot, registers::STATUS), status);
    let queues: Vec<_> = (0..queues)
        .map(|index| {
            let base = map::RAM + 0x4_0000 * (1 + slot as u64) + QUEUE_BYTES * u64::from(index);
            write(guest, slot, registers::QUEUE_SEL, index.into());
            let size = read(guest, slot, registers::QUEUE_NUM_MAX).min(16) as u16;
            set_up(guest, slot, DriverQueue::new(index, size, base, true))
        })
        .collect();
    write(guest, slot, registers::STATUS, status | Status::DRIVER_OK);
    queues
}

fn set_up(guest: &mut TestGuest, slot: Slot, queue: DriverQueue) -> DriverQueue {
    for (offset, value) in [
        (registers::QUEUE_SEL, queue.index.into()),
        (registers::QUEUE_NUM, queue.size.into()),
        (registers::QUEUE_DESC_LOW, queue.descriptors as u32),
        (registers::QUEUE_DRIVER_LOW, queue.available as u32),
        (registers::QUEUE_DEVICE_LOW, queue.used as u32),
        (registers::QUEUE_READY, 1),
    ] {
        write(guest, slot, offset, value);
    }
    assert_eq!(read(guest, slot, registers::QUEUE_READY), 1);
    queue
}

/// Shows what was added, and kicks if the device asked for it.
pub fn kick(guest: &mut TestGuest, slot: Slot, queue: &mut DriverQueue) {
    if queue.show(guest.host().memory.0) {
        assert_eq!(write(guest, slot, registers::QUEUE_NOTIFY, queue.index.into()), Reply::Resume);
    }
}

/// How often the device's interrupt was injected.
pub fn interrupts(guest: &TestGuest, slot: Slot) -> usize {
    let intid = map::VIRTIO_INTID as u16 + slot as u16;
    log(guest, 0).injected.iter().filter(|injection| injection.irq.number() == intid).count()
}

/// What Linux does on an interrupt; it ends too.
pub fn acknowledge(guest: &mut TestGuest, slot: Slot) -> u32 {
    let status = read(guest, slot, registers::INTERRUPT_STATUS);
    write(guest, slot, registers::INTERRUPT_ACK, status);
    let register = log(guest, 0).injected.last().map(|injection| injection.list_register.into());
    take(guest, 0, Exit::Maintenance(register));
    status
}

#[test]
fn slots_without_a_device_are_not_there() {
    let mut guest = guest(1);
    for slot in 0..map::VIRTIO_SLOTS {
        let pc = log(&guest, 0).pc();
        assert_eq!(write_at(&mut guest, slot), Reply::Resume);
        assert_eq!(log(&guest, 0).pc(), VBAR + 0x200, "an abort");
        cpu(&guest, 0).registers[0] = pc;
    }
}

fn write_at(guest: &mut TestGuest, slot: u32) -> Reply {
    store(guest, map::VIRTIO + map::VIRTIO_SIZE * u64::from(slot) + registers::STATUS, 0)
}
