// SPDX-License-Identifier: BSD-2-Clause
//! Requests that the guest waits for, by the head of their chain. As a head cannot be in use twice, neither can a place.

use super::backend::Operation;
use crate::queue::MAX_SIZE;
use serde::{Deserialize, Serialize};

/// Entries of a part of the table (serde knows arrays of up to 32).
const PART: usize = 16;
const PARTS: usize = MAX_SIZE as usize / PART;

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// To be submitted (again).
    Waiting,
    /// At the back end.
    Submitted,
    /// Its data is written; the flush is to be submitted.
    WaitingToFlush,
    /// Its data is written; the flush is at the back end.
    Flushing,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Counts the device's requests: tells this one from an earlier one with the same head, and which came first.
    pub sequence: u64,
    pub operation: Operation,
    pub sector: u64,
    pub sectors: u32,
    /// Guest physical address of the status byte.
    pub status: u64,
    pub stage: Stage,
    /// A flush follows before the guest is told.
    pub flush: bool,
}

impl Entry {
    /// Whether it only moves data: takes about as long as others.
    pub const fn is_transfer(&self) -> bool {
        matches!(self.operation, Operation::Read | Operation::Write)
    }

    pub const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::WaitingToFlush)
    }
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    parts: [[Option<Entry>; PART]; PARTS],
    /// Entries.
    count: u16,
    /// Those that move data.
    transfers: u16,
    /// Those that are to be submitted.
    waiting: u16,
    /// Of the next request.
    sequence: u64,
}

impl Table {
    pub const fn new() -> Self {
        Self { parts: [[None; PART]; PARTS], count: 0, transfers: 0, waiting: 0, sequence: 0 }
    }

    #[inline]
    pub const fn count(&self) -> u16 {
        self.count
    }

    #[inline]
    pub const fn transfers(&self) -> u16 {
        self.transfers
    }

    #[inline]
    pub const fn waiting(&self) -> u16 {
        self.waiting
    }

    #[inline]
    pub fn get(&self, head: u16) -> Option<Entry> {
        let head = usize::from(head);
        *self.parts.get(head / PART)?.get(head % PART)?
    }

    #[inline]
    fn place(&mut self, head: u16) -> Option<&mut Option<Entry>> {
        let head = usize::from(head);
        self.parts.get_mut(head / PART)?.get_mut(head % PART)
    }

    /// The number of the next request, and its name at the back end.
    #[inline]
    pub fn next(&self, head: u16) -> (u64, u64) {
        (self.sequence, id(head, self.sequence))
    }

    /// Remembers a request.
    #[inline]
    pub fn insert(&mut self, head: u16, entry: Entry) {
        if let Some(place) = self.place(head) {
            *place = Some(entry);
            self.count += 1;
            self.transfers += u16::from(entry.is_transfer());
            self.waiting += u16::from(entry.is_waiting());
            self.sequence = self.sequence.wrapping_add(1);
        }
    }

    /// Replaces what is known of a request.
    pub fn update(&mut self, head: u16, entry: Entry) {
        if let Some(place) = self.place(head)
            && let Some(old) = place.replace(entry)
        {
            self.waiting = self.waiting - u16::from(old.is_waiting()) + u16::from(entry.is_waiting());
        }
    }

    /// Forgets a request.
    #[inline]
    pub fn remove(&mut self, head: u16) {
        if let Some(old) = self.place(head).and_then(Option::take) {
            self.count -= 1;
            self.transfers -= u16::from(old.is_transfer());
            self.waiting -= u16::from(old.is_waiting());
        }
    }

    /// The request that the back end calls `id`; `None` when there is none.
    #[inline]
    pub fn find(&self, wanted: u64) -> Option<(u16, Entry)> {
        let head = wanted as u16;
        let entry = self.get(head)?;
        (id(head, entry.sequence) == wanted).then_some((head, entry))
    }

    /// The oldest request that is to be submitted.
    pub fn oldest_waiting(&self) -> Option<(u16, Entry)> {
        if self.waiting == 0 {
            return None;
        }
        let all = self.parts.iter().flatten().zip(0u16..);
        all.filter_map(|(entry, head)| Some((head, (*entry)?)))
            .filter(|(_, entry)| entry.is_waiting())
            .min_by_key(|(_, entry)| entry.sequence)
    }

    /// What was at the back end is to be submitted again.
    pub fn all_waiting(&mut self) {
        for entry in self.parts.iter_mut().flatten().flatten() {
            entry.stage = match entry.stage {
                Stage::Waiting | Stage::Submitted => Stage::Waiting,
                Stage::WaitingToFlush | Stage::Flushing => Stage::WaitingToFlush,
            };
        }
        self.waiting = self.count;
    }

    /// Forgets those that are not at the back end.
    pub fn drop_waiting(&mut self) {
        for head in 0..MAX_SIZE {
            if self.waiting == 0 {
                return;
            }
            if self.get(head).is_some_and(|entry| entry.is_waiting()) {
                self.remove(head);
            }
        }
    }

    /// Forgets all. Numbers go on, so that no name comes twice.
    pub fn clear(&mut self) {
        *self = Self { sequence: self.sequence, ..Self::new() };
    }
}

/// A request's name: changes with each use of its head.
#[inline]
pub(super) const fn id(head: u16, sequence: u64) -> u64 {
    sequence << 16 | head as u64
}
