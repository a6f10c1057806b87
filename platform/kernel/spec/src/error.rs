// SPDX-License-Identifier: BSD-2-Clause
//! What can go wrong in an invocation, and how the answer says it (manual 10.1 "Error codes").

use kernel_abi::error as code;
use kernel_abi::fault::lookup as kind;

/// Why a capability address names nothing (manual 3.4 "Lookup failure description").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The root is not a CNode.
    InvalidRoot,
    /// Nothing, or too few rights, with this many bits left.
    MissingCapability {
        /// Bits of the address not yet translated.
        bits_left: u64,
    },
    /// A CNode translates more bits than are left, or something else was met with bits left.
    DepthMismatch {
        /// Bits of the address not yet translated.
        bits_left: u64,
        /// Bits that the CNode translates.
        bits_found: u64,
    },
    /// The guard is another one.
    GuardMismatch {
        /// Bits of the address not yet translated.
        bits_left: u64,
        /// Guard of the CNode capability.
        guard: u64,
        /// Its bits.
        guard_bits: u64,
    },
}

impl Lookup {
    /// The words that describe it.
    pub fn words(self) -> Vec<u64> {
        match self {
            Self::InvalidRoot => vec![kind::INVALID_ROOT],
            Self::MissingCapability { bits_left } => vec![kind::MISSING_CAPABILITY, bits_left],
            Self::DepthMismatch { bits_left, bits_found } => {
                vec![kind::DEPTH_MISMATCH, bits_left, bits_found]
            }
            Self::GuardMismatch { bits_left, guard, guard_bits } => {
                vec![kind::GUARD_MISMATCH, bits_left, guard, guard_bits]
            }
        }
    }
}

/// Why an invocation was refused. A refused invocation changes nothing but the caller's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Argument with this number.
    InvalidArgument(u64),
    /// Capability with this number; 0 is the invoked one.
    InvalidCapability(u64),
    /// Not on this object, or not now.
    IllegalOperation,
    /// Outside of least and greatest value.
    Range(u64, u64),
    /// Address not aligned.
    Alignment,
    /// A slot could not be found.
    FailedLookup {
        /// Whether it was a source (else a destination).
        source: bool,
        /// Why.
        why: Lookup,
    },
    /// Too few words or capabilities.
    TruncatedMessage,
    /// A slot, table entry or list register is in use.
    DeleteFirst,
    /// Something derived is still there.
    RevokeFirst,
    /// Bytes left in the untyped.
    NotEnoughMemory(u64),
}

impl Error {
    /// Label and words of the answer.
    pub fn answer(self) -> (u64, Vec<u64>) {
        match self {
            Self::InvalidArgument(n) => (code::INVALID_ARGUMENT, vec![n]),
            Self::InvalidCapability(n) => (code::INVALID_CAPABILITY, vec![n]),
            Self::IllegalOperation => (code::ILLEGAL_OPERATION, vec![]),
            Self::Range(min, max) => (code::RANGE_ERROR, vec![min, max]),
            Self::Alignment => (code::ALIGNMENT_ERROR, vec![]),
            Self::FailedLookup { source, why } => {
                let mut words = vec![u64::from(source)];
                words.extend(why.words());
                (code::FAILED_LOOKUP, words)
            }
            Self::TruncatedMessage => (code::TRUNCATED_MESSAGE, vec![]),
            Self::DeleteFirst => (code::DELETE_FIRST, vec![]),
            Self::RevokeFirst => (code::REVOKE_FIRST, vec![]),
            Self::NotEnoughMemory(left) => (code::NOT_ENOUGH_MEMORY, vec![left]),
        }
    }
}
