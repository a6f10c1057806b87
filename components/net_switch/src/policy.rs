// SPDX-License-Identifier: BSD-2-Clause
//! Who may send what to whom: the configuration of each port.
//!
//! A page of text that the system description fills, one `name=value` a line: `client<n>=` and `uplink=`, each a list of
//! options with commas between them:
//!
//! | option | meaning |
//! |---|---|
//! | `mac:52:54:00:00:01:00` | the client's Ethernet address; without it 02:62:68:00:00:0n |
//! | `any-source` | the client may send from any Ethernet address (a bridge or router in a guest); the switch learns them |
//! | `ipv4:10.0.2.15` | the client may send IPv4 and ARP only from this address, or from 0.0.0.0 |
//! | `ipv6:fec0::15` | the client may send IPv6, and advertise it as its own, only from this address, or from :: |
//! | `deny:client1` | no packet between this port and that one (`clients`: any client; `uplink`) |
//! | `allow:uplink` | no packet between this port and any that is not allowed here; may be repeated |
//! | `flood` | the port gets packets for stations that nobody knows; the uplink always does, unless it says `no-flood` |
//! | `no-offload` | the port gets and gives no partial checksums and no packets to segment |
//!
//! Up to four addresses of each kind may be given. With an address of one kind and none of the other the client cannot use
//! the other one.
//!
//! A pair may talk if neither of the two forbids it. What the switch does not understand it does not serve: a mistake
//! closes a port and never opens one.

use heapless::Vec;

use crate::headers::Mac;
use crate::table::Port;

/// Most clients.
pub const MAX_CLIENTS: usize = 8;
/// Most IPv4 addresses of one client, and most IPv6 addresses.
pub const MAX_ADDRESSES: usize = 4;

/// A set of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ports(u16);

const UPLINK: u16 = 1 << MAX_CLIENTS;
const CLIENTS: u16 = UPLINK - 1;

impl Ports {
    /// No port.
    pub const NONE: Self = Self(0);
    /// All ports.
    pub const ALL: Self = Self(CLIENTS | UPLINK);

    /// The set of one port.
    #[inline]
    pub const fn one(port: Port) -> Self {
        match port {
            Port::Client(number) if (number as usize) < MAX_CLIENTS => Self(1 << number),
            Port::Client(_) => Self(0),
            Port::Uplink => Self(UPLINK),
        }
    }

    /// Whether `port` is in the set.
    #[inline]
    pub const fn contains(self, port: Port) -> bool {
        self.0 & Self::one(port).0 != 0
    }

    /// Ports in either set.
    #[inline]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Ports in both sets.
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Ports in this set and not in the other.
    #[inline]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Ports {
    type Item = Port;

    #[inline]
    fn next(&mut self) -> Option<Port> {
        let first = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        match first as usize {
            number if number < MAX_CLIENTS => Some(Port::Client(number as u8)),
            MAX_CLIENTS => Some(Port::Uplink),
            _ => None,
        }
    }
}

/// What is configured for a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The client's Ethernet address.
    pub mac: Mac,
    /// The client may send from other Ethernet addresses, too.
    pub any_source: bool,
    /// The IPv4 addresses that the client may send from; any, if both lists are empty.
    pub addresses: Vec<[u8; 4], MAX_ADDRESSES>,
    /// The same for IPv6.
    pub addresses_v6: Vec<[u8; 16], MAX_ADDRESSES>,
    /// Ports that this one does not forbid.
    pub allowed: Ports,
    /// The port gets packets for unknown stations.
    pub flood: bool,
    /// The port may give and get packets with work left to do.
    pub offload: bool,
}

/// What is wrong with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not an option.
    #[error("unknown option")]
    Unknown,
    /// Not an Ethernet address that one station may have.
    #[error("not a station's Ethernet address, six bytes in hexadecimal with colons")]
    Mac,
    /// Not an IPv4 or IPv6 address, or too many.
    #[error("not such an address, or more than four")]
    Address,
    /// Not a port.
    #[error("not a port: client0 to client7, clients, uplink")]
    Port,
}

impl Policy {
    /// What holds for `port` when nothing is configured.
    pub const fn of(port: Port) -> Self {
        let number = match port {
            Port::Client(number) => number + 1,
            Port::Uplink => 0,
        };
        Self {
            // Locally administered.
            mac: Mac([0x02, 0x62, 0x68, 0, 0, number]),
            any_source: matches!(port, Port::Uplink),
            addresses: Vec::new(),
            addresses_v6: Vec::new(),
            allowed: Ports::ALL,
            flood: matches!(port, Port::Uplink),
            offload: true,
        }
    }

    /// What the configuration says about `port`, whose line has `options`.
    ///
    /// # Errors
    /// The first option that is wrong, and what is wrong with it.
    pub fn parse(port: Port, options: &str) -> Result<Self, (PolicyError, &str)> {
        let mut policy = Self::of(port);
        let mut only = Ports::NONE;
        let mut denied = Ports::NONE;
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once(':').unwrap_or((option, ""));
            let result = match name {
                "mac" => mac(value).map(|mac| policy.mac = mac).ok_or(PolicyError::Mac),
                "ipv4" => ipv4(value)
                    .and_then(|address| policy.addresses.push(address).ok())
                    .ok_or(PolicyError::Address),
                "ipv6" => ipv6(value)
                    .and_then(|address| policy.addresses_v6.push(address).ok())
                    .ok_or(PolicyError::Address),
                "allow" => ports(value).map(|ports| only = only.or(ports)).ok_or(PolicyError::Port),
                "deny" => ports(value).map(|ports| denied = denied.or(ports)).ok_or(PolicyError::Port),
                _ if !value.is_empty() => Err(PolicyError::Unknown),
                "any-source" => {
                    policy.any_source = true;
                    Ok(())
                }
                "flood" | "no-flood" => {
                    policy.flood = name == "flood";
                    Ok(())
                }
                "no-offload" => {
                    policy.offload = false;
                    Ok(())
                }
                _ => Err(PolicyError::Unknown),
            };
            result.map_err(|error| (error, option))?;
        }
        if !only.is_empty() {
            policy.allowed = only;
        }
        policy.allowed = policy.allowed.without(denied);
        Ok(policy)
    }
}

impl Policy {
    /// Whether the client may not send from every address.
    #[inline]
    pub fn is_bound(&self) -> bool {
        !(self.addresses.is_empty() && self.addresses_v6.is_empty())
    }

    /// Whether the client may send from this address. From 0.0.0.0 everybody may: for DHCP, and to probe whether an address is
    /// taken (RFC 5227).
    #[inline]
    pub fn may_use(&self, address: [u8; 4]) -> bool {
        !self.is_bound() || address == [0; 4] || self.addresses.contains(&address)
    }

    /// The same for IPv6. From :: an address is probed (RFC 4862, section 5.4).
    #[inline]
    pub fn may_use_v6(&self, address: [u8; 16]) -> bool {
        !self.is_bound() || address == [0; 16] || self.addresses_v6.contains(&address)
    }
}

fn ports(text: &str) -> Option<Ports> {
    match text {
        "uplink" => Some(Ports::one(Port::Uplink)),
        "clients" => Some(Ports(CLIENTS)),
        _ => {
            let number = text.strip_prefix("client")?.parse().ok()?;
            Some(Ports::one(Port::Client(number))).filter(|ports| !ports.is_empty())
        }
    }
}

fn mac(text: &str) -> Option<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    let mac = Mac(bytes);
    (parts.next().is_none() && mac.is_station()).then_some(mac)
}

fn ipv4(text: &str) -> Option<[u8; 4]> {
    text.parse().ok().map(|address: core::net::Ipv4Addr| address.octets())
}

fn ipv6(text: &str) -> Option<[u8; 16]> {
    text.parse().ok().map(|address: core::net::Ipv6Addr| address.octets())
}

/// The value of `name` in the text; the first one if there are several, and `None` also when it is not UTF-8.
pub fn value<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        core::str::from_utf8(value).ok().map(|value| value.trim_end_matches('\0').trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Port = Port::Client(1);

    #[test]
    fn unconfigured_client_has_a_local_address_and_may_send_from_that_alone() {
        let policy = Policy::parse(CLIENT, "").unwrap();
        assert_eq!(policy, Policy::of(CLIENT));
        assert_eq!(policy.mac.to_string(), "02:62:68:00:00:02");
        assert!(!policy.any_source && !policy.flood && policy.offload);
        assert_eq!(policy.allowed, Ports::ALL);
        assert!(Policy::of(Port::Uplink).flood && Policy::of(Port::Uplink).any_source);
    }

    #[test]
    fn options_are_understood() {
        let text =
            "mac:52:54:00:00:01:00, any-source,ipv4:10.0.2.15,ipv4:10.0.2.16,ipv6:fe80::2,flood,no-offload";
        let policy = Policy::parse(CLIENT, text).unwrap();
        assert_eq!(policy.mac, Mac([0x52, 0x54, 0, 0, 1, 0]));
        assert!(policy.any_source && policy.flood && !policy.offload);
        assert_eq!(policy.addresses[..], [[10, 0, 2, 15], [10, 0, 2, 16]]);
        assert_eq!(policy.addresses_v6[..], [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]]);
    }

    #[test]
    fn allow_lists_all_that_is_allowed_and_deny_takes_away() {
        let allowed = |options| Policy::parse(CLIENT, options).unwrap().allowed;
        let uplink = Ports::one(Port::Uplink);
        assert_eq!(allowed("allow:uplink"), uplink);
        assert_eq!(allowed("allow:uplink,allow:client7"), uplink.or(Ports::one(Port::Client(7))));
        assert_eq!(allowed("deny:clients"), uplink);
        assert_eq!(allowed("deny:client0"), Ports::ALL.without(Ports::one(Port::Client(0))));
        assert_eq!(allowed("allow:uplink,deny:uplink"), Ports::NONE);
    }

    #[test]
    fn mistakes_are_found() {
        for (options, error) in [
            ("mac:52:54:00:00:01", PolicyError::Mac),
            ("mac:52:54:00:00:01:00:00", PolicyError::Mac),
            ("mac:53:54:00:00:01:00", PolicyError::Mac),
            ("mac:00:00:00:00:00:00", PolicyError::Mac),
            ("mac", PolicyError::Mac),
            ("mac:+2:54:00:00:01:0x", PolicyError::Mac),
            ("ipv4:10.0.2", PolicyError::Address),
            ("ipv4:1.1.1.1,ipv4:1.1.1.2,ipv4:1.1.1.3,ipv4:1.1.1.4,ipv4:1.1.1.5", PolicyError::Address),
            ("ipv6:10.0.2.15", PolicyError::Address),
            ("ipv6:fe80::1::2", PolicyError::Address),
            ("deny:client8", PolicyError::Port),
            ("deny:", PolicyError::Port),
            ("allow:guest", PolicyError::Port),
            ("any-source:yes", PolicyError::Unknown),
            ("Flood", PolicyError::Unknown),
        ] {
            let (found, option) = Policy::parse(CLIENT, options).unwrap_err();
            assert_eq!(found, error, "{options}");
            assert!(options.ends_with(option), "{option} of {options}");
        }
    }

    #[test]
    fn ports_are_listed_once_each() {
        let all: Vec<Port, 16> = Ports::ALL.collect();
        assert_eq!(all.len(), MAX_CLIENTS + 1);
        assert_eq!(all.last(), Some(&Port::Uplink));
        assert_eq!(Ports::NONE.count(), 0);
        assert!(Ports::one(Port::Client(8)).is_empty());
    }

    #[test]
    fn value_is_found_by_its_whole_name() {
        let text = b"client0=mac:1\nuplink=flood\nclient1= deny:uplink \0\0";
        assert_eq!(value(text, "client1"), Some("deny:uplink"));
        assert_eq!(value(text, "uplink"), Some("flood"));
        assert_eq!(value(text, "client"), None);
        assert_eq!(value(b"client0=\xff", "client0"), None);
    }
}
