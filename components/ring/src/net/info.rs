// SPDX-License-Identifier: BSD-2-Clause
//! What a network server tells its client.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::link::INFO_SIZE;

bitflags::bitflags! {
    /// What a network server can do, and how it is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Abilities: u32 {
        /// The line is connected.
        const LINK_UP = 1 << 0;
        /// Takes packets that need a checksum.
        const TX_CSUM = 1 << 1;
        /// Takes TCP packets over IPv4 that need segmentation.
        const TX_TSO4 = 1 << 2;
        /// Takes TCP packets over IPv6 that need segmentation.
        const TX_TSO6 = 1 << 3;
        /// Takes packets of several buffers.
        const TX_CHAIN = 1 << 4;
        /// May deliver packets without a complete checksum, or with a verified one.
        const RX_CSUM = 1 << 5;
        /// May deliver large TCP packets over IPv4.
        const RX_TSO4 = 1 << 6;
        /// May deliver large TCP packets over IPv6.
        const RX_TSO6 = 1 << 7;
        /// May deliver packets of several buffers.
        const RX_CHAIN = 1 << 8;
        /// Takes and delivers TCP packets with ECN among those that need segmentation.
        const TSO_ECN = 1 << 9;
        /// Later versions.
        const _ = !0;
    }
}

/// A network, as its server describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// The client's address.
    pub mac: [u8; 6],
    /// Most bytes in a packet without its Ethernet header.
    pub mtu: u16,
    /// Megabits a second; 0 = unknown.
    pub speed: u32,
    /// What the server can do, and whether the line is connected.
    pub abilities: Abilities,
}

/// [`Info`] as it lies in the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Wire {
    mac: [u8; 6],
    mtu: u16,
    speed: u32,
    abilities: u32,
    reserved: [u64; 14],
}

const _: () = assert!(size_of::<Wire>() == INFO_SIZE);

impl Info {
    pub(crate) fn to_words(self) -> [u64; INFO_SIZE / 8] {
        let Self { mac, mtu, speed, abilities } = self;
        zerocopy::transmute!(Wire { mac, mtu, speed, abilities: abilities.bits(), reserved: [0; 14] })
    }

    pub(crate) fn from_words(words: [u64; INFO_SIZE / 8]) -> Self {
        let Wire { mac, mtu, speed, abilities, .. } = zerocopy::transmute!(words);
        Self { mac, mtu, speed, abilities: Abilities::from_bits_retain(abilities) }
    }
}
