// SPDX-License-Identifier: BSD-2-Clause
//! The network switch with two clients and an uplink that send, supply and take back anything.

use std::cell::RefCell;

use crate::steps::Steps;
use heapless::Vec as Bounded;
use net_switch::checksum::Sum;
use net_switch::policy::Policy;
use net_switch::region::Region;
use net_switch::table::Port;
use net_switch::{Client, DmaRegion, MIN_BUFFERS, Switch, Uplink};
use ring::link::State;
use ring::net::{
    Abilities, BUFFER_SIZE, Buffer, Client as ClientEnd, Gso, Info, Offload, OffloadFlags, Server,
};
use ring::pages::LocalPages;

type Pages = LocalPages<4096>;

const RX_BUS: u64 = 0x8000_0000;
const TX_BUS: u64 = 0x9000_0000;
/// Bytes of each data region.
const SIZE: usize = MIN_BUFFERS * BUFFER_SIZE;
/// What the clients are allowed: the first is an ordinary one, the second is bound to addresses.
const POLICIES: [&str; 2] = ["mac:02:00:00:00:00:01", "mac:02:00:00:00:00:02,ipv4:10.0.2.16,ipv6:fe80::2"];
/// After so many rounds a switch that nobody feeds has come to rest.
const MOST: usize = 1000;

thread_local! {
    /// Of the uplink, then of the clients: what they send, what they receive. Made once.
    static REGIONS: RefCell<Vec<Region>> = RefCell::new((0..6).map(|_| Region::leaked(SIZE)).collect());
}

/// A client as the switch may believe it to be.
struct Peer<'a> {
    link: ClientEnd<&'a Pages>,
    tx: Region,
    /// Offsets that were supplied and not used yet.
    supplied: Vec<u64>,
}

pub fn switch(data: &[u8]) {
    let regions = REGIONS.with_borrow(Clone::clone);
    let [wire_tx, wire_rx, tx0, rx0, tx1, rx1] = regions[..] else { unreachable!("six regions") };
    let pages = [Pages::new(), Pages::new(), Pages::new()];
    let mut steps = Steps(data);

    let end = ClientEnd::new(&pages[2]).expect("a region that is large enough");
    let policy = Policy::parse(Port::Uplink, "").expect("a policy");
    let dma = |region, bus| DmaRegion { region, bus, coherent: true };
    let uplink = Uplink::new(end, dma(wire_rx, RX_BUS), dma(wire_tx, TX_BUS), policy).expect("large enough");
    let mut switch = Switch::new(Some(uplink));
    let mut wire = Server::new(&pages[2]).expect("a region that is large enough");
    wire.publish_info(&Info { mac: [2; 6], mtu: 1500, speed: 0, abilities: Abilities::LINK_UP });
    let mut empty: Vec<Buffer> = Vec::new();
    let mut peers: Vec<Peer<'_>> = Vec::new();
    for (number, (tx, rx)) in [(tx0, rx0), (tx1, rx1)].into_iter().enumerate() {
        let policy = Policy::parse(Port::Client(number as u8), POLICIES[number]).expect("a policy");
        let server = Server::new(&pages[number]).expect("a region that is large enough");
        let _ = switch.add_client(Client::new(number as u8, server, tx, rx, policy));
        let mut link = ClientEnd::new(&pages[number]).expect("a region that is large enough");
        link.set_accepted(Abilities::from_bits_retain(steps.half().into()));
        peers.push(Peer { link, tx, supplied: Vec::new() });
    }
    settle(&mut switch, &mut wire, &mut peers, &mut empty);
    while !steps.is_empty() {
        let peer = usize::from(steps.byte() & 1);
        match steps.byte() % 8 {
            0..3 => {
                for _ in 0..=steps.byte() % 64 {
                    arrive(&mut wire, &mut empty, wire_rx, &mut steps);
                }
            }
            3 => send(&mut peers[peer], &mut steps),
            4 => {
                for _ in 0..=steps.byte() {
                    let offset = u64::from(steps.byte()) * BUFFER_SIZE as u64;
                    if peers[peer].link.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).is_ok() {
                        peers[peer].supplied.push(offset);
                    }
                }
            }
            5 => {
                let lie = Buffer { offset: u64::from(steps.word()) << 8, length: steps.half() };
                let _ = peers[peer].link.supply(lie);
                peers[peer].supplied.push(lie.offset);
                let _ = wire.deliver(&[lie], &offload(&mut steps));
                let _ = wire.give_back(lie);
            }
            6 => {
                let mut buffers = Bounded::<Buffer, 40>::new();
                while wire.packet(&mut buffers).is_some() {
                    for buffer in &buffers {
                        let within = buffer.offset.checked_sub(TX_BUS).expect("a buffer of the region");
                        assert!(within as usize + usize::from(buffer.length) <= SIZE, "inside");
                        let _ = wire.give_back(*buffer);
                    }
                }
            }
            _ => settle(&mut switch, &mut wire, &mut peers, &mut empty),
        }
    }
    settle(&mut switch, &mut wire, &mut peers, &mut empty);
}

/// Lets everybody do what there is to do.
fn settle(
    switch: &mut Switch<&Pages>,
    wire: &mut Server<&Pages>,
    peers: &mut [Peer<'_>],
    empty: &mut Vec<Buffer>,
) {
    for _ in 0..3 {
        let _ = wire.commit();
        for peer in &mut *peers {
            let _ = peer.link.commit();
        }
        let rounds = (0..MOST).take_while(|_| switch.service().again).count();
        assert!(rounds < MOST, "no end");
        if wire.poll() == State::PeerRestarted {
            empty.clear();
            wire.accept();
            let _ = wire.poll();
        }
        while let Some(buffer) = wire.buffer() {
            empty.push(buffer);
        }
        for peer in &mut *peers {
            if peer.link.poll() == State::Fresh {
                peer.supplied.clear();
            }
            while peer.link.transmitted().is_some() {}
            let mut buffers = Bounded::<Buffer, 40>::new();
            while peer.link.receive(&mut buffers).is_some() {
                for buffer in &buffers {
                    let known = peer.supplied.iter().position(|offset| *offset == buffer.offset);
                    peer.supplied.swap_remove(known.expect("a buffer that was supplied"));
                    assert!(usize::from(buffer.length) <= BUFFER_SIZE);
                }
            }
        }
    }
}

/// A packet comes in from outside: a segment of one of a few connections, or an acknowledgement, with some bytes changed.
fn arrive(wire: &mut Server<&Pages>, empty: &mut Vec<Buffer>, region: Region, steps: &mut Steps<'_>) {
    let Some(buffer) = empty.pop() else { return };
    let (kind, number) = (steps.byte(), steps.byte());
    let payload = if kind & 1 == 0 { 64 } else { 0 };
    let mut bytes = segment(kind, u32::from(number), payload);
    if kind & 0x80 != 0 {
        let at = usize::from(steps.byte()) % bytes.len();
        bytes[at] = steps.byte();
    }
    if kind & 0x40 == 0 {
        seal(&mut bytes, kind & 2 != 0);
    }
    let offset = buffer.offset.checked_sub(RX_BUS).expect("a buffer of the region") as usize;
    assert!(region.write(offset, &bytes), "a buffer of the region");
    let offload = if kind & 0x20 != 0 { offload(steps) } else { Offload::default() };
    let _ = wire.deliver(&[Buffer { length: bytes.len() as u16, ..buffer }], &offload);
}

/// The `number`th segment of a connection to client 0, or to client 1.
fn segment(kind: u8, number: u32, payload: usize) -> Vec<u8> {
    let six = kind & 2 != 0;
    let mut bytes = vec![2, 0, 0, 0, 0, 1 + (kind >> 2 & 1), 2, 0, 0, 0, 0, 9];
    let length = (20 + payload) as u16;
    if six {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend(length.to_be_bytes());
        bytes.extend([6, 64]);
        bytes.extend([0x11; 32]);
    } else {
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend((20 + length).to_be_bytes());
        bytes.extend((number as u16).to_be_bytes());
        bytes.extend([0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15]);
    }
    let (sequence, acknowledged) = if payload > 0 { (number * payload as u32, 7) } else { (7, number) };
    bytes.extend([0, 80, 0x20 + (kind >> 3 & 1), 0]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend([0x50, 0x10 | (kind >> 1 & 8), 1, 0, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + payload, kind);
    bytes
}

/// Completes the checksums as if the packet were what [`segment`] made.
fn seal(bytes: &mut [u8], six: bool) {
    let (addresses, tcp) = if six { (22..54, 54) } else { (26..34, 34) };
    if !six {
        bytes[24..26].fill(0);
        let sum = Sum::of(&bytes[14..34]).checksum();
        bytes[24..26].copy_from_slice(&sum);
    }
    bytes[tcp + 16..tcp + 18].fill(0);
    let length = (bytes.len() - tcp) as u16;
    let sum = Sum::of(&bytes[addresses]).plus_value(6).plus_value(length).plus(Sum::of(&bytes[tcp..]));
    bytes[tcp + 16..tcp + 18].copy_from_slice(&sum.checksum());
}

/// A client sends bytes that look like a packet, in buffers wherever it likes.
fn send(peer: &mut Peer<'_>, steps: &mut Steps<'_>) {
    let mut bytes = segment(steps.byte(), steps.byte().into(), steps.byte().into());
    for _ in 0..steps.byte() % 8 {
        let at = usize::from(steps.byte()) % bytes.len();
        bytes[at] = steps.byte();
    }
    let offset = u64::from(steps.half()) * 8;
    let _ = peer.tx.write(offset as usize, &bytes);
    let mut buffers = vec![Buffer { offset, length: bytes.len() as u16 }];
    for _ in 0..steps.byte() % 4 {
        buffers.push(Buffer { offset: u64::from(steps.word()) << 4, length: steps.half() });
    }
    let _ = peer.link.transmit(&buffers, &offload(steps));
}

fn offload(steps: &mut Steps<'_>) -> Offload {
    Offload {
        flags: OffloadFlags::from_bits_truncate(steps.byte().into()),
        gso: Gso(steps.pick(&[0, 1, 4, 0x81, 3, 0xff])),
        gso_size: steps.half(),
        csum_start: steps.pick(&[34, 54, 14, 0xffff]),
        csum_offset: steps.pick(&[16, 6, 0, 0xff]),
    }
}
