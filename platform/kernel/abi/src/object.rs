// SPDX-License-Identifier: BSD-2-Clause
//! Object types and sizes (`seL4_ObjectType`; sizes as log2 of bytes).

/// Type argument of `Untyped_Retype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum ObjectType {
    /// Untyped memory; size given by the user.
    Untyped = 0,
    /// Thread.
    Tcb = 1,
    /// Endpoint.
    Endpoint = 2,
    /// Notification.
    Notification = 3,
    /// CNode; the user gives log2 of the number of slots.
    CNode = 4,
    /// Scheduling context; size given by the user.
    SchedContext = 5,
    /// Reply object.
    Reply = 6,
    /// 1 GiB frame.
    HugePage = 7,
    /// Top-level translation table.
    VSpace = 8,
    /// 4 KiB frame.
    SmallPage = 9,
    /// 2 MiB frame.
    LargePage = 10,
    /// Translation table below the top.
    PageTable = 11,
    /// Virtual CPU.
    Vcpu = 12,
}

impl ObjectType {
    /// The type with this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Untyped,
            1 => Self::Tcb,
            2 => Self::Endpoint,
            3 => Self::Notification,
            4 => Self::CNode,
            5 => Self::SchedContext,
            6 => Self::Reply,
            7 => Self::HugePage,
            8 => Self::VSpace,
            9 => Self::SmallPage,
            10 => Self::LargePage,
            11 => Self::PageTable,
            12 => Self::Vcpu,
            _ => return None,
        })
    }
}

/// log2 of a capability slot.
pub const SLOT_BITS: u64 = 5;
/// log2 of a TCB without the hardware debug interface.
pub const TCB_BITS: u64 = 11;
/// log2 of a TCB with the hardware debug interface (configuration `debug`).
pub const TCB_BITS_HW_DEBUG: u64 = 12;
/// log2 of an endpoint.
pub const ENDPOINT_BITS: u64 = 4;
/// log2 of a notification.
pub const NOTIFICATION_BITS: u64 = 6;
/// log2 of a reply object.
pub const REPLY_BITS: u64 = 5;
/// log2 of the smallest scheduling context.
pub const MIN_SCHED_CONTEXT_BITS: u64 = 7;
/// Bytes of a scheduling context that are there whatever its size, two refills included.
pub const SCHED_CONTEXT_CORE_BYTES: u64 = 128;
/// Bytes of each further refill.
pub const REFILL_BYTES: u64 = 16;
/// Refills that fit into the core of a scheduling context.
pub const MIN_REFILLS: u64 = 2;
/// log2 of a small page.
pub const SMALL_PAGE_BITS: u64 = 12;
/// log2 of a large page.
pub const LARGE_PAGE_BITS: u64 = 21;
/// log2 of a huge page.
pub const HUGE_PAGE_BITS: u64 = 30;
/// log2 of a page table.
pub const PAGE_TABLE_BITS: u64 = 12;
/// Address bits that a page table translates.
pub const PAGE_TABLE_INDEX_BITS: u64 = 9;
/// log2 of a virtual CPU.
pub const VCPU_BITS: u64 = 12;
/// log2 of an ASID pool.
pub const ASID_POOL_BITS: u64 = 12;
/// log2 of the number of ASIDs in a pool.
pub const ASID_POOL_INDEX_BITS: u64 = 9;
/// log2 of the number of ASID pools.
pub const ASID_HIGH_BITS: u64 = 7;
/// log2 of the smallest untyped.
pub const MIN_UNTYPED_BITS: u64 = 4;
/// log2 of the greatest untyped.
pub const MAX_UNTYPED_BITS: u64 = 47;

/// Shape of an address space (VSpace): a stage 2 translation with pages of 4 KiB (Arm DDI 0487, D8.2). It follows from
/// the width of the processor's physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// Bits of an address in it.
    pub address_bits: u64,
    /// Address bits that the root is indexed by.
    pub root_index_bits: u64,
    /// Levels of page tables below the root.
    pub table_levels: u64,
}

impl AddressSpace {
    /// 40-bit physical addresses: the walk starts at level 1, in two concatenated tables.
    pub const BITS_40: Self = Self { address_bits: 40, root_index_bits: 10, table_levels: 2 };
    /// 44-bit physical addresses: the walk starts at level 0, in a table of which 32 entries can be reached.
    pub const BITS_44: Self = Self { address_bits: 44, root_index_bits: 9, table_levels: 3 };

    /// The shape for physical addresses of so many bits.
    pub const fn of(physical_address_bits: u64) -> Option<Self> {
        match physical_address_bits {
            40 => Some(Self::BITS_40),
            44 => Some(Self::BITS_44),
            _ => None,
        }
    }

    /// log2 of the bytes of the root.
    pub const fn root_bits(self) -> u64 {
        self.root_index_bits + 3
    }

    /// log2 of the bytes that an entry of the root translates.
    pub const fn root_shift(self) -> u64 {
        SMALL_PAGE_BITS + self.table_levels * PAGE_TABLE_INDEX_BITS
    }

    /// Last address.
    pub const fn top(self) -> u64 {
        (1 << self.address_bits) - 1
    }
}

const _: () = {
    assert!(AddressSpace::BITS_40.root_shift() + AddressSpace::BITS_40.root_index_bits == 40);
    assert!(AddressSpace::BITS_44.root_shift() + AddressSpace::BITS_44.root_index_bits >= 44);
};
