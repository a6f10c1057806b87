// SPDX-License-Identifier: BSD-2-Clause
//! Consistency of a board description, checked once after parsing.

use crate::{Board, Device, PAGE_SIZE};
use std::ops::Range;

/// A key and what is wrong with it.
type Fault = (String, String);

/// Private peripheral interrupts (Arm IHI 0048B 2.2.1).
const PPIS: Range<u32> = 16..32;
/// Bytes of a block, the grain in which kernel and loader map memory.
const BLOCK: u64 = 0x20_0000;
/// First INTID that no GICv2 has.
const INTID_LIMIT: u32 = 1020;

pub(crate) fn check(board: &Board) -> Result<(), Fault> {
    identity(board)?;
    memory(board)?;
    gic(board)?;
    timer(board)?;
    for (name, device) in &board.devices {
        self::device(board, name, device)?;
    }
    disjoint_devices(board)?;
    roles("roles", board)?;
    for (name, variant) in &board.variants {
        let mut other = board.clone();
        other.apply(variant.clone());
        roles(&format!("variants.{name}.roles"), &other)?;
    }
    if !board.devices.contains_key(&board.kernel.console) {
        return fault("kernel.console", format!("no device '{}' under [devices]", board.kernel.console));
    }
    Ok(())
}

fn fault(key: impl Into<String>, reason: impl Into<String>) -> Result<(), Fault> {
    Err((key.into(), reason.into()))
}

fn require(condition: bool, key: &str, reason: &str) -> Result<(), Fault> {
    if condition { Ok(()) } else { fault(key, reason) }
}

fn identity(board: &Board) -> Result<(), Fault> {
    let word = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    require(word(&board.name), "name", "must be letters, digits, '_' and '-'")?;
    require(board.cpus > 0, "cpus", "must be at least 1")?;
    require(matches!(board.physical_address_bits, 40 | 44), "physical_address_bits", "must be 40 or 44")?;
    require(board.kernel.wcet_us > 0, "kernel.wcet_us", "must not be 0")
}

fn aligned(address: u64) -> bool {
    address.is_multiple_of(PAGE_SIZE)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn memory(board: &Board) -> Result<(), Fault> {
    require(!board.memory.is_empty(), "memory", "at least one range is needed")?;
    let mut previous_end = 0;
    for (i, range) in board.memory.iter().enumerate() {
        let key = format!("memory[{i}]");
        let blocks = range.start.is_multiple_of(BLOCK) && range.end.is_multiple_of(BLOCK);
        require(blocks, &key, "must be whole blocks of 2 MiB, which the kernel maps it by")?;
        require(range.start < range.end, &key, "end must be above start")?;
        require(range.start >= previous_end, &key, "ranges must ascend and not overlap")?;
        require(range.end <= board.physical_top(), &key, "lies above the last physical address")?;
        previous_end = range.end;
    }
    let in_ram = |address: u64| board.ram_ranges().iter().any(|range| range.contains(&address));
    require(in_ram(board.kernel.physical_base), "kernel.physical_base", "is not in RAM")?;
    require(
        board.kernel.physical_base.is_multiple_of(BLOCK),
        "kernel.physical_base",
        "must be 2 MiB aligned",
    )?;
    require(in_ram(board.loader.link_address), "loader.link_address", "is not in RAM")?;
    require(aligned(board.loader.link_address), "loader.link_address", "must be page aligned")?;
    if let Some(table) = &board.loader.spin_table {
        let key = "loader.spin_table.parked_at";
        require(aligned(table.parked_at), key, "must be page aligned")?;
        require(!in_ram(table.parked_at), key, "is in memory that the kernel hands out")?;
        for word in &table.words {
            require(!in_ram(*word), "loader.spin_table.words", "are in memory that the kernel hands out")?;
        }
    }
    Ok(())
}

/// A role is one of a device that there is, under a name that no other device has.
fn roles(table: &str, board: &Board) -> Result<(), Fault> {
    for (name, role) in &board.roles {
        let key = format!("{table}.{name}");
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        require(plain, &key, "must be lower-case letters and '_'")?;
        require(!board.devices.contains_key(name), &key, "is the name of a device")?;
        if !board.devices.contains_key(&role.device) {
            return fault(key, format!("no device '{}' under [devices]", role.device));
        }
    }
    Ok(())
}

fn gic(board: &Board) -> Result<(), Fault> {
    let gic = &board.gic;
    require(matches!(gic.version, 2 | 3), "gic.version", "only 2 and 3 are supported")?;
    let version2 = [
        ("gic.cpu_interface", gic.cpu_interface),
        ("gic.hypervisor_interface", gic.hypervisor_interface),
        ("gic.virtual_cpu_interface", gic.virtual_cpu_interface),
    ];
    let version3 = [("gic.redistributor", gic.redistributor)];
    let (own, other) =
        if gic.version == 2 { (&version2[..], &version3[..]) } else { (&version3[..], &version2[..]) };
    for &(key, address) in own {
        require(address != 0, key, "is missing")?;
    }
    for &(key, address) in other {
        require(address == 0, key, "belongs to the other version")?;
    }
    for &(key, address) in own.iter().chain(&[("gic.distributor", gic.distributor)]) {
        require(aligned(address), key, "must be page aligned")?;
        require(address < board.physical_top(), key, "lies above the last physical address")?;
        require(!board.ram_ranges().iter().any(|ram| ram.contains(&address)), key, "lies in RAM")?;
    }
    let pages = board.kernel_device_pages();
    for pair in pages.windows(2) {
        if let [(_, a), (name, b)] = pair
            && overlap(a, b)
        {
            return fault("gic", format!("{name} at {:#x} is at another interface's address", b.start));
        }
    }
    require((32..INTID_LIMIT).contains(&gic.max_irq), "gic.max_irq", "must be 32 to 1019")?;
    require(PPIS.contains(&gic.maintenance_irq), "gic.maintenance_irq", "must be a PPI, 16 to 31")
}

fn timer(board: &Board) -> Result<(), Fault> {
    let timer = &board.timer;
    require(timer.frequency >= 1_000_000, "timer.frequency", "is in Hz and at least 1 MHz")?;
    let mut seen = vec![board.gic.maintenance_irq];
    let user = timer.user_irq.map(|irq| ("timer.user_irq", irq));
    let kernel = [("timer.kernel_irq", timer.kernel_irq), ("timer.virtual_irq", timer.virtual_irq)];
    for (key, irq) in kernel.into_iter().chain(user) {
        require(PPIS.contains(&irq), key, "must be a PPI, 16 to 31")?;
        require(!seen.contains(&irq), key, "is used for something else already")?;
        seen.push(irq);
    }
    Ok(())
}

fn device(board: &Board, name: &str, device: &Device) -> Result<(), Fault> {
    let key = format!("devices.{name}");
    require(!device.compatible.is_empty(), &format!("{key}.compatible"), "must not be empty")?;
    match (device.start, device.size) {
        (None, None) => {}
        (Some(start), Some(size)) => {
            require(aligned(start), &format!("{key}.start"), "must be page aligned")?;
            require(size > 0 && aligned(size), &format!("{key}.size"), "must be whole pages, not 0")?;
            let in_reach = start.checked_add(size).is_some_and(|end| end <= board.physical_top());
            require(in_reach, &key, "lies above the last physical address")?;
        }
        _ => return fault(key, "start and size belong together"),
    }
    let mut seen = Vec::new();
    for (i, irq) in device.irqs.iter().enumerate() {
        let key = format!("{key}.irqs[{i}]");
        let number = irq.number;
        if let Some((_, owner)) = board.kernel_irqs().into_iter().find(|(irq, _)| *irq == number) {
            return fault(key, format!("interrupt {number} is the {owner}"));
        }
        if !(16..=board.gic.max_irq).contains(&number) {
            return fault(
                key,
                format!("interrupt {number} must be 16 to {} (gic.max_irq)", board.gic.max_irq),
            );
        }
        require(!seen.contains(&number), &key, "is listed twice")?;
        seen.push(number);
    }
    Ok(())
}

fn disjoint_devices(board: &Board) -> Result<(), Fault> {
    let mut taken: Vec<(String, Range<u64>)> =
        board.ram_ranges().into_iter().map(|range| ("RAM".to_owned(), range)).collect();
    taken.extend(board.kernel_device_pages().into_iter().map(|(name, range)| (format!("the {name}"), range)));
    for (name, device) in &board.devices {
        let Some(registers) = device.registers() else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, range)| overlap(range, &registers)) {
            return fault(format!("devices.{name}"), format!("overlaps with {other}"));
        }
        taken.push((format!("device '{name}'"), registers));
    }
    Ok(())
}
