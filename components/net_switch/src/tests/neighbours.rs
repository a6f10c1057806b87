// SPDX-License-Identifier: BSD-2-Clause
//! What a client may say over IPv6, and about who is where.

use super::*;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// fe80::`number`.
fn local(number: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[1], address[15]) = (0xfe, 0x80, number);
    address
}

/// An option with an Ethernet address.
fn option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1], &mac.0[..]].concat()
}

/// An IPv6 packet from client `from` to all nodes; `extensions` of eight bytes each stand before its payload.
fn packet(from: u8, address: [u8; 16], extensions: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x33, 0x33, 0, 0, 0, 1];
    bytes.extend(mac(from).0);
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    bytes.extend(((8 * extensions + payload.len()) as u16).to_be_bytes());
    bytes.extend([if extensions > 0 { 60 } else { protocol }, 255]);
    bytes.extend(address);
    bytes.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    for index in 0..extensions {
        bytes.extend([if index + 1 == extensions { protocol } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
    }
    bytes.extend(payload);
    bytes
}

/// A message of neighbour discovery about `target`.
fn message(kind: u8, target: [u8; 16], options: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0], &target[..], options].concat()
}

/// Whether client `from` may send it.
fn passes(net: &mut Network, from: usize, bytes: &[u8]) -> bool {
    let before = net.lost(from, Loss::Spoofed);
    assert!(net.guests[from].send(bytes, PLAIN));
    net.run();
    let passed = net.wire.take() == plain(bytes.to_vec());
    net.wire.complete();
    assert_eq!(net.lost(from, Loss::Spoofed) - before, u64::from(!passed));
    passed
}

#[test]
fn ethernet_address_in_discovery_is_its_senders() {
    let mut net = Network::new(&["", "any-source"], "");
    let (own, other) = (option(2, mac(0)), option(2, mac(1)));
    let both = [&own[..], &other].concat();
    let cut = &other[..7];
    let empty = [2, 0, 0, 0, 0, 0, 0, 0];
    let long = [&[14u8, 20][..], &[0; 158], &other].concat();
    for (options, expected) in [
        (&[][..], true),
        (&own, true),
        (&[&[14u8, 1, 0, 0, 0, 0, 0, 0][..], &own].concat(), true),
        (&other, false),
        (&both, false),
        (cut, false),
        (&empty, false),
        (&long, false),
        (&option(1, Mac::BROADCAST), false),
    ] {
        for kind in [SOLICITATION, ADVERTISEMENT] {
            let bytes = packet(0, local(1), 0, 58, &message(kind, local(1), options));
            assert_eq!(passes(&mut net, 0, &bytes), expected, "{kind} {options:x?}");
        }
    }
    let solicitation = [&[133u8, 0, 0, 0, 0, 0, 0, 0][..], &option(1, mac(1))].concat();
    assert!(!passes(&mut net, 0, &packet(0, local(1), 0, 58, &solicitation)));
    // A bridge speaks for others.
    assert!(passes(&mut net, 1, &packet(1, local(1), 0, 58, &message(ADVERTISEMENT, local(1), &own))));
}

#[test]
fn clients_are_no_routers() {
    let mut net = Network::new(&["", "any-source"], "");
    for kind in [134, 137] {
        let bytes = message(kind, [0; 16], &[0; 16]);
        assert!(!passes(&mut net, 0, &packet(0, local(1), 0, 58, &bytes)));
        assert!(passes(&mut net, 1, &packet(1, local(1), 0, 58, &bytes)));
    }
}

#[test]
fn discovery_does_not_hide_behind_extensions() {
    let mut net = Network::new(&[""], "");
    let lie = message(ADVERTISEMENT, local(1), &option(2, Mac::BROADCAST));
    for extensions in [0, 1, 4, 5, 20] {
        let bytes = packet(0, local(1), extensions, 58, &lie);
        assert!(!passes(&mut net, 0, &bytes), "{extensions}");
    }
    assert!(passes(&mut net, 0, &packet(0, local(1), 4, 17, &[0; 20])));
}

#[test]
fn bound_client_uses_its_own_addresses() {
    let mut net = Network::new(&["ipv6:fe80::1", "ipv4:10.0.2.15", "any-source,ipv6:fe80::1"], "");
    let udp = [0; 20];
    for (from, address, expected) in [
        (0, local(1), true),
        (0, [0; 16], true),
        (0, local(2), false),
        // One family given, the other is closed.
        (1, local(1), false),
        (1, [0; 16], true),
        (2, local(1), true),
        (2, local(2), false),
    ] {
        let bytes = packet(from, address, 0, 17, &udp);
        assert_eq!(passes(&mut net, from.into(), &bytes), expected, "{from} {address:x?}");
    }
    for (from, target, expected) in [(0, 1, true), (0, 2, false), (2, 1, true), (2, 2, false)] {
        let bytes = packet(from, local(1), 0, 58, &message(ADVERTISEMENT, local(target), &[]));
        assert_eq!(passes(&mut net, from.into(), &bytes), expected, "{from} {target}");
    }
    // Asking for another's is not using it.
    assert!(passes(&mut net, 0, &packet(0, local(1), 0, 58, &message(SOLICITATION, local(2), &[]))));
    assert!(!passes(&mut net, 0, &frame(mac(0), OUTSIDE, 50)), "IPv4");
}

proptest! {
    /// Whatever a client sends over IPv6, nobody is told of another's Ethernet address.
    #[test]
    fn no_message_names_another(extensions in 0usize..7, mut bytes in prop::collection::vec(any::<u8>(), 24..120), kind in 133u8..=137) {
        bytes[0] = kind;
        let mut net = Network::new(&[""], "");
        let packet = packet(0, local(1), extensions, 58, &bytes);
        if passes(&mut net, 0, &packet) {
            // As a receiver reads it (RFC 4861, section 4.6).
            let mut at = if kind == 133 { 8 } else { 24 };
            while let Some([kind, eights]) = bytes.get(at..at + 2).and_then(|option| option.first_chunk()) {
                if [1, 2].contains(kind) && *eights == 1 {
                    prop_assert_eq!(bytes.get(at + 2..at + 8), Some(&mac(0).0[..]));
                }
                if *eights == 0 { break }
                at += usize::from(*eights) * 8;
            }
        }
    }
}
