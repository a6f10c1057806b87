// SPDX-License-Identifier: BSD-2-Clause
//! Stage 2 translation of what runs below EL2: the current root, and forgetting translations.

use core::arch::asm;

use kernel_abi::object::AddressSpace;
use kernel_core::PhysAddr;

use crate::board;
use crate::paging;
use crate::sysreg::{self, read, write};

/// VTTBR_EL2: VMID in bits 55:48.
const VMID_SHIFT: u32 = 48;
const PAGE_SHIFT: u32 = 12;

/// Shape of every address space on this board.
pub const SHAPE: AddressSpace =
    AddressSpace::of(board::PHYSICAL_ADDRESS_BITS).expect("a width of physical addresses that is known");

/// A root that maps nothing, of the greatest size that there is.
#[repr(C, align(8192))]
struct EmptyRoot([u64; 1024]);

static EMPTY_ROOT: EmptyRoot = EmptyRoot([0; 1024]);

/// Nothing is mapped; VMID 0 is never given to a VSpace.
pub fn nothing() -> u64 {
    paging::image_to_physical(EMPTY_ROOT.0.as_ptr() as u64)
}

/// The VTTBR_EL2 of a root with a VMID.
#[inline]
pub fn vttbr(root: PhysAddr, vmid: u8) -> u64 {
    root.0 | u64::from(vmid) << VMID_SHIFT
}

/// The VMID in use.
#[inline]
pub fn vmid() -> u8 {
    (read!("vttbr_el2") >> VMID_SHIFT) as u8
}

/// Table entries written before are seen by the table walker.
#[inline]
pub fn publish() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// Forgets everything about a VMID.
pub fn invalidate_vmid(vmid: u8) {
    with_vmid(vmid, || {
        // SAFETY: drops cached translations; tables are walked anew.
        unsafe {
            asm!("dsb ishst", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack, preserves_flags))
        };
    });
}

/// Forgets the translation of one address of a VMID.
pub fn invalidate_page(vmid: u8, address: u64) {
    with_vmid(vmid, || {
        // SAFETY: drops cached translations. Entries that combine both stages are not found by the intermediate
        // address, therefore the second invalidation.
        unsafe {
            asm!(
                "dsb ishst", "tlbi ipas2e1is, {0}", "dsb ish", "tlbi vmalle1is", "dsb ish", "isb",
                in(reg) address >> PAGE_SHIFT, options(nostack, preserves_flags)
            );
        }
    });
}

/// Runs an invalidation, which applies to the VMID in VTTBR_EL2, for another VMID.
fn with_vmid(vmid: u8, invalidate: impl FnOnce()) {
    let current = read!("vttbr_el2");
    let other = (current >> VMID_SHIFT) as u8 != vmid;
    if other {
        write!("vttbr_el2", nothing() | u64::from(vmid) << VMID_SHIFT);
        sysreg::isb();
    }
    invalidate();
    if other {
        write!("vttbr_el2", current);
        sysreg::isb();
    }
}
