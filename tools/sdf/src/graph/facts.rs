// SPDX-License-Identifier: BSD-2-Clause
//! What a picture of a system has to show.

use super::connection::{Connection, connections};
use crate::model::{
    ChannelEnd, Map, MemoryRegion, PdIndex, ProtectionDomain, RegionIndex, SetvarValue, System,
    VirtualMachine,
};
use board::{Board, Device};
use std::collections::BTreeMap;

/// Layers from the guests down to the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// Monitors a guest.
    Vmm,
    /// Neither has a guest nor a device.
    Middle,
    /// Has a device.
    Driver,
}

/// A protection domain.
pub(super) struct Node {
    pub(super) pd: PdIndex,
    pub(super) layer: Layer,
    pub(super) name: String,
    /// Priority and share of the processor.
    pub(super) time: String,
    /// Memory of its own.
    pub(super) memory: Vec<String>,
    /// Whom it calls and who watches it, in few words.
    pub(super) notes: Vec<String>,
    /// Child of the domain that the frame is drawn for.
    pub(super) framed: bool,
    pub(super) guest: Option<Guest>,
}

/// A virtual machine.
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// A device of the board.
pub(super) struct DeviceBox {
    pub(super) name: String,
    pub(super) line: String,
    /// The node below which it is drawn.
    pub(super) owner: usize,
}

/// Everything.
pub(super) struct Facts {
    /// The domain that has children, with its own line.
    pub(super) frame: Option<(String, String)>,
    pub(super) nodes: Vec<Node>,
    pub(super) connections: Vec<Connection>,
    pub(super) devices: Vec<DeviceBox>,
}

impl Facts {
    pub(super) fn of(system: &System, board: &Board) -> Self {
        let pds = &system.protection_domains;
        let children = |pd: PdIndex| pds.get(pd).map_or(0, |pd| pd.children.len());
        let frame = (0..pds.len())
            .filter(|pd| {
                pds.get(*pd)
                    .is_some_and(|p| p.virtual_machine.is_none() && p.children.len() > 1 && p.irqs.is_empty())
            })
            .max_by_key(|pd| (children(*pd), std::cmp::Reverse(*pd)));
        let nodes: Vec<Node> = (0..pds.len())
            .filter(|pd| Some(*pd) != frame)
            .filter_map(|pd| Some(Node::of(system, board, pd, pds.get(pd)?, frame)))
            .collect();
        let connections = connections(system, &nodes);
        let devices = nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.layer == Layer::Driver)
            .flat_map(|(index, node)| devices(system, board, index, node.pd))
            .collect();
        let frame = frame.and_then(|pd| {
            let domain = pds.get(pd)?;
            let calls = calls(system, pd);
            let calls =
                if calls.is_empty() { String::new() } else { format!(" · calls {}", calls.join(", ")) };
            Some((domain.name.clone(), format!("{}{calls} · restarts its children", time(domain))))
        });
        Self { frame, nodes, connections, devices }
    }
}

impl Node {
    fn of(
        system: &System,
        board: &Board,
        index: PdIndex,
        pd: &ProtectionDomain,
        frame: Option<PdIndex>,
    ) -> Self {
        let registers = |map: &&Map| map.perms.write && device_of(system, board, map.region).is_some();
        let layer = match (&pd.virtual_machine, !pd.irqs.is_empty() || pd.maps.iter().any(|m| registers(&m)))
        {
            (Some(_), _) => Layer::Vmm,
            (None, true) => Layer::Driver,
            (None, false) => Layer::Middle,
        };
        let mut notes = calls_in_lines(system, index);
        let callers = system.ends_of(index).filter(|(_, peer)| peer.pp).count();
        if callers > 0 {
            notes.push(format!("called by {callers}"));
        }
        if let Some(parent) = pd.parent.filter(|parent| Some(*parent) != frame) {
            let parent = system.protection_domains.get(parent).map_or("", |parent| parent.name.as_str());
            notes.push(format!("child of {parent}"));
        }
        // The frame's domain is no box that a line could go to.
        let to_frame = |(own, peer): &(&ChannelEnd, &ChannelEnd)| {
            Some(peer.pd) == frame && pd.parent != frame && !own.pp && !peer.pp
        };
        if let Some((_, peer)) = system.ends_of(index).find(to_frame) {
            let name = system.protection_domains.get(peer.pd).map_or("", |pd| pd.name.as_str());
            notes.push(format!("signals {name}"));
        }
        let watched = |(_, peer): (_, &ChannelEnd)| Some(peer.pd) == pd.parent;
        if system.ends_of(index).any(watched) {
            notes.push("watched".to_owned());
        }
        let guest = pd.virtual_machine.as_ref().map(|vm| Guest::of(system, board, vm));
        Self {
            pd: index,
            layer,
            name: pd.name.clone(),
            time: time(pd),
            memory: own_memory(system, board, index, layer, frame),
            notes,
            framed: frame.is_some() && pd.parent == frame,
            guest,
        }
    }
}

impl Guest {
    fn of(system: &System, board: &Board, vm: &VirtualMachine) -> Self {
        let vcpus = match vm.vcpus.len() {
            1 => "1 vCPU".to_owned(),
            n => format!("{n} vCPUs"),
        };
        let mut lines = vec![format!("{vcpus} · priority {}", vm.priority)];
        for map in &vm.maps {
            let Some(region) = system.memory_regions.get(map.region) else { continue };
            let what = match device_of(system, board, map.region) {
                Some((device, _)) => format!("{device} (device)"),
                None => format!("{} {}", region.name, bytes(region.size)),
            };
            lines.push(format!("{what} {}", map.perms));
        }
        Self { name: vm.name.clone(), lines }
    }
}

fn time(pd: &ProtectionDomain) -> String {
    let share = pd.budget_us.saturating_mul(100).checked_div(pd.period_us).unwrap_or(0);
    match pd.passive {
        true => format!("priority {} · passive", pd.priority),
        false => format!("priority {} · {share} %", pd.priority),
    }
}

/// Names of those that a domain calls.
fn calls(system: &System, pd: PdIndex) -> Vec<String> {
    let callees = system.ends_of(pd).filter(|(own, _)| own.pp);
    callees.filter_map(|(_, peer)| Some(system.protection_domains.get(peer.pd)?.name.clone())).collect()
}

/// The same in lines that are not much wider than a box.
fn calls_in_lines(system: &System, pd: PdIndex) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for callee in calls(system, pd) {
        match lines.last_mut() {
            Some(line) if line.len() + callee.len() < 32 => *line += &format!(", {callee}"),
            _ => lines.push(format!("calls {callee}")),
        }
    }
    lines
}

fn device_of<'b>(system: &System, board: &'b Board, region: RegionIndex) -> Option<(&'b str, &'b Device)> {
    let address = system.memory_regions.get(region)?.phys_addr?;
    let found = board.devices.iter().find(|(_, device)| device.start == Some(address))?;
    Some((found.0, found.1))
}

/// Rights of a domain in a region: letters, `@` when it is told the physical address.
pub(super) fn rights(pd: &ProtectionDomain, region: RegionIndex) -> Option<String> {
    let mapped = pd.maps.iter().find(|map| map.region == region).map(|map| map.perms.to_string());
    let told = pd.setvars.iter().any(|setvar| setvar.value == SetvarValue::PhysAddr(region));
    match (mapped, told) {
        (None, false) => None,
        (None, true) => Some("@".to_owned()),
        (Some(perms), told) => Some(perms + if told { " @" } else { "" }),
    }
}

pub(super) fn owners(system: &System, region: RegionIndex) -> Vec<PdIndex> {
    let pds = system.protection_domains.iter().enumerate();
    pds.filter(|(_, pd)| rights(pd, region).is_some()).map(|(index, _)| index).collect()
}

/// Memory that no other domain, or only that of the frame, has to do with.
fn own_memory(
    system: &System,
    board: &Board,
    index: PdIndex,
    layer: Layer,
    frame: Option<PdIndex>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, region) in system.memory_regions.iter().enumerate() {
        let owners = owners(system, number);
        let other = owners.iter().copied().find(|owner| *owner != index);
        if !owners.contains(&index) || owners.len() > 2 || (other.is_some() && other != frame) {
            continue;
        }
        let rights_of = |pd: PdIndex| {
            system.protection_domains.get(pd).and_then(|pd| rights(pd, number)).unwrap_or_default()
        };
        let rights = match other {
            Some(other) => {
                let name = system.protection_domains.get(other).map_or("", |pd| pd.name.as_str());
                format!("{} ({name} {})", rights_of(index), rights_of(other))
            }
            None => rights_of(index),
        };
        match device_of(system, board, number) {
            Some(_) if layer == Layer::Driver => {}
            Some((device, _)) => lines.push(format!("{device} (device) {rights}")),
            None => lines.push(format!("{} {} {rights}", region.name, region_size(region))),
        }
    }
    lines
}

fn region_size(region: &MemoryRegion) -> String {
    if region.prefill.is_some() { "file".to_owned() } else { bytes(region.size) }
}

fn bytes(size: u64) -> String {
    match size {
        size if size >= 1 << 30 && size.is_multiple_of(1 << 30) => format!("{}G", size >> 30),
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{}M", size >> 20),
        size => format!("{}K", size >> 10),
    }
}

/// Devices that a driver owns.
fn devices(system: &System, board: &Board, owner: usize, pd: PdIndex) -> Vec<DeviceBox> {
    let Some(domain) = system.protection_domains.get(pd) else { return Vec::new() };
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for map in &domain.maps {
        if let Some((name, _)) = device_of(system, board, map.region) {
            found.entry(name).or_default().push(format!("registers {}", map.perms));
        }
    }
    for irq in &domain.irqs {
        let device = board.devices.iter().find(|(_, d)| d.irqs.iter().any(|i| i.number == irq.number));
        let name = device.map_or("interrupt", |(name, _)| name.as_str());
        found.entry(name).or_default().push(format!("INTID {}", irq.number));
    }
    found
        .into_iter()
        .map(|(name, what)| DeviceBox { name: name.to_owned(), line: what.join(" · "), owner })
        .collect()
}
