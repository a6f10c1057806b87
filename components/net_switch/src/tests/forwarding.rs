// SPDX-License-Identifier: BSD-2-Clause
//! Who gets what.

use super::*;

#[test]
fn packets_reach_their_station_and_nobody_else() {
    let mut net = Network::new(&["", "", ""], "");
    let to_one = frame(mac(0), mac(1), 100);
    let outside = frame(mac(0), OUTSIDE, 100);
    assert!(net.guests[0].send(&to_one, PLAIN) && net.guests[0].send(&outside, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(to_one));
    assert_eq!(net.guests[2].receive(), []);
    assert_eq!(net.guests[0].receive(), []);
    assert_eq!(net.wire.take(), plain(outside));
    let inside = frame(OUTSIDE, mac(2), 1400);
    assert!(net.wire.receive(&inside, PLAIN));
    net.run();
    assert_eq!(net.guests[2].receive(), plain(inside));
    assert_eq!((net.guests[0].receive(), net.guests[1].receive()), (vec![], vec![]));
}

#[test]
fn broadcasts_reach_all_others() {
    let mut net = Network::new(&["", "", "deny:client0"], "");
    let bytes = frame(mac(0), Mac::BROADCAST, 50);
    assert!(net.guests[0].send(&bytes, PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive(), []);
    assert_eq!(net.guests[1].receive(), plain(bytes.clone()));
    assert_eq!(net.guests[2].receive(), [], "denied by the receiver");
    assert_eq!(net.wire.take(), plain(bytes));
    let bytes = frame(OUTSIDE, Mac([0x33, 0x33, 0, 0, 0, 1]), 50);
    assert!(net.wire.receive(&bytes, PLAIN));
    net.run();
    for guest in &mut net.guests {
        assert_eq!(guest.receive(), plain(bytes.clone()));
    }
    assert_eq!(net.wire.take(), []);
}

#[test]
fn who_is_denied_gets_nothing_in_either_direction() {
    let mut net = Network::new(&["allow:uplink", "", "deny:uplink"], "");
    for (from, to) in [(0, mac(1)), (1, mac(0)), (2, OUTSIDE)] {
        assert!(net.guests[from].send(&frame(mac(from as u8), to, 50), PLAIN));
        net.run();
        assert_eq!(net.lost(from, Loss::Denied), 1);
    }
    assert!(net.wire.receive(&frame(OUTSIDE, mac(2), 50), PLAIN));
    net.run();
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::Denied), 1);
    assert!(net.guests.iter_mut().all(|guest| guest.receive().is_empty()));
    assert_eq!(net.wire.take(), []);
}

#[test]
fn nobody_sends_as_somebody_else() {
    let mut net = Network::new(&["ipv4:10.0.2.15", "ipv4:10.0.2.99", "any-source"], "");
    // smoltcp's packets are from 10.0.2.15.
    assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 50), PLAIN));
    net.run();
    assert_eq!(net.wire.take().len(), 1);
    let mut arp = vec![0xff; 6];
    arp.extend(mac(0).0);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(mac(1).0);
    arp.extend([10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    for (from, bytes) in [
        (0, frame(mac(1), OUTSIDE, 50)),
        (0, frame(OUTSIDE, mac(1), 50)),
        (0, frame(Mac::BROADCAST, mac(1), 50)),
        (0, arp),
        (1, frame(mac(1), OUTSIDE, 50)),
        (2, frame(mac(0), OUTSIDE, 50)),
        (2, frame(Mac([0; 6]), OUTSIDE, 50)),
    ] {
        let before = net.lost(from, Loss::Spoofed);
        assert!(net.guests[from].send(&bytes, PLAIN));
        net.run();
        assert_eq!(net.lost(from, Loss::Spoofed), before + 1, "{bytes:x?}");
    }
    // The uplink cannot take over a client's address either.
    assert!(net.wire.receive(&frame(mac(0), mac(1), 50), PLAIN));
    net.run();
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::Spoofed), 1);
    assert_eq!(net.wire.take(), []);
    assert!(net.guests.iter_mut().all(|guest| guest.receive().is_empty()));
}

#[test]
fn stations_behind_a_bridging_guest_are_learned() {
    let mut net = Network::new(&["", "any-source"], "no-flood");
    let behind = Mac([2, 9, 9, 9, 9, 9]);
    assert!(net.guests[0].send(&frame(mac(0), behind, 50), PLAIN));
    net.run();
    assert_eq!(net.lost(0, Loss::NoRoute), 1);
    let hello = frame(behind, mac(0), 50);
    let answer = frame(mac(0), behind, 60);
    assert!(net.guests[1].send(&hello, PLAIN));
    net.run();
    assert!(net.guests[0].send(&answer, PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive(), plain(hello));
    assert_eq!(net.guests[1].receive(), plain(answer));
}

#[test]
fn bridge_control_packets_are_not_forwarded() {
    let mut net = Network::new(&["", ""], "");
    assert!(net.guests[0].send(&frame(mac(0), Mac([1, 0x80, 0xc2, 0, 0, 0]), 50), PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), []);
    assert_eq!(net.wire.take(), []);
}

#[test]
fn large_packets_pass_whole_between_guests_and_in_segments_outside() {
    for version in [Version::V4, Version::V6] {
        let mut net = Network::new(&["", "", "no-offload"], "");
        let payload: Vec<u8> = (0..60_000u32).map(|index| (index >> 3) as u8).collect();
        let inside = Tcp::new(version, mac(0), mac(1), payload.clone());
        assert!(net.guests[0].send(&inside.bytes(true), large(version, 1400)));
        net.run();
        let expected = Packet { bytes: inside.bytes(true), offload: large(version, 1400) };
        assert_eq!(net.guests[1].receive(), [expected]);
        for to in [OUTSIDE, mac(2)] {
            let tcp = Tcp::new(version, mac(0), to, payload.clone());
            assert!(net.guests[0].send(&tcp.bytes(true), large(version, 1400)));
            net.run();
            let segments = if to == OUTSIDE { net.wire.take() } else { net.guests[2].receive() };
            assert_eq!(segments.len(), 60_000usize.div_ceil(1400));
            let mut stream = Vec::new();
            for segment in segments {
                assert_eq!(segment.offload, PLAIN);
                let (protocol, transport) = check(&segment.bytes);
                assert_eq!(protocol, IpProtocol::Tcp);
                stream.extend_from_slice(TcpPacket::new_checked(&transport[..]).unwrap().payload());
            }
            assert_eq!(stream, payload);
        }
    }
}

#[test]
fn guest_gets_only_what_it_takes() {
    let mut net = Network::new(&["", ""], "");
    let tcp = Tcp::new(Version::V4, mac(0), mac(1), vec![3; 4000]).bytes(true);
    for (accepted, packets) in [
        (Abilities::RX_CSUM | Abilities::RX_TSO4, 1),
        (Abilities::RX_CSUM | Abilities::RX_TSO6, 4),
        (Abilities::RX_TSO4, 4),
        (Abilities::empty(), 4),
    ] {
        net.guests[1].link.set_accepted(accepted);
        assert!(net.guests[0].send(&tcp, large(Version::V4, 1000)));
        net.run();
        let found = net.guests[1].receive();
        assert_eq!(found.len(), packets, "{accepted:?}");
        if packets > 1 {
            found.iter().for_each(|packet| drop(check(&packet.bytes)));
        }
    }
}

#[test]
fn checksums_are_completed_only_for_who_cannot() {
    let mut net = Network::new(&["", "", "no-offload"], "");
    for (to, completed) in [(mac(1), false), (mac(2), true), (OUTSIDE, true)] {
        let bytes = udp(Version::V4, mac(0), to, &[5; 301], true);
        assert!(net.guests[0].send(&bytes, partial(Version::V4, 6)));
        net.run();
        let found = match to {
            OUTSIDE => net.wire.take(),
            to if to == mac(1) => net.guests[1].receive(),
            _ => net.guests[2].receive(),
        };
        if completed {
            assert_eq!(found, plain(udp(Version::V4, mac(0), to, &[5; 301], false)));
        } else {
            assert_eq!(found, [Packet { bytes, offload: partial(Version::V4, 6) }]);
        }
    }
}

#[test]
fn validated_is_believed_from_the_driver_alone() {
    let mut net = Network::new(&["", ""], "");
    let valid = Offload { flags: OffloadFlags::DATA_VALID, ..PLAIN };
    let (inside, outside) = (frame(mac(0), mac(1), 50), frame(OUTSIDE, mac(1), 50));
    assert!(net.guests[0].send(&inside, valid) && net.wire.receive(&outside, valid));
    net.run();
    let found = net.guests[1].receive();
    assert!(found.contains(&Packet { bytes: inside, offload: PLAIN }));
    assert!(found.contains(&Packet { bytes: outside, offload: valid }));
}
