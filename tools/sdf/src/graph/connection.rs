// SPDX-License-Identifier: BSD-2-Clause
//! What connects two protection domains: channels, and the shared memory that goes with each by the names of symbols.

use super::facts::{Node, owners, rights};
use crate::model::{Channel, PdIndex, RegionIndex, SetvarValue, System};
use std::collections::BTreeMap;

/// What connects two domains: a channel, shared memory or both.
pub(super) struct Connection {
    /// Indices of nodes, the upper first.
    pub(super) ends: [usize; 2],
    pub(super) name: String,
    /// May signal downwards, upwards; calls count as signals.
    pub(super) signals: [bool; 2],
    /// Name, rights of the upper end, rights of the lower.
    pub(super) regions: Vec<[String; 3]>,
}

/// The beginning of a symbol that a connection's symbols have in common.
fn prefix(symbol: &str) -> &str {
    let known = ["_ch", "_link", "_queue", "_data", "_paddr", "_tx", "_rx"];
    let mut rest = symbol;
    while let Some(shorter) = known.iter().find_map(|suffix| rest.strip_suffix(suffix)) {
        rest = shorter;
    }
    if matches!(rest, "link" | "queue" | "data" | "tx" | "rx") { "" } else { rest }
}

/// A connection while it is being collected: the prefixes of its symbols at both ends.
struct Collected {
    pds: [PdIndex; 2],
    prefixes: [String; 2],
    signals: [bool; 2],
    regions: Vec<RegionIndex>,
}

/// The prefix of the symbol that a domain has for a channel's number.
fn channel_prefix(system: &System, channel: &Channel, end: usize) -> String {
    let Some(end) = channel.ends.get(end) else { return String::new() };
    let Some(pd) = system.protection_domains.get(end.pd) else { return String::new() };
    let symbol = pd
        .setvars
        .iter()
        .find(|setvar| setvar.pos == end.pos && setvar.value == SetvarValue::Number(end.id.into()));
    symbol.map_or(String::new(), |setvar| prefix(&setvar.symbol).to_owned())
}

/// The prefix of the symbol that a domain has for a region's address.
fn region_prefix(system: &System, pd: PdIndex, region: RegionIndex) -> Option<String> {
    let pd = system.protection_domains.get(pd)?;
    let map = pd.maps.iter().find(|map| map.region == region);
    let symbol = pd.setvars.iter().find(|setvar| {
        setvar.value == SetvarValue::PhysAddr(region)
            || map.is_some_and(|map| setvar.pos == map.pos && setvar.value == SetvarValue::Number(map.vaddr))
    });
    Some(symbol.map_or(String::new(), |setvar| prefix(&setvar.symbol).to_owned()))
}

pub(super) fn connections(system: &System, nodes: &[Node]) -> Vec<Connection> {
    let node_of: BTreeMap<PdIndex, usize> = nodes.iter().enumerate().map(|(i, node)| (node.pd, i)).collect();
    let parent = |pd: PdIndex| system.protection_domains.get(pd).and_then(|pd| pd.parent);
    let mut found: Vec<Collected> = Vec::new();
    for channel in &system.channels {
        let [a, b] = &channel.ends;
        let family = parent(a.pd) == Some(b.pd) || parent(b.pd) == Some(a.pd);
        // Calls and watchdogs are notes, not lines.
        if a.pp || b.pp || family {
            continue;
        }
        found.push(Collected {
            pds: [a.pd, b.pd],
            prefixes: [channel_prefix(system, channel, 0), channel_prefix(system, channel, 1)],
            signals: [a.notify, b.notify],
            regions: Vec::new(),
        });
    }
    for region in 0..system.memory_regions.len() {
        let owners = owners(system, region);
        let [first, rest @ ..] = owners.as_slice() else { continue };
        for other in rest {
            add_region(system, &mut found, [*first, *other], region);
        }
    }
    let mut connections: Vec<Connection> =
        found.iter().filter_map(|collected| connection(system, nodes, &node_of, collected)).collect();
    connections.sort_by_key(|connection| connection.ends.iter().rev().copied().collect::<Vec<_>>());
    connections
}

/// Puts a shared region to the connection whose symbols go with it.
fn add_region(system: &System, found: &mut Vec<Collected>, pds: [PdIndex; 2], region: RegionIndex) {
    let prefixes = pds.map(|pd| region_prefix(system, pd, region).unwrap_or_default());
    let fits = |collected: &Collected| {
        let same = collected.pds == pds;
        let turned = collected.pds == [pds[1], pds[0]];
        let at = |i: usize| collected.prefixes.get(if same { i } else { 1 - i });
        let score = (at(0) == prefixes.first()) as usize + (at(1) == prefixes.get(1)) as usize;
        (same || turned).then_some(score)
    };
    // The best; the first of several.
    let best = (0..found.len())
        .filter_map(|i| Some((fits(found.get(i)?)?, std::cmp::Reverse(i))))
        .max()
        .map(|(_, std::cmp::Reverse(i))| i);
    match best.and_then(|i| found.get_mut(i)) {
        Some(collected) => collected.regions.push(region),
        None => found.push(Collected { pds, prefixes, signals: [false; 2], regions: vec![region] }),
    }
}

fn connection(
    system: &System,
    nodes: &[Node],
    node_of: &BTreeMap<PdIndex, usize>,
    collected: &Collected,
) -> Option<Connection> {
    let [a, b] = collected.pds;
    let (a, b) = (*node_of.get(&a)?, *node_of.get(&b)?);
    let turned = nodes.get(a)?.layer > nodes.get(b)?.layer;
    let order = |pair: [usize; 2]| if turned { [pair[1], pair[0]] } else { pair };
    let ends = order([a, b]);
    let pds = ends.map(|end| nodes.get(end).and_then(|node| system.protection_domains.get(node.pd)));
    let [Some(upper), Some(lower)] = pds else { return None };
    let names: Vec<&str> = collected
        .regions
        .iter()
        .filter_map(|region| Some(system.memory_regions.get(*region)?.name.as_str()))
        .collect();
    let prefixes = &collected.prefixes;
    let fallback = if turned { prefixes.last() } else { prefixes.first() };
    // What the queues are called goes before what a borrowed data region is called.
    let queues: Vec<&str> =
        names.iter().copied().filter(|n| n.ends_with("_link") || n.ends_with("queue")).collect();
    let name = common_name(&names)
        .or_else(|| common_name(&queues))
        .or_else(|| fallback.cloned())
        .unwrap_or_default();
    let regions = collected
        .regions
        .iter()
        .zip(&names)
        .map(|(region, full)| {
            let short = full.strip_prefix(&name).and_then(|rest| rest.strip_prefix('_')).unwrap_or(full);
            let rights = |pd| rights(pd, *region).unwrap_or_else(|| "-".to_owned());
            [short.to_owned(), rights(upper), rights(lower)]
        })
        .collect();
    let [down, up] = if turned { [collected.signals[1], collected.signals[0]] } else { collected.signals };
    Some(Connection { ends, name, signals: [down, up], regions })
}

/// What all names begin with, in whole words.
fn common_name(names: &[&str]) -> Option<String> {
    let (first, rest) = names.split_first()?;
    let mut words: Vec<&str> = first.split('_').collect();
    words.pop();
    while !words.is_empty() {
        let candidate = words.join("_");
        if rest.iter().all(|name| name.strip_prefix(&candidate).is_some_and(|tail| tail.starts_with('_'))) {
            // `blk_0_link` alone is `blk_0`, `console_tx_queue` and `console_tx_data` are of `console_tx`.
            return Some(candidate);
        }
        words.pop();
    }
    None
}
