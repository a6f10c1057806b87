// SPDX-License-Identifier: BSD-2-Clause
//! One side of a link: its header words and its sides of all queues, handled together.

use super::info::Info;
use super::{Kind, Link, LinkError, Phase, Role, State};
use crate::pages::Memory;
use crate::queue::Side;

/// One side of a link. `Q` is its side of the queues.
#[derive(Debug)]
pub(crate) struct End<M, Q> {
    link: Link<M>,
    /// Stopped unless the link is up.
    pub(crate) queues: Q,
}

impl<M: Memory, Q> End<M, Q>
where
    Q: Side,
{
    /// This side has (re)started: begins a new epoch.
    pub(crate) fn open(memory: M, role: Role, kind: Kind, queues: Q) -> Self {
        let mut this = Self { link: Link::new(memory, role, kind), queues };
        this.restart();
        this
    }

    /// Begins a new epoch, as if this side had restarted.
    pub(crate) fn restart(&mut self) {
        self.queues.stop();
        let queues = &self.queues;
        self.link.begin(|| queues.clear());
    }

    /// See [`State`].
    #[inline]
    pub(crate) fn poll(&mut self) -> State {
        let state = self.link.poll();
        if state == State::Up && !self.queues.has_error() {
            return State::Up;
        }
        self.settle(state)
    }

    #[cold]
    fn settle(&mut self, state: State) -> State {
        match state {
            State::Up => {
                if let Some(error) = self.queues.take_error() {
                    self.cut(error.into());
                }
                State::Down
            }
            State::Fresh => {
                self.queues.start(self.link.guard());
                self.link.forget_info();
                State::Fresh
            }
            State::Down => {
                self.queues.stop();
                State::Down
            }
            State::PeerRestarted if self.link.role == Role::Server => {
                self.queues.stop();
                State::PeerRestarted
            }
            State::PeerRestarted => {
                self.accept();
                // The peer may be there already: then the link comes up in the same look.
                let state = self.link.poll();
                if state == State::PeerRestarted { State::Down } else { self.settle(state) }
            }
        }
    }

    /// Follows the peer into its new epoch. Gives whether there is one.
    pub(crate) fn accept(&mut self) -> bool {
        let queues = &mut self.queues;
        self.link.accept(|| {
            queues.stop();
            queues.clear();
        })
    }

    /// Shows the peer everything pushed, popped and published. Gives whether to notify it.
    #[inline]
    pub(crate) fn commit(&mut self) -> bool {
        let mut notify = core::mem::take(&mut self.link.notify);
        if self.queues.expose() {
            // Orders our indices before the loads of the peer's wishes; pairs with the fence in `wait`.
            self.link.memory.fence();
            notify |= self.queues.peer_waits();
        }
        notify
    }

    /// Asks to be notified of what comes next. Gives whether the caller may sleep.
    #[inline]
    pub(crate) fn wait(&mut self) -> bool {
        self.queues.announce();
        // Orders our wishes before the loads of the peer's indices; pairs with the fence in `commit`.
        self.link.memory.fence();
        self.queues.is_idle()
    }

    /// The reason the peer was cut off, once.
    pub(crate) fn take_error(&mut self) -> Option<LinkError> {
        if let Some(error) = self.queues.take_error() {
            self.cut(error.into());
        }
        self.link.error.take()
    }

    /// Cuts the peer off. One reason is kept.
    #[cold]
    pub(crate) fn cut(&mut self, error: LinkError) {
        self.queues.stop();
        if self.link.phase != Phase::Refused {
            self.link.phase = Phase::Cut;
        }
        self.link.error.get_or_insert(error);
    }

    /// Whether the link was up at the last look, and nothing has gone wrong since.
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        self.link.phase == Phase::Up
    }

    pub(crate) fn set_accepted(&mut self, accepted: u32) {
        self.link.set_accepted(accepted);
    }

    #[inline]
    pub(crate) fn accepted(&self) -> u32 {
        self.link.accepted()
    }

    pub(crate) fn publish_info(&mut self, info: Info) {
        self.link.publish_info(info);
    }

    pub(crate) fn info(&self) -> Option<Info> {
        self.link.read_info().map(|(_, info)| info)
    }

    pub(crate) fn changed_info(&mut self) -> Option<Info> {
        self.link.changed_info()
    }
}
