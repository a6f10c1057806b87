// SPDX-License-Identifier: BSD-2-Clause
//! A guest's disk (section 5.2).
//!
//! A request is parsed when it is taken from the queue, remembered in a table, and submitted with its segments named by
//! guest address; the back end decides whether it works on them in place or copies. Segments are not remembered: a
//! request that has to be submitted again, or whose data has to be copied, has its chain walked again, as strictly as the
//! first time. Everything else about it, the place of its status byte first of all, comes from the table.
//!
//! A disk with a volatile cache whose driver does not flush (it did not accept the feature, or set `writeback` to 0) gets
//! each write flushed before its completion is shown (section 5.2.6.2).

pub mod backend;
mod config;
mod header;
mod run;
mod table;

#[cfg(test)]
mod tests;
pub use backend::{Backend, Info, Operation, Outcome, Refused, Request, SECTOR, SERIAL_SIZE};
pub use config::Feature;

use crate::mmio::Mmio;
use crate::model::{CONFIG_SIZE, Model};
use crate::queue::MAX_SIZE;
use serde::{Deserialize, Serialize};
use table::Table;

/// The device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    info: Info,
    features: u64,
    /// The driver flushes by itself.
    writeback: bool,
    table: Table,
    /// All of the guest's vCPUs run: it has something to do.
    busy: bool,
    /// Requests may be there of which nobody is told soon, see [`Mmio::is_to_be_attended`].
    deferred: bool,
    /// The queue's used index up to which the driver has heard what was done.
    heard: u16,
    /// Most requests that were at work, or done and not heard of, since the driver heard the last time.
    peak: u16,
    /// What that was then: about how many the driver keeps going.
    depth: u16,
}

impl Block {
    /// The disk that `info` describes.
    pub fn new(info: Info) -> Self {
        Self {
            info,
            features: 0,
            writeback: false,
            table: Table::new(),
            busy: false,
            deferred: false,
            heard: 0,
            peak: 0,
            depth: 0,
        }
    }

    /// What it is like.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// Requests that the guest waits for.
    pub const fn in_flight(&self) -> u16 {
        self.table.count()
    }
}

impl Model for Block {
    const ID: u32 = 2;
    const NAME: &'static str = "block";
    const QUEUES: usize = 1;
    const QUEUE_SIZE: u16 = MAX_SIZE;

    fn features(&self) -> u64 {
        config::features(&self.info)
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
        self.writeback = features & Feature::FLUSH != 0;
    }

    fn config(&self, space: &mut [u8; CONFIG_SIZE]) {
        config::fill(space, &self.info, self.writeback);
    }

    fn write_config(&mut self, offset: usize, bytes: &[u8]) {
        if let (config::WRITEBACK, [value]) = (offset, bytes)
            && self.features & Feature::CONFIG_WCE != 0
        {
            self.writeback = value & 1 != 0;
        }
    }

    fn is_idle(&self) -> bool {
        self.table.count() == 0
    }

    fn reset_queue(&mut self, _index: usize) {
        self.deferred = false;
        (self.heard, self.peak, self.depth) = (0, 0, 0);
    }

    fn reset(&mut self) {
        self.features = 0;
        self.writeback = false;
        self.reset_queue(0);
        self.table.clear();
    }
}

impl Mmio<Block> {
    /// Whether all of the guest's vCPUs run. It then hears later of completions and is asked for fewer kicks, and the
    /// caller has to see to it that [`Mmio::run`] is called when that changes, and from time to time before
    /// ([`Mmio::is_to_be_attended`]). Not so at first.
    #[inline]
    pub const fn set_busy(&mut self, busy: bool) {
        self.model.busy = busy;
    }

    /// Whether a call of [`Mmio::run`] may find something that nobody notifies of: of a guest that is busy when it goes to
    /// sleep, and at its ticks.
    #[inline]
    pub const fn is_to_be_attended(&self) -> bool {
        self.model.table.count() > 0 || self.model.deferred
    }

    /// Whether, with nothing at the back end, there may be requests for which the guest has not been asked to kick: they
    /// must not wait for long.
    #[inline]
    pub const fn defers_kicks(&self) -> bool {
        self.model.deferred
    }

    /// The disk is now like this (it was exchanged, or has come up only now); the driver is told. What it has negotiated
    /// stays; requests that the new one cannot do fail.
    pub fn set_info(&mut self, info: Info) {
        if self.model.info != info {
            self.model.info = info;
            self.config_changed();
        }
    }
}
