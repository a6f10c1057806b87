// SPDX-License-Identifier: BSD-2-Clause
//! The back end of a guest's network interface: the client's side of a network link.
//!
//! Packets are copied into and out of the link's data regions, in buffers of [`BUFFER_SIZE`] bytes. What is on its way when
//! the switch is restarted is lost, as it would be on a cable.

use super::{DataRegion, each_piece};
use heapless::Vec;
use ring::blk::Segment as Piece;
use ring::inflight::Buffers;
use ring::link::{LinkError, State};
use ring::net::{
    Abilities, BUFFER_SIZE, Buffer, Client, Gso, MAX_BUFFERS, Offload as LinkOffload, OffloadFlags,
};
use ring::pages::Memory;
use vmm_virtio::net::{Backend, Feature, Info, Offload, Received, Segmentation};
use vmm_virtio::{Full, GuestMemory, Segment};

/// Buffers of a region that are used, at most: 2 MiB.
const WORDS: usize = 16;
const BUFFER: u32 = BUFFER_SIZE as u32;

/// What the switch can do, and the feature that tells the guest.
const ABILITIES: [(Abilities, u64); 6] = [
    (Abilities::TX_CSUM, Feature::CSUM),
    (Abilities::TX_TSO4.union(Abilities::TX_CHAIN), Feature::HOST_TSO4),
    (Abilities::TX_TSO6.union(Abilities::TX_CHAIN), Feature::HOST_TSO6),
    (Abilities::RX_CSUM, Feature::GUEST_CSUM),
    (Abilities::RX_TSO4.union(Abilities::RX_CHAIN), Feature::GUEST_TSO4),
    (Abilities::RX_TSO6.union(Abilities::RX_CHAIN), Feature::GUEST_TSO6),
];

/// The client's side of a network link.
pub struct NetLink<P, D> {
    client: Client<P>,
    transmit_data: D,
    receive_data: D,
    /// Buffers of packets that the switch has not given back.
    sending: Buffers<WORDS>,
    /// Empty buffers that the switch has.
    supplied: Buffers<WORDS>,
    /// A packet found no buffers: the switch is asked to tell when it gives some back.
    blocked: bool,
    /// See [`Backend::patience`].
    patience: u16,
    /// The packet that the guest has not taken.
    waiting: Option<Received>,
    /// Its buffers. They stay in place, as those of the packet that is being sent: moving so many costs more than the rest of
    /// a packet.
    received: Vec<Buffer, MAX_BUFFERS>,
    sent: Vec<Buffer, MAX_BUFFERS>,
    misbehaved: bool,
}

impl<P: Memory, D> NetLink<P, D> {
    /// On a link and the data regions for packets from and to the guest, of so many bytes.
    pub fn new(client: Client<P>, transmit: (D, u64), receive: (D, u64)) -> Self {
        // No more buffers than the queues have places: then nothing that is given back or supplied lacks one.
        let places = u64::from(client.capacity()) * u64::from(BUFFER);
        let buffers = |bytes: u64| Buffers::new(usize::try_from(bytes.min(places)).unwrap_or(0), BUFFER_SIZE);
        Self {
            sending: buffers(transmit.1),
            supplied: buffers(receive.1),
            client,
            transmit_data: transmit.0,
            receive_data: receive.0,
            blocked: false,
            patience: 0,
            waiting: None,
            received: Vec::new(),
            sent: Vec::new(),
            misbehaved: false,
        }
    }

    /// A look at the link.
    #[inline]
    pub fn poll(&mut self) -> State {
        let state = self.client.poll();
        if state == State::Fresh {
            self.begin();
        }
        state
    }

    /// The link is new: all buffers are this side's.
    fn begin(&mut self) {
        self.sending.clear();
        self.supplied.clear();
        self.waiting = None;
        self.blocked = false;
        self.client.ask_for_transmitted(false);
        for _ in 0..self.supplied.count() {
            let Some(offset) = self.supplied.take() else { return };
            // The queue has as many places.
            let _ = self.client.supply(Buffer { offset, length: BUFFER as u16 });
        }
    }

    /// The network, if its description is new.
    pub fn changed_info(&mut self) -> Option<Info> {
        let info = self.client.changed_info()?;
        let mut offloads = 0;
        for (ability, feature) in ABILITIES {
            if info.abilities.contains(ability) {
                offloads |= feature;
            }
        }
        if info.abilities.contains(Abilities::TSO_ECN) {
            for (ecn, needed) in [
                (Feature::HOST_ECN, Feature::HOST_TSO4 | Feature::HOST_TSO6),
                (Feature::GUEST_ECN, Feature::GUEST_TSO4 | Feature::GUEST_TSO6),
            ] {
                if offloads & needed != 0 {
                    offloads |= ecn;
                }
            }
        }
        Some(Info {
            mac: info.mac,
            mtu: info.mtu,
            link: info.abilities.contains(Abilities::LINK_UP),
            offloads,
        })
    }

    /// Shows the switch what was done. Gives whether to notify it.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.client.commit()
    }

    /// Asks to be notified of what comes next; `false`: something is there already that can be dealt with.
    #[inline]
    pub fn wait(&mut self) -> bool {
        if self.client.wait() {
            return true;
        }
        if self.waiting.is_none() {
            return false;
        }
        // The guest has no buffers and will kick when it has: only room for what it sends matters.
        let outstanding = self.sending.outstanding();
        if self.blocked {
            self.collect();
        }
        self.sending.outstanding() == outstanding
    }

    /// Why the switch was cut off, once.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.client.take_error()
    }

    /// Takes buffers back that were sent.
    fn collect(&mut self) {
        for _ in 0..=self.client.capacity() {
            let Some(buffer) = self.client.transmitted() else { return };
            if let Err(error) = self.sending.unmark(buffer.offset) {
                self.misbehaves(&error);
            }
        }
    }

    /// How many packets of the guest's may wait for the next look at them; see [`Backend::patience`].
    #[inline]
    pub const fn set_patience(&mut self, packets: u16) {
        self.patience = packets;
    }

    /// Takes buffers for a packet of `length` bytes to `sent`; false when there are not enough.
    #[inline]
    fn take(&mut self, length: u32) -> bool {
        self.sent.clear();
        let count = length.div_ceil(BUFFER);
        if self.sending.count() - self.sending.outstanding() < count {
            self.collect();
        }
        if self.sending.count() - self.sending.outstanding() < count {
            return false;
        }
        let mut left = length;
        for _ in 0..count {
            let Some(offset) = self.sending.take() else { return false };
            let bytes = left.min(BUFFER);
            left -= bytes;
            if self.sent.push(Buffer { offset, length: bytes as u16 }).is_err() {
                return false;
            }
        }
        true
    }

    /// Gives an empty buffer to the switch.
    #[inline]
    fn supply(&mut self, offset: u64) {
        let offset = offset & !u64::from(BUFFER - 1);
        if self.supplied.mark(offset).is_ok()
            && self.client.supply(Buffer { offset, length: BUFFER as u16 }).is_err()
        {
            // The link is down: all are supplied anew when it comes up.
            let _ = self.supplied.unmark(offset);
        }
    }

    /// The next packet of the link, if it is one; its buffers go to `received`.
    #[inline]
    fn next(&mut self) -> Option<Received> {
        for _ in 0..=self.client.capacity() {
            let offload = self.client.receive(&mut self.received)?;
            let mut length = 0;
            let mut good = true;
            for index in 0..self.received.len() {
                let Some(buffer) = self.received.get(index).copied() else { break };
                let end = (buffer.offset & u64::from(BUFFER - 1)) + u64::from(buffer.length);
                match self.supplied.unmark(buffer.offset) {
                    Ok(()) => good &= end <= u64::from(BUFFER),
                    Err(error) => {
                        good = false;
                        self.misbehaves(&error);
                    }
                }
                length += u32::from(buffer.length);
            }
            if good && let Some(offload) = received(&offload) {
                return Some(Received { length, offload });
            }
            self.supply_received();
        }
        None
    }

    /// Gives the buffers of the packet that was received to the switch again.
    #[inline]
    fn supply_received(&mut self) {
        for index in 0..self.received.len() {
            if let Some(buffer) = self.received.get(index) {
                self.supply(buffer.offset);
            }
        }
        self.received.clear();
    }

    /// A word about a switch that gives back what it does not have. Nothing more needs to be done: that buffer is ignored.
    #[cold]
    fn misbehaves(&mut self, error: &dyn core::fmt::Display) {
        if !core::mem::replace(&mut self.misbehaved, true) {
            log::warn!("network: {error}");
        }
    }
}

impl<M: GuestMemory, P: Memory, D: DataRegion<M>> Backend<M> for NetLink<P, D> {
    fn accept(&mut self, offloads: u64) {
        let mut accepted = Abilities::empty();
        for (feature, ability) in [
            (Feature::GUEST_CSUM, Abilities::RX_CSUM),
            (Feature::GUEST_TSO4, Abilities::RX_TSO4),
            (Feature::GUEST_TSO6, Abilities::RX_TSO6),
            (Feature::GUEST_ECN, Abilities::TSO_ECN),
        ] {
            accepted.set(ability, offloads & feature != 0);
        }
        self.client.set_accepted(accepted);
    }

    #[inline]
    fn send(&mut self, offload: &Offload, length: u32, data: &[Segment], memory: &M) -> Result<(), Full> {
        if !self.client.is_up() {
            // No cable.
            return Ok(());
        }
        let Some(link_offload) = sent(offload).filter(|_| length <= BUFFER * MAX_BUFFERS as u32) else {
            return Ok(());
        };
        if !self.take(length) {
            self.blocked = true;
            self.client.ask_for_transmitted(true);
            return Err(Full);
        }
        let pieces =
            self.sent.iter().map(|buffer| Piece { offset: buffer.offset, length: buffer.length.into() });
        // Both are as long, and inside.
        let _ = each_piece(data, pieces, |address, offset, length| {
            self.transmit_data.fill(offset, memory, address, length)
        });
        // There are as many places as buffers.
        if self.client.transmit(&self.sent, &link_offload).is_err() {
            for buffer in &self.sent {
                let _ = self.sending.unmark(buffer.offset);
            }
        }
        if self.blocked {
            self.blocked = false;
            self.client.ask_for_transmitted(false);
        }
        Ok(())
    }

    #[inline]
    fn patience(&self) -> u16 {
        self.patience
    }

    #[inline]
    fn received(&mut self) -> Option<Received> {
        if self.waiting.is_none() {
            self.waiting = self.next();
        }
        self.waiting
    }

    #[inline]
    fn copy(&mut self, offset: u32, length: u32, to: &[Segment], memory: &M) -> bool {
        if self.waiting.is_none() {
            return false;
        }
        let mut skip = offset;
        let mut left = length;
        // The part of each buffer that lies in the wanted range.
        let pieces = self.received.iter().filter_map(|buffer| {
            let bytes = u32::from(buffer.length);
            let before = skip.min(bytes);
            skip -= before;
            let length = (bytes - before).min(left);
            left -= length;
            (length > 0).then_some(Piece { offset: buffer.offset + u64::from(before), length })
        });
        let mut copied = 0;
        let _ = each_piece(to, pieces, |address, offset, length| {
            copied += length;
            self.receive_data.drain(offset, memory, address, length)
        });
        copied == length
    }

    #[inline]
    fn done(&mut self) {
        if self.waiting.take().is_some() {
            self.supply_received();
        }
    }

    fn flush(&mut self) {
        // The caller commits when all of its work is done.
    }
}

/// What the link says beside a packet from the guest; `None` when it cannot say that.
#[inline]
fn sent(offload: &Offload) -> Option<LinkOffload> {
    let mut flags = OffloadFlags::empty();
    flags.set(OffloadFlags::NEEDS_CSUM, offload.needs_checksum);
    let mut gso = match offload.segmentation {
        Segmentation::None => Gso::NONE,
        Segmentation::Tcp4 => Gso::TCP4,
        Segmentation::Tcp6 => Gso::TCP6,
    };
    if offload.congestion {
        gso.0 |= Gso::ECN;
    }
    let csum_offset = u8::try_from(offload.checksum_offset).ok()?;
    Some(LinkOffload {
        flags,
        gso,
        gso_size: offload.segment_size,
        csum_start: offload.checksum_start,
        csum_offset,
    })
}

/// What the guest is told beside a packet; `None` for a kind that virtio's driver is not told of.
#[inline]
fn received(offload: &LinkOffload) -> Option<Offload> {
    let segmentation = match offload.gso.kind() {
        Gso::NONE => Segmentation::None,
        Gso::TCP4 => Segmentation::Tcp4,
        Gso::TCP6 => Segmentation::Tcp6,
        _ => return None,
    };
    Some(Offload {
        needs_checksum: offload.flags.contains(OffloadFlags::NEEDS_CSUM),
        data_valid: offload.flags.contains(OffloadFlags::DATA_VALID),
        checksum_start: offload.csum_start,
        checksum_offset: offload.csum_offset.into(),
        segmentation,
        congestion: offload.gso.0 & Gso::ECN != 0,
        header_length: 0,
        segment_size: offload.gso_size,
    })
}
