// SPDX-License-Identifier: BSD-2-Clause
//! Status, features, reset (sections 2.1, 2.2, 2.4, 2.6.1).

use super::{BASE, busy_disk, ram, source};
use crate::block::Block;
use crate::mmio::registers::{self, Feature, Status};
use crate::mmio::{Mmio, Written};
use crate::mock::driver::{Buffer, bring_up, negotiate, read, set_up, write};
use crate::mock::{DriverQueue, Noise};
use crate::model::Model;

#[test]
fn features_without_version_1_are_refused() {
    // Section 6.2: a device may fail to operate without; 2.2.2: it then leaves FEATURES_OK clear.
    let (ram, mut device) = (ram(), source());
    assert!(!negotiate(&mut device, &ram, 0));
    assert!(!negotiate(&mut device, &ram, Feature::EVENT_INDEX));
    assert!(negotiate(&mut device, &ram, Feature::VERSION_1));
    assert_eq!(device.features(), Feature::VERSION_1);
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let (ram, mut device) = (ram(), source());
    for bit in (0..64).filter(|bit| Feature::ALL & 1 << bit == 0) {
        assert!(!negotiate(&mut device, &ram, Feature::VERSION_1 | 1 << bit), "bit {bit}");
    }
    assert!(negotiate(&mut device, &ram, Feature::ALL));
    // Beyond bit 63.
    let _ = write(&mut device, &ram, registers::STATUS, 0);
    for (select, value) in [(1, 1), (2, 1)] {
        let _ = write(&mut device, &ram, registers::DRIVER_FEATURES_SEL, select);
        let _ = write(&mut device, &ram, registers::DRIVER_FEATURES, value);
    }
    let _ = write(&mut device, &ram, registers::STATUS, 11);
    assert_eq!(read(&device, registers::STATUS), 3);
}

#[test]
fn features_are_fixed_once_agreed() {
    let (ram, mut device) = (ram(), source());
    assert!(negotiate(&mut device, &ram, Feature::VERSION_1));
    let _ = write(&mut device, &ram, registers::DRIVER_FEATURES, u32::MAX);
    let _ = write(&mut device, &ram, registers::STATUS, 15);
    assert_eq!(device.features(), Feature::VERSION_1);
}

#[test]
fn status_bits_stay_until_reset() {
    // Section 2.1.1: the driver must not clear a bit.
    let (ram, mut device) = (ram(), source());
    let mut seen = Vec::new();
    for value in [1, 3, 1, 2, 128, 1] {
        let _ = write(&mut device, &ram, registers::STATUS, value);
        seen.push(read(&device, registers::STATUS));
    }
    assert_eq!(seen, [1, 3, 3, 3, 131, 131]);
    let _ = write(&mut device, &ram, registers::STATUS, 0);
    assert_eq!(read(&device, registers::STATUS), 0);
}

#[test]
fn every_status_write_leads_to_a_status_that_exists() {
    let ram = ram();
    for first in 0..=255 {
        for second in 0..=255 {
            let mut device = source();
            let _ = write(&mut device, &ram, registers::DRIVER_FEATURES_SEL, 1);
            let _ = write(&mut device, &ram, registers::DRIVER_FEATURES, first & 1);
            for value in [first, second] {
                let before = read(&device, registers::STATUS);
                let _ = write(&mut device, &ram, registers::STATUS, value);
                let after = read(&device, registers::STATUS);
                let wanted = if value == 0 { 0 } else { before | value & 0x8f };
                assert_eq!(after & !wanted, 0, "{before:#x} {value:#x}");
                // Only these two can be refused, and nothing is lost.
                assert_eq!(after | Status::FEATURES_OK | Status::DRIVER_OK, wanted | 12);
                let refused_features = after & Status::FEATURES_OK == 0;
                assert!(!refused_features || after & Status::DRIVER_OK == 0);
                assert!(!device.needs_reset());
            }
        }
    }
}

#[test]
fn needs_reset_is_not_the_drivers_to_set() {
    let (ram, mut device) = (ram(), source());
    let _ = write(&mut device, &ram, registers::STATUS, 0xffff_ffff);
    assert_eq!(read(&device, registers::STATUS) & Status::NEEDS_RESET, 0);
}

#[test]
fn kicks_before_driver_ok_are_harmless() {
    // Section 2.1.2: the device must not use buffers before DRIVER_OK.
    let (ram, mut device) = (ram(), source());
    assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Done);
    assert!(negotiate(&mut device, &ram, Feature::VERSION_1));
    let mut queue = DriverQueue::new(0, 8, BASE, false);
    set_up(&mut device, &ram, &queue);
    queue.add(&ram, &[Buffer::writable(BASE + 0x1_0000, 8)]);
    queue.show(&ram);
    assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Done);
    let _ = device.run(&ram, &mut Noise([1; 64].into()));
    assert_eq!((ram.written(), device.asserted()), (0, false));
    let _ = write(&mut device, &ram, registers::STATUS, 15);
    assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Kick(0));
    let _ = device.run(&ram, &mut Noise([1; 64].into()));
    assert_eq!(queue.take(&ram), Some((0, 8)));
}

#[test]
fn queue_outside_memory_stops_the_device() {
    let (ram, mut device) = (ram(), source());
    bring_up(&mut device, &ram, u64::MAX, 8);
    let _ = write(&mut device, &ram, registers::QUEUE_READY, 0);
    set_up(&mut device, &ram, &DriverQueue::new(0, 8, ram.end() - 64, true));
    assert_eq!(read(&device, registers::QUEUE_READY), 0);
    assert!(device.needs_reset() && device.asserted());
    // Section 2.1.2: a configuration change notification tells the driver.
    assert_eq!(read(&device, registers::INTERRUPT_STATUS), 2);
    assert_eq!(read(&device, registers::STATUS), 15 | Status::NEEDS_RESET);
    assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Done);
    let _ = write(&mut device, &ram, registers::STATUS, 0);
    bring_up(&mut device, &ram, u64::MAX, 8);
    assert!(!device.needs_reset());
}

#[test]
fn before_driver_ok_a_stopped_device_does_not_interrupt() {
    let (ram, mut device) = (ram(), source());
    assert!(negotiate(&mut device, &ram, Feature::VERSION_1));
    set_up(&mut device, &ram, &DriverQueue::new(0, 8, 0, true));
    assert!(device.needs_reset());
    assert!(!device.asserted());
    let _ = write(&mut device, &ram, registers::STATUS, 15);
    assert!(!device.is_live());
}

#[test]
fn queue_sizes_that_are_none_stop_the_device() {
    for size in [0, 3, 16, 0x1_0008, u32::MAX] {
        let (ram, mut device) = (ram(), source());
        assert!(negotiate(&mut device, &ram, Feature::VERSION_1));
        let queue = DriverQueue::new(0, 8, BASE, false);
        set_up(&mut device, &ram, &queue);
        let _ = write(&mut device, &ram, registers::QUEUE_READY, 0);
        assert_eq!(read(&device, registers::QUEUE_READY), 0);
        for (register, value) in [
            (registers::QUEUE_NUM, size),
            (registers::QUEUE_DESC_LOW, BASE as u32),
            (registers::QUEUE_DRIVER_LOW, BASE as u32),
            (registers::QUEUE_DEVICE_LOW, BASE as u32),
            (registers::QUEUE_READY, 1),
        ] {
            let _ = write(&mut device, &ram, register, value);
        }
        assert!(device.needs_reset(), "size {size}");
    }
}

#[test]
fn reset_waits_for_the_back_end() {
    // Section 2.4.1: after a reset the device must not use the driver's memory.
    let ram = ram();
    let (mut device, mut disk, mut queue) = busy_disk(&ram);
    assert_eq!(write(&mut device, &ram, registers::STATUS, 0), Written::Again);
    assert_ne!(read(&device, registers::STATUS), 0);
    queue.add(&ram, &[Buffer::readable(BASE + 0x1_0000, 16), Buffer::writable(BASE + 0x1_1000, 513)]);
    queue.show(&ram);
    assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Done);
    let _ = device.run(&ram, &mut disk);
    assert_eq!(disk.pending.len(), 1, "nothing new is taken");
    let written = ram.written();
    disk.outcome = crate::block::Outcome::Failed;
    disk.complete_all(&ram);
    let _ = device.run(&ram, &mut disk);
    assert_eq!((ram.written(), device.asserted()), (written, false), "nobody waits for it");
    assert_eq!(write(&mut device, &ram, registers::STATUS, 0), Written::Done);
    assert_eq!(read(&device, registers::STATUS), 0);
    assert_eq!(read(&device, registers::QUEUE_READY), 0);
    bring_up(&mut device, &ram, u64::MAX, 8);
}

#[test]
fn reset_by_the_vmm_waits_too() {
    let ram = ram();
    let (mut device, mut disk, _) = busy_disk(&ram);
    assert!(!device.reset());
    disk.complete_all(&ram);
    let _ = device.run(&ram, &mut disk);
    assert!(device.reset());
}

#[test]
fn queue_reset_waits_for_the_back_end() {
    // Section 2.6.1.
    for register in [registers::QUEUE_RESET, registers::QUEUE_READY] {
        let ram = ram();
        let (mut device, mut disk, _) = busy_disk(&ram);
        let value = (register == registers::QUEUE_RESET).into();
        assert_eq!(write(&mut device, &ram, register, value), Written::Again);
        assert_eq!(read(&device, registers::QUEUE_READY), 1);
        disk.complete_all(&ram);
        let _ = device.run(&ram, &mut disk);
        assert_eq!(write(&mut device, &ram, register, value), Written::Done);
        assert_eq!(read(&device, registers::QUEUE_READY), 0);
        assert_eq!(read(&device, registers::QUEUE_RESET), 0, "done");
        // It can be set up again, elsewhere, and works.
        let mut queue = DriverQueue::new(0, 4, BASE + 0x2_0000, true);
        set_up(&mut device, &ram, &queue);
        assert!(device.is_live());
        ram.poke(BASE + 0x1_0000, &crate::mock::hostile::block_header(8, 0));
        queue.add(&ram, &[Buffer::readable(BASE + 0x1_0000, 16), Buffer::writable(BASE + 0x1_1000, 21)]);
        queue.show(&ram);
        assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, 0), Written::Kick(0));
        let _ = device.run(&ram, &mut disk);
        assert_eq!(queue.take(&ram).map(|(_, length)| length), Some(21));
    }
}

#[test]
fn queue_reset_needs_its_feature() {
    let (ram, mut device) = (ram(), source());
    bring_up(&mut device, &ram, !Feature::RING_RESET, 8);
    assert_eq!(write(&mut device, &ram, registers::QUEUE_RESET, 1), Written::Done);
    assert_eq!(read(&device, registers::QUEUE_READY), 1);
}

#[test]
fn failed_driver_gets_nothing_more() {
    let ram = ram();
    let (mut device, mut disk, queue) = busy_disk(&ram);
    queue.want_interrupt(&ram);
    let _ = write(&mut device, &ram, registers::STATUS, Status::FAILED);
    disk.complete_all(&ram);
    let written = ram.written();
    let _ = device.run(&ram, &mut disk);
    assert_eq!((ram.written(), device.asserted()), (written, false));
    assert!(device.model().is_idle());
}

#[test]
fn device_is_one_serialisable_value() {
    let ram = ram();
    let (device, mut disk, mut queue) = busy_disk(&ram);
    let bytes = postcard::to_allocvec(&device).unwrap();
    let mut again: Mmio<Block> = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(again, device);
    // It goes on where the other was, on a back end that knows nothing.
    disk.crash();
    again.replay();
    let _ = again.run(&ram, &mut disk);
    disk.complete_all(&ram);
    let _ = again.run(&ram, &mut disk);
    assert_eq!(queue.take(&ram).map(|(_, length)| length), Some(513));
    assert_eq!(ram.peek_vec(BASE + 0x1_1000, 512), disk.data[..512]);
    assert_eq!(read(&again, registers::STATUS), 15);
}
