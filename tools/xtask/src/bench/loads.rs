// SPDX-License-Identifier: BSD-2-Clause
//! Disk and network under load: what a byte, a request or a datagram costs in executed instructions, on bare QEMU and
//! under Bulkhead with the same kernel, the same root file system and the same devices.
//!
//! A load runs twice, with a small and a large amount of work, between marks that the guest executes. The cost is the
//! difference of instructions by the difference of work: starting programs and opening files drop out. Waiting costs
//! nothing: a processor without work waits in WFI, the guest's idle loop as well as the kernel's, and executes no
//! instruction until an interrupt; time passes meanwhile as it does on this machine (`Time::Instructions`), so a slow
//! disk here brings no more than a few timer interrupts. What QEMU does itself is the same on both sides and not counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use emulator::peer::{self, Peer};
use emulator::{Devices, Disk, Emulator, Machine, Mark, Time};
use serde::{Deserialize, Serialize};

use super::{GUEST_RAM_MIB, Results, TIMEOUT, bare_machine, profile};
use crate::guest::{self, READY_MARKER};
use crate::process::say;
use crate::{disk, image, paths, run};

/// The kernel command line of the guests.
const CMDLINE: &str = "console=ttyAMA0 quiet rw";
/// Megabytes of the file that disk loads work on.
const FILE_MIB: u64 = 128;
/// What the VMM marks (`vmm/pd/src/pd/marks.rs`), and what a row of it is called.
const COUNTED: &[(&str, &str)] = &[("b0c0", "exits"), ("b0c1", "notifications"), ("b0c2", "wakeups")];

const MIB: f64 = (1 << 20) as f64;
/// Bytes of a request of the sequential loads.
const SEQUENTIAL_BYTES: f64 = (128 << 10) as f64;

/// One kind of work.
struct Load {
    name: &'static str,
    /// What is counted: what the instructions are of.
    unit: &'static str,
    /// What events are counted by, and how many units that is.
    per: (&'static str, f64),
    /// The small and the large amount, in units.
    amounts: (u64, u64),
    /// The command that does so much of it.
    command: Box<dyn Fn(u64) -> String>,
}

/// What a unit of a load costs.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Cost {
    instructions: f64,
    /// Events per unit, by the numbers of their marks.
    events: BTreeMap<String, f64>,
}

/// How a system lets data reach the disk; see `system.xml`.
const LAYOUTS: &[(&str, &str)] = &[("isolated", "BLK_LAYOUT=isolated"), ("direct", "BLK_LAYOUT=direct")];

/// Which loads, if not all.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// Of the loads only these, with commas between; one of `blk_read_seq` and so on.
    #[arg(long, env = "LOAD")]
    load: Option<String>,
    /// With `load`: the only layout.
    #[arg(long, env = "BLK_LAYOUT")]
    layout: Option<String>,
    /// With `load`: prints where the instructions of each go.
    #[arg(long, env = "PROFILE")]
    profile: Option<String>,
}

impl Selection {
    fn given(option: &Option<String>) -> Option<&str> {
        option.as_deref().filter(|value| !value.is_empty())
    }

    /// Whether it is some and not all.
    fn is_some(&self) -> bool {
        Self::given(&self.load).is_some()
    }

    fn has(&self, load: &str) -> bool {
        Self::given(&self.load).is_none_or(|names| names.split(',').any(|name| name == load))
    }

    fn has_layout(&self, layout: &str) -> bool {
        !self.is_some() || Self::given(&self.layout).is_none_or(|only| only == layout)
    }

    fn profiles(&self) -> bool {
        self.is_some() && Self::given(&self.profile).is_some()
    }
}

/// Measures all loads, or those that are selected.
///
/// # Errors
/// Something does not build, boot or finish.
pub fn measure(
    options: &image::Options,
    selection: &Selection,
    plugin: &Path,
    results: &mut Results,
) -> Result<()> {
    let peers = Peers::start()?;
    let mut loads: Vec<Load> = disk_loads().into_iter().chain(network_loads(&peers)).collect();
    loads.retain(|load| selection.has(load.name));
    let bare = if selection.is_some() { bare_as_kept(plugin, &loads)? } else { bare(plugin, &loads)? };
    for (layout, definition) in LAYOUTS.iter().filter(|(layout, _)| selection.has_layout(layout)) {
        say(format!("loads: Bulkhead, {layout}"));
        let own = bulkhead(options, selection, plugin, (layout, definition), &loads)?;
        for load in &loads {
            let (own, bare) = (&own[load.name], &bare[load.name]);
            for row in rows(load.name, layout) {
                results.add_load(&row, own.instructions, load.unit, bare.instructions);
            }
            for (mark, event) in COUNTED {
                let (per, units) = load.per;
                let count = own.events.get(*mark).copied().unwrap_or(0.0) * units;
                results.add(
                    &format!("{}_{layout}_{event}", load.name),
                    round(count),
                    &format!("{event}/{per}"),
                    None,
                );
            }
        }
        if selection.is_some() {
            continue;
        }
        // Both ends run on the one processor here: as much work as sending to the host and receiving from it.
        let legs = bare["tcp_to_host"].instructions + bare["tcp_from_host"].instructions;
        let both = &own[GUEST_TO_GUEST];
        for row in rows(GUEST_TO_GUEST, layout) {
            results.add_load(&row, both.instructions, "instructions/byte", legs);
        }
    }
    Ok(())
}

/// Names of a load's rows: one for each layout, and one without a layout in its name for the default layout. 4 KiB without a
/// depth are those that wait for each other.
fn rows(load: &str, layout: &str) -> Vec<String> {
    let mut rows = vec![format!("{load}_{layout}")];
    if layout == LAYOUTS[0].0 {
        rows.push(load.strip_suffix("_qd1").unwrap_or(load).into());
    }
    rows
}

const GUEST_TO_GUEST: &str = "tcp_guest_to_guest";

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Who answers on the network.
struct Peers {
    sink: Peer,
    source: Peer,
    datagrams: Peer,
    asked: Peer,
}

impl Peers {
    fn start() -> Result<Self> {
        Ok(Self {
            sink: Peer::forgetting()?,
            source: Peer::sending_zeros()?,
            datagrams: Peer::forgetting_datagrams()?,
            asked: Peer::sending_datagrams()?,
        })
    }
}

fn disk_loads() -> Vec<Load> {
    const BYTE: &str = "byte";
    const REQUEST: &str = "request";
    let fio = |name, unit, amounts, unit_bytes: u64, how: &'static str| Load {
        name,
        unit,
        per: ("request", if unit == BYTE { SEQUENTIAL_BYTES } else { 1.0 }),
        amounts,
        command: Box::new(move |amount| {
            format!(
                "fio --name=load --filename=/root/load --size={FILE_MIB}m --io_size={} --thread --gtod_reduce=1 \
                 --output=/dev/null {how}",
                amount * unit_bytes
            )
        }),
    };
    let direct = (64 << 20, 512 << 20);
    let buffered = (32 << 20, FILE_MIB << 20);
    vec![
        fio("blk_read_seq", BYTE, direct, 1, "--rw=read --bs=128k --ioengine=libaio --iodepth=8 --direct=1"),
        fio("blk_read_seq_buffered", BYTE, buffered, 1, "--rw=read --bs=128k --ioengine=psync"),
        fio(
            "blk_write_seq",
            BYTE,
            direct,
            1,
            "--rw=write --bs=128k --ioengine=libaio --iodepth=8 --direct=1",
        ),
        fio(
            "blk_write_seq_buffered",
            BYTE,
            buffered,
            1,
            "--rw=write --bs=128k --ioengine=psync --end_fsync=1",
        ),
        fio(
            "blk_rand_4k_qd1",
            REQUEST,
            (1000, 11_000),
            4096,
            "--rw=randread --bs=4k --ioengine=libaio --iodepth=1 --direct=1",
        ),
        fio(
            "blk_rand_4k_qd32",
            REQUEST,
            (4000, 36_000),
            4096,
            "--rw=randread --bs=4k --ioengine=libaio --iodepth=32 --direct=1",
        ),
        fio(
            "blk_rand_4k_write_qd32",
            REQUEST,
            (4000, 36_000),
            4096,
            "--rw=randwrite --bs=4k --ioengine=libaio --iodepth=32 --direct=1",
        ),
    ]
}

fn network_loads(peers: &Peers) -> Vec<Load> {
    let stream = |name, unit, amounts, what: &'static str, port: u16| Load {
        name,
        unit,
        per: if unit == "byte" { ("MiB", MIB) } else { (unit, 1.0) },
        amounts,
        command: Box::new(move |amount| format!("stream {what} {} {port} {amount}", peer::ADDRESS)),
    };
    vec![
        stream("tcp_to_host", "byte", (4 << 20, 36 << 20), "send", peers.sink.port),
        stream("tcp_from_host", "byte", (4 << 20, 36 << 20), "receive", peers.source.port),
        stream("udp_to_host", "datagram", (1000, 11_000), "datagrams", peers.datagrams.port),
        stream("udp_from_host", "datagram", (1000, 11_000), "ask", peers.asked.port),
    ]
}

/// Runs the loads on QEMU alone, but those of which a former run has kept what they cost.
fn bare_as_kept(plugin: &Path, loads: &[Load]) -> Result<BTreeMap<String, Cost>> {
    let file = paths::build().join("bench/bare-loads.json");
    let text = fs::read(&file).unwrap_or_default();
    let mut kept: BTreeMap<String, Cost> = serde_json::from_slice(&text).unwrap_or_default();
    for load in loads.iter().filter(|load| !kept.contains_key(load.name)).collect::<Vec<_>>() {
        kept.extend(bare(plugin, std::slice::from_ref(load))?);
        fs::write(&file, serde_json::to_string_pretty(&kept)?)?;
    }
    Ok(kept)
}

/// Runs the loads on QEMU alone.
fn bare(plugin: &Path, loads: &[Load]) -> Result<BTreeMap<String, Cost>> {
    say("loads: bare QEMU");
    let guest = guest::fetch(guest::KERNELS.first().context("no guest")?)?;
    let mut machine = bare_machine(&guest, &format!("{CMDLINE} root=LABEL=guest0"))?;
    // The tree that QEMU makes says where its devices are.
    if let emulator::Payload::Linux { device_tree, .. } = &mut machine.payload {
        *device_tree = None;
    }
    machine.devices = Devices {
        disk: Some(Disk::discarding(disk::provide()?)),
        network: Some("user".into()),
        entropy: true,
    };
    let mut shell = Shell::boot(machine, plugin, 1, None)?;
    shell.prepare()?;
    loads.iter().map(|load| Ok((load.name.into(), shell.measure(load)?))).collect()
}

/// Runs the loads in guest 0, the other guest being idle, and one between the guests.
fn bulkhead(
    options: &image::Options,
    selection: &Selection,
    plugin: &Path,
    (layout, definition): (&str, &str),
    loads: &[Load],
) -> Result<BTreeMap<String, Cost>> {
    let mut own = options.clone();
    own.config = "release".into();
    own.cmdline = Some(format!("{CMDLINE} root=/dev/vda"));
    own.ram = Some(format!("{GUEST_RAM_MIB}M"));
    own.definitions.push(definition.into());
    own.output = Some(paths::build().join("bench").join(layout));
    let image = image::build(&own)?;
    let mut machine = run::machine(&own.board, &image.file)?;
    machine.devices = run::devices(image.needs, None, None)?;
    let profile = selection.profiles().then_some(own.board.as_str());
    let mut shell = Shell::boot(machine, plugin, 2, profile)?;
    shell.focus(0)?;
    shell.prepare()?;
    let mut costs: BTreeMap<String, Cost> =
        loads.iter().map(|load| Ok((load.name.into(), shell.measure(load)?))).collect::<Result<_>>()?;
    if selection.is_some() {
        return Ok(costs);
    }
    const PORT: u16 = 5001;
    shell.focus(1)?;
    shell.run(&format!("stream serve {PORT} &"))?;
    let address = shell.run("ip -4 -o addr show dev eth0 | awk '{print $4}' | cut -d/ -f1; sleep 2")?;
    let address = address.lines().map(str::trim).find(|line| line.starts_with("10.")).map(str::to_string);
    let address = address.context("guest 1 has no address")?;
    shell.focus(0)?;
    let between = Load {
        name: GUEST_TO_GUEST,
        unit: "byte",
        per: ("MiB", MIB),
        amounts: (8 << 20, 72 << 20),
        command: Box::new(move |amount| format!("stream send {address} {PORT} {amount}")),
    };
    costs.insert(between.name.into(), shell.measure(&between)?);
    Ok(costs)
}

/// The shell of a guest on a machine whose instructions are counted.
struct Shell {
    emulator: Emulator,
    /// Where the plugin writes.
    marks: PathBuf,
    /// Where the plugin writes profiles, and the board whose programs are run.
    profile: Option<(PathBuf, String)>,
    guests: usize,
    /// What its lines begin with.
    tag: String,
    commands: u32,
}

impl Shell {
    /// Boots a machine and waits for the shells of its guests.
    fn boot(mut machine: Machine, plugin: &Path, guests: usize, profile: Option<&str>) -> Result<Self> {
        let folder = paths::build().join("bench");
        fs::create_dir_all(&folder)?;
        let marks = folder.join("marks-loads");
        let _ = fs::remove_file(&marks);
        machine.time = Time::Instructions;
        let profile = profile.map(|board| (folder.join("profile"), board.to_string()));
        let mut arguments = format!("file={},out={}", plugin.display(), marks.display());
        if let Some((file, _)) = &profile {
            arguments += &format!(",profile={}", file.display());
        }
        machine.plugin = Some(arguments);
        let emulator = Emulator::start(&machine, std::io::sink())?;
        let mut shell = Self { emulator, marks, profile, guests, tag: String::new(), commands: 0 };
        for guest in 0..guests {
            let marker = format!("{}{READY_MARKER}", shell.tag_of(guest));
            shell.emulator.console().expect_any(Mark::default(), &[&marker], TIMEOUT)?;
        }
        // What goes on in the background right after a boot.
        shell.run("sleep 5")?;
        Ok(shell)
    }

    fn tag_of(&self, guest: usize) -> String {
        if self.guests == 1 { String::new() } else { format!("vmm_{guest}| ") }
    }

    /// Gives the input to a guest.
    fn focus(&mut self, guest: usize) -> Result<()> {
        self.tag = self.tag_of(guest);
        Ok(self.emulator.send(&format!("\x1d{guest}"))?)
    }

    /// Runs a command; returns what was printed meanwhile.
    fn run(&mut self, command: &str) -> Result<String> {
        self.commands += 1;
        let end = format!("<end{}>", self.commands);
        let mark = self.emulator.console().mark();
        self.emulator.send(&format!("{command}\necho '<''end{}>'\n", self.commands))?;
        self.emulator.expect(&end, TIMEOUT).with_context(|| command.to_string())?;
        let text = self.emulator.console().text_since(mark);
        Ok(text.replace(&self.tag, ""))
    }

    /// Makes the file that disk loads work on.
    fn prepare(&mut self) -> Result<()> {
        // Lines that wrap are redrawn.
        self.run("stty cols 1000")?;
        self.run(&format!("dd if=/dev/zero of=/root/load bs=1M count={FILE_MIB} conv=fsync"))?;
        // Nothing but the loads, please.
        self.run(
            "systemctl stop systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket",
        )?;
        Ok(())
    }

    fn measure(&mut self, load: &Load) -> Result<Cost> {
        let (small, large) = load.amounts;
        // Once for the caches, those of this machine included.
        self.span(&(load.command)(small))?;
        let (few, few_events) = self.span(&(load.command)(small))?;
        let few_profile = self.profile.as_ref().map(|(file, _)| profile::read(file)).transpose()?;
        let (many, many_events) = self.span(&(load.command)(large))?;
        let units = (large - small) as f64;
        if let (Some((file, board)), Some(few)) = (&self.profile, &few_profile) {
            let (per, unit) = load.per;
            profile::print(few, &profile::read(file)?, board, load.name, (units / unit, per))?;
        }
        let per_unit = |many: u64, few: u64| (many as f64 - few as f64) / units;
        let events = many_events
            .iter()
            .map(|(name, many)| {
                let few = few_events.get(name).copied().unwrap_or(0);
                (name.clone(), per_unit(*many, few))
            })
            .collect();
        let cost = Cost { instructions: per_unit(many, few), events };
        say(format!("{}: {:.3} instructions/{}", load.name, cost.instructions, load.unit));
        Ok(cost)
    }

    /// Instructions and events while a command runs.
    fn span(&mut self, command: &str) -> Result<(u64, BTreeMap<String, u64>)> {
        let printed = self.run(&format!("mark; {command} || echo '<''failed>'; mark"))?;
        ensure!(!printed.contains("<failed>"), "{command} failed in the guest: {printed}");
        let text = fs::read_to_string(&self.marks).context("the plugin wrote nothing")?;
        let marks: Vec<(u64, BTreeMap<String, u64>)> = text.lines().filter_map(ready_mark).collect();
        let [.., (before, events_before), (after, events_after)] = &marks[..] else {
            anyhow::bail!("the guest made no marks");
        };
        let events = events_after
            .iter()
            .map(|(name, count)| (name.clone(), count - events_before.get(name).copied().unwrap_or(0)))
            .collect();
        Ok((after - before, events))
    }
}

/// Instructions and events of a line of the plugin's for the guest's mark: `b001 INSTRUCTIONS MARK=COUNT ...`.
fn ready_mark(line: &str) -> Option<(u64, BTreeMap<String, u64>)> {
    let mut words = line.strip_prefix("b001 ")?.split(' ');
    let instructions = words.next()?.parse().ok()?;
    let events = words
        .filter_map(|word| word.split_once('='))
        .filter_map(|(mark, count)| Some((mark.to_string(), count.parse().ok()?)))
        .collect();
    Some((instructions, events))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_guest_carry_events() {
        let (instructions, events) = ready_mark("b001 500 b0c0=3 b0c1=1").unwrap();
        assert_eq!((instructions, events["b0c0"], events["b0c1"]), (500, 3, 1));
        assert!(ready_mark("entry 4").is_none());
    }

    #[test]
    fn rows_of_the_default_layout_have_plain_names() {
        let peers = Peers::start().unwrap();
        let loads = disk_loads().into_iter().chain(network_loads(&peers));
        let names: Vec<&str> = loads.map(|load| load.name).chain([GUEST_TO_GUEST]).collect();
        let rows: Vec<String> = names.iter().flat_map(|name| rows(name, LAYOUTS[0].0)).collect();
        for row in [
            "blk_read_seq",
            "blk_write_seq",
            "blk_rand_4k",
            "tcp_to_host",
            "tcp_guest_to_guest",
            "udp_to_host",
            "udp_from_host",
        ] {
            assert_eq!(rows.iter().filter(|name| *name == row).count(), 1, "{row} in {rows:?}");
        }
        assert_eq!(rows_of_direct(&names), names.len(), "the other layout's have its name alone");
    }

    fn rows_of_direct(names: &[&str]) -> usize {
        names.iter().flat_map(|name| rows(name, "direct")).filter(|row| row.ends_with("_direct")).count()
    }

    #[test]
    fn loads_have_different_names_and_a_large_amount() {
        let loads = disk_loads();
        for (index, load) in loads.iter().enumerate() {
            assert!(load.amounts.0 < load.amounts.1);
            assert_eq!(loads.iter().position(|other| other.name == load.name), Some(index));
        }
    }
}
