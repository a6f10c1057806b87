// SPDX-License-Identifier: BSD-2-Clause
//! Turns the board description (`$BOARD_FILE`, a file of `kernel-config/`) into the loader's constants and linker arguments.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let default = manifest.join("../../kernel-config/qemu_virt_aarch64.toml");
    let file = env::var_os("BOARD_FILE").map_or(default, PathBuf::from);
    let script = manifest.join("loader.ld");
    println!("cargo:rerun-if-env-changed=BOARD_FILE");
    // With it, a family's file.
    println!("cargo:rerun-if-changed={}", file.parent().unwrap_or(&file).display());
    println!("cargo:rerun-if-changed={}", script.display());
    let board = board::Board::load(&file)?;

    let mut text = String::new();
    let mut constant =
        |doc: &str, name: &str, value: u64| writeln!(text, "/// {doc}\npub const {name}: u64 = {value:#x};");
    constant("Where the image is linked and runs.", "LINK_ADDRESS", board.loader.link_address)?;
    constant("Where the kernel image belongs.", "KERNEL_PHYSICAL_BASE", board.kernel.physical_base)?;
    constant("GIC distributor.", "GIC_DISTRIBUTOR", board.gic.distributor)?;
    constant("GIC CPU interface.", "GIC_CPU_INTERFACE", board.gic.cpu_interface)?;
    constant("Bits of a physical address.", "PHYSICAL_ADDRESS_BITS", board.physical_address_bits.into())?;
    let spin_table = board.loader.spin_table.as_ref();
    constant("Where waiting cores are sent.", "PARKED_AT", spin_table.map_or(0, |table| table.parked_at))?;
    let words = spin_table.map_or(&[][..], |table| &table.words);
    writeln!(
        text,
        "/// The words that waiting cores look at.\npub const SPIN_TABLE: [u64; {}] = {words:#x?};",
        words.len()
    )?;
    writeln!(
        text,
        "/// RAM, ascending: start, end.\npub const MEMORY: [(u64, u64); {}] = [",
        board.memory.len()
    )?;
    for range in &board.memory {
        writeln!(text, "    ({:#x}, {:#x}),", range.start, range.end)?;
    }
    text.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("board.rs"), text)?;

    println!("cargo:rustc-link-arg-bins=--defsym=LINK_ADDRESS={:#x}", board.loader.link_address);
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    println!("cargo:rustc-link-arg-bins=--build-id=none");
    Ok(())
}
