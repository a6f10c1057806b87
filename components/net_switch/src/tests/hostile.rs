// SPDX-License-Identifier: BSD-2-Clause
//! Clients and a driver that break the rules, and what they are told.

use super::*;

#[test]
fn driver_that_makes_up_buffers_gets_no_packet_through() {
    let mut net = Network::new(&[""], "");
    net.wire.poll();
    let bytes = frame(OUTSIDE, mac(0), 10);
    let first = net.wire.empty.pop_front().unwrap();
    let length = bytes.len() as u16;
    let second = net.wire.empty.pop_front().unwrap();
    for buffer in [
        Buffer { length, ..first },
        Buffer { offset: 12, length },
        Buffer { offset: RX_BUS + (BUFFERS * BUFFER_SIZE) as u64, length },
        Buffer { offset: second.offset + 2000, length },
    ] {
        if let Some(offset) = buffer.offset.checked_sub(RX_BUS) {
            let _ = net.wire.rx.write(offset as usize, &bytes);
        }
        net.wire.link.deliver(&[buffer], &PLAIN).unwrap();
    }
    let _ = net.wire.link.commit();
    net.run();
    assert_eq!(net.guests[0].receive().len(), 1);
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::BadBuffer), 3);
    net.wire.poll();
    assert_eq!(net.wire.empty.len(), BUFFERS, "the two that it had are given again");
}

#[test]
fn client_with_bad_buffers_harms_itself_alone() {
    let mut net = Network::new(&["", "", ""], "");
    net.guests[1].restart();
    net.settle();
    let size = (BUFFERS * BUFFER_SIZE) as u64;
    for (offset, length) in [(size - 2047, 2048), (size, 0), (1 << 40, 2048), (0, 60)] {
        net.guests[1].link.supply(Buffer { offset, length }).unwrap();
    }
    let _ = net.guests[1].link.commit();
    let bytes = frame(mac(0), Mac::BROADCAST, 50);
    for _ in 0..4 {
        assert!(net.guests[0].send(&bytes, PLAIN));
        net.run();
    }
    assert_eq!(net.lost(1, Loss::BadBuffer), 4);
    assert_eq!(net.guests[2].receive().len(), 4);
}

#[test]
fn malformed_packets_are_lost_and_their_buffers_come_back() {
    let mut net = Network::new(&["", ""], "");
    let bytes = frame(mac(0), mac(1), 1400);
    for offload in [
        Offload { csum_start: 60_000, ..partial(Version::V4, 6) },
        Offload { gso: Gso::UDP, gso_size: 8, ..partial(Version::V4, 6) },
        Offload { gso: Gso::TCP4, gso_size: 1000, ..PLAIN },
        large(Version::V4, 1000),
        large(Version::V4, 0),
    ] {
        assert!(net.guests[0].send(&bytes, offload));
        net.run();
    }
    assert_eq!(net.lost(0, Loss::Malformed), 5);
    net.guests[0].poll();
    for (offset, length) in [((BUFFERS * BUFFER_SIZE) as u64, 60), (1 << 45, 60), (0, 13)] {
        net.guests[0].link.transmit(&[Buffer { offset, length }], &PLAIN).unwrap();
        let _ = net.guests[0].link.commit();
        net.run();
        assert_eq!(net.guests[0].link.transmitted(), Some(Buffer { offset, length }));
    }
    assert_eq!(net.lost(0, Loss::Malformed), 8);
    assert!(net.guests[0].send(&frame(mac(0), mac(1), 1600), PLAIN));
    net.run();
    assert_eq!(net.lost(0, Loss::Oversize), 1);
    net.guests[0].poll();
    assert_eq!(net.guests[0].free.len(), BUFFERS);
    assert_eq!(net.guests[1].receive(), []);
}

#[test]
fn clients_are_told_about_the_network() {
    let mut net = Network::new(&["mac:52:54:00:00:01:00", "allow:uplink", ""], "");
    let info = net.guests[0].link.info().unwrap();
    assert_eq!((info.mac, info.mtu), ([0x52, 0x54, 0, 0, 1, 0], 1500));
    assert!(info.abilities.contains(Abilities::LINK_UP | Abilities::TX_TSO4 | Abilities::RX_TSO6));
    net.wire.link.publish_info(&Info { mtu: 1400, ..Info::default() });
    let _ = net.wire.link.commit();
    net.run();
    let [first, second] = [0, 1].map(|guest: usize| net.guests[guest].link.info().unwrap());
    assert_eq!((first.mtu, second.mtu), (1400, 1400));
    assert!(first.abilities.contains(Abilities::LINK_UP), "others can be reached");
    assert!(!second.abilities.contains(Abilities::LINK_UP), "nobody can be reached");
}

#[test]
fn second_client_with_an_address_is_refused() {
    let mut net = Network::new(&["", "mac:02:62:68:00:00:08"], "");
    let policy = Policy::of(Port::Client(7));
    let client = Client::new(7, Server::new(pages()).unwrap(), region(2048), region(2048), policy);
    assert!(net.switch.add_client(client).is_err());
}
