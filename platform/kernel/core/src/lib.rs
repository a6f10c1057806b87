// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's implementation: capabilities, derivation tree, IPC, scheduling, address spaces.
//!
//! Everything is generic over a [`Machine`]: at EL2 that is the hardware (`platform/kernel/arch`), in host tests a
//! simulated one. Kernel objects are 64-bit words at physical addresses, named by small typed references
//! ([`layout`]) and read and written through the machine; there is no `unsafe` here and no global state: one
//! [`Kernel`] value is everything the kernel knows besides the objects.
//!
//! Where to look: a system call enters in [`syscall`], an invocation of a capability is decoded in [`invoke`] and
//! the module of the object; [`cdt`] is the derivation tree, [`delete`] deletion and revocation, [`endpoint`],
//! [`notification`] and [`reply`] are IPC, [`sched`] and [`sched_context`] time, [`domain`] the schedule above it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod addr;
pub mod benchmark;
pub mod boot;
pub mod budget;
pub mod cap;
pub mod cdt;
pub mod cnode;
pub mod cspace;
pub mod delete;
pub mod domain;
pub mod endpoint;
pub mod error;
pub mod fastpath;
pub mod fault;
pub mod hardware_debug;
pub mod invoke;
pub mod irq;
pub mod kernel;
pub mod layout;
pub mod lending;
pub mod machine;
pub mod notification;
#[cfg(any(test, feature = "sim", feature = "paranoid"))]
pub mod paranoid;
pub mod release;
pub mod reply;
pub mod sched;
pub mod sched_context;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod syscall;
pub mod tcb;
#[cfg(test)]
mod tests;
pub mod thread;
pub mod time;
pub mod transfer;
pub mod untyped;
pub mod vcpu;
pub mod vspace;
pub mod waiting;

pub use addr::PhysAddr;
pub use cap::Cap;
pub use error::{Error, Lookup, Stop};
pub use kernel::Kernel;
pub use machine::Machine;
