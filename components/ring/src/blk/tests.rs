// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both ends of a block link together, and of each against a hostile peer.

use heapless::Vec;
use proptest::prelude::*;

use super::*;
use crate::link::{LinkError, State};
use crate::pages::{LocalPages, Memory};
use crate::queue::Full;

type Region = LocalPages<1024>;

/// A link that has just come up.
fn link(region: &Region) -> (Client<&Region>, Server<&Region>) {
    let (mut server, mut client) = (Server::new(region).unwrap(), Client::new(region).unwrap());
    settle(&mut client, &mut server);
    assert!(client.commit() && server.commit(), "each is to be told of the other");
    (client, server)
}

/// Lets both sides look until the link is up on both.
fn settle(client: &mut Client<&Region>, server: &mut Server<&Region>) {
    let mut fresh = (false, false);
    for _ in 0..8 {
        match server.poll() {
            State::PeerRestarted => server.accept(),
            state => fresh.1 |= state == State::Fresh,
        }
        fresh.0 |= client.poll() == State::Fresh;
        if fresh == (true, true) {
            return;
        }
    }
    panic!("the link does not come up");
}

fn read(id: u64, sector: u64, length: u64) -> Request {
    Request { id, code: Code::Read, sector, length, unmap: false }
}

#[test]
fn request_with_several_segments_arrives_as_one_and_is_answered() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let segments = [
        Segment { offset: 0x1000, length: 512 },
        Segment { offset: 0x4000, length: 4096 },
        Segment { offset: 0, length: 1024 },
    ];
    client.submit(&read(7, 100, 5632), &segments).unwrap();
    client.submit(&Request::flush(8), &[]).unwrap();
    let mut found = Vec::<Segment, 8>::new();
    assert_eq!(server.request(&mut found), None, "not committed");
    assert!(client.commit());
    assert_eq!(server.request(&mut found), Some(read(7, 100, 5632)));
    assert_eq!(found, segments);
    assert_eq!(server.request(&mut found), Some(Request::flush(8)));
    assert!(found.is_empty());
    assert_eq!(server.outstanding(), 2);
    for id in [8, 7] {
        server.complete(Response { id, status: Status::OK }).unwrap();
    }
    assert_eq!(server.complete(Response { id: 7, status: Status::OK }), Err(Full), "answered twice");
    assert!(server.commit());
    assert_eq!(client.response(), Some(Response { id: 8, status: Status::OK }));
    assert_eq!(client.response(), Some(Response { id: 7, status: Status::OK }));
    assert_eq!(client.response(), None);
}

#[test]
fn queues_fill_the_region_and_both_sides_derive_the_same() {
    for (size, capacity) in [(608, 2), (4096, 64), (0x10000, 1024), (0x40000, 4096), (1 << 30, 32768)] {
        let layout = Layout::of(size).unwrap();
        assert_eq!((layout.capacity, layout.requests), (capacity, 0x100));
        assert_eq!(layout.responses, 0x100 + 0x80 + 32 * capacity as usize);
        assert!(layout.responses + 0x80 + 16 * capacity as usize <= size);
    }
    for size in [0, 0x100, 607, usize::MAX] {
        assert!(Layout::of(size).is_err(), "{size}");
    }
}

#[test]
fn entries_lie_where_the_document_has_them() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let request =
        Request { code: Code::WriteZeroes, unmap: true, ..read(0x0807_0605_0403_0201, 0x1122, 0x0a00) };
    client.submit(&request, &[]).unwrap();
    client.submit(&read(9, 5, 1024), &[Segment { offset: 0x99, length: 512 }; 2]).unwrap();
    let _ = client.commit();
    let [id, offset, sector, rest] = (&region).read(0x180);
    assert_eq!((id, offset, sector), (0x0807_0605_0403_0201, 0, 0x1122));
    assert_eq!(rest, 0x0a00 | 5 << 32 | 2 << 48, "length, code, flags");
    let [id, offset, sector, rest] = (&region).read(0x1a0);
    assert_eq!((id, offset, sector, rest), (9, 0x99, 5, 512 | 1 << 48));
    let [_, _, sector, rest] = (&region).read(0x1c0);
    assert_eq!((sector, rest), (6, 512), "the last of the chain, a sector on");
    let mut segments = Vec::<Segment, 8>::new();
    assert_eq!(server.request(&mut segments), Some(request));
    server.complete(Response { id: request.id, status: Status::UNSUPPORTED }).unwrap();
    let responses = Layout::of((&region).size()).unwrap().responses;
    assert_eq!((&region).read(responses + 0x80), [request.id, 5]);
}

#[test]
fn information_survives_the_way_and_absurd_limits_do_not() {
    let info = Info {
        capacity: 77,
        block_size: 4096,
        max_segments: 64,
        max_segment_bytes: 1 << 16,
        max_bytes: 1 << 20,
        max_discard_sectors: 5,
        max_write_zeroes_sectors: 6,
        discard_alignment: 8,
        abilities: Abilities::FLUSH | Abilities::DISCARD,
        serial: *b"12345678901234567890",
    };
    assert_eq!(Info::from_words(info.to_words()), info);
    let absurd = Info::from_words([u64::MAX; 16]);
    assert_eq!((absurd.max_segments, absurd.block_size % 512, absurd.max_bytes % 512), (128, 0, 0));
    assert!(absurd.capacity.checked_mul(512).is_some());
    let empty = Info::from_words([0; 16]);
    assert_eq!((empty.max_segments, empty.block_size, empty.discard_alignment), (1, 512, 1));
}

#[test]
fn submission_is_all_or_nothing() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let segment = Segment { offset: 0, length: 512 };
    for id in 0..63 {
        client.submit(&read(id, 0, 512), &[segment]).unwrap();
    }
    assert_eq!((client.space(), client.capacity()), (1, 64));
    assert_eq!(client.submit(&read(99, 0, 1024), &[segment; 2]), Err(Full));
    assert_eq!(client.submit(&read(99, 0, 512 * 65), &[segment; 65]), Err(Full), "never fits");
    let _ = client.commit();
    let mut segments = Vec::<Segment, 8>::new();
    let taken = core::iter::from_fn(|| server.request(&mut segments)).count();
    assert_eq!(taken, 63);
}

#[test]
fn server_takes_no_more_than_it_can_answer_and_sleeps_meanwhile() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let mut segments = Vec::<Segment, 8>::new();
    let mut fill = |client: &mut Client<&Region>, server: &mut Server<&Region>| {
        while client.submit(&Request::flush(0), &[]).is_ok() {}
        let _ = client.commit();
        let taken = core::iter::from_fn(|| server.request(&mut segments)).count();
        let _ = server.commit();
        taken
    };
    assert_eq!(fill(&mut client, &mut server), 64);
    assert_eq!(fill(&mut client, &mut server), 0, "64 outstanding");
    assert!(server.wait(), "a client that asks for more does not keep the server awake");
    for _ in 0..64 {
        server.complete(Response { id: 0, status: Status::OK }).unwrap();
    }
    assert!(server.commit());
    assert_eq!(fill(&mut client, &mut server), 0, "answers not fetched");
    assert!(server.wait());
    assert!(client.response().is_some() && client.response().is_some());
    assert!(client.commit(), "the server waits for that");
    assert!(!server.wait(), "there is something to do");
    assert_eq!(fill(&mut client, &mut server), 2);
}

#[test]
fn client_that_found_the_queue_full_is_woken_when_its_request_fits() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    while client.submit(&Request::flush(0), &[]).is_ok() {}
    let _ = client.commit();
    let segment = Segment { offset: 0, length: 512 };
    assert_eq!(client.submit(&read(1, 0, 1024), &[segment; 2]), Err(Full));
    assert!(client.wait());
    let mut segments = Vec::<Segment, 8>::new();
    server.request(&mut segments).unwrap();
    assert!(!server.commit(), "one place is not enough");
    server.request(&mut segments).unwrap();
    assert!(server.commit());
    assert!(!client.wait(), "there is space");
    client.submit(&read(1, 0, 1024), &[segment; 2]).unwrap();
}

/// What is malformed about the second entry of a chain, written over an entry that is right.
#[test]
fn malformed_chains_cut_the_client_off() {
    let word = |length: u64, code: u64, flags: u64| length | code << 32 | flags << 48;
    let cases: [(&str, [u64; 4], [u64; 4]); 9] = [
        ("no end", [1, 0, 0, word(512, 0, 1)], [1, 0, 1, word(512, 0, 1)]),
        ("another id", [1, 0, 0, word(512, 0, 1)], [2, 0, 1, word(512, 0, 0)]),
        ("another code", [1, 0, 0, word(512, 0, 1)], [1, 0, 1, word(512, 1, 0)]),
        ("a gap on the disk", [1, 0, 0, word(512, 0, 1)], [1, 0, 2, word(512, 0, 0)]),
        ("no length", [1, 0, 0, word(512, 0, 1)], [1, 0, 1, word(0, 0, 0)]),
        ("crooked length", [1, 0, 0, word(511, 0, 0)], [0; 4]),
        ("sectors that wrap", [1, 0, u64::MAX, word(512, 0, 0)], [0; 4]),
        ("a flush of two entries", [1, 0, 0, word(0, 2, 1)], [1, 0, 0, word(0, 2, 0)]),
        ("a discard that wraps", [1, 0, u64::MAX, word(512, 4, 0)], [0; 4]),
    ];
    for (name, first, second) in cases {
        let region = Region::new();
        let (_, mut server) = link(&region);
        (&region).write(0x180, first);
        (&region).write(0x1a0, second);
        (&region).store(0x100, 2, core::sync::atomic::Ordering::Relaxed);
        let mut segments = Vec::<Segment, 8>::new();
        assert_eq!(server.request(&mut segments), None, "{name}");
        assert_eq!(server.take_error(), Some(LinkError::Chain { id: 1 }), "{name}");
        assert_eq!(server.poll(), State::Down, "{name}");
    }
}

#[test]
fn chain_longer_than_the_server_s_table_cuts_the_client_off() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    let segment = Segment { offset: 0, length: 512 };
    client.submit(&read(3, 0, 4 * 512), &[segment; 4]).unwrap();
    client.submit(&read(4, 0, 5 * 512), &[segment; 5]).unwrap();
    let _ = client.commit();
    let mut segments = Vec::<Segment, 4>::new();
    assert_eq!(server.request(&mut segments).unwrap().id, 3);
    assert_eq!(server.request(&mut segments), None);
    assert_eq!(server.take_error(), Some(LinkError::Chain { id: 4 }));
}

#[test]
fn codes_of_a_later_version_are_passed_on_as_unknown() {
    for code in 0..=u16::MAX {
        assert_eq!(u16::from(Code::from(code)), code);
        assert_eq!(matches!(Code::from(code), Code::Unknown(_)), code > 5);
    }
}

/// An entry of a client that does anything: mostly the next one of a chain that is right so far.
fn entry() -> impl Strategy<Value = [u64; 4]> {
    let usually = |usual: u64, other: u64| prop_oneof![12 => Just(usual), 1 => Just(other)];
    let sector = prop_oneof![12 => 0u64..3, 1 => u64::MAX - 3..=u64::MAX];
    let length = prop_oneof![12 => Just(512u64), 1 => Just(0), 1 => Just(511), 1 => Just(0xffff_fe00)];
    let code = prop_oneof![12 => Just(0u64), 1 => 0u64..=6, 1 => Just(0xffff)];
    let flags = prop_oneof![3 => Just(0u64), 3 => Just(1), 1 => Just(0xffff)];
    (usually(7, 8), any::<u64>(), sector, length, code, flags).prop_map(
        |(id, offset, sector, length, code, flags)| [id, offset, sector, length | code << 32 | flags << 48],
    )
}

/// The first request of `entries`, read as the document has it: how many entries it takes, its code, its first sector and
/// its length. `None`: they do not hang together.
fn first_request(entries: &[[u64; 4]], most: usize) -> Option<(usize, u16, u64, u64)> {
    let [id, _, first, _] = entries[0];
    let code = (entries[0][3] >> 32) as u16;
    let (mut bytes, has_data) = (0, code < 2);
    for (index, &[other, _, sector, last]) in entries.iter().enumerate() {
        let (length, more) = (last & 0xffff_ffff, last >> 48 & 1 == 1);
        let continues = (other, (last >> 32) as u16) == (id, code)
            && u128::from(sector) == u128::from(first) + u128::from(bytes) / 512;
        if !continues || length % 512 != 0 || has_data && (length == 0 || index == most) || more && !has_data
        {
            return None;
        }
        bytes += length;
        if !more {
            return first.checked_add(bytes / 512).map(|_| (index + 1, code, first, bytes));
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2000 }))]

    /// Whatever a client writes into its queue: the server takes the requests in front of the first that does not hang
    /// together, each whole, and cuts the client off at that one, once.
    #[test]
    fn server_takes_whole_requests_and_nothing_behind_one_that_is_not(
        entries in prop::collection::vec(entry(), 1..20),
    ) {
        let region = Region::new();
        let (_, mut server) = link(&region);
        let layout = Layout::of((&region).size()).unwrap();
        let tail = (entries.len() as u32).min(layout.capacity);
        let entries = &entries[..tail as usize];
        for (index, &words) in entries.iter().enumerate() {
            (&region).write(layout.requests + 0x80 + 32 * index, words);
        }
        (&region).store(layout.requests, tail, core::sync::atomic::Ordering::Relaxed);

        let mut segments = Vec::<Segment, 4>::new();
        let mut left = entries;
        while !left.is_empty() {
            let taken = server.request(&mut segments);
            let Some((count, code, sector, length)) = first_request(left, 4) else {
                prop_assert_eq!(taken, None);
                prop_assert_eq!(server.take_error(), Some(LinkError::Chain { id: left[0][0] }));
                break;
            };
            let taken = taken.unwrap();
            prop_assert_eq!((taken.id, u16::from(taken.code)), (left[0][0], code));
            prop_assert_eq!((taken.sector, taken.length), (sector, length));
            let expected = left[..count].iter().map(|entry| Segment { offset: entry[1], length: entry[3] as u32 });
            let expected: std::vec::Vec<_> = expected.filter(|_| taken.code.has_data()).collect();
            prop_assert_eq!(segments.as_slice(), expected);
            left = &left[count..];
        }
        prop_assert_eq!((server.request(&mut segments), server.take_error()), (None, None));
        prop_assert_eq!(server.poll() == State::Down, !left.is_empty());
    }

    /// Whatever a server writes into the queue of answers and its index: a client gets no more of them than can be there.
    #[test]
    fn client_gets_what_is_in_the_queue_and_no_more(
        answers in prop::collection::vec(any::<[u64; 2]>(), 8),
        tails in prop::collection::vec(prop_oneof![4 => 0u32..100, 1 => any::<u32>()], 1..6),
    ) {
        let region = Region::new();
        let (mut client, _server) = link(&region);
        let Layout { capacity, responses, .. } = Layout::of((&region).size()).unwrap();
                for (index, &words) in answers.iter().cycle().take(capacity as usize).enumerate() {
            (&region).write(responses + 0x80 + 16 * index, words);
        }
        let (mut seen, mut cut) = (0u32, false);
        for tail in tails {
            (&region).store(responses, tail, core::sync::atomic::Ordering::Relaxed);
            let possible = (seen..=seen + capacity).contains(&tail);
            cut |= !possible;
            for index in seen..if cut { seen } else { tail } {
                let [id, status] = answers[index as usize % 8];
                prop_assert_eq!(client.response(), Some(Response { id, status: Status(status as u16) }));
            }
            prop_assert_eq!(client.response(), None);
            let _ = client.commit();
            prop_assert_eq!(client.poll() == State::Down, cut);
            seen = if cut { seen } else { tail };
        }
        prop_assert_eq!((client.take_error().is_some(), client.take_error()), (cut, None));
    }
}
