// SPDX-License-Identifier: BSD-2-Clause
//! What an invocation answers when it is refused (seL4 manual, error codes).

use kernel_abi::fault::lookup;

/// Why a capability lookup failed; told in cap faults and in `FailedLookup` errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The root of the CSpace is no CNode.
    InvalidRoot,
    /// The slot is empty.
    MissingCapability {
        /// Bits of the address not yet used.
        bits_left: u64,
    },
    /// The address has fewer bits than needed, or bits are left over.
    DepthMismatch {
        /// Bits of the address not yet used.
        bits_left: u64,
        /// Bits that were looked for.
        bits_found: u64,
    },
    /// The guard of a CNode capability differs.
    GuardMismatch {
        /// Bits of the address not yet used.
        bits_left: u64,
        /// The guard.
        guard: u64,
        /// Bits of the guard.
        guard_size: u64,
    },
}

impl Lookup {
    /// The message words: type, bits left, and up to two more; with how many there are.
    pub const fn words(self) -> ([u64; 4], u64) {
        match self {
            Self::InvalidRoot => ([lookup::INVALID_ROOT, 0, 0, 0], 1),
            Self::MissingCapability { bits_left } => ([lookup::MISSING_CAPABILITY, bits_left, 0, 0], 2),
            Self::DepthMismatch { bits_left, bits_found } => {
                ([lookup::DEPTH_MISMATCH, bits_left, bits_found, 0], 3)
            }
            Self::GuardMismatch { bits_left, guard, guard_size } => {
                ([lookup::GUARD_MISMATCH, bits_left, guard, guard_size], 4)
            }
        }
    }
}

/// A refused invocation, with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Number of the argument, counted from 0.
    InvalidArgument(u64),
    /// Number of the capability; 0 is the invoked one.
    InvalidCapability(u64),
    /// Not allowed on this object now.
    IllegalOperation,
    /// Least and greatest value.
    Range(u64, u64),
    /// Not aligned.
    Alignment,
    /// Whether the lookup was of a source, and how it failed.
    FailedLookup(bool, Lookup),
    /// Too few words or capabilities in the message.
    TruncatedMessage,
    /// Something must be deleted first.
    DeleteFirst,
    /// Something must be revoked first.
    RevokeFirst,
    /// Bytes left.
    NotEnoughMemory(u64),
}

/// Why an operation did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Refused: the caller is told.
    Error(Error),
    /// An interrupt waits: the system call is to be restarted.
    Preempted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
