// SPDX-License-Identifier: BSD-2-Clause
//! Shared rings and links have two ends that fit, however they are written.
//!
//! What a region is for is in the symbols that its maps set: `link`, `queue` and `data`, with `tx_` or `rx_` for the
//! direction, behind any prefix. Only descriptions in our dialect are held to that.

use crate::element::Finding;
use crate::model::{Map, ProtectionDomain, SetvarValue, System};
use crate::problem::{ConnectFault, Problem};

/// What a program takes a region for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Use<'s> {
    /// `link`, `queue` or `data`.
    kind: &'static str,
    /// `tx_`, `rx_` or nothing.
    direction: &'static str,
    symbol: &'s str,
}

impl<'s> Use<'s> {
    fn of(symbol: &'s str) -> Option<Self> {
        let (prefix, kind) = ["link", "queue", "data"]
            .into_iter()
            .find_map(|kind| Some((symbol.strip_suffix(kind)?, kind)))
            .filter(|(prefix, _)| prefix.is_empty() || prefix.ends_with('_'))?;
        let ends = |direction: &str| {
            prefix.strip_suffix(direction).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        };
        let direction = ["tx_", "rx_"].into_iter().find(|direction| ends(direction)).unwrap_or("");
        Some(Self { kind, direction, symbol })
    }
}

/// One end: who maps the region, how, and as what.
struct End<'s> {
    pd: &'s ProtectionDomain,
    map: &'s Map,
    taken_for: Use<'s>,
}

impl End<'_> {
    fn describe(&self) -> String {
        format!("'{}' of '{}'", self.taken_for.symbol, self.pd.name)
    }
}

pub(crate) fn check(system: &System) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |map: &Map, fault: ConnectFault| findings.push((map.pos, Problem::from(fault)));
    for (index, region) in system.memory_regions.iter().enumerate() {
        let ends = ends(system, index);
        let Some((first, rest)) = ends.split_first() else { continue };
        let mapped_by =
            system.protection_domains.iter().filter(|pd| pd.maps.iter().any(|m| m.region == index));
        if first.taken_for.kind != "data" && mapped_by.count() == 1 {
            report(
                first.map,
                ConnectFault::OneEnd { region: region.name.clone(), pd: first.pd.name.clone() },
            );
        }
        for end in rest {
            let differ = |what| ConnectFault::EndsDiffer {
                region: region.name.clone(),
                what,
                one: end.describe(),
                other: first.describe(),
            };
            if end.taken_for.kind != first.taken_for.kind {
                report(end.map, differ("kinds"));
            } else if end.taken_for.direction != first.taken_for.direction {
                report(end.map, differ("directions"));
            } else if end.taken_for.kind == "data" && end.map.perms.write && first.map.perms.write {
                report(end.map, ConnectFault::TwoWriters(region.name.clone()));
            }
        }
    }
    findings
}

/// The ends of a region whose programs take it for part of a ring or link.
fn ends(system: &System, region: usize) -> Vec<End<'_>> {
    let maps = system.protection_domains.iter().flat_map(|pd| pd.maps.iter().map(move |map| (pd, map)));
    maps.filter(|(_, map)| map.region == region)
        .filter_map(|(pd, map)| {
            let setvars = pd.setvars.iter().filter(|setvar| setvar.pos == map.pos);
            let taken_for = setvars
                .filter(|setvar| setvar.value == SetvarValue::Number(map.vaddr))
                .find_map(|setvar| Use::of(&setvar.symbol))?;
            Some(End { pd, map, taken_for })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Use;

    #[test]
    fn symbols_say_what_a_region_is_for() {
        let of = |symbol| Use::of(symbol).map(|found| (found.kind, found.direction));
        assert_eq!(of("client0_tx_queue"), Some(("queue", "tx_")));
        assert_eq!(of("rx_data"), Some(("data", "rx_")));
        assert_eq!(of("rng_queue"), Some(("queue", "")));
        assert_eq!(of("link"), Some(("link", "")));
        assert_eq!(of("ctx_data"), Some(("data", "")));
        for other in ["uplink", "guest_ram", "tx_data_size", "metadata", ""] {
            assert!(of(other).is_none(), "{other}");
        }
    }
}
