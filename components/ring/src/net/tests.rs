// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both ends of a network link together, and of each against a hostile peer.

use heapless::Vec;

use super::*;
use crate::link::State;
use crate::pages::LocalPages;

type Region = LocalPages<1024>;

/// A link that has just come up.
fn link(region: &Region) -> (Client<&Region>, Server<&Region>) {
    let (mut server, mut client) = (Server::new(region).unwrap(), Client::new(region).unwrap());
    assert_eq!(server.poll(), State::PeerRestarted);
    server.accept();
    assert_eq!((server.poll(), client.poll()), (State::Fresh, State::Fresh));
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
