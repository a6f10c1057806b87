// SPDX-License-Identifier: BSD-2-Clause
//! Fills frames with their initial content, through a window in the initialiser's own address space.

use sel4_sys::seL4_ARM_VMAttributes::{seL4_ARM_Default_VMAttributes, seL4_ARM_ExecuteNever};
use sel4_sys::seL4_RootCNodeCapSlots::seL4_CapInitThreadVSpace;
use sel4_sys::{object_bits, seL4_CapRights};
use system_spec::Spec;
use system_spec::record::{Fill, Source};

use crate::bootinfo::BootInfo;
use crate::copy::copy;
use crate::create::Slots;
use crate::error::Failure;
use crate::kernel::Kernel;

/// Small frames are mapped this far above large ones.
const SMALL_WINDOW: u64 = 1 << 21;

/// Fills all frames that have content.
///
/// # Errors
/// When a record refers to nothing, or the kernel refuses.
pub fn fill(
    spec: &Spec<'_>,
    data: &[u8],
    bootinfo: &BootInfo,
    slots: &Slots,
    kernel: &mut Kernel,
) -> Result<(), Failure> {
    for fill in spec.fills() {
        let fill = fill?;
        let content = content(&fill, data, bootinfo)?;
        let window = if usize::from(fill.frame_bits) == object_bits::SMALL_PAGE {
            spec.header.window + SMALL_WINDOW
        } else {
            spec.header.window
        };
        frames(&fill, content, window, slots, kernel)?;
    }
    Ok(())
}

/// The bytes to write.
fn content<'a>(fill: &Fill, data: &'a [u8], bootinfo: &BootInfo) -> Result<&'a [u8], Failure> {
    match fill.source {
        Source::Data(offset) => {
            let start = usize::try_from(offset).map_err(|_| Failure::Reference("data"))?;
            let end = start.checked_add(fill.len as usize).ok_or(Failure::Reference("data"))?;
            data.get(start..end).ok_or(Failure::Reference("data"))
        }
        Source::BootInfo(id) => {
            let chunk = bootinfo.extra(id).unwrap_or_default();
            Ok(chunk.get(..fill.len as usize).unwrap_or(chunk))
        }
    }
}

/// Writes `content` into consecutive frames.
fn frames(
    fill: &Fill,
    mut content: &[u8],
    window: u64,
    slots: &Slots,
    kernel: &mut Kernel,
) -> Result<(), Failure> {
    const ATTRIBUTES: u64 = seL4_ARM_Default_VMAttributes | seL4_ARM_ExecuteNever;
    let size = 1u64 << (fill.frame_bits & 63);
    let mut position = fill.offset;
    while !content.is_empty() {
        let index = u32::try_from(position / size).map_err(|_| Failure::Reference("a frame"))?;
        let frame = slots.object(fill.frame.saturating_add(index))?;
        let start = position % size;
        let (part, rest) = content.split_at(content.len().min((size - start) as usize));
        let end = start + part.len() as u64;
        kernel.invoke("mapping a frame to fill it", frame, |buffer| {
            let (own, rights) = (seL4_CapInitThreadVSpace, seL4_CapRights::READ_WRITE);
            buffer.seL4_ARM_Page_Map(frame, own, window, rights, ATTRIBUTES)
        })?;
        // SAFETY: the frame is mapped there until it is unmapped below; `part` fits behind `start`; the window is apart
        // from everything else.
        unsafe { copy(part, (window + start) as *mut u8) };
        kernel.care(fill.cache, frame, start, end)?;
        kernel.invoke("unmapping a frame", frame, |buffer| buffer.seL4_ARM_Page_Unmap(frame))?;
        content = rest;
        position += part.len() as u64;
    }
    Ok(())
}
