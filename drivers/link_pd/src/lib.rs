// SPDX-License-Identifier: BSD-2-Clause
//! What drivers of disks and networks have in common: the protection domain (PD) around a driver's logic. It owns an interrupt
//! and serves one link, that of the virtualiser.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

use core::fmt::Display;

#[cfg(feature = "pd")]
mod pd;

#[cfg(feature = "pd")]
pub use pd::{LinkDriver, link, run};

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

    /// Does what there is to do in both directions. `notified`: the client has notified; when told to call again, it need not
    /// have.
    fn service(&mut self, notified: bool) -> Outcome;

    /// Something to report, oldest first.
    fn take_event(&mut self) -> Option<Self::Event>;

    /// Whether something went wrong, or just happened.
    fn is_error(_event: &Self::Event) -> bool {
        true
    }
}
