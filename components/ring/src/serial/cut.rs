// SPDX-License-Identifier: BSD-2-Clause
//! Being cut off, and meeting again after a restart of one side (see the module's documentation).

use crate::PeerMisbehaved;

/// How often a side that was restarted takes the peer's index over: more than two restarts at once need.
const ADOPTIONS: u8 = 8;

/// How often a side that cut the ring off goes on when the peer is back at its place. A peer that does this for ever is not
/// restarted but hostile.
const RECOVERIES: u8 = 64;

/// As far as possible from any index that makes sense to the peer.
pub(super) const AWAY: u32 = 1 << 31;

/// What to do about an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Use it.
    Use,
    /// Take it over as one's own: the ring is empty.
    Adopt,
    /// Use nothing any more, and go to [`AWAY`] from the peer's index, so that a peer that rejoins notices.
    Leave,
    /// Use nothing, and write one's own index again.
    Refuse,
}

/// Whether the ring is cut off, and how it may go on.
#[derive(Debug)]
pub(super) struct Cut {
    cut: bool,
    adoptions: u8,
    recoveries: u8,
    /// The peer should look: something changed for it without a byte being moved.
    tell: bool,
    reported: bool,
    error: Option<PeerMisbehaved>,
}

impl Cut {
    /// Not cut off. `restarted`: this side takes the place of one that died.
    pub(super) const fn new(restarted: bool) -> Self {
        let adoptions = if restarted { ADOPTIONS } else { 0 };
        Self { cut: false, adoptions, recoveries: RECOVERIES, tell: restarted, reported: false, error: None }
    }

    #[inline(always)]
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Judges the index that the peer has written, which is possible or not.
    #[inline(always)]
    pub(super) fn judge(&mut self, possible: bool, error: impl FnOnce() -> PeerMisbehaved) -> Verdict {
        if possible && !self.cut { Verdict::Use } else { self.judge_slowly(possible, error) }
    }

    #[cold]
    #[inline(never)]
    fn judge_slowly(&mut self, possible: bool, error: impl FnOnce() -> PeerMisbehaved) -> Verdict {
        // After going away that is no chance: the peer has come along, and may have gone on from there.
        if self.cut && possible && self.recoveries > 0 {
            self.recoveries -= 1;
            self.cut = false;
            self.tell = true;
            return Verdict::Use;
        }
        if !possible && !self.cut && self.adoptions > 0 {
            self.adoptions -= 1;
            self.tell = true;
            return Verdict::Adopt;
        }
        if !self.cut {
            self.cut = true;
            self.tell = self.recoveries > 0;
            if !core::mem::replace(&mut self.reported, true) {
                self.error = Some(error());
            }
            return Verdict::Leave;
        }
        Verdict::Refuse
    }

    /// The peer should look.
    #[cold]
    pub(super) fn tell(&mut self) {
        self.tell = true;
    }

    /// Whether the peer should look although no byte was moved; once.
    pub(super) fn take_tell(&mut self) -> bool {
        core::mem::take(&mut self.tell)
    }

    pub(super) fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.error.take()
    }
}
