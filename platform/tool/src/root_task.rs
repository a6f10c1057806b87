// SPDX-License-Identifier: BSD-2-Clause
//! An image of kernel and one root task, any program for seL4: without the initialiser, and so without a system.
//!
//! The kernel maps the whole range from the program's first page to its last, gaps included, one page after the other,
//! as seL4 does; BootInfo and IPC buffer come behind it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::elf::Elf;
use crate::image::{Kernel, Layout, RootTask};
use crate::sdk::KernelConfig;

const PAGE: u64 = 0x1000;
/// First word of a flattened device tree (big endian).
const DEVICE_TREE_MAGIC: u32 = 0xd00d_feed;
/// Most bytes of one: what Linux allows.
const MAX_DEVICE_TREE: u32 = 2 << 20;
/// Bytes of `seL4_BootInfoHeader`.
const CHUNK_HEADER: u64 = 16;

/// The image of the program at `program`, for the board and configuration of the SDK's folder `target`. The kernel hands
/// `device_tree`, a flattened device tree (Devicetree Specification, section 5), to the program in BootInfo.
///
/// # Errors
/// A file is missing or no program, or there is no room for it in memory.
pub fn image(board: &str, target: &Path, program: &Path, device_tree: Option<&Path>) -> Result<Vec<u8>> {
    let config = KernelConfig::read(board, target)?;
    let elf = |path: &Path| {
        Elf::read(path).map_err(|reason| anyhow!("failed to read '{}': {reason}", path.display()))
    };
    let sdk_elf = |name: &str| elf(&target.join("elf").join(name));
    let kernel = Kernel::new(&sdk_elf("sel4.elf")?).context("the SDK's kernel")?;
    let mut task = root_task(&elf(program)?);
    if let Some(path) = device_tree {
        task.device_tree = read_device_tree(path)?;
    }
    // IPC buffer and BootInfo; the device tree with its header, in a power of two of pages.
    let behind = if task.device_tree.is_empty() {
        2 * PAGE
    } else {
        2 * PAGE + (task.device_tree.len() as u64 + CHUNK_HEADER).next_power_of_two().max(PAGE)
    };
    let (last, top) = (task.vaddr + task.bytes.len() as u64 + behind, config.platform.vspace_user_top);
    ensure!(
        last <= top,
        "the root task reaches {last:#x}; the last address that a program can have is {top:#x}"
    );
    let layout = Layout::new(&sdk_elf("loader.elf")?, &kernel, &task, &config.platform.ram)?;
    Ok(layout.write(&kernel, &task))
}

/// Reads a device tree: whole pages, as many as its header says that it needs.
fn read_device_tree(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let size = word(4).filter(|_| word(0) == Some(DEVICE_TREE_MAGIC));
    let Some(size) = size else { bail!("'{}' is no flattened device tree", path.display()) };
    ensure!(
        size as usize <= bytes.len() && size <= MAX_DEVICE_TREE,
        "the device tree '{}' is cut off, or larger than {MAX_DEVICE_TREE} bytes",
        path.display()
    );
    bytes.truncate(size as usize);
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
    Ok(bytes)
}

/// The program as whole pages.
fn root_task(elf: &Elf) -> RootTask {
    let (start, program) = elf.flat(|segment| segment.vaddr);
    let vaddr = start & !(PAGE - 1);
    let mut bytes = vec![0; (start - vaddr) as usize];
    bytes.extend_from_slice(&program);
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
    RootTask { vaddr, entry: elf.entry, bytes, device_tree: Vec::new() }
}
