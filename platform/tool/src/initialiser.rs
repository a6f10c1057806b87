// SPDX-License-Identifier: BSD-2-Clause
//! The initialiser with a system's description and data behind it: the root task.

use anyhow::{Result, bail};
use system_spec::format::Header;

use crate::elf::Elf;
use crate::image::RootTask;
use crate::model::Model;

const PAGE: u64 = 0x1000;

/// Bytes that the description may take; used to choose addresses before its size is known.
const SPEC_ROOM: u64 = 16 << 20;

/// First virtual address that is certainly behind the root task, if it carries `data` bytes of content.
#[must_use]
pub fn end_bound(elf: &Elf, data: u64) -> u64 {
    elf.bounds().end + SPEC_ROOM + data
}

/// Puts the root task together; also gives the size of the description.
///
/// # Errors
/// When the initialiser is not ours, or the root task reaches into the window for filling frames.
pub fn assemble(elf: &Elf, model: &Model, header: Header) -> Result<(RootTask, u64)> {
    let spec = model.content.write(header);
    let mut elf = elf.clone();
    let (vaddr, size) = (elf.bounds().start, elf.bounds().end - elf.bounds().start);
    if !vaddr.is_multiple_of(PAGE) {
        bail!("the SDK's initialiser does not start on a page");
    }
    let spec_offset = size.next_multiple_of(PAGE);
    let data_offset = (spec_offset + spec.len() as u64).next_multiple_of(PAGE);
    for (symbol, value) in [
        ("system_spec_address", vaddr + spec_offset),
        ("system_spec_size", spec.len() as u64),
        ("system_data_address", vaddr + data_offset),
        ("system_data_size", model.data().map(|part| part.len() as u64).sum()),
    ] {
        if !elf.write_symbol(symbol, &value.to_le_bytes()) {
            bail!(
                "the initialiser '{}' has no symbol '{symbol}': this tool needs the initialiser of its own SDK",
                elf.path.display()
            );
        }
    }
    let (_, mut bytes) = elf.flat(|segment| segment.vaddr);
    bytes.resize(spec_offset as usize, 0);
    bytes.extend_from_slice(&spec);
    bytes.resize(data_offset as usize, 0);
    model.data().for_each(|part| bytes.extend_from_slice(part));
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
    if vaddr + bytes.len() as u64 + 2 * PAGE > header.window {
        bail!("the description is too large ({} bytes)", spec.len());
    }
    Ok((RootTask { vaddr, entry: elf.entry, bytes, device_tree: Vec::new() }, spec.len() as u64))
}
