// SPDX-License-Identifier: BSD-2-Clause
//! What a message of IPv6's neighbour discovery (RFC 4861) makes its readers believe: which Ethernet address belongs to its
//! sender, which address is its own, that it is a router. IPv4's counterpart is ARP.

use crate::headers::{Mac, Network, Transport, bytes};

/// Protocol number of ICMPv6.
const ICMPV6: u8 = 58;
/// Types of messages (RFC 4861, section 4).
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// Options with an Ethernet address (section 4.6.1): of the source, of the target.
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Nothing: it is none of these.
    None,
    /// Hosts with the address `mac`, if it says so in all places that could, and `target`, if that is said.
    Host {
        /// The one Ethernet address in its options; its sender's, if there is none.
        mac: Mac,
        /// The address that the sender says is its own.
        target: Option<[u8; 16]>,
    },
    /// That there is a router, or a better way.
    Router,
    /// It is broken, or says different things.
    Malformed,
}

impl Message {
    /// What the packet from `source` that begins with `head` says.
    pub fn read(head: &[u8], source: Mac, network: Network, transport: Option<Transport>) -> Self {
        let Network::Ipv6 { at, length, .. } = network else { return Self::None };
        let Some(Transport { protocol: ICMPV6, at: message }) = transport else { return Self::None };
        let Some(&kind) = head.get(message) else { return Self::Malformed };
        let (options, has_target) = match kind {
            ROUTER_SOLICITATION => (message + 8, false),
            NEIGHBOUR_SOLICITATION => (message + 24, false),
            NEIGHBOUR_ADVERTISEMENT => (message + 24, true),
            ROUTER_ADVERTISEMENT | REDIRECT => return Self::Router,
            _ => return Self::None,
        };
        let target = match has_target {
            true => match bytes(head, message + 8) {
                Some(target) => Some(target),
                None => return Self::Malformed,
            },
            false => None,
        };
        // A message so long that its options are not all seen is none that anybody needs.
        let Some(options) = head.get(options..at + length) else { return Self::Malformed };
        address(options, source).map_or(Self::Malformed, |mac| Self::Host { mac, target })
    }
}

/// The Ethernet address in options, `source` if there is none; `None` when there are different ones, or they are broken.
fn address(mut options: &[u8], source: Mac) -> Option<Mac> {
    let mut found: Option<Mac> = None;
    while let [kind, eights, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(eights) * 8).filter(|_| eights > 0)?;
        if [SOURCE_ADDRESS, TARGET_ADDRESS].contains(&kind) {
            let mac = Mac(bytes(option, 2)?);
            if eights != 1 || found.is_some_and(|found| found != mac) {
                return None;
            }
            found = Some(mac);
        }
        options = rest;
    }
    options.is_empty().then(|| found.unwrap_or(source))
}
