// SPDX-License-Identifier: BSD-2-Clause
//! `xtask bench`: measurements by counting executed instructions, bare QEMU and Bulkhead side by side.
//!
//! Two ways of counting, both exact and the same in every run: the plugin `icount` up to marked instructions, for boots;
//! and CNTPCT in the bench PDs, which a deterministic machine advances by one tick for every 16 instructions, for round
//! trips in which nothing ever waits. Results go to `build/bench.json`: an array of `{name, value, unit, reference,
//! ratio}`, where `reference` is what the same thing costs without Bulkhead or on the reference platform, measured once
//! with the same method (seL4 16 with Microkit 2.3) or in the same run (bare QEMU). `ratio` is value by reference, and
//! for disk and network loads (see [`loads`]) reference by value: the part of bare QEMU's throughput that is left.

mod limits;
mod loads;
mod profile;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use emulator::{Emulator, Machine, Payload, Time};
use object::{Object, ObjectSection, SectionKind};
use serde::Serialize;

use crate::cargo::Build;
use crate::guest::{self, Guest, READY_MARK};
use crate::process::{output, say};
use crate::{image, paths, run, sdk};

/// Instructions a tick of the counter: 16 ns at 62.5 MHz, and an instruction takes 1 ns.
const INSTRUCTIONS_PER_TICK: f64 = 16.0;
/// RAM of the guest in the boot measurements.
const GUEST_RAM_MIB: u64 = 512;
/// How long one measurement may take on this machine.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    image: image::Options,
    /// One part only: `boots`, `calls` or `loads`.
    #[arg(long, env = "BENCH")]
    only: Option<String>,
    #[command(flatten)]
    loads: loads::Selection,
    /// Of the round trips: lower the limits that tests hold them to.
    #[arg(long)]
    limits: bool,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Measurement {
    name: String,
    value: f64,
    unit: String,
    reference: Option<f64>,
    ratio: Option<f64>,
}

/// Measures and prints a table.
///
/// # Errors
/// Something does not build, boot or finish.
pub fn bench(options: &Options) -> Result<()> {
    let image = &options.image;
    let plugin = plugin()?;
    let mut results = Results::default();
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    if wanted("boots") {
        boots(image, &plugin, &mut results)?;
        kernel_size(image, &mut results)?;
    }
    if wanted("calls") {
        let rows = round_trips(image, &mut results)?;
        if options.limits {
            limits::tighten(&rows)?;
        }
    }
    if wanted("loads") {
        loads::measure(image, &options.loads, &plugin, &mut results)?;
    }
    let file = paths::build().join("bench.json");
    fs::write(&file, serde_json::to_string_pretty(&results.list)? + "\n")?;
    results.print();
    say(format!("written to {}", file.display()));
    Ok(())
}

/// What has been measured.
#[derive(Default)]
struct Results {
    list: Vec<Measurement>,
}

impl Results {
    fn add(&mut self, name: &str, value: f64, unit: &str, reference: Option<f64>) {
        let ratio = reference.map(|reference| (value / reference * 10_000.0).round() / 10_000.0);
        self.list.push(Measurement { name: name.into(), value, unit: unit.into(), reference, ratio });
    }

    /// Adds the cost of a load: `ratio` says how much of bare QEMU's throughput is left.
    fn add_load(&mut self, name: &str, value: f64, unit: &str, bare: f64) {
        let round = |number: f64| (number * 10_000.0).round() / 10_000.0;
        self.list.push(Measurement {
            name: name.into(),
            value: round(value),
            unit: unit.into(),
            reference: Some(round(bare)),
            ratio: Some(round(bare / value)),
        });
    }

    fn print(&self) {
        println!("{:<42} {:>16} {:>16} {:>8}  unit", "measurement", "value", "reference", "ratio");
        for line in &self.list {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value}"));
            let (reference, ratio) = (number(line.reference), number(line.ratio));
            println!("{:<42} {:>16} {:>16} {:>8}  {}", line.name, line.value, reference, ratio, line.unit);
        }
    }
}

/// Bytes of code and constants of the release kernel, as `size` counts text.
fn kernel_size(options: &image::Options, results: &mut Results) -> Result<()> {
    let sdk = sdk::provide(None, &options.board, "release")?;
    let file = sdk.folder().join("elf/sel4.elf");
    let image = fs::read(&file).with_context(|| file.display().to_string())?;
    let elf = object::File::parse(&*image).with_context(|| file.display().to_string())?;
    let text: u64 = elf
        .sections()
        .filter(|section| {
            matches!(
                section.kind(),
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString
            )
        })
        .map(|section| section.size())
        .sum();
    results.add("kernel_text", text as f64, "bytes", Some(REFERENCE_KERNEL_TEXT));
    Ok(())
}

/// Reset to the guest's first instruction, and from there to the ready marker; exits by reason.
fn boots(options: &image::Options, plugin: &Path, results: &mut Results) -> Result<()> {
    let guest = guest::fetch(guest::KERNELS.first().context("no guest")?)?;
    for (name, cmdline) in
        [("guest_boot_quiet", "console=ttyAMA0 quiet"), ("guest_boot_verbose", "console=ttyAMA0")]
    {
        say(format!("{name}: bare QEMU"));
        let bare = count(&bare_machine(&guest, cmdline)?, &guest, plugin)?;
        say(format!("{name}: Bulkhead"));
        let mut own = options.clone();
        own.config = "release".into();
        own.system = "tests/systems/one_guest.xml".into();
        own.cmdline = Some(cmdline.into());
        own.ram = Some(format!("{GUEST_RAM_MIB}M"));
        own.output = Some(paths::build().join("bench").join(name));
        let image = image::build(&own)?;
        let bulkhead = count(&run::machine(&own.board, &image.file)?, &guest, plugin)?;
        if name == "guest_boot_quiet" {
            let prefilled = fs::metadata(&guest.image)?.len() + fs::metadata(&guest.initrd)?.len();
            let limit = 4e6 + 0.6 * prefilled as f64 + 0.06 * (GUEST_RAM_MIB << 20) as f64;
            results.add(
                "boot_to_guest",
                bulkhead.entry as f64,
                "instructions",
                Some(REFERENCE_BOOT_TO_GUEST),
            );
            results.add("boot_to_guest_limit", limit.round(), "instructions", None);
        }
        results.add(
            name,
            (bulkhead.ready - bulkhead.entry) as f64,
            "instructions",
            Some((bare.ready - bare.entry) as f64),
        );
        for (reason, exits) in &bulkhead.exits {
            results.add(&format!("{name}_exits_{reason}"), *exits as f64, "exits", None);
        }
    }
    Ok(())
}

/// What one boot took.
struct Boot {
    /// Instructions from reset to the guest's first one.
    entry: u64,
    /// Instructions from reset to the ready marker.
    ready: u64,
    /// The VMM's own count of exits by reason; empty on the bare machine.
    exits: BTreeMap<String, u64>,
}

/// Boots a machine until its guest has powered off, counting.
fn count(machine: &Machine, guest: &Guest, plugin: &Path) -> Result<Boot> {
    let folder = paths::build().join("bench");
    fs::create_dir_all(&folder)?;
    let marks = folder.join("marks");
    let _ = fs::remove_file(&marks);
    let image = fs::read(&guest.image)?;
    let first = image.first_chunk().map(|word| u32::from_le_bytes(*word)).context("an empty kernel image")?;
    let mut machine = machine.clone();
    machine.time = Time::Deterministic;
    machine.plugin = Some(format!("file={},out={},entry={first:x}", plugin.display(), marks.display()));
    let mut emulator = Emulator::start(&machine, std::io::sink())?;
    emulator.expect(guest::READY_MARKER, TIMEOUT)?;
    let bare = matches!(machine.payload, Payload::Linux { .. });
    if !bare {
        emulator.expect(guest::PROMPT, TIMEOUT)?;
        emulator.send("poweroff\n")?;
        emulator.expect(run::POWERED_OFF, TIMEOUT)?;
    }
    emulator.kill();
    let text = fs::read_to_string(&marks).context("the plugin wrote nothing")?;
    let mark = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|line| line.split(' ').next())
            .with_context(|| format!("the machine never reached the mark {name}"))?
            .parse()
            .context("the plugin's count")
    };
    Ok(Boot {
        entry: mark("entry")?,
        ready: mark(&format!("{READY_MARK:x}"))?,
        exits: exits(&emulator.console().text()),
    })
}

/// The counters of the VMM's line `exits wfi=1 hvc=2 ...`.
fn exits(console: &str) -> BTreeMap<String, u64> {
    let line = console
        .lines()
        .filter_map(|line| line.split_once(" exits "))
        .map(|(_, counters)| counters)
        .next_back();
    line.unwrap_or_default()
        .split_whitespace()
        .filter_map(|counter| counter.split_once('='))
        .filter_map(|(name, count)| Some((name.to_string(), count.parse().ok()?)))
        .collect()
}

/// The guest on QEMU alone, with the device tree that it has under Bulkhead.
fn bare_machine(guest: &Guest, cmdline: &str) -> Result<Machine> {
    let mut tree = vec![0; 0x1_0000];
    let machine = vmm_fdt::Machine {
        memory_size: GUEST_RAM_MIB << 20,
        vcpus: 1,
        gic: vmm_fdt::GicVersion::V2,
        cpu: "arm,cortex-a53",
        bootargs: cmdline,
        initrd: None,
        virtio: 0,
    };
    let Ok(size) = machine.write(&mut tree) else { bail!("the device tree does not fit") };
    let folder = paths::build().join("bench");
    fs::create_dir_all(&folder)?;
    let file = folder.join("bare.dtb");
    fs::write(&file, &tree[..size])?;
    let mut machine = Machine::bare(&guest.image, &guest.initrd, cmdline, GUEST_RAM_MIB);
    if let Payload::Linux { device_tree, .. } = &mut machine.payload {
        *device_tree = Some(file);
    }
    Ok(machine)
}

/// What the reference platform needs from reset to a guest's first instruction, with the same guest.
const REFERENCE_BOOT_TO_GUEST: f64 = 735.0e6;

/// Text of the reference kernel, release configuration.
const REFERENCE_KERNEL_TEXT: f64 = 130_776.0;

/// What the reference platform needs for the round trips, release configuration.
const REFERENCES: &[(&str, f64)] = &[
    ("boot_to_first_pd", 7.1e6),
    ("protected_call_passive_0w", 721.0),
    ("protected_call_passive_4w", 768.0),
    ("protected_call_passive_5w", 2408.0),
    ("protected_call_16w", 2518.0),
    ("protected_call_active_0w", 2471.0),
    ("notification_ping_pong", 2223.0),
    ("mmio_exit_empty", 2062.0),
    ("mmio_exit_value", 3295.0),
    ("mmio_exit_value_x20", 4019.0),
    // Xen's own UART, inside the hypervisor: `xen` of the reference figures.
    ("mmio_exit_value_extended", 629.0),
    ("vtimer_cycle", 5330.0),
    ("hvc_exit_empty", 2116.0),
    ("wfi_exit_empty", 2039.0),
];

/// The systems of bench PDs.
const BENCH_SYSTEMS: &[&str] =
    &["tests/systems/bench_calls.xml", "tests/systems/bench_exits.xml", BENCH_GUEST];
/// The one whose guest measures: exits through the monitor of real guests.
const BENCH_GUEST: &str = "tests/systems/bench_guest.xml";

/// Round trips measured by the bench PDs: lines `BENCH name rounds ticks`, `BENCH done` at the end. Returns names and
/// ticks.
fn round_trips(options: &image::Options, results: &mut Results) -> Result<Vec<(String, u64)>> {
    let mut rows = Vec::new();
    for system in BENCH_SYSTEMS {
        say(format!("round trips: {system}"));
        let mut own = options.clone();
        own.config = "release".into();
        own.system = system.into();
        own.output = Some(paths::build().join("bench").join(system.replace(['/', '.'], "_")));
        if *system == BENCH_GUEST {
            own.kernel = Some(crate::hostile::build()?.display().to_string());
            own.initrd = Some("none".into());
            own.cmdline = Some("mode=bench".into());
            own.ram = Some("64M".into());
        }
        let image = image::build(&own)?;
        let mut machine = run::machine(&own.board, &image.file)?;
        machine.time = Time::Deterministic;
        let mut emulator = Emulator::start(&machine, std::io::sink())?;
        emulator.expect("BENCH done", TIMEOUT)?;
        emulator.kill();
        for (name, rounds, ticks) in bench_lines(&emulator.console().text()) {
            let instructions = ticks as f64 * INSTRUCTIONS_PER_TICK / rounds as f64;
            let reference =
                REFERENCES.iter().find(|(known, _)| *known == name).map(|(_, reference)| *reference);
            results.add(&name, (instructions * 100.0).round() / 100.0, "instructions", reference);
            rows.push((name, ticks));
        }
    }
    Ok(rows)
}

fn bench_lines(console: &str) -> Vec<(String, u64, u64)> {
    let mut lines = Vec::new();
    for line in console.lines() {
        let Some((_, result)) = line.split_once("BENCH ") else { continue };
        let words: Vec<&str> = result.split_whitespace().collect();
        if let [name, rounds, ticks] = words[..]
            && let (Ok(rounds @ 1..), Ok(ticks)) = (rounds.parse(), ticks.parse())
        {
            lines.push((name.to_string(), rounds, ticks));
        }
    }
    lines
}

/// Builds the counting plugin for the QEMU that is installed.
///
/// # Errors
/// It does not build, or QEMU does not say its version.
pub fn plugin() -> Result<PathBuf> {
    let version = output(Command::new("qemu-system-aarch64").arg("--version"))?;
    let major: u32 = version
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1)
        .and_then(|version| version.split('.').next()?.parse().ok())
        .with_context(|| format!("QEMU's version: {version}"))?;
    let build = Build {
        packages: vec!["icount".into()],
        features: if major >= 9 { vec!["icount/qemu9".into()] } else { vec![] },
        folder: "host".into(),
        ..Build::default()
    };
    build.run_for("icount")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bench_lines_are_read_and_others_are_not() {
        let text = "noise\nBENCH a 10 625\n[x] BENCH b 1 7\nBENCH done\nBENCH c 0 1\n";
        assert_eq!(bench_lines(text), [("a".into(), 10, 625), ("b".into(), 1, 7)]);
    }

    #[test]
    fn exit_counters_are_those_of_the_last_line() {
        let text = "vmm_0: exits wfi=1 hvc=2\nvmm_0: exits wfi=3 hvc=4\n";
        assert_eq!(exits(text), BTreeMap::from([("hvc".into(), 4), ("wfi".into(), 3)]));
        assert!(exits("nothing\n").is_empty());
    }

    #[test]
    fn ratio_is_value_by_reference() {
        let mut results = Results::default();
        results.add("x", 1.0, "y", Some(3.0));
        results.add("z", 1.0, "y", None);
        assert_eq!(results.list[0].ratio, Some(0.3333));
        assert_eq!(results.list[1].ratio, None);
    }
}
