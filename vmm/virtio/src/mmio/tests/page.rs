// SPDX-License-Identifier: BSD-2-Clause
//! Registers (section 4.2.2).

use super::{BASE, busy_disk, ram, source};
use crate::block::{Block, Info};
use crate::mmio::registers::{self, Feature};
use crate::mmio::{Mmio, Written};
use crate::mock::DriverQueue;
use crate::mock::driver::{bring_up, offered, read, set_up, write};

#[test]
fn identification_registers() {
    // Section 4.2.2, table 4.1.
    let device = source();
    assert_eq!(read(&device, 0x000), 0x7472_6976);
    assert_eq!(read(&device, 0x004), 2);
    assert_eq!(read(&device, 0x008), 4);
    assert_eq!(read(&device, 0x034), 8);
    assert_eq!(read(&Mmio::new(Block::new(Info::new(1))), 0x008), 2);
}

#[test]
fn registers_are_words() {
    // Section 4.2.2.2: the driver must not do otherwise, so it gets nothing.
    let (ram, mut device) = (ram(), source());
    for offset in 0..registers::CONFIG {
        for width in [1, 2, 8] {
            assert_eq!(device.read(offset, width), 0, "{width} bytes at {offset:#x}");
            let before = device.clone();
            assert_eq!(device.write(offset, width, 0xff, &ram), Written::Done);
            assert_eq!(device, before, "{width} bytes at {offset:#x}");
        }
        if !offset.is_multiple_of(4) {
            assert_eq!(device.read(offset, 4), 0);
        }
    }
}

#[test]
fn shared_memory_regions_do_not_exist() {
    // Section 4.2.2.1: length and base are all ones.
    let device = source();
    for offset in [0x0b0, 0x0b4, 0x0b8, 0x0bc] {
        assert_eq!(read(&device, offset), u32::MAX);
    }
}

#[test]
fn configuration_space_can_be_read_in_every_size_and_ends_in_zeroes() {
    let device = Mmio::new(Block::new(Info::new(0x0102_0304_0506_0708)));
    assert_eq!(device.read(0x100, 8), 0x0102_0304_0506_0708);
    assert_eq!(device.read(0x100, 4), 0x0506_0708);
    assert_eq!(device.read(0x104, 2), 0x0304);
    assert_eq!(device.read(0x107, 1), 0x01);
    for offset in [0x13d, 0x140, 0x1ff, 0x200, 0xfff, u64::MAX] {
        assert_eq!(device.read(offset, 8), 0, "{offset:#x}");
    }
}

#[test]
fn features_are_offered_in_two_words() {
    let (ram, mut device) = (ram(), source());
    assert_eq!(offered(&mut device, &ram), Feature::ALL);
    for select in [2, 3, u32::MAX] {
        let _ = write(&mut device, &ram, registers::DEVICE_FEATURES_SEL, select);
        assert_eq!(read(&device, registers::DEVICE_FEATURES), 0);
    }
}

#[test]
fn kicks_of_queues_that_are_not_there_are_harmless() {
    let (ram, mut device) = (ram(), source());
    bring_up(&mut device, &ram, u64::MAX, 8);
    for queue in [1, 2, 0xffff, 0x1_0000, u32::MAX] {
        assert_eq!(write(&mut device, &ram, registers::QUEUE_NOTIFY, queue), Written::Done);
    }
}

#[test]
fn queue_registers_mean_the_selected_queue() {
    let (ram, mut device) = (ram(), source());
    for select in [1, 2, 1000, u32::MAX] {
        let _ = write(&mut device, &ram, registers::QUEUE_SEL, select);
        for register in [registers::QUEUE_NUM_MAX, registers::QUEUE_READY] {
            assert_eq!(read(&device, register), 0, "queue {select}");
        }
        assert_eq!(write(&mut device, &ram, registers::QUEUE_READY, 1), Written::Done);
        assert!(!device.needs_reset());
    }
}

#[test]
fn queue_cannot_move_while_it_is_used() {
    let (ram, mut device) = (ram(), source());
    let queue = bring_up(&mut device, &ram, u64::MAX, 8).remove(0);
    let before = device.queues[0].clone();
    for register in (registers::QUEUE_DESC_LOW..=registers::QUEUE_DEVICE_HIGH).step_by(4) {
        let _ = write(&mut device, &ram, register, 0xdead_0000);
    }
    let _ = write(&mut device, &ram, registers::QUEUE_NUM, 2);
    assert_eq!(device.queues[0], before);
    assert_eq!(device.queues[0].descriptors, queue.descriptors);
}

#[test]
fn queue_is_not_ready_before_features_are_agreed() {
    let (ram, mut device) = (ram(), source());
    set_up(&mut device, &ram, &DriverQueue::new(0, 8, BASE, false));
    assert_eq!(read(&device, registers::QUEUE_READY), 0);
    assert!(!device.needs_reset());
}

#[test]
fn interrupt_status_is_cleared_by_acknowledging() {
    let ram = ram();
    let (mut device, mut disk, queue) = busy_disk(&ram);
    queue.want_interrupt(&ram);
    disk.complete_all(&ram);
    let _ = device.run(&ram, &mut disk);
    assert_eq!(read(&device, registers::INTERRUPT_STATUS), 1);
    device.set_info(Info::new(128));
    assert_eq!(read(&device, registers::INTERRUPT_STATUS), 3);
    let _ = write(&mut device, &ram, registers::INTERRUPT_ACK, 1);
    assert_eq!((read(&device, registers::INTERRUPT_STATUS), device.asserted()), (2, true));
    let _ = write(&mut device, &ram, registers::INTERRUPT_ACK, u32::MAX);
    assert!(!device.asserted());
}

#[test]
fn generation_changes_with_the_configuration() {
    // Section 2.5.1.
    let mut device = Mmio::new(Block::new(Info::new(64)));
    let before = read(&device, registers::CONFIG_GENERATION);
    device.set_info(Info::new(64));
    assert_eq!(read(&device, registers::CONFIG_GENERATION), before);
    device.set_info(Info::new(65));
    assert_ne!(read(&device, registers::CONFIG_GENERATION), before);
    assert!(!device.asserted(), "nobody listens yet");
}
