// SPDX-License-Identifier: BSD-2-Clause
//! What a trapped guest did, and what the architecture answers.
//!
//! Decodes exception syndromes ([`syndrome`], [`abort`], [`sysreg`]), keeps the system registers that trap
//! ([`emulated`]) and the EL1 physical timer ([`timer`]), and computes the entry into an exception that a guest takes
//! ([`inject`]). The VMM calls it with values from the kernel; nothing here touches a guest by itself.
//!
//! Source of all field layouts: Arm Architecture Reference Manual for A-profile, DDI 0487, by register name.
//! Everything in a syndrome is decided by a guest: no value of it may panic here.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod abort;
pub mod emulated;
pub mod inject;
pub mod pstate;
pub mod syndrome;
pub mod sysreg;
pub mod timer;

pub use abort::{Access, DataAbort, InstructionAbort, Width};
pub use emulated::{Outcome, SystemRegisters};
pub use inject::{Cause, EntryContext, ExceptionEntry};
pub use pstate::{Pstate, Vector};
pub use syndrome::{Class, Gpr, Syndrome, WaitKind};
pub use sysreg::{SysReg, SysRegAccess};
pub use timer::PhysicalTimer;
