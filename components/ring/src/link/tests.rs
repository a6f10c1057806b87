// SPDX-License-Identifier: BSD-2-Clause
//! The header, the epoch handshake and its hostile versions, with block ends as the example.

use core::sync::atomic::Ordering::Relaxed;

use heapless::Vec;
use proptest::prelude::*;

use super::header::{EPOCH, IDENTITY, INFO_SEQUENCE, MAGIC_WORD, SIZE, line};
use super::{LinkError, MAGIC, MAX_PEER_RESTARTS, Role, State, is_ahead, next_epoch};
use crate::blk::{Client, Code, Info, Request, Response, Segment, Server, Status};
use crate::pages::{LocalPages, Memory};

type Region = LocalPages<256>;

const SERVER: usize = line(Role::Server);
const CLIENT: usize = line(Role::Client);
const REQUESTS: usize = 0x100;

fn load(region: &Region, offset: usize) -> u32 {
    region.load(offset, Relaxed)
}

fn store(region: &Region, offset: usize, value: u32) {
    region.store(offset, value, Relaxed);
}

/// Looks on both sides until nothing changes. Gives whether each side saw the link come up.
fn settle(client: &mut Client<&Region>, server: &mut Server<&Region>) -> (bool, bool) {
    let mut fresh = (false, false);
    for _ in 0..6 {
        match server.poll() {
            State::PeerRestarted => server.accept(),
            state => fresh.1 |= state == State::Fresh,
        }
        fresh.0 |= client.poll() == State::Fresh;
    }
    fresh
}

fn link(region: &Region) -> (Client<&Region>, Server<&Region>) {
    let (mut client, mut server) = (Client::new(region).unwrap(), Server::new(region).unwrap());
    assert_eq!(settle(&mut client, &mut server), (true, true));
    (client, server)
}

fn request(id: u64) -> Request {
    Request { id, code: Code::Read, sector: 0, length: 512, unmap: false }
}

const SEGMENT: [Segment; 1] = [Segment { offset: 0, length: 512 }];

#[test]
fn header_lies_where_the_document_has_it() {
    let region = Region::new();
    let (_client, mut server) = link(&region);
    assert_eq!(load(&region, 0x00), MAGIC);
    assert_eq!(load(&region, 0x40).to_le_bytes(), *b"BHLK");
    assert_eq!(load(&region, 0x04), 0x0001_0001, "server, block, version 1");
    assert_eq!(load(&region, 0x44), 0x0101_0001, "client, block, version 1");
    assert_eq!((load(&region, 0x08), load(&region, 0x48)), (1024, 1024));
    assert_eq!(load(&region, 0x0c), load(&region, 0x4c));
    server.publish_info(&Info { capacity: 0x1_0000_0005, ..Info::default() });
    assert_eq!(load(&region, 0x10), 2);
    assert_eq!((load(&region, 0x80), load(&region, 0x84)), (5, 1));
}

#[test]
fn epochs_go_on_evenly_and_never_to_zero() {
    assert_eq!([0, 1, 2, 3].map(next_epoch), [2, 2, 4, 4]);
    assert_eq!([u32::MAX - 2, u32::MAX - 1, u32::MAX].map(next_epoch), [u32::MAX - 1, 2, 2]);
    assert!(is_ahead(2, u32::MAX - 1) && !is_ahead(u32::MAX - 1, 2) && !is_ahead(4, 4));
}

#[test]
fn either_side_may_begin() {
    let region = Region::new();
    let mut server = Server::new(&region).unwrap();
    assert!(server.commit(), "the peer is to be notified");
    assert_eq!(server.poll(), State::Down);
    let mut client = Client::new(&region).unwrap();
    assert!(client.commit());
    assert_eq!(client.poll(), State::Down);
    assert_eq!((server.poll(), server.poll()), (State::PeerRestarted, State::PeerRestarted));
    server.accept();
    assert!(server.commit());
    assert_eq!((server.poll(), server.poll()), (State::Fresh, State::Up));
    assert_eq!((client.poll(), client.poll()), (State::Fresh, State::Up));
    assert!(!client.commit() && !server.commit());
}

#[test]
fn client_follows_a_restarted_server_at_once_and_old_requests_are_gone() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    client.submit(&request(1), &SEGMENT).unwrap();
    assert!(client.commit());
    let mut segments = Vec::<Segment, 4>::new();
    assert!(server.request(&mut segments).is_some());
    let mut server = Server::new(&region).unwrap();
    assert_eq!(client.response(), None);
    assert_eq!(client.poll(), State::Fresh);
    assert!(client.commit());
    assert_eq!(client.take_error(), None);
    assert_eq!(server.poll(), State::Fresh);
    assert_eq!(server.request(&mut segments), None);
    client.submit(&request(2), &SEGMENT).unwrap();
    assert!(client.commit());
    assert_eq!(server.request(&mut segments).unwrap().id, 2);
}

#[test]
fn server_follows_a_restarted_client_when_it_is_ready_and_drops_old_answers() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    client.submit(&request(1), &SEGMENT).unwrap();
    let _ = client.commit();
    let mut segments = Vec::<Segment, 4>::new();
    server.request(&mut segments).unwrap();
    let mut client = Client::new(&region).unwrap();
    assert_eq!(server.poll(), State::PeerRestarted);
    assert!(server.complete(Response { id: 1, status: Status::OK }).is_err(), "goes nowhere");
    assert_eq!((client.poll(), server.poll()), (State::Down, State::PeerRestarted));
    server.accept();
    assert_eq!((client.poll(), server.poll()), (State::Fresh, State::Fresh));
    assert_eq!((client.response(), server.outstanding()), (None, 0));
}

#[test]
fn restart_between_two_looks_is_no_misbehaviour() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    client.submit(&request(1), &SEGMENT).unwrap();
    let _ = client.commit();
    let mut segments = Vec::<Segment, 4>::new();
    server.request(&mut segments).unwrap();
    let _ = server.commit();
    // The client's index goes back to 0; the server looks at its queue before it looks at the epoch.
    let _client = Client::new(&region).unwrap();
    assert_eq!(server.request(&mut segments), None);
    assert_eq!(server.take_error(), None);
    assert_eq!(server.poll(), State::PeerRestarted);
}

#[test]
fn both_sides_restart_at_once() {
    let region = Region::new();
    for _ in 0..3 {
        link(&region);
    }
    // Same epoch chosen by both: each read the other's word before either wrote.
    let epoch = load(&region, SERVER + EPOCH);
    assert_eq!(epoch, load(&region, CLIENT + EPOCH));
    let mut client = Client::new(&region).unwrap();
    let chosen = load(&region, CLIENT + EPOCH);
    store(&region, CLIENT + EPOCH, epoch);
    let mut server = Server::new(&region).unwrap();
    store(&region, CLIENT + EPOCH, chosen);
    assert_eq!(load(&region, SERVER + EPOCH), chosen);
    assert_eq!((client.poll(), server.poll()), (State::Fresh, State::Fresh));
}

#[test]
fn death_in_the_middle_of_a_restart_leaves_the_link_down_and_the_next_life_brings_it_up() {
    let region = Region::new();
    let (mut client, _) = link(&region);
    let epoch = load(&region, SERVER + EPOCH);
    store(&region, SERVER + EPOCH, epoch + 1);
    assert_eq!(client.poll(), State::Down);
    assert!(client.submit(&request(1), &SEGMENT).is_err());
    let mut server = Server::new(&region).unwrap();
    assert_eq!(load(&region, SERVER + EPOCH), epoch + 2);
    assert_eq!(settle(&mut client, &mut server), (true, true));
}

#[test]
fn epoch_that_comes_back_does_not_bring_the_link_up_again() {
    let region = Region::new();
    let (_, mut server) = link(&region);
    let epoch = load(&region, CLIENT + EPOCH);
    for other in [epoch - 2, epoch + 1, 0] {
        store(&region, CLIENT + EPOCH, other);
        assert_eq!(server.poll(), State::Down, "{other}");
        store(&region, CLIENT + EPOCH, epoch);
        assert_eq!(server.poll(), State::Down, "{other}");
    }
    store(&region, CLIENT + EPOCH, epoch + 2);
    assert_eq!(server.poll(), State::PeerRestarted);
}

#[test]
fn peer_that_restarts_forever_is_left_alone_in_the_end() {
    let region = Region::new();
    let (_, mut server) = link(&region);
    let mut accepted = 0;
    for _ in 0..2 * MAX_PEER_RESTARTS {
        let epoch = load(&region, CLIENT + EPOCH).wrapping_add(2);
        store(&region, CLIENT + EPOCH, epoch);
        if server.poll() == State::PeerRestarted {
            server.accept();
            accepted += 1;
            assert_eq!(server.poll(), State::Fresh);
        }
    }
    assert_eq!(accepted, MAX_PEER_RESTARTS);
    assert_eq!(server.take_error(), Some(LinkError::TooManyRestarts { restarts: MAX_PEER_RESTARTS }));
    assert_eq!((server.take_error(), server.poll()), (None, State::Down));
}

#[test]
fn peer_of_another_kind_is_refused_with_the_reason_and_may_come_back_as_the_right_one() {
    let bad = [
        (MAGIC_WORD, 7, LinkError::Magic { found: 7 }),
        (IDENTITY, 0x0101_0002, LinkError::Version { found: 2, expected: 1 }),
        (IDENTITY, 0x0102_0001, LinkError::Kind { found: 0x0102, expected: 0x0101 }),
        (IDENTITY, 0x0001_0001, LinkError::Kind { found: 0x0001, expected: 0x0101 }),
        (SIZE, 4096, LinkError::Size { found: 4096, expected: 1024 }),
    ];
    for (word, value, error) in bad {
        let region = Region::new();
        let mut client = Client::new(&region).unwrap();
        let mut server = Server::new(&region).unwrap();
        assert_eq!(client.poll(), State::Fresh);
        store(&region, CLIENT + word, value);
        assert_eq!(
            (server.poll(), server.take_error(), server.take_error()),
            (State::Down, Some(error), None)
        );
        assert_eq!(server.poll(), State::Down);
        let mut client = Client::new(&region).unwrap();
        assert_eq!(settle(&mut client, &mut server), (true, true));
    }
}

#[test]
fn peer_that_misbehaved_is_cut_off_until_it_restarts() {
    let region = Region::new();
    let (_, mut server) = link(&region);
    store(&region, REQUESTS, 3);
    let mut segments = Vec::<Segment, 4>::new();
    assert_eq!(server.request(&mut segments), None, "length 0 is malformed");
    assert!(!server.is_up());
    assert_eq!(server.poll(), State::Down);
    assert_eq!(server.take_error(), Some(LinkError::Chain { id: 0 }));
    assert_eq!(server.take_error(), None);
    let mut client = Client::new(&region).unwrap();
    assert_eq!(settle(&mut client, &mut server), (true, true));
    store(&region, REQUESTS, 99);
    assert_eq!((server.request(&mut segments), server.poll()), (None, State::Down));
    assert!(matches!(server.take_error(), Some(LinkError::Index(error)) if error.found == 99));
    // Or until this side does.
    server.restart();
    assert_eq!(settle(&mut client, &mut server), (true, true));
}

#[test]
fn information_is_told_once_per_change_and_epoch() {
    let region = Region::new();
    let (mut client, mut server) = link(&region);
    assert_eq!((client.info(), client.changed_info()), (None, None));
    let info = Info { capacity: 99, serial: *b"a serial number here", ..Info::default() };
    server.publish_info(&info);
    assert!(server.commit());
    assert_eq!((client.changed_info(), client.changed_info(), client.info()), (Some(info), None, Some(info)));
    let mut server = Server::new(&region).unwrap();
    assert_eq!(client.poll(), State::Fresh);
    assert_eq!(client.changed_info(), None, "that of the last life does not count");
    server.publish_info(&info);
    assert_eq!(client.changed_info(), Some(info));
    client.restart();
    assert_eq!(settle(&mut client, &mut server), (true, true));
    assert_eq!(client.changed_info(), Some(info), "still there for a new client");
    store(&region, SERVER + INFO_SEQUENCE, 7);
    assert_eq!((client.info(), client.changed_info()), (None, None), "being written");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 100 }))]

    /// Any word of the region becomes anything at any moment: no panic, no work without bound, each cut told once. Another link
    /// does its work beside it, and the link itself comes up when both sides start anew.
    #[test]
    fn hostile_words_hurt_nobody_else(
        words in prop::collection::vec((0usize..256, any::<u32>(), 0u8..4), 0..60),
    ) {
        let (region, other) = (Region::new(), Region::new());
        let (mut client, mut server) = link(&region);
        let (mut other_client, mut other_server) = link(&other);
        let mut segments = Vec::<Segment, 4>::new();
        let mut told = 0;
        for (step, (word, value, kind)) in (0u64..).zip(words) {
            // Often one of the words that matter.
            let interesting = [0x0c, 0x4c, 0x100, 0x140, 0x180, 0x19c];
            let offset = if kind < 2 { interesting[word % interesting.len()] } else { 4 * word };
            let near = load(&region, offset).wrapping_add(value % 5);
            store(&region, offset, if kind % 2 == 0 { near } else { value });
            let before = (server.poll(), client.poll());
            if before.0 == State::PeerRestarted {
                server.accept();
            }
            let _ = client.submit(&request(step), &SEGMENT);
            let _ = client.commit();
            let taken = (0..100).map_while(|_| server.request(&mut segments)).count();
            prop_assert!(taken <= server.capacity() as usize);
            let answered = (0..100)
                .take_while(|&id| server.complete(Response { id, status: Status::OK }).is_ok())
                .count();
            prop_assert!(answered <= server.capacity() as usize);
            let _ = server.commit();
            prop_assert!((0..100).map_while(|_| client.response()).count() <= client.capacity() as usize);
            let _ = (client.wait(), server.wait(), client.info(), client.changed_info());
            told += usize::from(server.take_error().is_some());
            prop_assert!(told <= step as usize + 1 && server.take_error().is_none());
            let _ = client.take_error();

            other_client.submit(&request(step), &SEGMENT).unwrap();
            prop_assert!(other_client.commit());
            prop_assert_eq!(other_server.request(&mut segments).unwrap().id, step);
            other_server.complete(Response { id: step, status: Status::OK }).unwrap();
            prop_assert!(other_server.commit());
            prop_assert_eq!(other_client.response().unwrap().id, step);
            prop_assert!(other_client.wait() && other_server.wait());
        }
        let (mut client, mut server) = (Client::new(&region).unwrap(), Server::new(&region).unwrap());
        prop_assert_eq!(settle(&mut client, &mut server), (true, true));
    }

    /// Lives and looks in any order: when both sides are left alone, the link comes up.
    #[test]
    fn restarts_in_any_order_settle(steps in prop::collection::vec(0u8..6, 0..40)) {
        let region = Region::new();
        let (mut client, mut server) = (Client::new(&region).unwrap(), Server::new(&region).unwrap());
        for step in steps {
            match step {
                0 => client = Client::new(&region).unwrap(),
                1 => server = Server::new(&region).unwrap(),
                2 => _ = client.poll(),
                3 => _ = server.poll(),
                4 => server.accept(),
                _ => client.restart(),
            }
        }
        settle(&mut client, &mut server);
        prop_assert_eq!((client.poll(), server.poll()), (State::Up, State::Up));
        client.submit(&request(1), &SEGMENT).unwrap();
        prop_assert!(client.commit());
        let mut segments = Vec::<Segment, 4>::new();
        prop_assert_eq!(server.request(&mut segments).unwrap().id, 1);
    }
}
