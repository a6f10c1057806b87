// SPDX-License-Identifier: BSD-2-Clause
//! What the transport needs to know of a device, whatever kind it is.

use thiserror::Error;

/// Bytes of configuration space that any of the devices has, rounded up.
pub const CONFIG_SIZE: usize = 64;

/// The back end has no room for this now. It will have, and the device's `run` is called then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room at the back end")]
pub struct Full;

/// Whether a device's `run` did all there was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// It will be called when there is more.
    Done,
    /// It did as much as one call may do: it has to be called again soon, when others have had their turn.
    More,
}

/// A kind of device.
pub trait Model {
    /// Its number (section 5).
    const ID: u32;
    /// Its name in messages.
    const NAME: &'static str;
    /// How many queues it has.
    const QUEUES: usize;
    /// How long a queue may be: a power of two, at most [`crate::queue::MAX_SIZE`].
    const QUEUE_SIZE: u16;

    /// Features of the device type that it offers (section 2.2).
    fn features(&self) -> u64;

    /// Whether it can work with these, which are a part of those that were offered.
    fn accepts(&self, features: u64) -> bool {
        let _ = features;
        true
    }

    /// The features to work with, before any queue is used.
    fn negotiated(&mut self, features: u64);

    /// Its configuration space; what is not written reads as zero.
    fn config(&self, space: &mut [u8; CONFIG_SIZE]);

    /// A write to its configuration space.
    fn write_config(&mut self, offset: usize, bytes: &[u8]) {
        let _ = (offset, bytes);
    }

    /// Nothing at the back end uses guest memory.
    fn is_idle(&self) -> bool {
        true
    }

    /// Forgets what it knows of the queue.
    fn reset_queue(&mut self, index: usize) {
        let _ = index;
    }

    /// As after power-on. Only called when idle.
    fn reset(&mut self);
}
