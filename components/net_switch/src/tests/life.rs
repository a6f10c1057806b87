// SPDX-License-Identifier: BSD-2-Clause
//! Slow receivers, a full uplink, restarts.

use super::*;
use ring::mortal::{self, Junk, Mortal, Way};

#[test]
fn slow_client_loses_its_own_packets_only() {
    let mut net = Network::new(&["", "", ""], "");
    net.guests[1].restart();
    net.settle();
    let (slow, fast) = (frame(mac(0), mac(1), 500), frame(mac(0), mac(2), 500));
    for _ in 0..20 {
        assert!(net.guests[0].send(&slow, PLAIN) && net.guests[0].send(&fast, PLAIN));
        net.run();
    }
    assert_eq!(net.guests[2].receive().len(), 20);
    assert_eq!(net.lost(1, Loss::NoBuffers), 20);
    assert_eq!(net.guests[1].receive(), []);
    net.guests[1].supply(1);
    assert!(net.guests[0].send(&slow, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(slow));
}

#[test]
fn full_uplink_holds_packets_back_and_loses_none() {
    let mut net = Network::new(&["", ""], "");
    let mut sent = [0; 2];
    for round in 0..1000 {
        let from = round % 2;
        let bytes = frame(mac(from as u8), OUTSIDE, round);
        sent[from] += usize::from(net.guests[from].send(&bytes, PLAIN));
        net.run();
    }
    // The wire's buffers are used up, and the guests' own are on their way.
    assert_eq!(sent, [BUFFERS + BUFFERS / 2; 2]);
    let between = frame(mac(0), mac(1), 3);
    assert!(!net.guests[0].send(&between, PLAIN));
    let mut arrived = Vec::new();
    for _ in 0..10 {
        arrived.extend(net.wire.take());
        net.wire.complete();
        net.run();
    }
    assert_eq!(arrived.len(), sent.iter().sum::<usize>());
    for from in 0..2 {
        // In order.
        let lengths: Vec<usize> = arrived
            .iter()
            .filter(|packet| packet.bytes[6..12] == mac(from as u8).0)
            .map(|packet| packet.bytes.len())
            .collect();
        assert!(lengths.is_sorted(), "{lengths:?}");
    }
    assert!(net.guests[0].send(&between, PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive(), plain(between));
}

#[test]
fn client_that_waits_for_the_uplink_does_not_hold_up_others() {
    let mut net = Network::new(&["", "", ""], "");
    let outside = frame(mac(0), OUTSIDE, 3);
    while net.guests[0].send(&outside, PLAIN) {
        net.run();
    }
    let bytes = frame(mac(1), mac(2), 3);
    assert!(net.guests[1].send(&bytes, PLAIN));
    net.run();
    assert_eq!(net.guests[2].receive(), plain(bytes));
}

#[test]
fn large_packet_gets_its_turn_among_many_small_ones() {
    let mut net = Network::new(&["", ""], "");
    let tcp = Tcp::new(Version::V4, mac(0), OUTSIDE, vec![1; 60_000]);
    // Leaves less room than 42 segments need.
    for _ in 0..BUFFERS - 20 {
        assert!(net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN));
    }
    net.run();
    assert!(net.guests[0].send(&tcp.bytes(true), large(Version::V4, 1440)));
    net.run();
    let mut passed = 0;
    for _ in 0..100 {
        while net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN) {}
        net.run();
        passed += net.wire.take().iter().filter(|packet| packet.bytes.len() > 1000).count();
        // One buffer at a time.
        if let Some(buffer) = net.wire.sent.pop_front() {
            net.wire.link.give_back(buffer).unwrap();
            let _ = net.wire.link.commit();
        }
    }
    assert_eq!(passed, 42);
}

#[test]
fn driver_restart_loses_packets_and_no_buffers() {
    let mut net = Network::new(&["", ""], "");
    for _ in 0..3 {
        assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 10), PLAIN));
        net.run();
        assert_eq!(net.wire.take().len(), 1);
        net.wire.restart();
        // Down: lost, and nobody waits.
        net.run();
        assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 10), PLAIN));
        net.run();
        net.settle();
        assert_eq!(net.wire.empty.len(), BUFFERS, "all are given again");
        assert_eq!(net.switch.uplink().unwrap().outstanding().0 as usize, BUFFERS);
        net.wire.take();
        net.wire.complete();
    }
    assert!(net.wire.receive(&frame(OUTSIDE, mac(1), 10), PLAIN));
    net.run();
    assert_eq!(net.guests[1].receive().len(), 1);
}

#[test]
fn client_restart_begins_anew() {
    let mut net = Network::new(&["", ""], "");
    while net.guests[0].send(&frame(mac(0), OUTSIDE, 3), PLAIN) {
        net.run();
    }
    net.guests[0].restart();
    net.settle();
    net.supply(BUFFERS);
    // The old life's packet no longer waits, and nobody is first in line.
    assert!(net.guests[1].send(&frame(mac(1), mac(0), 3), PLAIN));
    net.wire.take();
    net.wire.complete();
    assert!(net.guests[1].send(&frame(mac(1), OUTSIDE, 3), PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive().len(), 1);
    assert_eq!(net.wire.take().len(), 1);
}

impl Mortal for Network {
    fn begin(&mut self) {
        self.restart();
    }

    fn scribble(&mut self, junk: &mut Junk) {
        self.guests
            .iter()
            .map(|guest| guest.pages)
            .chain([self.wire.pages])
            .for_each(|pages| pages.scribble(junk));
    }
}

/// Packets may be lost, buffers not.
#[test]
fn switch_may_die_in_front_of_every_store() {
    mortal::everywhere(&[0, 30], &Way::OTHERS, 50, |deaths| {
        let mut net = Network::new(&["", ""], "");
        let mut arrived = [0; 3];
        for round in 1..=12 {
            if round == 6 {
                // The rest shows that it goes on.
                deaths.end(&mut net);
            }
            net.supply(BUFFERS);
            net.guests[0].send(&frame(mac(0), OUTSIDE, round), PLAIN);
            net.guests[1].send(&frame(mac(1), mac(0), round), PLAIN);
            net.wire.receive(&frame(OUTSIDE, mac(1), round), PLAIN);
            deaths.act(&mut net, Network::run);
            let got = [net.wire.take(), net.guests[0].receive(), net.guests[1].receive()];
            for (last, packets) in arrived.iter_mut().zip(got) {
                for packet in packets {
                    // What follows the headers is `length` times 7.
                    let length = packet.bytes.iter().rev().take_while(|&&byte| byte == 7).count();
                    assert!(length > *last && length <= round, "{length} after {last} in round {round}");
                    *last = length;
                }
            }
            net.wire.complete();
            deaths.act(&mut net, Network::run);
        }
        assert_eq!(arrived, [12; 3], "it goes on");
        net.settle();
        net.guests.iter_mut().for_each(Guest::poll);
        let free: Vec<_> = net.guests.iter().map(|guest| guest.free.len()).collect();
        assert_eq!(free, [BUFFERS; 2], "all came back");
        assert_eq!(net.wire.empty.len(), BUFFERS);
    });
}

/// More packets than the uplink has buffers: none waits for a line that is not there, and other guests are still reached.
#[test]
fn line_that_is_not_connected_holds_nobody_up() {
    let mut net = Network::new(&["", ""], "");
    let publish = |net: &mut Network, abilities| {
        net.wire.link.publish_info(&Info { mac: [2; 6], mtu: 1500, speed: 0, abilities });
        net.settle();
    };
    // Somebody waits for room when the line is lost.
    for _ in 0..BUFFERS + 1 {
        assert!(net.guests[0].send(&frame(mac(0), OUTSIDE, 100), PLAIN));
        net.run();
    }
    publish(&mut net, Abilities::empty());
    let bytes = frame(mac(0), Mac::BROADCAST, 100);
    for _ in 0..2 * BUFFERS {
        assert!(net.guests[0].send(&bytes, PLAIN));
        net.run();
        assert_eq!(net.guests[1].receive(), plain(bytes.clone()));
        net.supply(1);
    }
    assert_eq!(net.switch.uplink().unwrap().counters().lost(Loss::Down), 2 * BUFFERS as u64 + 1);
    net.wire.take();
    net.wire.complete();
    publish(&mut net, Abilities::LINK_UP);
    // The other one does not stand behind the one that waited.
    let outside = frame(mac(1), OUTSIDE, 100);
    assert!(net.guests[1].send(&outside, PLAIN));
    net.run();
    assert_eq!(net.wire.take(), plain(outside));
}

/// All other tests have a device that does not see the processor's caches; this is what they would find if nothing were done
/// about it.
#[test]
fn caches_that_are_not_maintained_show() {
    let mut net = Network::told(&[""], "", true);
    let bytes = frame(mac(0), OUTSIDE, 100);
    assert!(net.guests[0].send(&bytes, PLAIN));
    net.run();
    assert_eq!(net.wire.take(), plain(vec![0; bytes.len()]));
    assert!(net.wire.receive(&frame(OUTSIDE, mac(0), 100), PLAIN));
    net.run();
    assert_eq!(net.guests[0].receive(), []);
}
