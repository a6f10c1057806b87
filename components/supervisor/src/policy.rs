// SPDX-License-Identifier: BSD-2-Clause
//! Who is restarted, and when it is enough.

use crate::{MAX_CHILDREN, Settings};

/// What a beat counts in which everybody could have run; one in which the machine may have had no time for somebody counts 1.
const FULL: u64 = 4;

/// From so many on a child is silent, that is, may be what its clients wait for: it has had a beat to answer in.
const SILENT: u64 = 2 * FULL;

/// What to do with a child that crashed or hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start it again. How often it has been restarted, this time included.
    Restart(u64),
    /// Leave it stopped for good.
    GiveUp,
    /// Nothing: it has been given up before, or there is no such child.
    Ignore,
}

/// What is known of a child.
#[derive(Debug, Clone, Copy)]
struct Child {
    state: State,
    /// It is asked whether it is alive.
    watched: bool,
    /// All restarts.
    restarts: u64,
    /// The beats of the latest restarts, in a circle.
    latest: [u64; Settings::MOST_RESTARTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not answered for `silent` / [`FULL`] beats.
    Runs { silent: u64, answered: bool },
    /// Stopped for good.
    GivenUp,
}

/// The supervisor's knowledge of its children, and its decisions.
#[derive(Debug)]
pub struct Policy {
    settings: Settings,
    children: [Child; MAX_CHILDREN],
    /// Beats since the start.
    now: u64,
}

impl Policy {
    /// The policy for children that have just been started. Bit n of `watched`: child n is asked whether it is alive.
    pub fn new(settings: Settings, watched: u64) -> Self {
        let child = |index: usize| Child {
            state: State::STARTED,
            watched: watched & (1 << index) != 0,
            restarts: 0,
            latest: [0; Settings::MOST_RESTARTS],
        };
        Self { settings, children: core::array::from_fn(child), now: 0 }
    }

    /// The children to be asked now whether they are alive, as bits.
    pub fn to_be_asked(&self) -> u64 {
        let asked = |child: &Child| child.watched && child.state != State::GivenUp;
        self.children
            .iter()
            .enumerate()
            .filter(|(_, child)| asked(child))
            .fold(0, |set, (index, _)| set | 1 << index)
    }

    /// A child has answered.
    pub fn answered(&mut self, index: usize) {
        if let Some(Child { state: state @ State::Runs { .. }, .. }) = self.children.get_mut(index) {
            *state = State::Runs { silent: 0, answered: true };
        }
    }

    /// A beat has passed. Gives a child that has not answered in time.
    ///
    /// `everybody_could_run`: somebody who comes after all children has run in it. Then a child that has not answered was not
    /// just kept waiting by a busy machine. Other beats count less, but they count: several children that hang may together
    /// leave nothing to anybody else.
    ///
    /// Of several that are silent it is the one with the lowest number, and everybody else gets more time, because a PD
    /// that waits for one that hangs cannot answer either. So servers have lower numbers than their clients. A client may
    /// have been silent for longer than its server: then it is for the server's deadline that everybody waits, but not for
    /// longer than another deadline, or several servers could keep a client from being restarted by taking turns. One that
    /// has just been started may take longer, and speaks for those after it, too.
    pub fn beat(&mut self, everybody_could_run: bool) -> Option<usize> {
        self.now += 1;
        let [deadline, start] =
            [self.settings.deadline, self.settings.start].map(|beats| beats.saturating_mul(FULL));
        let count = if everybody_could_run { FULL } else { 1 };
        for child in self.children.iter_mut().filter(|child| child.watched) {
            if let State::Runs { silent, .. } = &mut child.state {
                *silent += count;
            }
        }
        let first = self.children.iter().position(|child| child.silent() >= deadline)?;
        let (servers, child) = (self.children.get(..first)?, self.children.get(first)?);
        let may_wait = servers.iter().any(|server| server.silent() >= SILENT);
        let allowed = match (child.has_answered(), may_wait) {
            (true, false) => deadline,
            (true, true) => deadline.saturating_mul(2),
            (false, _) => start.max(deadline),
        };
        (child.silent() >= allowed).then_some(first)
    }

    /// A child has crashed, or does not answer. `hopeless`: it has said itself that it cannot be restarted.
    pub fn failed(&mut self, index: usize, hopeless: bool) -> Decision {
        let (now, settings) = (self.now, self.settings);
        let Some(child) = self.children.get_mut(index) else { return Decision::Ignore };
        if child.state == State::GivenUp {
            return Decision::Ignore;
        }
        if hopeless || !child.may_restart(now, settings) {
            child.state = State::GivenUp;
            self.give_everybody_time();
            return Decision::GiveUp;
        }
        child.note_restart(now, settings);
        child.state = State::STARTED;
        let restarts = child.restarts;
        self.give_everybody_time();
        Decision::Restart(restarts)
    }

    fn give_everybody_time(&mut self) {
        for child in &mut self.children {
            if let State::Runs { silent, .. } = &mut child.state {
                *silent = 0;
            }
        }
    }
}

impl State {
    /// A child that has just been started.
    const STARTED: Self = Self::Runs { silent: 0, answered: false };
}

impl Child {
    /// For how many beats, times [`FULL`], it has not answered.
    const fn silent(&self) -> u64 {
        match self.state {
            State::Runs { silent, .. } => silent,
            State::GivenUp => 0,
        }
    }

    const fn has_answered(&self) -> bool {
        matches!(self.state, State::Runs { answered: true, .. })
    }

    /// Whether fewer than the allowed number of restarts lie in the window.
    fn may_restart(&self, now: u64, settings: Settings) -> bool {
        let allowed = settings.restarts as u64;
        if self.restarts < allowed {
            return allowed > 0;
        }
        // The one that many restarts ago; its place is overwritten by the next.
        let oldest = self.place(settings).and_then(|place| self.latest.get(place)).copied().unwrap_or(now);
        now.saturating_sub(oldest) >= settings.window
    }

    fn note_restart(&mut self, now: u64, settings: Settings) {
        if let Some(place) = self.place(settings).and_then(|place| self.latest.get_mut(place)) {
            *place = now;
        }
        self.restarts += 1;
    }

    /// Where the next restart is noted; `None` when none is allowed.
    fn place(&self, settings: Settings) -> Option<usize> {
        // Less than `restarts`, which is a `usize`.
        self.restarts.checked_rem(settings.restarts as u64).map(|place| place as usize)
    }
}
