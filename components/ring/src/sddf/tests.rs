// SPDX-License-Identifier: BSD-2-Clause
//! Exact places of everything in sDDF's layouts (bytes as a C program would see them), and both ends together.

use core::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::{blk, net};
use crate::blk::{Abilities, Code, Info, Request, Response, Segment, Status};
use crate::link::State;
use crate::net::Buffer;
use crate::pages::{LocalPages, Memory};

type Region = LocalPages<64>;

/// The bytes of a region, in a little-endian machine's order.
fn bytes(region: &Region) -> Vec<u8> {
    (0..region.size()).step_by(4).flat_map(|at| region.load(at, Relaxed).to_le_bytes()).collect()
}

fn write_request(id: u64) -> Request {
    Request { id, code: Code::Write, sector: 8 * 0x0102_0304_0506, length: 0x3000, unmap: false }
}

const SEGMENT: Segment = Segment { offset: 0x1122_3344_5566_7788, length: 0x3000 };

#[test]
fn block_request_lies_where_sddf_has_it() {
    let (requests, responses, info) = (Region::new(), Region::new(), Region::new());
    let mut client = blk::Client::new(&requests, &responses, &info, 4).unwrap();
    client.submit(&write_request(0xa1b2_c3d4), &[SEGMENT]).unwrap();
    assert!(client.commit(), "sDDF notifies always");
    let bytes = bytes(&requests);
    assert_eq!(bytes[0..4], [0; 4], "head");
    assert_eq!(bytes[4..8], [1, 0, 0, 0], "tail");
    assert_eq!(bytes[8..16], [0; 8], "plugged");
    assert_eq!(bytes[16..20], [1, 0, 0, 0], "code");
    assert_eq!(bytes[24..32], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], "io_or_offset");
    assert_eq!(bytes[32..40], [6, 5, 4, 3, 2, 1, 0, 0], "block_number");
    assert_eq!(bytes[40..42], [3, 0], "count");
    assert_eq!(bytes[44..48], [0xd4, 0xc3, 0xb2, 0xa1], "id");
    client.submit(&Request::flush(5), &[]).unwrap();
    assert!(client.commit());
    assert_eq!((&requests).load(48, Relaxed), 2, "the code of the second entry, 32 bytes on");
}

#[test]
fn block_responses_lie_where_sddf_has_them() {
    let (requests, responses, info) = (Region::new(), Region::new(), Region::new());
    let mut client = blk::Client::new(&requests, &responses, &info, 4).unwrap();
    let mut server = blk::Server::new(&requests, &responses, &info, 4).unwrap();
    assert_eq!((server.poll(), server.poll()), (State::Fresh, State::Up));
    for id in [7, 8] {
        client.submit(&write_request(id), &[SEGMENT]).unwrap();
    }
    assert!(client.commit());
    assert_eq!(server.request(), Some((write_request(7), Some(SEGMENT))));
    assert_eq!(server.request().unwrap().0.id, 8);
    server.complete(Response { id: 7, status: Status::IO }, 2).unwrap();
    server.complete(Response { id: 8, status: Status::READ_ONLY }, 0).unwrap();
    assert!(server.commit());
    let bytes = bytes(&responses);
    assert_eq!(bytes[0..8], [0, 0, 0, 0, 2, 0, 0, 0], "head, tail");
    assert_eq!(bytes[8..20], [3, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0], "status, success_count, id");
    assert_eq!(bytes[20..32], [2, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0], "12 bytes on; a status that sDDF knows");
    assert_eq!(client.response(), Some(Response { id: 7, status: Status::IO }));
    assert_eq!(client.response(), Some(Response { id: 8, status: Status::INVALID }));
    assert!(client.wait());
}

#[test]
fn block_information_lies_where_sddf_has_it() {
    let (requests, responses, page) = (Region::new(), Region::new(), Region::new());
    let client = blk::Client::new(&requests, &responses, &page, 4).unwrap();
    let server = blk::Server::new(&requests, &responses, &page, 4).unwrap();
    assert_eq!(client.info(), None, "not ready");
    let mut info = Info {
        capacity: 8 * 0x1_0000_0002,
        block_size: 8192,
        abilities: Abilities::READ_ONLY | Abilities::PRESENT | Abilities::FLUSH,
        ..Info::default()
    };
    info.serial[..4].copy_from_slice(b"disk");
    server.publish_info(&info);
    let bytes = bytes(&page);
    assert_eq!(&bytes[0..5], b"disk\0", "serial_number");
    assert_eq!(bytes[64..66], [1, 1], "read_only, ready");
    assert_eq!(bytes[66..68], [0, 2], "sector_size");
    assert_eq!(bytes[68..70], [2, 0], "block_size");
    assert_eq!(bytes[70..72], [4, 0], "queue_depth");
    assert_eq!(bytes[72..78], [0; 6], "cylinders, heads, blocks");
    assert_eq!(bytes[80..88], [2, 0, 0, 0, 1, 0, 0, 0], "capacity");
    let seen = client.info().unwrap();
    assert_eq!((seen.capacity, seen.block_size, seen.abilities), (info.capacity, 8192, info.abilities));
    assert_eq!((seen.serial, seen.max_segments), (info.serial, 1));
}

#[test]
fn block_requests_that_sddf_cannot_say_are_refused() {
    let (requests, responses, info) = (Region::new(), Region::new(), Region::new());
    let mut client = blk::Client::new(&requests, &responses, &info, 4).unwrap();
    let good = write_request(1);
    let cases = [
        (good, &[SEGMENT, SEGMENT][..]),
        (good, &[]),
        (Request { sector: 1, ..good }, &[SEGMENT]),
        (Request { id: 1 << 32, ..good }, &[SEGMENT]),
        (Request { length: 512, ..good }, &[Segment { offset: 0, length: 512 }]),
        (Request { length: 1 << 28, ..good }, &[Segment { offset: 0, length: 1 << 28 }]),
        (Request { code: Code::Discard, ..good }, &[]),
        (Request { code: Code::WriteZeroes, ..good }, &[]),
    ];
    for (request, segments) in cases {
        assert_eq!(client.submit(&request, segments), Err(blk::SubmitError::Inexpressible), "{request:?}");
    }
    assert!(!client.commit());
}

#[test]
fn plugged_requests_are_left_alone() {
    let (requests, responses, info) = (Region::new(), Region::new(), Region::new());
    let mut client = blk::Client::new(&requests, &responses, &info, 4).unwrap();
    let mut server = blk::Server::new(&requests, &responses, &info, 4).unwrap();
    client.submit(&Request::flush(1), &[]).unwrap();
    assert!(client.commit());
    (&requests).store(8, 1, Relaxed);
    assert_eq!(server.request(), None);
    assert!(server.wait(), "sleeps: the client notifies when it has pulled the plug");
    (&requests).store(8, 0, Relaxed);
    assert_eq!(server.request(), Some((Request::flush(1), None)));
}

#[test]
fn network_descriptors_lie_where_sddf_has_them() {
    let (active, free) = (Region::new(), Region::new());
    let mut client = net::TxClient::new(&active, &free, 2).unwrap();
    for offset in [0x0102_0304_0506_0708, 0x800] {
        client.transmit(Buffer { offset, length: 0x5dc }).unwrap();
    }
    assert!(client.transmit(Buffer::default()).is_err(), "full");
    assert!(client.commit(), "the server asks: its flag is 0");
    let bytes = bytes(&active);
    assert_eq!(bytes[0..4], [2, 0, 0, 0], "tail, head");
    assert_eq!(bytes[4..8], [1, 0, 0, 0], "consumer_signalled");
    assert_eq!(bytes[8..16], [8, 7, 6, 5, 4, 3, 2, 1], "io_or_offset");
    assert_eq!(bytes[16..19], [0xdc, 5, 0], "len, oid");
    assert_eq!(bytes[24..26], [0, 8], "16 bytes on");
    let mut server = net::TxServer::new(&active, &free, 2).unwrap();
    assert_eq!(server.packet(), Some(Buffer { offset: 0x0102_0304_0506_0708, length: 0x5dc }));
    assert!(!server.commit(), "the client sleeps on no space: sDDF has no word for it");
    assert_eq!((&active).load(0, Relaxed), 0x0001_0002, "head is the upper half");
}

#[test]
fn client_that_fills_its_own_free_queue_gets_its_buffers_behind_that() {
    let (active, free) = (Region::new(), Region::new());
    let mut server = net::TxServer::new(&active, &free, 4).unwrap();
    assert_eq!(server.packet(), None);
    // What a client of sDDF does: all buffers into the free queue, two out again, sent.
    let memory = &free;
    memory.store_half(0, 4, Relaxed);
    memory.store_half(2, 2, Relaxed);
    let mut client = net::TxClient::new(&active, &free, 4).unwrap();
    client.transmit(Buffer { offset: 0x800, length: 60 }).unwrap();
    assert!(client.commit());
    let buffer = server.packet().unwrap();
    server.give_back(buffer).unwrap();
    assert!(server.commit());
    assert_eq!(memory.load_half(0, Relaxed), 5);
    assert_eq!(server.take_error(), None);
}

#[test]
fn received_packets_go_through_the_client_s_buffers_across_the_wrap_of_16_bits() {
    let (active, free) = (Region::new(), Region::new());
    for memory in [&active, &free] {
        memory.store(0, 0xfffe_fffe, Relaxed);
    }
    let mut client = net::RxClient::new(&active, &free, 4).unwrap();
    let mut server = net::RxServer::new(&active, &free, 4).unwrap();
    for round in 0..5 {
        for slot in 0..4 {
            client.supply(Buffer { offset: slot * 2048, length: 2048 }).unwrap();
        }
        let _ = client.commit();
        for slot in 0..4 {
            let mut buffer = server.buffer().unwrap();
            assert_eq!(buffer, Buffer { offset: slot * 2048, length: 0 });
            buffer.length = 60 + round;
            server.deliver(buffer).unwrap();
        }
        assert_eq!(server.buffer(), None);
        assert!(server.deliver(Buffer::default()).is_err());
        let _ = server.commit();
        for slot in 0..4 {
            assert_eq!(client.receive(), Some(Buffer { offset: slot * 2048, length: 60 + round }));
        }
        assert_eq!(client.receive(), None);
    }
    assert_eq!((client.take_error(), server.take_error()), (None, None));
    assert_eq!(client.poll(), State::Fresh);
}

#[test]
fn impossible_index_cuts_an_end_off_for_good_and_is_reported_once() {
    let (active, free) = (Region::new(), Region::new());
    let mut server = net::TxServer::new(&active, &free, 4).unwrap();
    assert_eq!(server.poll(), State::Fresh);
    (&active).store_half(0, 5, Relaxed);
    assert_eq!(server.packet(), None);
    assert_eq!(server.poll(), State::Down);
    let error = server.take_error().unwrap();
    assert_eq!((error.found, error.own, error.capacity), (5, 0, 4));
    (&active).store_half(0, 1, Relaxed);
    assert_eq!((server.packet(), server.take_error(), server.poll()), (None, None, State::Down));
}

/// One step of somebody who writes over a region: which, the word, by how much or to what.
fn hostile_word() -> impl Strategy<Value = (usize, usize, u32, bool)> {
    // Often one of the words that matter: indices, flags, the plug, the first entries.
    let word = prop_oneof![3 => 0usize..4, 1 => 0usize..64];
    (0usize..4, word, any::<u32>(), any::<bool>())
}

/// Writes over a word.
fn overwrite(region: &Region, word: usize, value: u32, near: bool) {
    let old = region.load(4 * word, Relaxed);
    // Indices of 16 bits lie two to a word.
    let step = (value % 5) << if value & 0x100 == 0 { 0 } else { 16 };
    region.store(4 * word, if near { old.wrapping_add(step) } else { value }, Relaxed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 400 }))]

    /// Any word of a block connection becomes anything at any moment: no panic, no work without bound, a peer that
    /// misbehaves is cut off for good and reported once. What is taken can be said, whoever wrote it.
    #[test]
    fn hostile_words_do_not_harm_the_ends_of_a_disk(words in prop::collection::vec(hostile_word(), 0..60)) {
        const CAPACITY: u32 = 4;
        let regions = [Region::new(), Region::new(), Region::new()];
        let [requests, responses, info] = &regions;
        let mut client = blk::Client::new(requests, responses, info, CAPACITY).unwrap();
        let mut server = blk::Server::new(requests, responses, info, CAPACITY).unwrap();
        let mut told = (0, 0);
        for (region, word, value, near) in words {
            overwrite(&regions[region % 3], word, value, near);
            let down = (client.poll() == State::Down, server.poll() == State::Down);
            let _ = client.submit(&write_request(u64::from(value)), &[SEGMENT]);
            let _ = client.commit();
            let mut taken = 0;
            while let Some((request, segment)) = server.request() {
                taken += 1;
                prop_assert!(taken <= CAPACITY);
                prop_assert_eq!(segment.is_some(), request.code.has_data());
                prop_assert!(request.length.is_multiple_of(4096) && request.length <= 0xffff * 4096);
                prop_assert!(u32::try_from(request.id).is_ok());
                if value & 1 == 0 {
                    server.complete(Response { id: request.id, status: Status::OK }, 0).unwrap();
                }
            }
            let _ = server.commit();
            prop_assert!((0..=CAPACITY).map_while(|_| client.response()).count() <= CAPACITY as usize);
            let _ = (client.wait(), server.wait());
            if let Some(info) = client.info() {
                prop_assert!(info.block_size >= 4096 && info.block_size.is_multiple_of(4096));
            }
            told.0 += u32::from(client.take_error().is_some());
            told.1 += u32::from(server.take_error().is_some());
            prop_assert!(!down.0 || client.poll() == State::Down, "back again");
            prop_assert!(!down.1 || server.poll() == State::Down, "back again");
        }
        let expected = (u32::from(client.poll() == State::Down), u32::from(server.poll() == State::Down));
        prop_assert_eq!(told, expected);
        prop_assert!(told.1 == 0 || server.request().is_none() && !server.commit());
        prop_assert!(told.0 == 0 || client.response().is_none() && client.space() == 0 && !client.commit());
    }

    /// The same for both pairs of network queues.
    #[test]
    fn hostile_words_do_not_harm_the_ends_of_a_network(words in prop::collection::vec(hostile_word(), 0..60)) {
        const CAPACITY: u32 = 4;
        let regions = [Region::new(), Region::new(), Region::new(), Region::new()];
        let [tx_active, tx_free, rx_active, rx_free] = &regions;
        let mut tx_client = net::TxClient::new(tx_active, tx_free, CAPACITY).unwrap();
        let mut tx_server = net::TxServer::new(tx_active, tx_free, CAPACITY).unwrap();
        let mut rx_client = net::RxClient::new(rx_active, rx_free, CAPACITY).unwrap();
        let mut rx_server = net::RxServer::new(rx_active, rx_free, CAPACITY).unwrap();
        let most = CAPACITY as usize;
        let (mut told, mut down) = ([0; 4], [false; 4]);
        for (region, word, value, near) in words {
            overwrite(&regions[region], word, value, near);
            let buffer = Buffer { offset: value.into(), length: 60 };
            let _ = (tx_client.transmit(buffer), rx_client.supply(buffer));
            let _ = (tx_client.commit(), rx_client.commit());
            prop_assert!((0..=most).map_while(|_| tx_server.packet()).count() <= most);
            if value & 1 == 0 {
                prop_assert!((0..=most).take_while(|_| tx_server.give_back(buffer).is_ok()).count() <= most);
            }
            prop_assert!((0..=most).map_while(|_| rx_server.buffer()).count() <= most);
            if value & 2 == 0 {
                prop_assert!((0..=most).take_while(|_| rx_server.deliver(buffer).is_ok()).count() <= most);
            }
            let _ = (tx_server.commit(), rx_server.commit());
            prop_assert!((0..=most).map_while(|_| tx_client.transmitted()).count() <= most);
            prop_assert!((0..=most).map_while(|_| rx_client.receive()).count() <= most);
            let _ = (tx_client.wait(), tx_server.wait(), rx_client.wait(), rx_server.wait());
            let errors =
                [tx_client.take_error(), tx_server.take_error(), rx_client.take_error(), rx_server.take_error()];
            let states = [tx_client.poll(), tx_server.poll(), rx_client.poll(), rx_server.poll()];
            for end in 0..4 {
                told[end] += u32::from(errors[end].is_some());
                prop_assert!(!down[end] || states[end] == State::Down, "back again");
                down[end] = states[end] == State::Down;
            }
        }
        prop_assert_eq!(told, down.map(u32::from));
        prop_assert!(!down[0] || tx_client.transmit(Buffer::default()).is_err() && !tx_client.commit());
        prop_assert!(!down[1] || tx_server.packet().is_none() && !tx_server.commit());
        prop_assert!(!down[2] || rx_client.receive().is_none() && !rx_client.commit());
        prop_assert!(!down[3] || rx_server.buffer().is_none() && !rx_server.commit());
    }
}
