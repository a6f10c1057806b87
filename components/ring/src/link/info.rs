// SPDX-License-Identifier: BSD-2-Clause
//! What the server tells its client about the device: 128 bytes under a sequence lock.

use core::sync::atomic::Ordering;

use super::header::{INFO, INFO_SEQUENCE, INFO_SIZE, Role};
use super::{Link, Phase};
use crate::pages::Memory;

/// The information as words.
pub(crate) type Info = [u64; INFO_SIZE / 8];

/// How often a reader tries again while the server writes.
const TRIES: usize = 4;

impl<M: Memory> Link<M> {
    /// Server: publishes `info`, and has the peer notified.
    pub(super) fn publish_info(&mut self, info: Info) {
        self.store(INFO_SEQUENCE, self.info_sequence.wrapping_add(1), Ordering::Relaxed);
        // Orders the odd number before the words; pairs with the second fence in `read_info`.
        self.memory.fence();
        self.memory.write(INFO, info);
        self.info_sequence = match self.info_sequence.wrapping_add(2) {
            0 => 2,
            next => next,
        };
        self.store(INFO_SEQUENCE, self.info_sequence, Ordering::Release);
        self.info = Some(info);
        self.notify = true;
    }

    /// Client: the information, if the link is up and the server has published any.
    pub(super) fn read_info(&self) -> Option<(u32, Info)> {
        if self.phase != Phase::Up {
            return None;
        }
        for _ in 0..TRIES {
            // Acquire: pairs with the last store of `publish_info`.
            let before = self.load(Role::Server, INFO_SEQUENCE, Ordering::Acquire);
            if before == 0 {
                return None;
            }
            let info = self.memory.read(INFO);
            self.memory.fence();
            let after = self.load(Role::Server, INFO_SEQUENCE, Ordering::Relaxed);
            if before == after && before.is_multiple_of(2) {
                return Some((before, info));
            }
        }
        None
    }

    /// Client: the information, if it has changed since this function last gave it.
    pub(super) fn changed_info(&mut self) -> Option<Info> {
        if self.load(Role::Server, INFO_SEQUENCE, Ordering::Relaxed) == self.info_sequence {
            return None;
        }
        let (sequence, info) = self.read_info()?;
        self.info_sequence = sequence;
        Some(info)
    }

    /// Client: the information of an earlier epoch is not remembered.
    pub(super) fn forget_info(&mut self) {
        if self.role == Role::Client {
            self.info_sequence = 0;
        }
    }
}
