// SPDX-License-Identifier: BSD-2-Clause
//! Links: a header and queues in one shared region, between a [`Role::Server`] (the side near the device) and a
//! [`Role::Client`]. Each side may crash and start again at any time.
//!
//! # Epochs
//!
//! Each side has an epoch word that only it writes. Equal even epochs = the link is up. A side that starts writes an odd
//! epoch ahead of both ("my words are being reset"), zeroes its own words, writes the next even epoch, and notifies. The
//! peer that sees an even epoch ahead of its own stops using the queues; when it is ready it zeroes its own words, writes the
//! same epoch, and notifies. A client is ready at once. A server is when nothing of the old epoch is in flight, so that
//! replayed requests cannot be overtaken by old ones. Epochs are compared modulo 2^32.
//!
//! # Whatever a dead side has left
//!
//! A side may have written anything anywhere before it died, so its next life cannot know which epoch the peer is in. If
//! the peer's word is as the peer wrote it, the new epoch is ahead of it, as above. If not, it may be behind the peer's, or the
//! very same; but the peer finds its own word overwritten, whatever the other says. It follows when that is even and ahead, and
//! else takes the epoch after that, which the other side follows. Whoever goes to a new epoch writes all words of its
//! line again.

mod end;
mod error;
mod header;
mod info;

#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;

pub use error::{LayoutError, LinkError};
pub use header::{HEADER_SIZE, INFO_SIZE, Kind, MAGIC, Role, VERSION};

pub(crate) use end::End;
pub(crate) use header::{largest_capacity, offset_of_epoch};

use core::sync::atomic::Ordering;

use header::{ACCEPTED, EPOCH, IDENTITY, INFO_SEQUENCE, MAGIC_WORD, SIZE, identity, line};
use info::Info;

use crate::pages::Memory;
use crate::queue::Guard;

/// How often a peer may restart before the link stays down. A peer that restarts forever costs no more than that many
/// replays; a restart of this side begins a new count.
pub const MAX_PEER_RESTARTS: u32 = 4096;

/// What a look at the link found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The peer is not there (yet, or again), or is cut off. Nothing can be pushed or popped.
    Down,
    /// Servers only: the peer has restarted. Nothing can be pushed or popped. Call `accept` when nothing of its old
    /// requests is in flight any more; until then this is told at every look.
    PeerRestarted,
    /// The link has just come up, with empty queues: replay what is in flight. Told once.
    Fresh,
    /// The link is up.
    Up,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer has not written our epoch yet.
    Waiting,
    Up,
    /// The peer is cut off, or has left this epoch. Only a new one brings the link up again.
    Cut,
    /// Cut off for good.
    Refused,
}

/// One side of the header of a link.
#[derive(Debug)]
struct Link<M> {
    memory: M,
    role: Role,
    kind: Kind,
    /// What our epoch word holds, unless the peer has written there. 0 before the first.
    epoch: u32,
    phase: Phase,
    restarts: u32,
    /// The peer is to be notified whatever the queues say.
    notify: bool,
    error: Option<LinkError>,
    /// Server: what `INFO_SEQUENCE` holds. Client: of the last info read.
    info_sequence: u32,
    /// Server: what was published last.
    info: Option<Info>,
    /// Client: what `ACCEPTED` holds.
    accepted: u32,
}

/// The next even epoch ahead of `epoch`, without 0, which means "never started".
fn next_epoch(epoch: u32) -> u32 {
    match (epoch | 1).wrapping_add(1) {
        0 => 2,
        next => next,
    }
}

/// Whether `epoch` is ahead of `other`, modulo 2^32. Of two that differ, one is.
fn is_ahead(epoch: u32, other: u32) -> bool {
    match epoch.wrapping_sub(other) {
        HALF => epoch > other,
        distance => (1..HALF).contains(&distance),
    }
}

const HALF: u32 = 1 << 31;

impl<M: Memory> Link<M> {
    fn new(memory: M, role: Role, kind: Kind) -> Self {
        Self {
            memory,
            role,
            kind,
            epoch: 0,
            phase: Phase::Waiting,
            restarts: 0,
            notify: false,
            error: None,
            info_sequence: 0,
            info: None,
            accepted: 0,
        }
    }

    fn load(&self, role: Role, word: usize, order: Ordering) -> u32 {
        self.memory.load(line(role) + word, order)
    }

    fn store(&self, word: usize, value: u32, order: Ordering) {
        self.memory.store(line(self.role) + word, value, order);
    }

    /// Client: tells the server what this side takes, from now on and until this side restarts.
    fn set_accepted(&mut self, accepted: u32) {
        self.accepted = accepted;
        self.store(ACCEPTED, accepted, Ordering::Relaxed);
    }

    /// Server: what the client takes.
    #[inline(always)]
    fn accepted(&self) -> u32 {
        self.load(Role::Client, ACCEPTED, Ordering::Relaxed)
    }

    #[inline(always)]
    fn peer_epoch(&self) -> u32 {
        // Acquire: pairs with the store of the final epoch in `begin` and `accept`: the peer's words are zero.
        self.load(self.role.other(), EPOCH, Ordering::Acquire)
    }

    /// Whether nobody else has written our epoch word. To be asked after [`Self::peer_epoch`], which is written later.
    #[inline(always)]
    fn is_intact(&self) -> bool {
        self.load(self.role, EPOCH, Ordering::Relaxed) == self.epoch
    }

    /// Begins an epoch ahead of both sides'. `clear` zeroes our queue words.
    fn begin(&mut self, clear: impl FnOnce()) {
        // Orders whatever a former life has written before the loads; pairs with the fence in `enter`. Either we see the
        // epoch that the peer is in, or it sees that we have gone, before it uses that.
        self.memory.fence();
        let own = if self.epoch == 0 { self.load(self.role, EPOCH, Ordering::Relaxed) } else { self.epoch };
        let peer = self.peer_epoch();
        let next = next_epoch(own);
        let epoch = if is_ahead(next, peer) { next } else { next_epoch(peer) };
        self.store(EPOCH, epoch.wrapping_sub(1), Ordering::Relaxed);
        // Orders the odd epoch before the zeroes: a peer that sees a zeroed index sees that we have restarted.
        self.memory.fence();
        (self.info_sequence, self.info, self.accepted) = (0, None, 0);
        clear();
        self.enter(epoch);
    }

    /// With our queue words zero: writes our line.
    fn enter(&mut self, epoch: u32) {
        self.store(MAGIC_WORD, MAGIC, Ordering::Relaxed);
        self.store(IDENTITY, identity(self.kind, self.role), Ordering::Relaxed);
        self.store(SIZE, self.memory.size() as u32, Ordering::Relaxed);
        self.store(ACCEPTED, self.accepted, Ordering::Relaxed);
        match self.info {
            Some(info) => self.publish_info(info),
            None => self.store(INFO_SEQUENCE, 0, Ordering::Relaxed),
        }
        self.store(EPOCH, epoch, Ordering::Release);
        // Orders it before the next look at the peer's epoch; pairs with the fence in `begin`.
        self.memory.fence();
        self.epoch = epoch;
        self.phase = Phase::Waiting;
        self.notify = true;
    }

    /// Goes where [`Self::new_epoch`] says. Gives whether there is a new one. `clear` stops the queues and zeroes our words.
    fn accept(&mut self, clear: impl FnOnce()) -> bool {
        let peer = self.peer_epoch();
        let Some(epoch) = self.new_epoch(peer).filter(|_| self.restarts < MAX_PEER_RESTARTS) else {
            return false;
        };
        clear();
        self.restarts += 1;
        self.enter(epoch);
        true
    }

    /// Where this side has to go when the peer, whose epoch is `peer`, has restarted, or has damaged the epochs.
    fn new_epoch(&self, peer: u32) -> Option<u32> {
        if self.phase == Phase::Refused {
            None
        } else if peer.is_multiple_of(2) && peer != 0 && is_ahead(peer, self.epoch) {
            Some(peer)
        } else {
            (!self.is_intact()).then(|| next_epoch(peer))
        }
    }

    /// One look at the epochs. The caller stops or starts its queues as the result says.
    #[inline]
    fn poll(&mut self) -> State {
        let peer = self.peer_epoch();
        if peer == self.epoch && self.is_intact() && self.phase == Phase::Up {
            return State::Up;
        }
        self.poll_slow(peer)
    }

    #[cold]
    fn poll_slow(&mut self, peer: u32) -> State {
        if peer == self.epoch && self.is_intact() {
            if self.phase != Phase::Waiting {
                return State::Down;
            }
            if let Err(error) = self.check_identity() {
                self.cut(error);
                return State::Down;
            }
            self.phase = Phase::Up;
            return State::Fresh;
        }
        if self.phase == Phase::Up {
            // Should the peer come back to this epoch, it would do so without having reset its words.
            self.phase = Phase::Cut;
        }
        if self.new_epoch(peer).is_none() {
            return State::Down;
        }
        if self.restarts >= MAX_PEER_RESTARTS {
            self.cut(LinkError::TooManyRestarts { restarts: self.restarts });
            self.phase = Phase::Refused;
            return State::Down;
        }
        State::PeerRestarted
    }

    fn check_identity(&self) -> Result<(), LinkError> {
        let peer = self.role.other();
        let magic = self.load(peer, MAGIC_WORD, Ordering::Relaxed);
        if magic != MAGIC {
            return Err(LinkError::Magic { found: magic });
        }
        let (found, expected) = (self.load(peer, IDENTITY, Ordering::Relaxed), identity(self.kind, peer));
        if found & 0xffff != expected & 0xffff {
            return Err(LinkError::Version { found: found as u16, expected: VERSION });
        }
        if found != expected {
            return Err(LinkError::Kind { found: (found >> 16) as u16, expected: (expected >> 16) as u16 });
        }
        let (found, expected) = (self.load(peer, SIZE, Ordering::Relaxed), self.memory.size() as u32);
        if found != expected {
            return Err(LinkError::Size { found, expected });
        }
        Ok(())
    }

    #[cold]
    fn cut(&mut self, error: LinkError) {
        self.phase = Phase::Cut;
        self.error = Some(error);
    }

    fn guard(&self) -> Guard {
        Guard { words: [Role::Server, Role::Client].map(offset_of_epoch), epoch: self.epoch }
    }
}
