// SPDX-License-Identifier: BSD-2-Clause
//! `xtask bare`: the guest on QEMU alone, fed from standard input.

use std::io::BufRead;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use emulator::{Devices, Disk, Emulator, Machine};

use crate::{disk, guest};

/// What to boot.
#[derive(Args)]
pub struct Options {
    /// The guest.
    #[arg(default_value = "debian-12")]
    guest: String,
    /// The kernel's command line.
    #[arg(long, default_value = "console=ttyAMA0")]
    cmdline: String,
    /// RAM in MiB.
    #[arg(long, default_value_t = 512)]
    ram: u64,
    /// With the guests' disk, a network and entropy.
    #[arg(long)]
    devices: bool,
}

/// Boots it, types the lines of standard input at its shell, powers it off.
///
/// # Errors
/// The guest does not come up or does not end.
pub fn run(options: &Options) -> Result<()> {
    let guest = guest::fetch(guest::lookup(&options.guest)?)?;
    let mut machine = Machine::bare(&guest.image, &guest.initrd, &options.cmdline, options.ram);
    if options.devices {
        machine.devices = Devices {
            disk: Some(Disk::discarding(disk::provide()?)),
            network: Some("user".into()),
            entropy: true,
        };
    }
    let mut emulator = Emulator::start(&machine, std::io::stdout())?;
    emulator.expect(guest::READY_MARKER, Duration::from_secs(300))?;
    emulator.expect(guest::PROMPT, Duration::from_secs(60))?;
    for line in std::io::stdin().lock().lines() {
        emulator.send(&(line? + "\n"))?;
        emulator.expect(guest::PROMPT, Duration::from_secs(60))?;
    }
    emulator.send("poweroff\n")?;
    emulator.wait_end(Duration::from_secs(60))?;
    Ok(())
}
