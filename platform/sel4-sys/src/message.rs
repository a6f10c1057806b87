// SPDX-License-Identifier: BSD-2-Clause
//! Message tags, capability rights and CNode data: words with packed fields (seL4 manual, "IPC" and "CNodes").

use core::fmt;

use crate::seL4_Word;

/// Message tag: length \[6:0\], extra capabilities \[8:7\], capabilities unwrapped \[11:9\], label \[63:12\].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct seL4_MessageInfo(seL4_Word);

impl seL4_MessageInfo {
    /// Bits of a label.
    pub const LABEL_WIDTH: usize = 52;
    /// Most message registers a message can have.
    pub const MAX_LENGTH: usize = 120;

    /// A tag; fields that do not fit are cut to their width.
    pub const fn new(
        label: seL4_Word,
        caps_unwrapped: seL4_Word,
        extra_caps: seL4_Word,
        length: seL4_Word,
    ) -> Self {
        Self((label << 12) | ((caps_unwrapped & 0x7) << 9) | ((extra_caps & 0x3) << 7) | (length & 0x7f))
    }

    /// The label: what the message asks for, or an invocation's result.
    pub const fn get_label(self) -> seL4_Word {
        self.0 >> 12
    }

    /// Bit n set: received capability n was an endpoint of ours and came as its badge.
    pub const fn get_capsUnwrapped(self) -> seL4_Word {
        (self.0 >> 9) & 0x7
    }

    /// Number of capabilities transferred.
    pub const fn get_extraCaps(self) -> seL4_Word {
        (self.0 >> 7) & 0x3
    }

    /// Number of message registers in use, as transmitted (a hostile sender may say up to 127).
    pub const fn get_length(self) -> seL4_Word {
        self.0 & 0x7f
    }

    /// The tag as the kernel sees it.
    pub const fn into_word(self) -> seL4_Word {
        self.0
    }

    /// A tag from the kernel.
    pub const fn from_word(word: seL4_Word) -> Self {
        Self(word)
    }
}

impl fmt::Debug for seL4_MessageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("seL4_MessageInfo")
            .field("label", &self.get_label())
            .field("capsUnwrapped", &self.get_capsUnwrapped())
            .field("extraCaps", &self.get_extraCaps())
            .field("length", &self.get_length())
            .finish()
    }
}

/// Rights for derived capabilities and mappings: write 1, read 2, grant 4, grant-reply 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct seL4_CapRights(pub seL4_Word);

impl seL4_CapRights {
    /// Read and write.
    pub const READ_WRITE: Self = Self(3);
    /// Everything.
    pub const ALL: Self = Self(15);
    /// Read only.
    pub const READ: Self = Self(2);
    /// Write only (signalling, sending).
    pub const WRITE: Self = Self(1);
    /// No rights at all.
    pub const NONE: Self = Self(0);
    /// Everything but write.
    pub const NO_WRITE: Self = Self(14);
    /// Everything but read.
    pub const NO_READ: Self = Self(13);

    /// Rights one by one, in the order of the C function.
    pub const fn new(grant_reply: bool, grant: bool, read: bool, write: bool) -> Self {
        Self(((grant_reply as u64) << 3) | ((grant as u64) << 2) | ((read as u64) << 1) | write as u64)
    }

    /// The word the kernel takes.
    pub const fn into_word(self) -> seL4_Word {
        self.0
    }
}

/// The data word of a CNode capability: guard size \[5:0\], guard \[63:6\].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct seL4_CNode_CapData(pub seL4_Word);

impl seL4_CNode_CapData {
    /// `guard_size` bits that must equal `guard`.
    pub const fn new(guard: seL4_Word, guard_size: seL4_Word) -> Self {
        Self((guard << 6) | (guard_size & 0x3f))
    }

    /// No guard.
    pub const fn skip_none() -> Self {
        Self::new(0, 0)
    }

    /// The word the kernel takes.
    pub const fn into_word(self) -> seL4_Word {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_fields_do_not_overlap() {
        let tag = seL4_MessageInfo::new(0xf_ffff_ffff_ffff, 0, 0, 0);
        assert_eq!(tag.into_word(), 0xffff_ffff_ffff_f000);
        let tag = seL4_MessageInfo::new(0, 7, 0, 0);
        assert_eq!(tag.into_word(), 0xe00);
        let tag = seL4_MessageInfo::new(0, 0, 3, 0);
        assert_eq!(tag.into_word(), 0x180);
        let tag = seL4_MessageInfo::new(5, 2, 1, 120);
        assert_eq!(
            (tag.get_label(), tag.get_capsUnwrapped(), tag.get_extraCaps(), tag.get_length()),
            (5, 2, 1, 120)
        );
    }

    #[test]
    fn oversized_length_does_not_reach_the_neighbouring_field() {
        assert_eq!(seL4_MessageInfo::new(0, 0, 0, 0x80).into_word(), 0);
        assert_eq!(seL4_MessageInfo::new(0, 0, 4, 0).into_word(), 0);
    }

    #[test]
    fn rights_have_the_documented_bits() {
        assert_eq!(seL4_CapRights::new(true, true, true, true), seL4_CapRights::ALL);
        assert_eq!(seL4_CapRights::new(false, false, true, true), seL4_CapRights::READ_WRITE);
        assert_eq!(seL4_CapRights::new(true, true, true, false), seL4_CapRights::NO_WRITE);
        assert_eq!(seL4_CapRights::new(true, true, false, true), seL4_CapRights::NO_READ);
    }

    #[test]
    fn cnode_data_puts_the_guard_above_its_size() {
        assert_eq!(seL4_CNode_CapData::new(0, 49).into_word(), 49);
        assert_eq!(seL4_CNode_CapData::new(1, 3).into_word(), (1 << 6) | 3);
    }
}
