// SPDX-License-Identifier: BSD-2-Clause
//! Anything in any order.

use super::*;

/// What may happen in a run.
#[derive(Debug, Clone)]
enum Step {
    Send { from: usize, to: usize, length: usize, kind: u8 },
    Arrive { to: usize, length: usize },
    Supply { guest: usize, count: usize },
    Receive { guest: usize },
    Wire { complete: bool },
    RestartGuest { guest: usize },
    RestartWire,
}

fn step() -> impl Strategy<Value = Step> {
    let guest = 0usize..3;
    prop_oneof![
        8 => (guest.clone(), 0usize..5, 1usize..20_000, 0u8..4)
            .prop_map(|(from, to, length, kind)| Step::Send { from, to, length, kind }),
        4 => (0usize..4, 1usize..1400).prop_map(|(to, length)| Step::Arrive { to, length }),
        4 => (guest.clone(), 0usize..64).prop_map(|(guest, count)| Step::Supply { guest, count }),
        4 => guest.clone().prop_map(|guest| Step::Receive { guest }),
        4 => any::<bool>().prop_map(|complete| Step::Wire { complete }),
        1 => guest.prop_map(|guest| Step::RestartGuest { guest }),
        1 => Just(Step::RestartWire),
    ]
}

fn station(number: usize) -> Mac {
    match number {
        0..3 => mac(number as u8),
        3 => Mac::BROADCAST,
        _ => OUTSIDE,
    }
}

/// Clients 0 and 2 may not talk.
fn may_talk(a: Mac, b: Mac) -> bool {
    (a, b) != (mac(0), mac(2)) && (a, b) != (mac(2), mac(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: each packet that arrives was sent, unchanged, by somebody who may send it there; every buffer
    /// is somewhere once, and in the end where it belongs.
    #[test]
    fn nothing_leaks_and_nothing_is_made_up(steps in prop::collection::vec(step(), 1..120)) {
        let mut net = Network::new(&["deny:client2", "", ""], "");
        let mut number = 0u32;
        let arrived = |guest: usize, packets: Vec<Packet>| {
            for packet in packets {
                let destination = Mac(packet.bytes[..6].try_into().unwrap());
                let source = Mac(packet.bytes[6..12].try_into().unwrap());
                let here = station(if guest == 3 { 4 } else { guest });
                assert!(destination == here || destination == Mac::BROADCAST, "for {destination}, at {here}");
                assert!(source != here, "back to the sender");
                assert!(may_talk(source, here), "from {source} to {here}");
                if packet.offload.flags.is_empty() {
                    let (_, transport) = check(&packet.bytes);
                    let header = if packet.bytes[23] == 6 { TcpPacket::new_checked(&transport[..]).unwrap().header_len().into() } else { 8 };
                    let data = &transport[header..];
                    assert!(data.iter().all(|byte| *byte == data[0]), "bytes of one packet");
                    assert_eq!(data[0], source.0[5] ^ destination.0[5]);
                }
            }
        };
        for step in steps {
            match step {
                Step::Send { from, to, length, kind } => {
                    let (source, destination) = (station(from), station(to));
                    number += 1;
                    let byte = source.0[5] ^ destination.0[5];
                    let short = length % 1400 + 1;
                    let (bytes, offload) = match kind {
                        0 => (udp(Version::V4, source, destination, &vec![byte; short], false), PLAIN),
                        1 => (udp(Version::V4, source, destination, &vec![byte; short], true), partial(Version::V4, 6)),
                        2 => (Tcp::new(Version::V4, source, destination, vec![byte; length]).bytes(true), large(Version::V4, 1400)),
                        _ => (Tcp::new(Version::V4, source, destination, vec![byte; short]).bytes(true), partial(Version::V4, 16)),
                    };
                    net.guests[from].send(&bytes, offload);
                }
                Step::Arrive { to, length } => {
                    let destination = station(to);
                    let byte = OUTSIDE.0[5] ^ destination.0[5];
                    net.wire.receive(&udp(Version::V4, OUTSIDE, destination, &vec![byte; length], false), PLAIN);
                }
                Step::Supply { guest, count } => net.guests[guest].supply(count),
                Step::Receive { guest } => arrived(guest, net.guests[guest].receive()),
                Step::Wire { complete } => {
                    arrived(3, net.wire.take());
                    if complete {
                        net.wire.complete();
                    }
                }
                Step::RestartGuest { guest } => net.guests[guest].restart(),
                Step::RestartWire => net.wire.restart(),
            }
            net.run();
        }
        // Drained, everything is back.
        for _ in 0..20 {
            arrived(3, net.wire.take());
            net.wire.complete();
            net.settle();
        }
        for (guest, end) in net.guests.iter_mut().enumerate() {
            arrived(guest, end.receive());
            prop_assert_eq!(end.free.len(), BUFFERS);
        }
        prop_assert_eq!(net.switch.uplink().unwrap().outstanding().0 as usize, BUFFERS);
        prop_assert_eq!(net.wire.empty.len(), BUFFERS);
        let spoofed: u64 = (0..3).map(|client| net.lost(client, Loss::Spoofed) + net.lost(client, Loss::Malformed)).sum();
        prop_assert_eq!(spoofed, 0, "{} packets", number);
    }
}
