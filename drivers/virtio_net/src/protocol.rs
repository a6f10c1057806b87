// SPDX-License-Identifier: BSD-2-Clause
//! What a virtio network device understands (virtio 1.2, section 5.1).

use bitflags::bitflags;
use ring::net::{Abilities, BUFFER_SIZE, Gso, Info, Offload, OffloadFlags};
use virtio_driver::Device;
use virtio_driver::registers::Registers;

bitflags! {
    /// Features of a network device (5.1.3) that the driver takes part in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u64 {
        /// The device completes checksums.
        const CSUM = 1 << 0;
        /// The driver takes packets with incomplete or verified checksums.
        const GUEST_CSUM = 1 << 1;
        /// `mtu` is there.
        const MTU = 1 << 3;
        /// `mac` is there.
        const MAC = 1 << 5;
        /// The device segments TCP over IPv4.
        const HOST_TSO4 = 1 << 11;
        /// The device segments TCP over IPv6.
        const HOST_TSO6 = 1 << 12;
        /// The device segments TCP with ECN.
        const HOST_ECN = 1 << 13;
        /// `status` is there.
        const STATUS = 1 << 16;
        /// `speed` is there.
        const SPEED_DUPLEX = 1 << 63;
    }
}

/// Offsets in the configuration (5.1.4).
mod config {
    pub const MAC: usize = 0;
    pub const STATUS: usize = 6;
    pub const MTU: usize = 10;
    pub const SPEED: usize = 12;
}

/// In `status`: the line is connected.
const LINK_UP: u16 = 1;

/// `speed` that nobody knows.
const UNKNOWN_SPEED: u32 = u32::MAX;

/// Ethernet's own.
const DEFAULT_MTU: u16 = 1500;

/// Longest packet that a buffer holds beside its Ethernet header and two tags.
const MAX_MTU: u16 = (BUFFER_SIZE - 22) as u16;

/// Bytes of `struct virtio_net_hdr` (5.1.6).
pub const HEADER_SIZE: u32 = 12;

/// In `flags`: the checksum is to be completed.
const NEEDS_CSUM: u8 = 1;
/// In `flags`: the checksum has been verified.
const DATA_VALID: u8 = 2;

/// Shortest TCP header.
const TCP_HEADER: u16 = 20;

/// `struct virtio_net_hdr` as two words, `num_buffers` 0.
#[inline]
pub fn header(offload: &Offload) -> [u64; 2] {
    if *offload == Offload::default() {
        return [0; 2];
    }
    let flags = if offload.flags.contains(OffloadFlags::NEEDS_CSUM) { NEEDS_CSUM } else { 0 };
    // A hint (5.1.6.2): at least what it would be without TCP options.
    let length = if offload.gso == Gso::NONE { 0 } else { offload.csum_start.saturating_add(TCP_HEADER) };
    let first = u64::from(flags)
        | u64::from(offload.gso.0) << 8
        | u64::from(length) << 16
        | u64::from(offload.gso_size) << 32
        | u64::from(offload.csum_start) << 48;
    [first, u64::from(offload.csum_offset)]
}

/// What the header of a received packet says. Never large: that was not agreed on.
#[inline]
pub fn offload([first, second]: [u64; 2]) -> Offload {
    let flags = first as u8;
    if flags & NEEDS_CSUM != 0 {
        Offload {
            flags: OffloadFlags::NEEDS_CSUM,
            csum_start: (first >> 48) as u16,
            // An offset that does not fit is none that a packet has.
            csum_offset: u8::try_from(second & 0xffff).unwrap_or(u8::MAX),
            ..Offload::default()
        }
    } else if flags & DATA_VALID != 0 {
        Offload { flags: OffloadFlags::DATA_VALID, ..Offload::default() }
    } else {
        Offload::default()
    }
}

/// The device as its client is told of it.
pub fn describe<R: Registers>(device: &mut Device<R>) -> Info {
    let features = Features::from_bits_truncate(device.features().bits());
    let has = |feature| features.contains(feature);
    device.config(|registers| {
        let mut mac = [0; 6];
        if has(Features::MAC) {
            for (offset, byte) in mac.iter_mut().enumerate() {
                *byte = registers.config_u8(config::MAC + offset);
            }
        }
        let mtu = if has(Features::MTU) { registers.config_u16(config::MTU) } else { DEFAULT_MTU };
        let speed = if has(Features::SPEED_DUPLEX) { registers.config_u32(config::SPEED) } else { 0 };
        let is_up = !has(Features::STATUS) || registers.config_u16(config::STATUS) & LINK_UP != 0;
        let mut abilities = Abilities::TX_CHAIN;
        abilities.set(Abilities::LINK_UP, is_up);
        for (feature, ability) in [
            (Features::CSUM, Abilities::TX_CSUM),
            (Features::GUEST_CSUM, Abilities::RX_CSUM),
            (Features::HOST_TSO4, Abilities::TX_TSO4),
            (Features::HOST_TSO6, Abilities::TX_TSO6),
            (Features::HOST_ECN, Abilities::TSO_ECN),
        ] {
            abilities.set(ability, has(feature));
        }
        let speed = if speed == UNKNOWN_SPEED { 0 } else { speed };
        Info { mac, mtu: mtu.min(MAX_MTU), speed, abilities }
    })
}
