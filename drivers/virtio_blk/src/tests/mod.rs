// SPDX-License-Identifier: BSD-2-Clause
//! The driver between a client and a model of a block device.

mod failures;

use std::vec::Vec;

use link_pd::Logic;
use proptest::prelude::*;
use ring::blk::{Abilities, Client, Code, Info, Request, Response, Segment, Server, Status};
use ring::link::State;
use ring::mortal::MortalPages;
use virtio_driver::mock::{Chain, Memory, MockDevice};
use virtio_driver::{Buffer, Device, DeviceType, Direction, Features};

use crate::protocol::{Features as BlockFeatures, request};
use crate::{Driver, Event, dma_size};

type Pages = MortalPages<0x4000>;

const DMA: u64 = 0x8000_0000;
const DATA: u64 = 0x9000_0000;
const CAPACITY: u64 = 64;
const EVENT: u64 = Features::EVENT_IDX.bits();
const INDIRECT: u64 = Features::INDIRECT_DESC.bits();

/// What a device offers that can do everything.
fn everything() -> u64 {
    BlockFeatures::all().difference(BlockFeatures::RO | BlockFeatures::SIZE_MAX).bits() | EVENT | INDIRECT
}

struct Bench<'a> {
    pages: &'a Pages,
    model: MockDevice,
    disk: Vec<u8>,
    driver: Driver<MockDevice, &'a Pages>,
    client: Client<&'a Pages>,
    /// Types of the requests that the device has got.
    log: Vec<u32>,
    /// The client has notified the driver since it last worked.
    notified: bool,
}

impl<'a> Bench<'a> {
    fn new(pages: &'a Pages, offered: u64) -> Self {
        Self::with_dma(pages, offered, dma_size(18).next_multiple_of(8))
    }

    fn with_dma(pages: &'a Pages, offered: u64, dma: usize) -> Self {
        let mut memory = Memory::new();
        memory.add(DMA, dma);
        memory.add(DATA, 0x1_0000);
        let model = MockDevice::new(2, offered, &[256], memory);
        let mut config = vec![0; 60];
        config[..8].copy_from_slice(&CAPACITY.to_le_bytes());
        for (offset, value) in [(8, 4096u32), (12, 126), (20, 512), (36, 32), (44, 8), (48, 16)] {
            config[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        model.state().config = config;
        let driver = Self::driver(&model, pages);
        let mut this = Self {
            pages,
            model,
            disk: vec![0; CAPACITY as usize * 512],
            driver,
            client: Client::new(pages).unwrap(),
            log: Vec::new(),
            notified: false,
        };
        this.settle();
        this
    }

    fn driver(model: &MockDevice, pages: &'a Pages) -> Driver<MockDevice, &'a Pages> {
        let device = Device::new(model.clone(), DeviceType::Block);
        Driver::new(device, model.memory().dma(DMA), Server::new(pages).unwrap())
    }

    /// Lets the driver work until it sleeps. Gives whether it notified the client.
    fn service(&mut self) -> bool {
        let mut notified = false;
        for _ in 0..1000 {
            let outcome = self.driver.service(core::mem::take(&mut self.notified));
            notified |= outcome.notify;
            if !outcome.again {
                return notified;
            }
        }
        panic!("the driver does not go to sleep");
    }

    /// The client shows what it has submitted.
    fn commit(&mut self) {
        self.notified |= self.client.commit();
    }

    /// Lets driver and device work until nothing is left. Gives the client's responses.
    fn settle(&mut self) -> Vec<Response> {
        let mut responses = Vec::new();
        for _ in 0..20 {
            self.client.poll();
            responses.extend(core::iter::from_fn(|| self.client.response()));
            self.commit();
            let _ = self.client.wait();
            self.service();
            if self.model.state().status & 4 != 0 {
                while let Some(chain) = self.model.take(0) {
                    self.perform(&chain);
                }
            }
            if self.model.state().interrupt != 0 {
                self.driver.handle_interrupt();
            }
        }
        responses
    }

    /// What a block device does (5.2.6).
    fn perform(&mut self, chain: &Chain) {
        let status = self.execute(&chain.buffers);
        let last = chain.buffers.last().unwrap();
        assert_eq!((last.length, last.direction), (1, Direction::FromDevice));
        self.model.memory().write(last.address, &[status]);
        self.model.complete(0, chain.head.into(), 1);
    }

    fn execute(&mut self, buffers: &[Buffer]) -> u8 {
        let memory = self.model.memory().clone();
        let (header, data) = (buffers[0], &buffers[1..buffers.len() - 1]);
        assert_eq!((header.length, header.direction), (16, Direction::ToDevice));
        let kind = memory.read_u32(header.address);
        assert_eq!(memory.read_u32(header.address + 4), 0, "reserved");
        let sector = memory.read_u64(header.address + 8);
        self.log.push(kind);
        let mut place = sector as usize * 512;
        match kind {
            request::IN | request::OUT => {
                for buffer in data {
                    let length = buffer.length as usize;
                    let Some(bytes) = self.disk.get_mut(place..place + length) else { return 1 };
                    if kind == request::IN {
                        assert_eq!(buffer.direction, Direction::FromDevice);
                        memory.write(buffer.address, bytes);
                    } else {
                        assert_eq!(buffer.direction, Direction::ToDevice);
                        bytes.copy_from_slice(&memory.read(buffer.address, length));
                    }
                    place += length;
                }
                0
            }
            request::FLUSH => {
                assert!(data.is_empty() && sector == 0);
                0
            }
            request::GET_ID => {
                memory.write(data[0].address, b"disk\x07one\0\xff\xff");
                0
            }
            request::DISCARD | request::WRITE_ZEROES => {
                assert_eq!((data.len(), data[0].length), (1, 16));
                let first = memory.read_u64(data[0].address) as usize * 512;
                let length = memory.read_u32(data[0].address + 8) as usize * 512;
                let flags = memory.read_u32(data[0].address + 12);
                assert!(flags & !1 == 0 && (kind == request::WRITE_ZEROES || flags == 0));
                self.disk[first..first + length].fill(0);
                0
            }
            _ => 2,
        }
    }

    fn submit(&mut self, id: u64, code: Code, sector: u64, segments: &[(u64, u32)]) {
        let segments: Vec<_> = segments
            .iter()
            .map(|(offset, length)| Segment { offset: DATA + offset, length: *length })
            .collect();
        let length = segments.iter().map(|segment| u64::from(segment.length)).sum();
        let request = Request { id, code, sector, length, unmap: false };
        self.client.submit(&request, &segments).unwrap();
    }

    fn range(&mut self, id: u64, code: Code, sector: u64, sectors: u64, unmap: bool) {
        let request = Request { id, code, sector, length: sectors * 512, unmap };
        self.client.submit(&request, &[]).unwrap();
    }
}

fn ok(id: u64) -> Response {
    Response { id, status: Status::OK }
}

#[test]
fn client_is_told_what_the_device_says() {
    let pages = Pages::new();
    let bench = Bench::new(&pages, everything());
    let info = bench.client.info().unwrap();
    let serial = *b"disk?one\0\0\0\0\0\0\0\0\0\0\0\0";
    let expected = Info {
        capacity: CAPACITY,
        block_size: 512,
        max_segments: 16,
        max_segment_bytes: 4 << 20,
        max_bytes: 4 << 20,
        max_discard_sectors: 32,
        max_write_zeroes_sectors: 16,
        discard_alignment: 8,
        abilities: Abilities::PRESENT | Abilities::FLUSH | Abilities::DISCARD | Abilities::WRITE_ZEROES,
        serial,
    };
    assert_eq!(info, expected);
}

#[test]
fn device_that_can_nothing_is_described_so() {
    let pages = Pages::new();
    let info = Bench::new(&pages, BlockFeatures::SIZE_MAX.bits()).client.info().unwrap();
    assert_eq!(info.abilities, Abilities::PRESENT);
    assert_eq!((info.max_segment_bytes, info.max_discard_sectors, info.max_segments), (4096, 0, 126));
}

#[test]
fn data_goes_to_the_disk_and_back_in_pieces() {
    for offered in [everything(), everything() & !INDIRECT, everything() & !EVENT, 0] {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, offered);
        let bytes: Vec<u8> = (0..4096u32).map(|index| (index / 7) as u8).collect();
        bench.model.memory().write(DATA, &bytes);
        bench.submit(1, Code::Write, 3, &[(2048, 1024), (0, 512), (1024, 2560)]);
        assert_eq!(bench.settle(), [ok(1)]);
        let expected = [&bytes[2048..3072], &bytes[..512], &bytes[1024..3584]].concat();
        assert_eq!(bench.disk[3 * 512..3 * 512 + 4096], expected);
        bench.submit(2, Code::Read, 3, &[(8192, 512), (16384, 3584)]);
        assert_eq!(bench.settle(), [ok(2)]);
        assert_eq!(bench.model.memory().read(DATA + 8192, 512), expected[..512]);
        assert_eq!(bench.model.memory().read(DATA + 16384, 3584), expected[512..]);
    }
}

#[test]
fn discard_and_write_zeroes_name_their_range() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.disk.fill(0xff);
    bench.range(1, Code::Discard, 4, 32, false);
    bench.range(2, Code::WriteZeroes, 48, 16, true);
    assert_eq!(bench.settle(), [ok(1), ok(2)]);
    let zero = |sector: usize| bench.disk[sector * 512] == 0;
    assert!(!zero(3) && zero(4) && zero(35) && !zero(36) && !zero(47) && zero(48) && zero(63));
}

#[test]
fn a_batch_is_one_kick_one_interrupt_and_one_notification() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    let kicks = bench.model.state().queues[0].notified;
    for id in 0..3 {
        bench.submit(id, Code::Read, 0, &[(0, 512)]);
    }
    bench.commit();
    assert!(!bench.service(), "nothing is done yet");
    assert_eq!(bench.model.state().queues[0].notified, kicks + 1);
    while let Some(chain) = bench.model.take(0) {
        bench.perform(&chain);
    }
    assert_ne!(bench.model.state().interrupt, 0);
    bench.driver.handle_interrupt();
    assert!(bench.client.wait());
    assert!(bench.service());
    assert_eq!(bench.settle().len(), 3);
}

#[test]
fn device_interrupts_when_as_much_is_done_as_the_client_waits_for() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    for id in 0..8 {
        bench.submit(id, Code::Read, 0, &[(0, 512)]);
    }
    bench.commit();
    assert!(bench.client.wait_for(5));
    assert!(!bench.service());
    for done in 1..=8 {
        let chain = bench.model.take(0).unwrap();
        bench.perform(&chain);
        assert_eq!(bench.model.state().interrupt != 0, done >= 5, "{done} are done");
    }
    bench.driver.handle_interrupt();
    assert!(bench.service());
    assert_eq!(bench.settle().len(), 8);
}

#[test]
fn requests_that_the_device_cannot_do_do_not_reach_it() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything() & !BlockFeatures::DISCARD.bits());
    bench.log.clear();
    let long: Vec<_> = (0..17).map(|index| (index * 512, 512)).collect();
    bench.submit(1, Code::Read, CAPACITY - 1, &[(0, 1024)]);
    bench.submit(2, Code::Write, u64::MAX / 512, &[(0, 512)]);
    bench.submit(3, Code::Read, 0, &long);
    bench.range(4, Code::Discard, 0, 8, false);
    bench.range(5, Code::WriteZeroes, 0, 17, false);
    bench.range(6, Code::WriteZeroes, 0, 0, false);
    bench.range(7, Code::WriteZeroes, 60, 8, false);
    bench.range(8, Code::Unknown(99), 0, 0, false);
    let statuses: Vec<_> = bench.settle().iter().map(|response| response.status).collect();
    let (invalid, unsupported) = (Status::INVALID, Status::UNSUPPORTED);
    assert_eq!(statuses, [invalid, invalid, invalid, unsupported, invalid, invalid, invalid, unsupported]);
    assert!(bench.log.is_empty());
}

#[test]
fn read_only_device_takes_no_writes() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything() | BlockFeatures::RO.bits());
    bench.log.clear();
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    bench.range(2, Code::Discard, 0, 8, false);
    bench.submit(3, Code::Read, 0, &[(0, 512)]);
    let statuses: Vec<_> = bench.settle().iter().map(|response| response.status).collect();
    assert_eq!(statuses, [Status::READ_ONLY, Status::READ_ONLY, Status::OK]);
    assert_eq!(bench.log, [request::IN]);
}

#[test]
fn flush_reaches_a_device_with_a_cache_and_no_other() {
    for (offered, log) in [(everything(), vec![request::FLUSH]), (0, vec![])] {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, offered);
        bench.log.clear();
        bench.client.submit(&Request::flush(9), &[]).unwrap();
        assert_eq!(bench.settle(), [ok(9)]);
        assert_eq!(bench.log, log);
    }
}

#[test]
fn statuses_of_the_device_are_passed_on() {
    for (byte, status) in
        [(1, Status::IO), (2, Status::UNSUPPORTED), (3, Status::UNSPECIFIED), (0xff, Status::UNSPECIFIED)]
    {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, everything());
        bench.submit(1, Code::Read, 0, &[(0, 512)]);
        bench.commit();
        bench.service();
        let chain = bench.model.take(0).unwrap();
        bench.model.memory().write(chain.buffers.last().unwrap().address, &[byte]);
        bench.model.complete(0, chain.head.into(), 1);
        assert_eq!(bench.settle(), [Response { id: 1, status }]);
    }
}

#[test]
fn barrier_waits_for_what_is_before_it_and_holds_what_is_behind() {
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything());
    bench.submit(1, Code::Write, 0, &[(0, 512)]);
    bench.range(2, Code::Barrier, 0, 0, false);
    bench.submit(3, Code::Write, 0, &[(512, 512)]);
    bench.commit();
    bench.service();
    let chain = bench.model.take(0).unwrap();
    assert!(bench.model.take(0).is_none(), "the one behind is held");
    bench.perform(&chain);
    assert_eq!(bench.settle(), [ok(1), ok(2), ok(3)]);
}

#[test]
fn more_requests_than_the_queue_holds_wait_their_turn() {
    // Without tables a request takes three descriptors of 128.
    let pages = Pages::new();
    let mut bench = Bench::new(&pages, everything() & !INDIRECT);
    for id in 0..200 {
        bench.submit(id, Code::Read, id % CAPACITY, &[(id * 32 / 512 * 512, 512)]);
    }
    let responses = bench.settle();
    assert_eq!(responses, (0..200).map(ok).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Random requests against a plain array.
    #[test]
    fn disk_is_what_was_written(
        steps in prop::collection::vec((0u64..CAPACITY - 8, 1u32..8, any::<u8>(), 0usize..5), 1..40),
        offered in prop::sample::select(vec![everything(), 0, EVENT, INDIRECT]),
    ) {
        let pages = Pages::new();
        let mut bench = Bench::new(&pages, offered);
        let mut expected = vec![0u8; bench.disk.len()];
        for (id, (sector, sectors, value, kind)) in (1u64..).zip(steps) {
            let (start, length) = (sector as usize * 512, sectors as usize * 512);
            match kind {
                0 | 1 => {
                    bench.model.memory().write(DATA, &vec![value; length]);
                    let pieces: Vec<_> = (0..sectors).map(|piece| (u64::from(piece) * 512, 512)).collect();
                    bench.submit(id, Code::Write, sector, &pieces);
                    expected[start..start + length].fill(value);
                }
                2 => {
                    bench.submit(id, Code::Read, sector, &[(0, length as u32)]);
                    prop_assert_eq!(bench.settle(), vec![ok(id)]);
                    let read = bench.model.memory().read(DATA, length);
                    prop_assert_eq!(&read[..], &expected[start..start + length]);
                    continue;
                }
                _ if offered & BlockFeatures::WRITE_ZEROES.bits() != 0 => {
                    bench.range(id, Code::WriteZeroes, sector, sectors.into(), kind == 3);
                    expected[start..start + length].fill(0);
                }
                _ => bench.client.submit(&Request::flush(id), &[]).unwrap(),
            }
            prop_assert_eq!(bench.settle(), vec![ok(id)]);
            prop_assert_eq!(&bench.disk, &expected);
        }
    }
}
