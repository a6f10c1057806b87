// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour with a model of the device on one side and a client on the other.

mod failures;

use std::collections::VecDeque;

use heapless::Vec as FixedVec;
use link_pd::Logic;
use proptest::prelude::*;
use ring::link::State;
use ring::mortal::MortalPages;
use ring::net::{Abilities, BUFFER_SIZE, Buffer, Client, Gso, Offload, OffloadFlags, Server};
use virtio_driver::mock::{Memory, MockDevice};
use virtio_driver::{Device, DeviceType, Direction};

use crate::{DMA_SIZE, Driver, Event};

type Pages = &'static MortalPages<16384>;

const DMA: u64 = 0x4000_0000;
const RX: u64 = 0x5000_0000;
const TX: u64 = 0x6000_0000;
const BUFFERS: usize = 300;

const CSUM: u64 = 1 << 0;
const GUEST_CSUM: u64 = 1 << 1;
const MAC: u64 = 1 << 5;
const HOST_TSO4: u64 = 1 << 11;
const STATUS: u64 = 1 << 16;
const EVENT_IDX: u64 = 1 << 29;

struct Bench {
    pages: Pages,
    mock: MockDevice,
    driver: Driver<MockDevice, Pages>,
    client: Client<Pages>,
    /// Buffers to send from that are not out.
    free: VecDeque<u64>,
    /// Empty buffers that are not supplied.
    empty: VecDeque<u64>,
}

fn offsets(start: u64) -> VecDeque<u64> {
    (0..BUFFERS as u64).map(|index| start + index * BUFFER_SIZE as u64).collect()
}

impl Bench {
    fn new(features: u64) -> Self {
        Self::with_queues(features, [256, 256])
    }

    fn with_queues(features: u64, sizes: [u32; 2]) -> Self {
        let mut memory = Memory::new();
        memory.add(DMA, DMA_SIZE.next_multiple_of(8));
        for start in [RX, TX] {
            memory.add(start, BUFFERS * BUFFER_SIZE);
        }
        let mock = MockDevice::new(1, features, &sizes, memory);
        mock.state().config = vec![0x52, 0x54, 0, 0, 0, 1, 1, 0];
        let pages: Pages = Box::leak(Box::new(MortalPages::new()));
        let driver = Self::driver(&mock, pages);
        let client = Client::new(pages).unwrap();
        let mut this = Self { pages, mock, driver, client, free: offsets(TX), empty: offsets(RX) };
        this.settle();
        this
    }

    fn driver(mock: &MockDevice, pages: Pages) -> Driver<MockDevice, Pages> {
        let device = Device::new(mock.clone(), DeviceType::Network);
        Driver::new(device, mock.memory().dma(DMA), Server::new(pages).unwrap())
    }

    fn run(&mut self) {
        for _ in 0..100 {
            if !self.driver.service(true).again {
                return;
            }
        }
        panic!("the driver does not come to rest");
    }

    /// Until the link is up.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.run();
            self.poll();
        }
    }

    fn poll(&mut self) {
        if self.client.poll() == State::Fresh {
            self.free = offsets(TX);
            self.empty = offsets(RX);
        }
        while let Some(buffer) = self.client.transmitted() {
            assert!(!self.free.contains(&buffer.offset), "given back twice");
            self.free.push_back(buffer.offset);
        }
        let _ = self.client.commit();
    }

    fn supply(&mut self, count: usize) {
        for _ in 0..count {
            if !self.client.is_up() {
                break;
            }
            let Some(offset) = self.empty.pop_front() else { break };
            self.client.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).unwrap();
        }
        let _ = self.client.commit();
    }

    fn send(&mut self, lengths: &[u16], offload: &Offload) -> bool {
        if self.free.len() < lengths.len() {
            return false;
        }
        let buffers: Vec<Buffer> =
            lengths.iter().map(|&length| Buffer { offset: self.free.pop_front().unwrap(), length }).collect();
        let sent = self.client.transmit(&buffers, offload).is_ok();
        let _ = self.client.commit();
        sent
    }

    fn receive(&mut self) -> Vec<(Vec<u8>, Offload)> {
        self.poll();
        let mut buffers = FixedVec::<Buffer, 40>::new();
        let mut packets = Vec::new();
        while let Some(offload) = self.client.receive(&mut buffers) {
            assert_eq!(buffers.len(), 1);
            assert!(!self.empty.contains(&buffers[0].offset), "in a buffer that was not given");
            packets.push((self.mock.memory().read(buffers[0].offset, buffers[0].length.into()), offload));
            self.empty.push_back(buffers[0].offset);
        }
        let _ = self.client.commit();
        packets
    }

    /// The device receives a packet; `false` when it has no buffer.
    fn arrive(&self, header: [u8; 12], bytes: &[u8]) -> bool {
        let Some(chain) = self.mock.take(0) else { return false };
        let [first, second] = chain.buffers[..] else { panic!("header and data: {chain:?}") };
        assert!(chain.buffers.iter().all(|buffer| buffer.direction == Direction::FromDevice));
        assert_eq!((first.length, second.length), (12, BUFFER_SIZE as u32));
        self.mock.memory().write(first.address, &header);
        self.mock.memory().write(second.address, bytes);
        self.mock.complete(0, chain.head.into(), 12 + bytes.len() as u32);
        true
    }

    /// The device sends everything it has: header and length of each packet.
    fn transmit(&self) -> Vec<(Vec<u8>, u32)> {
        let mut packets = Vec::new();
        while let Some(chain) = self.mock.take(1) {
            assert!(chain.buffers.iter().all(|buffer| buffer.direction == Direction::ToDevice));
            let header = self.mock.memory().read(chain.buffers[0].address, 12);
            packets.push((header, chain.buffers[1..].iter().map(|buffer| buffer.length).sum()));
            self.mock.complete(1, chain.head.into(), 0);
        }
        packets
    }
}

#[test]
fn device_is_described_to_the_client() {
    let bench = Bench::new(MAC | STATUS | CSUM | HOST_TSO4 | EVENT_IDX);
    let info = bench.client.info().unwrap();
    assert_eq!((info.mac, info.mtu), ([0x52, 0x54, 0, 0, 0, 1], 1500));
    let expected = Abilities::LINK_UP | Abilities::TX_CHAIN | Abilities::TX_CSUM | Abilities::TX_TSO4;
    assert_eq!(info.abilities, expected);
    // QEMU's user network has none of it.
    let plain = Bench::new(MAC | STATUS | EVENT_IDX).client.info().unwrap();
    assert_eq!(plain.abilities, Abilities::LINK_UP | Abilities::TX_CHAIN);
}

#[test]
fn line_that_is_disconnected_is_told() {
    let mut bench = Bench::new(STATUS);
    bench.mock.state().config[6] = 0;
    bench.mock.state().interrupt |= 2;
    bench.driver.handle_interrupt();
    bench.run();
    assert!(!bench.client.info().unwrap().abilities.contains(Abilities::LINK_UP));
    assert_eq!(bench.driver.take_event(), Some(Event::Line(false)));
}

#[test]
fn packets_arrive_in_the_buffers_given() {
    let mut bench = Bench::new(EVENT_IDX);
    assert!(!bench.arrive([0; 12], &[1]), "no buffer yet");
    bench.supply(BUFFERS);
    bench.run();
    for length in [60, 1514, BUFFER_SIZE] {
        assert!(bench.arrive([0; 12], &vec![length as u8; length]));
    }
    bench.run();
    let found: Vec<usize> = bench.receive().iter().map(|(bytes, _)| bytes.len()).collect();
    assert_eq!(found, [60, 1514, BUFFER_SIZE]);
}

#[test]
fn headers_are_passed_on_only_if_agreed() {
    let mut header = [0; 12];
    header[0] = 1;
    header[6] = 34;
    header[8] = 16;
    let partial =
        Offload { flags: OffloadFlags::NEEDS_CSUM, csum_start: 34, csum_offset: 16, ..Offload::default() };
    for (features, expected) in [(GUEST_CSUM, partial), (0, Offload::default())] {
        let mut bench = Bench::new(features);
        bench.supply(4);
        bench.run();
        assert!(bench.arrive(header, &[1; 60]));
        bench.run();
        assert_eq!(bench.receive(), [(vec![1; 60], expected)]);
    }
}

#[test]
fn packets_are_sent_with_their_headers_and_one_notification() {
    let mut bench = Bench::new(CSUM | HOST_TSO4 | EVENT_IDX);
    let large = Offload {
        flags: OffloadFlags::NEEDS_CSUM,
        gso: Gso::TCP4,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    let plain = Offload::default();
    let before = bench.mock.state().queues[1].notified;
    assert!(bench.send(&[60], &plain) && bench.send(&[2048; 33], &large) && bench.send(&[1514], &plain));
    bench.run();
    assert_eq!(bench.mock.state().queues[1].notified, before + 1);
    let header = vec![1, 1, 54, 0, 168, 5, 34, 0, 16, 0, 0, 0];
    assert_eq!(bench.transmit(), [(vec![0; 12], 60), (header, 33 * 2048), (vec![0; 12], 1514)]);
    bench.run();
    bench.poll();
    assert_eq!(bench.free.len(), BUFFERS, "all are given back");
}

#[test]
fn full_device_holds_packets_back_and_loses_none() {
    let mut bench = Bench::with_queues(EVENT_IDX, [256, 32]);
    let mut sent = 0;
    while bench.send(&[60], &Offload::default()) {
        sent += 1;
        bench.run();
    }
    assert_eq!(sent, BUFFERS);
    let mut passed = 0;
    for _ in 0..BUFFERS {
        passed += bench.transmit().len();
        bench.run();
    }
    bench.poll();
    assert_eq!((passed, bench.free.len()), (BUFFERS, BUFFERS));
}

#[test]
fn packet_that_no_queue_holds_is_lost_alone() {
    let mut bench = Bench::with_queues(0, [256, 16]);
    assert!(bench.send(&[2048; 33], &Offload::default()) && bench.send(&[60], &Offload::default()));
    bench.run();
    assert_eq!(bench.transmit(), [(vec![0; 12], 60)]);
    bench.run();
    bench.poll();
    assert_eq!(bench.free.len(), BUFFERS);
}

#[test]
fn odd_packets_sent_cause_no_interrupt_and_many_cause_one() {
    let mut bench = Bench::new(EVENT_IDX);
    bench.run();
    // The first completion ever is always told.
    assert!(bench.send(&[60], &Offload::default()));
    bench.run();
    bench.transmit();
    bench.run();
    for _ in 0..4 {
        bench.mock.state().interrupt = 0;
        assert!(bench.send(&[60], &Offload::default()));
        bench.run();
        bench.transmit();
        assert_eq!(bench.mock.state().interrupt, 0);
    }
    for _ in 0..40 {
        assert!(bench.send(&[60], &Offload::default()));
    }
    bench.run();
    bench.transmit();
    assert_eq!(bench.mock.state().interrupt, 1);
}
