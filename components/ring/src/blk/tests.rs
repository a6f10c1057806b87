// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both ends of a block link together, and of each against a hostile peer.

use heapless::Vec;

use super::*;
use crate::link::State;
use crate::pages::LocalPages;
use crate::queue::Full;

type Region = LocalPages<1024>;

/// A link that has just come up.
fn link(region: &Region) -> (Client<&Region>, Server<&Region>) {
    let (mut server, mut client) = (Server::new(region).unwrap(), Client::new(region).unwrap());
    settle(&mut client, &mut server);
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
