// SPDX-License-Identifier: BSD-2-Clause
//! Results of invocations (seL4 manual, "Error codes").

use core::fmt;

/// Error codes as numbers, with seL4's names.
pub mod seL4_Error {
    /// The type of an error code.
    pub type Type = u32;
    /// Success.
    pub const seL4_NoError: Type = 0;
    /// A message register has a bad value.
    pub const seL4_InvalidArgument: Type = 1;
    /// A capability argument has the wrong type.
    pub const seL4_InvalidCapability: Type = 2;
    /// The operation is not allowed on this object or in its state.
    pub const seL4_IllegalOperation: Type = 3;
    /// A value is outside its range.
    pub const seL4_RangeError: Type = 4;
    /// An address is not aligned.
    pub const seL4_AlignmentError: Type = 5;
    /// A capability could not be looked up.
    pub const seL4_FailedLookup: Type = 6;
    /// The message has too few registers or capabilities.
    pub const seL4_TruncatedMessage: Type = 7;
    /// Something must be deleted first.
    pub const seL4_DeleteFirst: Type = 8;
    /// Something must be revoked first.
    pub const seL4_RevokeFirst: Type = 9;
    /// The untyped memory is too small.
    pub const seL4_NotEnoughMemory: Type = 10;
}

/// Why an invocation was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// A message register has a bad value; its number is in message register 0.
    InvalidArgument,
    /// A capability argument has the wrong type; its number is in message register 0.
    InvalidCapability,
    /// The operation is not allowed on this object or in its state.
    IllegalOperation,
    /// A value is outside its range; the bounds are in message registers 0 and 1.
    RangeError,
    /// An address is not aligned.
    AlignmentError,
    /// A capability could not be looked up; details from message register 0 on.
    FailedLookup,
    /// The message has too few registers or capabilities.
    TruncatedMessage,
    /// Something must be deleted first.
    DeleteFirst,
    /// Something must be revoked first.
    RevokeFirst,
    /// The untyped memory is too small; the bytes left are in message register 0.
    NotEnoughMemory,
    /// A code this crate does not know.
    Unknown(seL4_Error::Type),
}

impl Error {
    /// `Ok` for `seL4_NoError`, the error otherwise.
    ///
    /// # Errors
    /// The error that `code` stands for.
    #[inline]
    pub const fn check(code: seL4_Error::Type) -> Result<(), Self> {
        match Self::from_code(code) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// The error that `code` stands for; `None` for success.
    #[inline]
    pub const fn from_code(code: seL4_Error::Type) -> Option<Self> {
        Some(match code {
            seL4_Error::seL4_NoError => return None,
            seL4_Error::seL4_InvalidArgument => Self::InvalidArgument,
            seL4_Error::seL4_InvalidCapability => Self::InvalidCapability,
            seL4_Error::seL4_IllegalOperation => Self::IllegalOperation,
            seL4_Error::seL4_RangeError => Self::RangeError,
            seL4_Error::seL4_AlignmentError => Self::AlignmentError,
            seL4_Error::seL4_FailedLookup => Self::FailedLookup,
            seL4_Error::seL4_TruncatedMessage => Self::TruncatedMessage,
            seL4_Error::seL4_DeleteFirst => Self::DeleteFirst,
            seL4_Error::seL4_RevokeFirst => Self::RevokeFirst,
            seL4_Error::seL4_NotEnoughMemory => Self::NotEnoughMemory,
            other => Self::Unknown(other),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidArgument => "invalid argument",
            Self::InvalidCapability => "invalid capability",
            Self::IllegalOperation => "illegal operation",
            Self::RangeError => "value out of range",
            Self::AlignmentError => "bad alignment",
            Self::FailedLookup => "capability lookup failed",
            Self::TruncatedMessage => "truncated message",
            Self::DeleteFirst => "delete first",
            Self::RevokeFirst => "revoke first",
            Self::NotEnoughMemory => "not enough memory",
            Self::Unknown(code) => return write!(f, "unknown seL4 error {code}"),
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_zero_is_success() {
        assert_eq!(Error::check(0), Ok(()));
        for code in 1..=10 {
            assert!(Error::check(code).is_err());
            assert!(!matches!(Error::from_code(code), Some(Error::Unknown(_))));
        }
        assert_eq!(Error::check(11), Err(Error::Unknown(11)));
    }
}
