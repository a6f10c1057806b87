// SPDX-License-Identifier: BSD-2-Clause
//! Turns the board description (`$BOARD_FILE`, a file of `kernel-config/`) into the kernel's constants and linker arguments.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// Where the image is linked: the last GiB of the 512 GiB kernel window, as the reference kernel.
const KERNEL_VIRTUAL_BASE: u64 = 0xff_c000_0000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let default = manifest.join("../../../kernel-config/qemu_virt_aarch64.toml");
    let file = env::var_os("BOARD_FILE").map_or(default, PathBuf::from);
    let script = manifest.join("kernel.ld");
    println!("cargo:rerun-if-env-changed=BOARD_FILE");
    // With it, a family's file.
    println!("cargo:rerun-if-changed={}", file.parent().unwrap_or(&file).display());
    println!("cargo:rerun-if-changed={}", script.display());
    let board = board::Board::load(&file)?;

    let console = board
        .devices
        .get(&board.kernel.console)
        .and_then(|device| device.start)
        .ok_or("kernel.console names no device with registers")?;
    let mut text = String::new();
    let mut constant =
        |doc: &str, name: &str, value: u64| writeln!(text, "/// {doc}\npub const {name}: u64 = {value:#x};");
    constant("Physical base of the image.", "PHYSICAL_BASE", board.kernel.physical_base)?;
    constant("Virtual base of the image.", "VIRTUAL_BASE", KERNEL_VIRTUAL_BASE)?;
    constant("Worst-case execution time of the kernel, microseconds.", "WCET_US", board.kernel.wcet_us)?;
    constant("Debug console registers (PL011).", "CONSOLE", console)?;
    constant("GIC distributor.", "GICD", board.gic.distributor)?;
    println!("cargo:rustc-check-cfg=cfg(gic_v3)");
    if board.gic.version == 3 {
        println!("cargo:rustc-cfg=gic_v3");
        constant("GIC redistributor of the first CPU.", "GICR", board.gic.redistributor)?;
    } else {
        constant("GIC CPU interface.", "GICC", board.gic.cpu_interface)?;
        constant("GIC virtual interface control.", "GICH", board.gic.hypervisor_interface)?;
    }
    constant("Greatest interrupt number.", "MAX_IRQ", board.gic.max_irq.into())?;
    constant(
        "Maintenance interrupt of the virtual interface.",
        "MAINTENANCE_IRQ",
        board.gic.maintenance_irq.into(),
    )?;
    constant("EL2 physical timer interrupt.", "KERNEL_TIMER_IRQ", board.timer.kernel_irq.into())?;
    constant("Virtual timer interrupt.", "VIRTUAL_TIMER_IRQ", board.timer.virtual_irq.into())?;
    constant("Bits of a physical address.", "PHYSICAL_ADDRESS_BITS", board.physical_address_bits.into())?;
    constant(
        "Whether user level has the EL1 physical timer.",
        "USER_TIMER",
        board.timer.user_irq.is_some().into(),
    )?;
    constant("Counter frequency, Hz.", "TIMER_FREQUENCY", board.timer.frequency)?;
    let mut table = |doc: &str, name: &str, ranges: &[std::ops::Range<u64>]| {
        writeln!(text, "/// {doc}: start, end.\npub const {name}: [(u64, u64); {}] = [", ranges.len())?;
        for range in ranges {
            writeln!(text, "    ({:#x}, {:#x}),", range.start, range.end)?;
        }
        writeln!(text, "];")
    };
    table("RAM, ascending", "MEMORY", &board.ram_ranges())?;
    let kept: Vec<_> = board.kernel_device_pages().into_iter().map(|(_, range)| range).collect();
    table("Device pages that the kernel keeps, ascending", "KERNEL_DEVICES", &kept)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("board.rs"), text)?;

    println!("cargo:rustc-link-arg-bins=--defsym=PHYSICAL_BASE={:#x}", board.kernel.physical_base);
    println!("cargo:rustc-link-arg-bins=--defsym=VIRTUAL_BASE={KERNEL_VIRTUAL_BASE:#x}");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    println!("cargo:rustc-link-arg-bins=--build-id=none");
    Ok(())
}
