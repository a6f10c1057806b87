// SPDX-License-Identifier: BSD-2-Clause
//! The driver between clients and a model of the device.

use ring::memory::LocalMemory;
use ring::serial::{Consumer, Producer};
use virtio_driver::mock::{Memory, MockDevice};
use virtio_driver::{Device, DeviceType, Error};

use crate::{DMA_SIZE, Driver, Event, Work};

pub const DMA: u64 = 0x8000_0000;
type Ring = LocalMemory<64>;

pub fn model(kind: u32) -> MockDevice {
    let mut memory = Memory::new();
    memory.add(DMA, DMA_SIZE.next_multiple_of(8));
    MockDevice::new(kind, 1 << 32, &[8], memory)
}

fn driver<'a>(model: &MockDevice, rings: &[&'a Ring]) -> Driver<MockDevice, &'a Ring> {
    let device = Device::new(model.clone(), DeviceType::Entropy);
    let mut driver = Driver::new(device, model.memory().dma(DMA));
    for (index, ring) in rings.iter().enumerate() {
        driver.add_client(index, Producer::new(*ring));
    }
    driver
}

/// The device answers its request with `bytes`. Gives whether there was a request.
pub fn answer(model: &MockDevice, bytes: &[u8]) -> bool {
    let Some(chain) = model.take(0) else { return false };
    assert!(bytes.len() <= chain.buffers[0].length as usize);
    model.memory().write(chain.buffers[0].address, bytes);
    model.complete(0, chain.head.into(), bytes.len() as u32)
}

fn step(driver: &mut Driver<MockDevice, &Ring>) -> Work {
    driver.handle_interrupt();
    driver.work()
}

fn read(consumer: &mut Consumer<&Ring>) -> Vec<u8> {
    let mut bytes = [0; 64];
    let count = consumer.read(&mut bytes);
    bytes[..count].to_vec()
}

#[test]
fn each_byte_goes_to_one_client_and_is_erased() {
    let (first, second) = (Ring::new(), Ring::new());
    let model = model(4);
    let mut driver = driver(&model, &[&first, &second]);
    assert_eq!(step(&mut driver), Work::default(), "nothing has come yet");
    let bytes: Vec<u8> = (1..=100).collect();
    assert!(answer(&model, &bytes));
    assert_eq!(step(&mut driver), Work { notify: 0b11, event: None });
    let mut got = read(&mut Consumer::new(&first));
    assert_eq!(got.len(), 64, "what the other has no turn for");
    got.extend(read(&mut Consumer::new(&second)));
    got.sort_unstable();
    assert_eq!(got, bytes);
    assert_eq!(model.memory().read(DMA, 100), [0; 100]);
}

#[test]
fn nothing_is_made_up_when_the_device_gives_nothing() {
    let ring = Ring::new();
    let model = model(4);
    let mut driver = driver(&model, &[&ring]);
    for _ in 0..3 {
        assert_eq!(step(&mut driver), Work::default());
        assert!(read(&mut Consumer::new(&ring)).is_empty());
        answer(&model, &[]);
    }
}

#[test]
fn the_device_is_asked_while_somebody_has_room_and_not_otherwise() {
    let ring = Ring::new();
    let model = model(4);
    let mut consumer = Consumer::new(&ring);
    let mut driver = driver(&model, &[&ring]);
    step(&mut driver);
    assert!(answer(&model, &[7; 100]));
    step(&mut driver);
    assert!(!answer(&model, &[8; 100]), "36 bytes are left");
    assert_eq!(read(&mut consumer), [7; 64]);
    assert!(consumer.should_notify(), "the driver waits for room");
    step(&mut driver);
    assert_eq!(read(&mut consumer), [7; 36]);
    assert!(answer(&model, &[9; 10]), "the rest is gone");
    step(&mut driver);
    assert_eq!(read(&mut consumer), [9; 10]);
}

#[test]
fn a_client_that_does_not_read_keeps_nothing_from_others() {
    let (idle, busy) = (Ring::new(), Ring::new());
    let model = model(4);
    let mut consumer = Consumer::new(&busy);
    let mut driver = driver(&model, &[&idle, &busy]);
    let mut got = 0;
    for _ in 0..100 {
        step(&mut driver);
        answer(&model, &[5; 64]);
        got += read(&mut consumer).len();
    }
    assert!(got > 90 * 64 / 2, "{got}");
}

#[test]
fn a_client_with_an_impossible_index_is_cut_off_alone() {
    use core::sync::atomic::Ordering;
    use ring::memory::{RingMemory, Word};
    let (bad, good) = (Ring::new(), Ring::new());
    let model = model(4);
    let mut driver = driver(&model, &[&bad, &good]);
    (&bad).store(Word::Head, 1000, Ordering::Relaxed);
    let mut events = vec![step(&mut driver).event];
    assert!(answer(&model, &[3; 40]));
    events.push(step(&mut driver).event);
    events.push(step(&mut driver).event);
    let told: Vec<_> = events.into_iter().flatten().collect();
    assert!(matches!(told[..], [Event::Client(0, _)]), "{told:?}");
    assert_eq!(read(&mut Consumer::new(&good)), [3; 40]);
}

#[test]
fn a_device_that_lies_is_reset_and_goes_on() {
    let ring = Ring::new();
    let model = model(4);
    let mut driver = driver(&model, &[&ring]);
    step(&mut driver);
    model.set_used_index(0, 5);
    let work = step(&mut driver);
    assert!(matches!(work.event, Some(Event::Misbehaved(_))), "{work:?}");
    assert!(answer(&model, &[6; 20]));
    step(&mut driver);
    assert_eq!(read(&mut Consumer::new(&ring)), [6; 20]);
}

#[test]
fn more_bytes_than_were_asked_for_are_not_believed() {
    let ring = Ring::new();
    let model = model(4);
    let mut driver = driver(&model, &[&ring]);
    step(&mut driver);
    let chain = model.take(0).unwrap();
    model.complete(0, chain.head.into(), u32::MAX);
    assert_eq!(step(&mut driver).event, None);
    assert_eq!(read(&mut Consumer::new(&ring)).len(), 64);
}

#[test]
fn another_device_is_not_driven_and_clients_know() {
    let ring = Ring::new();
    let model = model(2);
    let mut driver = driver(&model, &[&ring]);
    assert_eq!(driver.work().event, Some(Event::NoDevice(Error::Kind(2, DeviceType::Entropy))));
    assert_eq!(driver.work(), Work::default());
    assert!(Consumer::new(&ring).is_closed());
}
