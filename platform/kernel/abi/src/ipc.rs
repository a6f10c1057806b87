// SPDX-License-Identifier: BSD-2-Clause
//! Message format: the message word, capability rights, the IPC buffer.

/// The message word (x1): length 6:0, extra capabilities 8:7, unwrapped 11:9, label 63:12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageInfo(pub u64);

impl MessageInfo {
    /// Builds a message word; fields are cut to their widths.
    #[inline]
    pub const fn new(label: u64, caps_unwrapped: u64, extra_caps: u64, length: u64) -> Self {
        Self(label << 12 | (caps_unwrapped & 7) << 9 | (extra_caps & 3) << 7 | length & 0x7f)
    }
    /// Message words, at most [`MSG_MAX_LENGTH`] (greater values from users are cut).
    #[inline]
    pub const fn length(self) -> u64 {
        let n = self.0 & 0x7f;
        if n > MSG_MAX_LENGTH { MSG_MAX_LENGTH } else { n }
    }
    /// Extra capabilities.
    #[inline]
    pub const fn extra_caps(self) -> u64 {
        self.0 >> 7 & 3
    }
    /// Label.
    #[inline]
    pub const fn label(self) -> u64 {
        self.0 >> 12
    }
}

/// Most words of a message.
pub const MSG_MAX_LENGTH: u64 = 120;
/// Words of a message that travel in registers (x2 to x5).
pub const MSG_REGISTERS: u64 = 4;
/// Most capabilities of a message.
pub const MSG_MAX_EXTRA_CAPS: u64 = 3;
/// Size and alignment of the IPC buffer in bytes, as log2.
pub const IPC_BUFFER_BITS: u64 = 10;
/// Byte offset of `msg[0]` in the IPC buffer.
pub const IPC_BUFFER_MSG: u64 = 8;
/// Byte offset of `caps_or_badges[0]`.
pub const IPC_BUFFER_CAPS: u64 = 976;
/// Byte offset of receiveCNode.
pub const IPC_BUFFER_RECEIVE_CNODE: u64 = 1000;
/// Byte offset of receiveIndex.
pub const IPC_BUFFER_RECEIVE_INDEX: u64 = 1008;
/// Byte offset of receiveDepth.
pub const IPC_BUFFER_RECEIVE_DEPTH: u64 = 1016;

/// Capability rights (`seL4_CapRights_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapRights(pub u64);

impl CapRights {
    /// Write, send or signal.
    pub const WRITE: u64 = 1;
    /// Read, receive or wait.
    pub const READ: u64 = 2;
    /// Transfer of any capability.
    pub const GRANT: u64 = 4;
    /// Transfer of reply capabilities only.
    pub const GRANT_REPLY: u64 = 8;
    /// All rights.
    pub const ALL: Self = Self(15);
    /// Whether every right of `mask` is there.
    #[inline]
    pub const fn has(self, mask: u64) -> bool {
        self.0 & mask == mask
    }
}
