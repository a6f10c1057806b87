// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of the switch with clients and a driver at the other ends of its links.

mod forwarding;
mod hostile;
mod life;
mod neighbours;
mod random;

use std::collections::VecDeque;

use heapless::Vec as FixedVec;
use proptest::prelude::*;
use ring::link::State;
use ring::mortal::MortalPages;
use ring::net::{
    Abilities, BUFFER_SIZE, Buffer, Client as ClientEnd, Gso, Info, Offload, OffloadFlags, Server,
};
use smoltcp::wire::{IpProtocol, TcpPacket};

use crate::counters::Loss;
use crate::headers::Mac;
use crate::packets::{Tcp, check, network_headers, udp};
use crate::policy::Policy;
use crate::region::Region;
use crate::region::tests::region;
use crate::segment::Version;
use crate::table::Port;
use crate::{Client, DmaRegion, Switch, Uplink};

type Pages = &'static MortalPages<4096>;

const RX_BUS: u64 = 0x8000_0000;
const TX_BUS: u64 = 0x9000_0000;
/// Buffers of each region.
const BUFFERS: usize = 160;
/// A station outside.
pub(crate) const OUTSIDE: Mac = Mac([0x52, 0x55, 10, 0, 2, 2]);

fn pages() -> Pages {
    Box::leak(Box::new(MortalPages::new()))
}

pub(crate) fn mac(number: u8) -> Mac {
    Policy::of(Port::Client(number)).mac
}

/// A client as a VMM is one.
pub(crate) struct Guest {
    pub(crate) link: ClientEnd<Pages>,
    pages: Pages,
    tx: Region,
    rx: Region,
    free: VecDeque<u64>,
    /// Empty buffers that are not supplied.
    empty: VecDeque<u64>,
    /// What its guest takes.
    pub(crate) accepted: Abilities,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) offload: Offload,
}

fn offsets() -> VecDeque<u64> {
    (0..BUFFERS as u64).map(|index| index * BUFFER_SIZE as u64).collect()
}

impl Guest {
    fn restart(&mut self) {
        self.link = ClientEnd::new(self.pages).unwrap();
        self.link.set_accepted(self.accepted);
        self.free = offsets();
        self.empty = offsets();
    }

    fn poll(&mut self) {
        if self.link.poll() == State::Fresh {
            self.free = offsets();
            self.empty = offsets();
        }
        while let Some(buffer) = self.link.transmitted() {
            assert!(!self.free.contains(&buffer.offset), "given back twice");
            self.free.push_back(buffer.offset);
        }
    }

    /// Supplies up to `count` empty buffers.
    fn supply(&mut self, count: usize) {
        self.poll();
        for _ in 0..count {
            let Some(offset) = self.empty.pop_front().filter(|_| self.link.is_up()) else { break };
            self.link.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).unwrap();
        }
        let _ = self.link.commit();
    }

    /// Sends a packet; `false` when there are no buffers.
    fn send(&mut self, bytes: &[u8], offload: Offload) -> bool {
        self.poll();
        let count = bytes.len().div_ceil(BUFFER_SIZE);
        if self.free.len() < count || !self.link.is_up() {
            return false;
        }
        let mut buffers = Vec::new();
        for chunk in bytes.chunks(BUFFER_SIZE) {
            let offset = self.free.pop_front().unwrap();
            assert!(self.tx.write(offset as usize, chunk));
            buffers.push(Buffer { offset, length: chunk.len() as u16 });
        }
        let sent = self.link.transmit(&buffers, &offload).is_ok();
        let _ = self.link.commit();
        sent
    }

    /// All that has arrived; the buffers are not supplied again.
    pub(crate) fn receive(&mut self) -> Vec<Packet> {
        self.poll();
        let mut packets = Vec::new();
        let mut buffers = FixedVec::<Buffer, 40>::new();
        while let Some(offload) = self.link.receive(&mut buffers) {
            let mut bytes = Vec::new();
            for buffer in &buffers {
                assert!(!self.empty.contains(&buffer.offset), "delivered in a buffer that was not given");
                let mut piece = vec![0; buffer.length.into()];
                assert!(self.rx.read(buffer.offset as usize, &mut piece));
                bytes.extend(piece);
                self.empty.push_back(buffer.offset);
            }
            packets.push(Packet { bytes, offload });
        }
        let _ = self.link.commit();
        packets
    }
}

/// The driver and the wire.
pub(crate) struct Wire {
    link: Server<Pages>,
    pages: Pages,
    /// Receive and transmit regions as the switch has them.
    dma: [DmaRegion; 2],
    /// As the device does.
    rx: Region,
    tx: Region,
    /// Buffers sent and not given back.
    sent: VecDeque<Buffer>,
    /// Empty buffers from the switch.
    pub(crate) empty: VecDeque<Buffer>,
}

impl Wire {
    fn restart(&mut self) {
        self.link = Server::new(self.pages).unwrap();
        self.sent.clear();
        self.empty.clear();
    }

    pub(crate) fn poll(&mut self) {
        if self.link.poll() == State::PeerRestarted {
            self.sent.clear();
            self.empty.clear();
            self.link.accept();
            self.link.poll();
        }
        while let Some(buffer) = self.link.buffer() {
            assert!(!self.empty.contains(&buffer), "given twice");
            self.empty.push_back(buffer);
        }
        let _ = self.link.commit();
    }

    /// All packets that the switch sends.
    fn take(&mut self) -> Vec<Packet> {
        self.poll();
        let mut packets = Vec::new();
        let mut buffers = FixedVec::<Buffer, 40>::new();
        while let Some(offload) = self.link.packet(&mut buffers) {
            let mut bytes = Vec::new();
            for buffer in &buffers {
                assert!(!self.sent.contains(buffer), "sent while the device has it");
                let mut piece = vec![0; buffer.length.into()];
                assert!(self.tx.read((buffer.offset - TX_BUS) as usize, &mut piece));
                bytes.extend(piece);
                self.sent.push_back(*buffer);
            }
            packets.push(Packet { bytes, offload });
        }
        let _ = self.link.commit();
        packets
    }

    /// The device has sent everything.
    fn complete(&mut self) {
        for buffer in self.sent.drain(..) {
            self.link.give_back(buffer).unwrap();
        }
        let _ = self.link.commit();
    }

    /// A packet arrives; `false` when there is no buffer for it.
    pub(crate) fn receive(&mut self, bytes: &[u8], offload: Offload) -> bool {
        self.poll();
        let Some(buffer) = self.empty.pop_front().filter(|_| self.link.is_up()) else { return false };
        assert!(self.rx.write((buffer.offset - RX_BUS) as usize, bytes));
        let buffer = Buffer { length: bytes.len() as u16, ..buffer };
        self.link.deliver(&[buffer], &offload).unwrap();
        let _ = self.link.commit();
        true
    }
}

pub(crate) struct Network {
    switch: Switch<Pages>,
    /// How clients and uplink are configured.
    policies: (Vec<Policy>, Policy),
    pub(crate) guests: Vec<Guest>,
    pub(crate) wire: Wire,
}

impl Network {
    /// A switch with these clients, configured so, and an uplink that is. Its device does not see the processor's caches.
    pub(crate) fn new(clients: &[&str], uplink: &str) -> Self {
        Self::told(clients, uplink, false)
    }

    /// Likewise; the switch is told whether the device sees the caches, which it does not.
    fn told(clients: &[&str], uplink: &str, coherent: bool) -> Self {
        let size = BUFFERS * BUFFER_SIZE;
        let ((cached_rx, rx), (cached_tx, tx), link) = (Region::cached(size), Region::cached(size), pages());
        let dma = [
            DmaRegion { region: cached_rx, bus: RX_BUS, coherent },
            DmaRegion { region: cached_tx, bus: TX_BUS, coherent },
        ];
        let server = Server::new(link).unwrap();
        let (sent, empty) = (VecDeque::new(), VecDeque::new());
        let wire = Wire { link: server, pages: link, dma, rx, tx, sent, empty };
        let (mut guests, mut policies) = (Vec::new(), Vec::new());
        for (number, options) in clients.iter().enumerate() {
            let (tx, rx, pages) = (region(size), region(size), pages());
            policies.push(Policy::parse(Port::Client(number as u8), options).unwrap());
            let link = ClientEnd::new(pages).unwrap();
            let (free, empty) = (VecDeque::new(), VecDeque::new());
            let mut guest = Guest { link, pages, tx, rx, free, empty, accepted: Abilities::all() };
            guest.restart();
            guests.push(guest);
        }
        let policies = (policies, Policy::parse(Port::Uplink, uplink).unwrap());
        let switch = Self::switch(&policies, &guests, &wire);
        let mut this = Self { switch, policies, guests, wire };
        let abilities = Abilities::LINK_UP;
        this.wire.link.publish_info(&Info { mac: [2; 6], mtu: 1500, speed: 0, abilities });
        this.settle();
        this.supply(BUFFERS);
        this.run();
        this
    }

    /// A life of the switch.
    fn switch(policies: &(Vec<Policy>, Policy), guests: &[Guest], wire: &Wire) -> Switch<Pages> {
        let end = ClientEnd::new(wire.pages).unwrap();
        let [rx, tx] = wire.dma;
        let mut switch = Switch::new(Some(Uplink::new(end, rx, tx, policies.1.clone()).unwrap()));
        for (number, (guest, policy)) in guests.iter().zip(&policies.0).enumerate() {
            let end = Server::new(guest.pages).unwrap();
            switch.add_client(Client::new(number as u8, end, guest.tx, guest.rx, policy.clone())).unwrap();
        }
        switch
    }

    /// The switch's next life.
    fn restart(&mut self) {
        self.switch = Self::switch(&self.policies, &self.guests, &self.wire);
    }

    /// Until all links are up.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.run();
            self.wire.poll();
            for guest in &mut self.guests {
                guest.poll();
                let _ = guest.link.commit();
            }
        }
    }

    pub(crate) fn supply(&mut self, count: usize) {
        for guest in &mut self.guests {
            guest.supply(count);
        }
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..100 {
            if !self.switch.service().again {
                return;
            }
        }
        panic!("the switch does not come to rest");
    }

    fn lost(&self, client: usize, loss: Loss) -> u64 {
        self.switch.clients()[client].counters().lost(loss)
    }
}

fn frame(source: Mac, destination: Mac, length: usize) -> Vec<u8> {
    udp(Version::V4, source, destination, &vec![7; length], false)
}

fn partial(version: Version, field: u8) -> Offload {
    let csum_start = network_headers(version) as u16;
    Offload { flags: OffloadFlags::NEEDS_CSUM, csum_start, csum_offset: field, ..Offload::default() }
}

fn large(version: Version, size: u16) -> Offload {
    let gso = if version == Version::V4 { Gso::TCP4 } else { Gso::TCP6 };
    Offload { gso, gso_size: size, ..partial(version, 16) }
}

pub(crate) const PLAIN: Offload =
    Offload { flags: OffloadFlags::empty(), gso: Gso::NONE, gso_size: 0, csum_start: 0, csum_offset: 0 };

fn plain(bytes: Vec<u8>) -> Vec<Packet> {
    vec![Packet { bytes, offload: PLAIN }]
}
