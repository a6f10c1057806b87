// SPDX-License-Identifier: BSD-2-Clause
//! Object types for `Untyped_Retype`, mapping attributes and flag words.

use crate::seL4_Word;

/// Bits of a machine word.
pub const seL4_WordBits: usize = 64;
/// log2 of the small page size.
pub const seL4_PageBits: usize = 12;

/// Object types of an AArch64 MCS kernel.
pub mod seL4_ObjectType {
    use crate::seL4_Word;
    /// The type of an object type.
    pub type Type = seL4_Word;
    /// Untyped memory; the size is given.
    pub const seL4_UntypedObject: Type = 0;
    /// Thread control block.
    pub const seL4_TCBObject: Type = 1;
    /// Endpoint.
    pub const seL4_EndpointObject: Type = 2;
    /// Notification.
    pub const seL4_NotificationObject: Type = 3;
    /// CNode; the size given is the number of slot bits.
    pub const seL4_CapTableObject: Type = 4;
    /// Scheduling context; the size is given.
    pub const seL4_SchedContextObject: Type = 5;
    /// Reply object.
    pub const seL4_ReplyObject: Type = 6;
    /// 1 GiB frame.
    pub const seL4_ARM_HugePageObject: Type = 7;
    /// Top-level page table.
    pub const seL4_ARM_VSpaceObject: Type = 8;
    /// 4 KiB frame.
    pub const seL4_ARM_SmallPageObject: Type = 9;
    /// 2 MiB frame.
    pub const seL4_ARM_LargePageObject: Type = 10;
    /// Page table of any lower level.
    pub const seL4_ARM_PageTableObject: Type = 11;
    /// Virtual CPU (hypervisor kernels only).
    pub const seL4_ARM_VCPUObject: Type = 12;
}

/// Memory attributes of a mapping: bit 0 cacheable, bit 1 parity, bit 2 execute-never.
pub mod seL4_ARM_VMAttributes {
    use crate::seL4_Word;
    /// The type of the attribute word.
    pub type Type = seL4_Word;
    /// Device memory, executable where the rights allow.
    pub const seL4_ARM_None: Type = 0;
    /// Normal cacheable memory.
    pub const seL4_ARM_PageCacheable: Type = 1;
    /// Parity (no effect on AArch64).
    pub const seL4_ARM_ParityEnabled: Type = 2;
    /// Not executable.
    pub const seL4_ARM_ExecuteNever: Type = 4;
    /// Cacheable with parity.
    pub const seL4_ARM_Default_VMAttributes: Type = 3;
}

/// Flags of `SchedControl_ConfigureFlags`.
pub mod seL4_SchedContextFlag {
    use crate::seL4_Word;
    /// No flag.
    pub const seL4_SchedContext_NoFlag: seL4_Word = 0;
    /// Sporadic server: unused budget is kept.
    pub const seL4_SchedContext_Sporadic: seL4_Word = 1;
}

/// Flags of `TCB_SetFlags`.
pub mod seL4_TCBFlag {
    use crate::seL4_Word;
    /// No flag.
    pub const seL4_TCBFlag_NoFlag: seL4_Word = 0;
    /// The thread may not use the FPU.
    pub const seL4_TCBFlag_fpuDisabled: seL4_Word = 1;
}

const _: () = assert!(seL4_Word::BITS as usize == seL4_WordBits);
