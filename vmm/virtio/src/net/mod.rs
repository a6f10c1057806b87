// SPDX-License-Identifier: BSD-2-Clause
//! A guest's network interface (section 5.1): one pair of queues, mergeable receive buffers, offloads as the network
//! offers them.
//!
//! Packets are copied at once in both directions, so that nothing at the back end uses guest memory, nothing needs to be
//! replayed, and a slow network costs packets instead of memory. A packet whose header makes no sense is dropped as a
//! broken one on a cable would be: it may come from a program in the guest, and is not its driver's fault.

pub mod backend;
mod header;
mod receive;
mod transmit;

#[cfg(test)]
mod tests;
pub use backend::{Backend, Info, Offload, Received, Segmentation};

use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::mmio::Mmio;
use crate::model::{CONFIG_SIZE, Model, Progress};
use crate::queue::{Chain, MAX_SIZE};
use serde::{Deserialize, Serialize};

/// Queue of buffers for received packets.
pub const RECEIVE: usize = 0;
/// Queue of packets to send.
pub const TRANSMIT: usize = 1;

/// Feature bits (section 5.1.3).
pub struct Feature;

impl Feature {
    /// The network completes checksums.
    pub const CSUM: u64 = 1 << 0;
    /// The driver takes packets with checksums that are not complete.
    pub const GUEST_CSUM: u64 = 1 << 1;
    /// `mtu` is valid.
    pub const MTU: u64 = 1 << 3;
    /// `mac` is valid.
    pub const MAC: u64 = 1 << 5;
    /// The driver takes large packets of TCP over IPv4.
    pub const GUEST_TSO4: u64 = 1 << 7;
    /// The driver takes large packets of TCP over IPv6.
    pub const GUEST_TSO6: u64 = 1 << 8;
    /// The driver takes large packets with ECN.
    pub const GUEST_ECN: u64 = 1 << 9;
    /// The network cuts large packets of TCP over IPv4.
    pub const HOST_TSO4: u64 = 1 << 11;
    /// The network cuts large packets of TCP over IPv6.
    pub const HOST_TSO6: u64 = 1 << 12;
    /// The network cuts large packets with ECN.
    pub const HOST_ECN: u64 = 1 << 13;
    /// A packet may be spread over several receive buffers.
    pub const MRG_RXBUF: u64 = 1 << 15;
    /// `status` is valid.
    pub const STATUS: u64 = 1 << 16;
    /// What the network may be able to do.
    pub const OFFLOADS: u64 = Self::TO_GUEST | Self::TO_NETWORK;
    /// What the driver takes.
    pub const TO_GUEST: u64 = Self::GUEST_CSUM | Self::GUEST_TSO4 | Self::GUEST_TSO6 | Self::GUEST_ECN;
    /// What the network takes.
    pub const TO_NETWORK: u64 = Self::CSUM | Self::HOST_TSO4 | Self::HOST_TSO6 | Self::HOST_ECN;
}

/// Features that only make sense with another one (section 5.1.3.1).
const NEEDS: [(u64, u64); 6] = [
    (Feature::GUEST_TSO4, Feature::GUEST_CSUM),
    (Feature::GUEST_TSO6, Feature::GUEST_CSUM),
    (Feature::GUEST_ECN, Feature::GUEST_TSO4 | Feature::GUEST_TSO6),
    (Feature::HOST_TSO4, Feature::CSUM),
    (Feature::HOST_TSO6, Feature::CSUM),
    (Feature::HOST_ECN, Feature::HOST_TSO4 | Feature::HOST_TSO6),
];

/// `status`: the cable is plugged in.
const LINK_UP: u16 = 1;
/// Payload of a frame when the network does not say.
const STANDARD_MTU: u16 = 1500;

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Taken by the network.
    pub sent: u64,
    /// Not sent, because the packet or its header makes no sense.
    pub send_dropped: u64,
    /// Given to the guest.
    pub received: u64,
    /// Not given to the guest: larger than what it has room for, or in a form that it does not take.
    pub receive_dropped: u64,
}

/// The device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    info: Info,
    features: u64,
    /// Offloads that the back end was told of.
    accepted: Option<u64>,
    counters: Counters,
}

impl Net {
    /// The interface to the network that `info` describes.
    pub const fn new(info: Info) -> Self {
        Self {
            info,
            features: 0,
            accepted: None,
            counters: Counters { sent: 0, send_dropped: 0, received: 0, receive_dropped: 0 },
        }
    }

    /// What became of packets since the guest's start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the network is like.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    const fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }
}

impl Model for Net {
    const ID: u32 = 1;
    const NAME: &'static str = "network";
    const QUEUES: usize = 2;
    const QUEUE_SIZE: u16 = MAX_SIZE;

    fn features(&self) -> u64 {
        let mtu = if self.info.mtu == 0 { 0 } else { Feature::MTU };
        Feature::MAC | Feature::STATUS | Feature::MRG_RXBUF | mtu | (self.info.offloads & Feature::OFFLOADS)
    }

    fn accepts(&self, features: u64) -> bool {
        NEEDS.iter().all(|&(feature, needed)| features & feature == 0 || features & needed != 0)
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
    }

    fn config(&self, space: &mut [u8; CONFIG_SIZE]) {
        let status = if self.info.link { LINK_UP } else { 0 };
        let fields = self.info.mac.into_iter().chain(status.to_le_bytes()).chain(1u16.to_le_bytes());
        for (to, from) in space.iter_mut().zip(fields.chain(self.info.mtu.to_le_bytes())) {
            *to = from;
        }
    }

    fn reset(&mut self) {
        self.features = 0;
    }
}

impl Mmio<Net> {
    /// The network is now like this; the driver is told.
    pub fn set_info(&mut self, info: Info) {
        if self.model.info != info {
            self.model.info = info;
            self.config_changed();
        }
    }

    /// The back end is a new one (it was restarted) and knows nothing of what was said to the old one.
    pub const fn replay(&mut self) {
        self.model.accepted = None;
    }

    /// Does what there is to do: call it when the guest kicked a queue, and when the back end has packets, room again, or
    /// comes up.
    pub fn run<M: GuestMemory>(&mut self, memory: &M, backend: &mut impl Backend<M>) -> Progress {
        let live = self.is_live();
        let taken = if live { self.model.features & Feature::TO_GUEST } else { 0 };
        if self.model.accepted != Some(taken) {
            self.model.accepted = Some(taken);
            backend.accept(taken);
        }
        if !live {
            return self.discard(backend);
        }
        let mut chain = Chain::new();
        let worked = self.both(memory, backend, &mut chain);
        backend.flush();
        match worked {
            Ok((interrupt, progress)) => {
                if interrupt {
                    self.interrupt();
                }
                progress
            }
            Err(abuse) => {
                self.fail(abuse);
                Progress::Done
            }
        }
    }

    fn both<M: GuestMemory>(
        &mut self,
        memory: &M,
        backend: &mut impl Backend<M>,
        chain: &mut Chain,
    ) -> Result<(bool, Progress), Abuse> {
        let mut interrupt = false;
        let mut progress = Progress::Done;
        let Self { model, queues, .. } = self;
        let mut queues = queues.iter_mut();
        if let Some(queue) = queues.next().filter(|queue| queue.is_ready()) {
            if model.receive(queue, memory, backend, chain)? == Progress::More {
                progress = Progress::More;
            }
            interrupt |= queue.interrupt_wanted(memory)?;
        }
        if let Some(queue) = queues.next().filter(|queue| queue.is_ready()) {
            if model.transmit(queue, memory, backend, chain)? == Progress::More {
                progress = Progress::More;
            }
            interrupt |= queue.interrupt_wanted(memory)?;
        }
        Ok((interrupt, progress))
    }

    /// Nobody listens: packets are lost.
    fn discard<M: GuestMemory>(&mut self, backend: &mut impl Backend<M>) -> Progress {
        for _ in 0..MAX_SIZE {
            if backend.received().is_none() {
                backend.flush();
                return Progress::Done;
            }
            backend.done();
        }
        backend.flush();
        Progress::More
    }
}
