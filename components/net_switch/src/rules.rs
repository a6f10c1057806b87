// SPDX-License-Identifier: BSD-2-Clause
//! The switch's decisions about a packet: may its sender send it, and who gets it.

use ring::pages::Memory;

use crate::client::Client;
use crate::counters::Loss;
use crate::frame::{Frame, Work};
use crate::headers::{Headers, Mac, Network};
use crate::neighbour::Message;
use crate::policy::Ports;
use crate::switch::Switch;
use crate::table::{Learned, Port};

/// Ethernet header and two tags.
const LINK_HEADERS: usize = 22;

impl<M: Memory> Switch<M> {
    /// Whether the sender of a packet that begins with `head` is who it says to be, at each layer that a neighbour would believe:
    /// Ethernet, IP, and what ARP and neighbour discovery say of both.
    #[inline]
    pub(crate) fn check_source(&self, from: Port, headers: &Headers, head: &[u8]) -> Result<(), Loss> {
        let source = headers.source;
        let owner = self.clients.iter().find(|client| client.policy().mac == source);
        // An address that is configured for a client is that client's alone.
        if owner.is_some_and(|owner| owner.port() != from) || !source.is_station() {
            return Err(Loss::Spoofed);
        }
        let policy = match from {
            Port::Uplink => return Ok(()),
            Port::Client(_) => self.clients.iter().find(|client| client.port() == from).map(Client::policy),
        };
        let Some(policy) = policy else { return Err(Loss::Spoofed) };
        if !policy.any_source && source != policy.mac {
            return Err(Loss::Spoofed);
        }
        if policy.any_source && !policy.is_bound() {
            return Ok(());
        }
        // A client that may send as anybody may say so, too.
        let is_good = |mac: Mac| policy.any_source || mac == source;
        let is_good = match headers.network {
            Network::Ipv4 { source, .. } => policy.may_use(source),
            Network::Arp { sender_mac, sender } => is_good(sender_mac) && policy.may_use(sender),
            Network::Ipv6 { source: address, obscured, .. } => {
                let said = Message::read(head, source, headers.network, headers.transport);
                let is_true = match said {
                    Message::None => !obscured || policy.any_source,
                    Message::Host { mac, target } => {
                        is_good(mac) && target.is_none_or(|target| policy.may_use_v6(target))
                    }
                    Message::Router | Message::Malformed => policy.any_source,
                };
                is_true && policy.may_use_v6(address)
            }
            Network::Malformed => !policy.is_bound(),
            Network::Other => true,
        };
        if is_good { Ok(()) } else { Err(Loss::Spoofed) }
    }

    /// Whether the packet, or each segment of it, fits a wire.
    #[inline]
    pub(crate) fn check_length(&self, frame: &Frame<'_>) -> Result<(), Loss> {
        let length = match frame.work {
            Work::Segments { layout, size, .. } => layout.headers + size,
            _ => frame.length(),
        };
        if length > usize::from(self.mtu()) + LINK_HEADERS { Err(Loss::Oversize) } else { Ok(()) }
    }

    /// Where a packet goes.
    #[inline]
    pub(crate) fn route(&self, from: Port, destination: Mac) -> Result<Ports, Loss> {
        // Addresses that no bridge forwards (IEEE 802.1D, table 7-10).
        const RESERVED: [u8; 5] = [0x01, 0x80, 0xc2, 0x00, 0x00];
        if destination.0.starts_with(&RESERVED) && destination.0[5] < 0x10 {
            return Err(Loss::NoRoute);
        }
        let reach = match from {
            Port::Uplink => self.uplink_reach,
            Port::Client(_) => {
                let index = self.clients.iter().position(|client| client.port() == from);
                index.and_then(|index| self.reach.get(index)).copied().unwrap_or(Ports::NONE)
            }
        };
        if destination.is_group() {
            return Ok(reach);
        }
        let wanted = match self.clients.iter().find(|client| client.policy().mac == destination) {
            Some(client) => Ports::one(client.port()),
            None => match self.table.port_of(destination) {
                Some(port) => Ports::one(port),
                None => self.flooded(),
            },
        };
        let wanted = wanted.without(Ports::one(from));
        let allowed = wanted.and(reach);
        if !allowed.is_empty() {
            Ok(allowed)
        } else if wanted.is_empty() {
            Err(Loss::NoRoute)
        } else {
            Err(Loss::Denied)
        }
    }

    /// Ports that get packets for unknown stations.
    fn flooded(&self) -> Ports {
        let uplink = self.uplink.as_ref().map(|uplink| (Port::Uplink, uplink.policy()));
        let clients = self.clients.iter().map(|client| (client.port(), client.policy()));
        clients
            .chain(uplink)
            .filter(|(_, policy)| policy.flood)
            .fold(Ports::NONE, |all, (port, _)| all.or(Ports::one(port)))
    }

    /// Remembers where a station is that is not configured.
    #[inline]
    pub(crate) fn learn(&mut self, from: Port, source: Mac) {
        if !self.learns || self.clients.iter().any(|client| client.policy().mac == source) {
            return;
        }
        if let Learned::Moved(before) = self.table.learn(source, from) {
            log::debug!("{source} moved from {before} to {from}");
        }
    }
}
