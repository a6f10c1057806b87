// SPDX-License-Identifier: BSD-2-Clause
//! Which port a station is at, learned from the source addresses of packets.
//!
//! The table is a set-associative cache: an address may be in one of a few places, and when these are taken the one that was
//! not heard of for longest gives way. So it is bounded, a lookup is a few comparisons, and who floods it with addresses
//! makes the switch forget learned ones, which then are unknown, but never one that was configured.

use crate::headers::Mac;

/// A port: the number of a client, or the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// A client's number.
    Client(u8),
    /// The network outside.
    Uplink,
}

impl core::fmt::Display for Port {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client{number}"),
            Self::Uplink => f.write_str("uplink"),
        }
    }
}

/// Places an address may be in.
const WAYS: usize = 4;
/// Sets of places: a power of two.
const SETS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Entry {
    mac: Mac,
    port: Port,
    /// When it was heard of, in the table's time; 0 in a free place.
    heard: u32,
}

const FREE: Entry = Entry { mac: Mac([0; 6]), port: Port::Uplink, heard: 0 };

/// What became of an address that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It was known to be there.
    Known,
    /// It is new, or another one's place was taken for it.
    New,
    /// It was at another port before.
    Moved(Port),
}

/// The table.
#[derive(Debug)]
pub struct Table {
    sets: [[Entry; WAYS]; SETS],
    /// Counts packets that were learned from; only differences count.
    now: u32,
}

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self { sets: [[FREE; WAYS]; SETS], now: 0 }
    }

    /// The set of places for `mac`. Vendors number the last bytes; the others differ between vendors.
    const fn set(mac: Mac) -> usize {
        let [a, b, c, d, e, f] = mac.0;
        let low = u32::from_le_bytes([f, e, d, c]) ^ (u32::from_le_bytes([b, a, 0, 0]) << 3);
        (low.wrapping_mul(0x9e37_79b1) >> 26) as usize % SETS
    }

    /// The port that `mac` was heard at.
    #[inline]
    pub fn port_of(&self, mac: Mac) -> Option<Port> {
        let entries = self.sets.get(Self::set(mac))?;
        entries.iter().find(|entry| entry.mac == mac && entry.heard != 0).map(|entry| entry.port)
    }

    /// `mac` was heard at `port`.
    #[inline]
    pub fn learn(&mut self, mac: Mac, port: Port) -> Learned {
        // 0 marks a free place.
        self.now = self.now.wrapping_add(1).max(1);
        let now = self.now;
        let Some(entries) = self.sets.get_mut(Self::set(mac)) else { return Learned::Known };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.mac == mac && entry.heard != 0) {
            entry.heard = now;
            let before = core::mem::replace(&mut entry.port, port);
            return if before == port { Learned::Known } else { Learned::Moved(before) };
        }
        let age = |entry: &Entry| if entry.heard == 0 { u32::MAX } else { now.wrapping_sub(entry.heard) };
        if let Some(oldest) = entries.iter_mut().max_by_key(|entry| age(entry)) {
            *oldest = Entry { mac, port, heard: now };
        }
        Learned::New
    }

    /// Forgets what was heard at `port`, whose link is down.
    pub fn forget(&mut self, port: Port) {
        for entry in self.sets.iter_mut().flatten().filter(|entry| entry.port == port) {
            *entry = FREE;
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn station_is_where_it_was_heard_last() {
        let mut table = Table::new();
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        assert_eq!(table.port_of(mac), None);
        assert_eq!(table.learn(mac, Port::Client(1)), Learned::New);
        assert_eq!(table.port_of(mac), Some(Port::Client(1)));
        assert_eq!(table.learn(mac, Port::Uplink), Learned::Moved(Port::Client(1)));
        assert_eq!(table.learn(mac, Port::Uplink), Learned::Known);
        table.forget(Port::Client(1));
        assert_eq!(table.port_of(mac), Some(Port::Uplink));
        table.forget(Port::Uplink);
        assert_eq!(table.port_of(mac), None);
    }

    #[test]
    fn zero_address_is_not_found_in_free_places() {
        assert_eq!(Table::new().port_of(Mac([0; 6])), None);
    }

    #[test]
    fn station_that_talks_stays_while_others_come_and_go() {
        let mut table = Table::new();
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for number in 0u32..100_000 {
            table.learn(mac, Port::Client(3));
            let [a, b, c, d] = number.to_be_bytes();
            table.learn(Mac([6, 0, a, b, c, d]), Port::Uplink);
            assert_eq!(table.port_of(mac), Some(Port::Client(3)));
        }
    }

    proptest! {
        #[test]
        fn what_the_table_knows_is_true(heard in prop::collection::vec((any::<u16>(), 0u8..8), 0..2000)) {
            let mut table = Table::new();
            let mut truth = HashMap::new();
            for (station, client) in heard {
                let [a, b] = station.to_be_bytes();
                let mac = Mac([2, 0, 0, 0, a, b]);
                table.learn(mac, Port::Client(client));
                truth.insert(mac, Port::Client(client));
                prop_assert_eq!(table.port_of(mac), Some(Port::Client(client)));
            }
            for (mac, port) in truth {
                prop_assert!(table.port_of(mac).is_none_or(|found| found == port));
            }
        }
    }
}
