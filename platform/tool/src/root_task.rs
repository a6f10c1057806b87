// SPDX-License-Identifier: BSD-2-Clause
//! An image of kernel and one root task, any program for seL4: without the initialiser, and so without a system.
//!
//! The kernel maps the whole range from the program's first page to its last, gaps included, one page after the other,
//! as seL4 does; BootInfo and IPC buffer come behind it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use crate::elf::Elf;
use crate::image::{Kernel, Layout, RootTask};
use crate::sdk::KernelConfig;

const PAGE: u64 = 0x1000;

/// The image of the program at `program`, for the board and configuration of the SDK's folder `target`.
///
/// # Errors
/// A file is missing or no program, or there is no room for it in memory.
pub fn image(board: &str, target: &Path, program: &Path) -> Result<Vec<u8>> {
    let config = KernelConfig::read(board, target)?;
    let elf = |path: &Path| {
        Elf::read(path).map_err(|reason| anyhow!("failed to read '{}': {reason}", path.display()))
    };
    let sdk_elf = |name: &str| elf(&target.join("elf").join(name));
    let kernel = Kernel::new(&sdk_elf("sel4.elf")?).context("the SDK's kernel")?;
    let task = root_task(&elf(program)?);
    let (last, top) = (task.vaddr + task.bytes.len() as u64 + 2 * PAGE, config.platform.vspace_user_top);
    ensure!(
        last <= top,
        "the root task reaches {last:#x}; the last address that a program can have is {top:#x}"
    );
    let layout =
        Layout::new(&sdk_elf("loader.elf")?, &kernel, task.bytes.len() as u64, &config.platform.ram)?;
    Ok(layout.write(&kernel, &task))
}

/// The program as whole pages.
fn root_task(elf: &Elf) -> RootTask {
    let (start, program) = elf.flat(|segment| segment.vaddr);
    let vaddr = start & !(PAGE - 1);
    let mut bytes = vec![0; (start - vaddr) as usize];
    bytes.extend_from_slice(&program);
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
    RootTask { vaddr, entry: elf.entry, bytes }
}
