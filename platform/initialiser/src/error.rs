// SPDX-License-Identifier: BSD-2-Clause
//! What can go wrong.

use core::fmt;

use sel4_sys::Error;
use system_spec::FormatError;
use system_spec::allocator::PlanError;

/// An invocation that the kernel refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// Which one, and for what.
    pub operation: &'static str,
    /// The object or slot it was for.
    pub subject: u64,
    /// The kernel's reason.
    pub error: Error,
    /// What the kernel says about it (first message register).
    pub detail: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, subject, error, detail } = self;
        write!(f, "{operation} ({subject:#x}): kernel error {error:?}, detail {detail:#x}")
    }
}

/// Why the system is not started.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The description is damaged.
    Format(FormatError),
    /// Not every object gets memory.
    Plan(PlanError<Refused>),
    /// The kernel refused something.
    Kernel(Refused),
    /// Too few slots for capabilities; how many are needed.
    Slots(u64),
    /// A record refers to an object or data that is not there.
    Reference(&'static str),
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<PlanError<Refused>> for Failure {
    fn from(error: PlanError<Refused>) -> Self {
        Self::Plan(error)
    }
}

impl From<Refused> for Failure {
    fn from(error: Refused) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Plan(error) => error.fmt(f),
            Self::Kernel(refused) => refused.fmt(f),
            Self::Slots(needed) => write!(f, "no room for {needed} capabilities"),
            Self::Reference(what) => write!(f, "the description refers to {what} that does not exist"),
        }
    }
}
