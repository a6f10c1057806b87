// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both ends of a network link together, and of each against a hostile peer.

use heapless::Vec;
use proptest::prelude::*;

use super::*;
use crate::link::{LinkError, State};
use crate::pages::{LocalPages, Memory};

type Region = LocalPages<1024>;

/// A link that has just come up.
fn link(region: &Region) -> (Client<&Region>, Server<&Region>) {
    let (mut server, mut client) = (Server::new(region).unwrap(), Client::new(region).unwrap());
    assert_eq!(server.poll(), State::PeerRestarted);
    server.accept();
    assert_eq!((server.poll(), client.poll()), (State::Fresh, State::Fresh));
    assert!(client.commit() && server.commit(), "each is to be told of the other");
    (client, server)
}

#[test]
fn packets_go_both_ways_with_their_offload_data() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let offload = Offload {
        flags: OffloadFlags::NEEDS_CSUM,
        gso: Gso(Gso::TCP4.0 | Gso::ECN),
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    let chain = [Buffer { offset: 0x800, length: 2048 }, Buffer { offset: (1 << 48) - 0x800, length: 77 }];
    client.transmit(&chain, &offload).unwrap();
    client.supply(Buffer { offset: 0x3000, length: 2048 }).unwrap();
    assert!(client.commit());
    let mut buffers = Vec::<Buffer, 4>::new();
    assert_eq!(server.packet(&mut buffers), Some(offload));
    assert_eq!(buffers, chain);
    for buffer in chain {
        server.give_back(buffer).unwrap();
    }
    assert_eq!(server.give_back(chain[0]), Err(Full), "given back twice");
    let mut empty = server.buffer().unwrap();
    assert_eq!(server.buffer(), None);
    empty.length = 60;
    server.deliver(&[empty], &Offload::default()).unwrap();
    assert_eq!(server.deliver(&[empty], &Offload::default()), Err(Full), "delivered twice");
    assert!(server.commit());
    assert_eq!(client.transmitted(), Some(chain[0]));
    assert_eq!(client.transmitted(), Some(chain[1]));
    assert_eq!(client.receive(&mut buffers), Some(Offload::default()));
    assert_eq!(buffers, [empty]);
    assert_eq!(client.receive(&mut buffers), None);
}

/// A chain of `count` buffers from `offset` on.
fn chain(offset: u64, count: u64) -> std::vec::Vec<Buffer> {
    (0..count).map(|index| Buffer { offset: offset + index * 2048, length: 2048 }).collect()
}

#[test]
fn queues_fill_the_region_without_overlap() {
    for (size, capacity) in [(4096, 64), (0x10000, 1024), (0x20000, 2048)] {
        let Layout { capacity: found, tx, rx, tx_done, rx_free } = Layout::of(size).unwrap();
        let (long, short) = (0x80 + 16 * capacity as usize, 0x80 + 8 * capacity as usize);
        assert_eq!((found, tx, rx), (capacity, 0x100, 0x100 + long));
        assert_eq!((tx_done, rx_free), (rx + long, rx + long + short));
        assert!(rx_free + short <= size);
    }
    assert!(Layout::of(0x300).is_err());
}

#[test]
fn entries_lie_where_the_document_has_them() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let layout = Layout::of((&region).size()).unwrap();
    let offload = Offload {
        flags: OffloadFlags::DATA_VALID,
        gso: Gso(0x81),
        gso_size: 0x2233,
        csum_start: 0x4455,
        csum_offset: 0x66,
    };
    let buffers = [Buffer { offset: 0x0102_0304_0506, length: 0x1011 }, Buffer { offset: 0x800, length: 7 }];
    client.transmit(&buffers, &offload).unwrap();
    client.supply(Buffer { offset: 0x1000, length: 0x800 }).unwrap();
    let _ = client.commit();
    assert_eq!((&region).read(layout.tx + 0x80), [0x8002_0102_0304_0506, 0x8166_4455_2233_1011]);
    assert_eq!((&region).read(layout.tx + 0x90), [0x800, 7], "no offload data but in the first");
    assert_eq!((&region).read(layout.rx_free + 0x80), [0x0800_0000_0000_1000]);
    let mut found = Vec::<Buffer, 4>::new();
    assert_eq!(server.packet(&mut found), Some(offload));
    let empty = server.buffer().unwrap();
    server.deliver(&[empty], &offload).unwrap();
    server.give_back(found[1]).unwrap();
    let _ = server.commit();
    assert_eq!((&region).read(layout.rx + 0x80), [0x0002_0000_0000_1000, 0x8166_4455_2233_0800]);
    assert_eq!((&region).read(layout.tx_done + 0x80), [0x0007_0000_0000_0800]);
}

#[test]
fn slow_client_gets_no_more_and_does_not_keep_the_server_awake() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let capacity = client.capacity();
    for round in [capacity, 0] {
        while client.supply(Buffer { offset: 0, length: 2048 }).is_ok() {}
        let _ = client.commit();
        assert_eq!(server.buffers(), round);
        for _ in 0..round {
            let buffer = server.buffer().unwrap();
            server.deliver(&[buffer], &Offload::default()).unwrap();
        }
        assert_eq!(server.buffer(), None, "the client does not receive");
        let _ = server.commit();
        assert!(server.wait(), "{round}");
    }
    let mut buffers = Vec::<Buffer, 4>::new();
    assert!(client.receive(&mut buffers).is_some());
    assert!(client.commit(), "the server waits for a place");
    assert!(server.buffer().is_some() && server.buffer().is_none());
}

#[test]
fn empty_buffers_wake_a_server_that_lacked_them_and_no_other() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let mut supply = || {
        client.supply(Buffer { offset: 0, length: 2048 }).unwrap();
        client.commit()
    };
    supply();
    assert!(server.wait(), "there is a buffer, but nobody asked for one");
    assert!(!supply());
    assert!(server.buffer().is_some() && server.buffer().is_some() && server.buffer().is_none());
    assert!(server.wait());
    assert!(supply(), "asked");
    assert!(!server.wait(), "there is one");
}

#[test]
fn packet_waits_until_all_its_buffers_can_be_given_back() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let mut buffers = Vec::<Buffer, 40>::new();
    client.transmit(&chain(0, 40), &Offload::default()).unwrap();
    let _ = client.commit();
    server.packet(&mut buffers).unwrap();
    let _ = server.commit();
    client.transmit(&chain(0, 40), &Offload::default()).unwrap();
    let _ = client.commit();
    assert_eq!(server.packet(&mut buffers), None, "80 of 64 places");
    assert!(server.wait());
    for buffer in chain(0, 40) {
        server.give_back(buffer).unwrap();
    }
    assert!(server.commit());
    assert_eq!(server.packet(&mut buffers), None);
    assert!(server.wait());
    for taken in 1..=16 {
        client.transmitted().unwrap();
        assert_eq!(client.commit(), taken == 16, "told once, when there is room for all: {taken}");
    }
    assert_eq!(server.packet(&mut buffers), Some(Offload::default()));
    assert_eq!(buffers.as_slice(), chain(0, 40), "read anew");
}

#[test]
fn client_may_collect_sent_buffers_when_it_comes_along() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let mut buffers = Vec::<Buffer, 4>::new();
    // Without having asked at all, a side is told of the first entry of an epoch.
    for (asking, told) in [(false, true), (false, false), (true, true), (true, true), (false, false)] {
        client.ask_for_transmitted(asking);
        assert!(client.wait());
        client.transmit(&chain(0, 1), &Offload::default()).unwrap();
        let _ = client.commit();
        server.packet(&mut buffers).unwrap();
        server.give_back(buffers[0]).unwrap();
        assert_eq!(server.commit(), told);
        assert_eq!(client.wait(), !asking);
        assert!(client.transmitted().is_some());
    }
}

#[test]
fn malformed_packets_cut_either_side_off() {
    let layout = Layout::of(4096).unwrap();
    for (name, entries) in [("no end", [[1 << 63, 60], [1 << 63, 60]]), ("no bytes", [[0, 0], [0, 60]])] {
        let region = Region::new();
        let (mut client, mut server) = link(&region);
        for at in [layout.tx, layout.rx] {
            (&region).write(at + 0x80, entries[0]);
            (&region).write(at + 0x90, entries[1]);
            (&region).store(at, 2, core::sync::atomic::Ordering::Relaxed);
        }
        let mut buffers = Vec::<Buffer, 4>::new();
        assert_eq!((server.packet(&mut buffers), client.receive(&mut buffers)), (None, None), "{name}");
        let error = Some(LinkError::Chain { id: 0 });
        assert_eq!((server.take_error(), client.take_error()), (error, error), "{name}");
        assert_eq!((server.poll(), client.poll()), (State::Down, State::Down), "{name}");
    }
}

#[test]
fn packet_of_more_buffers_than_the_table_cuts_the_client_off() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    assert!(client.transmit(&[], &Offload::default()).is_err());
    assert!(client.transmit(&chain(0, 41), &Offload::default()).is_err());
    client.transmit(&chain(0x5000, 5), &Offload::default()).unwrap();
    let _ = client.commit();
    assert_eq!(server.packet(&mut Vec::<Buffer, 4>::new()), None);
    assert_eq!(server.take_error(), Some(LinkError::Chain { id: 0x5000 }));
}

#[test]
fn information_survives_the_way() {
    let info = Info { mac: [1, 2, 3, 4, 5, 6], mtu: 1500, speed: 1000, abilities: Abilities::LINK_UP };
    let words = info.to_words();
    assert_eq!(words[..2], [0x05dc_0605_0403_0201, 0x0000_0001_0000_03e8]);
    assert_eq!(Info::from_words(words), info);
}

#[test]
fn client_takes_no_special_packets_until_it_says_so() {
    let region = Region::new();
    let (mut client, server) = link(&region);
    assert_eq!(server.accepted(), Abilities::empty());
    client.set_accepted(Abilities::RX_CSUM | Abilities::RX_TSO4);
    assert_eq!(server.accepted(), Abilities::RX_CSUM | Abilities::RX_TSO4);
    client.restart();
    assert_eq!(server.accepted(), Abilities::empty());
}

/// An entry of a peer that does anything.
fn entry() -> impl Strategy<Value = [u64; 2]> {
    let length = prop_oneof![12 => 1u64..=2048, 1 => Just(0), 1 => Just(0xffff)];
    let flags = prop_oneof![2 => Just(0u64), 2 => Just(0x8000), 1 => any::<u16>().prop_map(u64::from)];
    (any::<u64>(), length, flags, any::<u64>())
        .prop_map(|(offset, length, flags, rest)| [offset >> 16 | flags << 48, length | rest << 16])
}

/// How many entries the first packet of `entries` takes. `None`: it has no end, is longer than `most`, or a buffer in it is
/// empty.
fn first_packet(entries: &[[u64; 2]], most: usize) -> Option<usize> {
    let count = 1 + entries.iter().position(|[first, _]| first >> 63 == 0)?;
    (count <= most && entries[..count].iter().all(|[_, second]| second & 0xffff != 0)).then_some(count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2000 }))]

    /// Whatever a peer writes into a queue of packets, of either direction: this side takes the packets in front of the first
    /// malformed one, each whole, and cuts the peer off at that one, once.
    #[test]
    fn whole_packets_are_taken_and_nothing_behind_one_that_is_not(
        entries in prop::collection::vec(entry(), 1..24),
    ) {
        let layout = Layout::of(4096).unwrap();
        let region = Region::new();
        let (mut client, mut server) = link(&region);
        for queue in [layout.tx, layout.rx] {
            for (index, &words) in entries.iter().enumerate() {
                (&region).write(queue + 0x80 + 16 * index, words);
            }
            (&region).store(queue, entries.len() as u32, core::sync::atomic::Ordering::Relaxed);
        }
        let mut left = entries.as_slice();
        while !left.is_empty() {
            let (mut sent, mut received) = (Vec::<Buffer, 4>::new(), Vec::<Buffer, 4>::new());
            let taken = (server.packet(&mut sent), client.receive(&mut received));
            let Some(count) = first_packet(left, 4) else {
                prop_assert_eq!(taken, (None, None));
                let error = Some(LinkError::Chain { id: left[0][0] & 0xffff_ffff_ffff });
                prop_assert_eq!((server.take_error(), client.take_error()), (error, error));
                break;
            };
            let [first, second] = left[0];
            let offload = taken.0.unwrap();
            prop_assert_eq!(taken.1, Some(offload));
            prop_assert_eq!((offload.gso_size, offload.gso), ((second >> 16) as u16, Gso((second >> 56) as u8)));
            prop_assert_eq!(offload.flags.bits(), (first >> 48) as u16 & 3);
            let expected = left[..count].iter().map(|&[first, second]| Buffer {
                offset: first & 0xffff_ffff_ffff,
                length: second as u16,
            });
            let expected: std::vec::Vec<_> = expected.collect();
            prop_assert_eq!(sent.as_slice(), &expected);
            prop_assert_eq!(received.as_slice(), &expected);
            left = &left[count..];
        }
        prop_assert_eq!(server.poll() == State::Down, !left.is_empty());
        prop_assert_eq!(client.poll() == State::Down, !left.is_empty());
        prop_assert_eq!((server.take_error(), client.take_error()), (None, None));
    }

    /// Any word of the region becomes anything at any moment: no panic, no work without bound, each cut told once. Another link
    /// does its work beside it, and the link itself comes up when both sides start anew.
    #[test]
    fn hostile_words_hurt_nobody_else(
        words in prop::collection::vec((0usize..1024, any::<u32>(), 0u8..4), 0..40),
    ) {
        let (region, other) = (Region::new(), Region::new());
        let (mut client, mut server) = link(&region);
        let (mut other_client, mut other_server) = link(&other);
        let Layout { capacity, tx, rx, tx_done, rx_free } = Layout::of(4096).unwrap();
        let mut buffers = Vec::<Buffer, 4>::new();
        let most = capacity as usize;
        for (word, value, kind) in words {
            // Often one of the words that matter: epochs, the indices and wishes of each queue, the first entries.
            let queue = [tx, rx, tx_done, rx_free][word % 4];
            let interesting = [0x0c, 0x4c, queue, queue + 4, queue + 0x40, queue + 0x44, queue + 0x80, queue + 0x8c];
            let offset = if kind < 2 { interesting[word / 4 % 8] } else { 4 * word };
            let near = (&region).load(offset, core::sync::atomic::Ordering::Relaxed).wrapping_add(value % 5);
            let value = if kind % 2 == 0 { near } else { value };
            (&region).store(offset, value, core::sync::atomic::Ordering::Relaxed);

            if server.poll() == State::PeerRestarted {
                server.accept();
            }
            let _ = client.poll();
            let _ = client.transmit(&chain(0, 2), &Offload::default());
            let _ = client.supply(Buffer { offset: 0, length: 2048 });
            let _ = client.commit();
            let taken = (0..=most).map_while(|_| server.packet(&mut buffers)).count();
            prop_assert!(taken <= most);
            let given = (0..=most).take_while(|_| server.give_back(Buffer::default()).is_ok()).count();
            prop_assert!(given <= most);
            prop_assert!(server.buffers() <= capacity);
            if let Some(buffer) = server.buffer() {
                let _ = server.deliver(&[Buffer { length: 60, ..buffer }], &Offload::default());
            }
            let _ = server.commit();
            prop_assert!((0..=most).map_while(|_| client.transmitted()).count() <= most);
            prop_assert!((0..=most).map_while(|_| client.receive(&mut buffers)).count() <= most);
            let _ = (client.wait(), server.wait(), client.info(), server.accepted());
            let _ = (server.take_error(), client.take_error());
            prop_assert_eq!((server.take_error(), client.take_error()), (None, None));

            other_client.transmit(&chain(0, 1), &Offload::default()).unwrap();
            prop_assert!(other_client.commit());
            prop_assert!(other_server.packet(&mut buffers).is_some());
            other_server.give_back(buffers[0]).unwrap();
            prop_assert!(other_server.commit());
            prop_assert_eq!(other_client.transmitted(), Some(chain(0, 1)[0]));
            prop_assert!(other_client.wait() && other_server.wait());
        }
        let (mut client, mut server) = (Client::new(&region).unwrap(), Server::new(&region).unwrap());
        let mut fresh = (false, false);
        for _ in 0..6 {
            match server.poll() {
                State::PeerRestarted => server.accept(),
                state => fresh.0 |= state == State::Fresh,
            }
            fresh.1 |= client.poll() == State::Fresh;
        }
        prop_assert_eq!(fresh, (true, true));
    }
}
