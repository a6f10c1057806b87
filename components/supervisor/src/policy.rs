// SPDX-License-Identifier: BSD-2-Clause
//! Who is restarted, and when it is enough.

use crate::{MAX_CHILDREN, Settings};

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
    /// It must answer before `beats` more have passed.
    Runs { beats: u64 },
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
            state: State::Runs { beats: settings.start },
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
        let beats = self.settings.deadline;
        if let Some(Child { state: State::Runs { beats: left }, .. }) = self.children.get_mut(index) {
            *left = beats;
        }
    }

    /// A beat has passed. Gives a child that has not answered in time.
    ///
    /// At most one at a time, and everybody else then gets more time: a PD that waits for an answer of one that hangs
    /// cannot answer either. Of several it is the one with the lowest number, so servers have lower numbers than their
    /// clients.
    pub fn beat(&mut self) -> Option<usize> {
        self.now += 1;
        let mut late = None;
        for (index, child) in self.children.iter_mut().enumerate() {
            let State::Runs { beats } = &mut child.state else { continue };
            if !child.watched {
                continue;
            }
            *beats = beats.saturating_sub(1);
            if *beats == 0 && late.is_none() {
                late = Some(index);
            }
        }
        late
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
            return Decision::GiveUp;
        }
        child.note_restart(now, settings);
        let restarts = child.restarts;
        self.give_everybody_time();
        if let Some(child) = self.children.get_mut(index) {
            child.state = State::Runs { beats: settings.start };
        }
        Decision::Restart(restarts)
    }

    fn give_everybody_time(&mut self) {
        let deadline = self.settings.deadline;
        for child in &mut self.children {
            if let State::Runs { beats } = &mut child.state {
                *beats = (*beats).max(deadline);
            }
        }
    }
}

impl Child {
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
