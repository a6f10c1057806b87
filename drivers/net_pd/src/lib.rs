// SPDX-License-Identifier: BSD-2-Clause
//! What network drivers have in common: the protection domain (PD) around a driver's logic. It owns an interrupt and serves
//! one link (the switch's).
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

use core::fmt::Display;

#[cfg(feature = "pd")]
mod pd;

#[cfg(feature = "pd")]
pub use pd::{NetDriver, link, run};

/// What is to be done after [`Logic::service`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Notify the client.
    pub notify: bool,
    /// Call again at once: there is more to do.
    pub again: bool,
}

/// A driver between its device and its link.
pub trait Logic {
    /// Something that somebody should read.
    type Event: Display;

    /// The device's interrupt has come; [`service`](Self::service) follows.
    fn handle_interrupt(&mut self);

    /// Does what there is to do in both directions.
    fn service(&mut self) -> Outcome;

    /// Something to report, oldest first, and whether it is an error.
    fn take_event(&mut self) -> Option<(Self::Event, bool)>;
}
