// SPDX-License-Identifier: BSD-2-Clause
//! The runtime of a Microkit protection domain (PD) in Rust.
//!
//! Every PD is a binary that depends on this crate, is linked with `microkit.ld`, and names its initialisation function
//! with [`protection_domain`]. Names and signatures are those of rust-sel4's `sel4-microkit`; additions are
//! [`Vcpu`], [`smc_call`], [`cspace_slot`], the life-cycle methods of [`Child`], [`MessageInfo::fault`] as an enum,
//! [`set_log_sink`], [`PdCell`], and what makes a PD restartable: [`restarted`], [`RESTARTED`],
//! [`Channel::call_again`] and the watchdog (the symbol `watchdog_ch`, see [`Handler`]).
//!
//! ```text
//! #[protection_domain]
//! fn init() -> impl Handler {
//!     log::info!("hello");
//!     NullHandler::new()
//! }
//! ```
//!
//! Numbers of this file tree that come from Microkit 2.3: CSpace slots, badges, symbol names, address-space layout.
#![cfg_attr(not(test), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod cell;
mod channel;
mod child;
mod defer;
mod entry;
mod handler;
mod heap;
#[doc(hidden)]
pub mod ipc;
mod ipc_buffer;
#[cfg(target_os = "none")]
mod memory;
mod message;
pub mod panicking;
mod printing;
mod restart;
mod slots;
mod smc;
mod symbols;
mod vcpu;

pub use cell::PdCell;
pub use channel::{Channel, ChannelSet, ChannelSetIter, DisplayChannelSet, IrqAckError};
pub use child::Child;
pub use defer::{DeferredAction, DeferredActionInterface, DeferredActionSlot};
pub use handler::{Handler, Infallible, Never, NullHandler};
pub use message::{
    Fault, LookupFailure, MessageInfo, MessageLabel, MessageRegisterValue, VcpuExit, get_mr, set_mr,
    with_msg_bytes, with_msg_bytes_mut, with_msg_regs, with_msg_regs_mut,
};
pub use printing::{LogSink, set_log_sink};
pub use restart::{DAMAGED, ENTRY, GIVEN_UP, REFUSE, RESTARTED, restarted, starts};
pub use sel4_microkit_macros::protection_domain;
pub use sel4_sys;
pub use sel4_sys::{VcpuReg, seL4_UserContext as UserContext};
pub use slots::cspace_slot;
pub use smc::{SmcContext, smc_call};
pub use symbols::{PatchedSymbol, pd_is_passive, pd_name, pd_name_bytes};
pub use vcpu::{Vcpu, exit_answer};

/// What the macros of this crate expand to; not an interface.
#[doc(hidden)]
pub mod _private {
    pub use crate::entry::{DEFAULT_STACK_TOP, Stack, run_main};
    pub use crate::heap::StaticHeap;
    pub use crate::printing::debug_print;
    #[cfg(target_os = "none")]
    pub use crate::restart::refuse;
}
