// SPDX-License-Identifier: BSD-2-Clause
//! The wire layouts of sDDF 0.7 for block and network, so that its components and ours can replace each other. (For serial
//! lines it is [`crate::serial`].) Same types and names as [`crate::blk`] and [`crate::net`], with what the layout cannot
//! carry left out: there is no restart of one side, no chain of segments, no address for a wake-up of a block queue.
//!
//! Each queue is a region of its own, and the capacity is agreed by configuration.

pub mod blk;
pub mod net;

#[cfg(test)]
mod tests;

use crate::PeerMisbehaved;
use crate::link::{LayoutError, State};
use crate::pages::Memory;
use crate::queue::{Consumer, Entry, Producer, Side, Wire};

/// One side of a few queues without a link around them.
#[derive(Debug)]
struct End<M, Q> {
    /// Any region of the link, for fences.
    memory: M,
    queues: Q,
    fresh: bool,
    cut: bool,
    error: Option<PeerMisbehaved>,
}

impl<M: Memory, Q> End<M, Q>
where
    Q: Side,
{
    fn new(memory: M, queues: Q) -> Self {
        Self { memory, queues, fresh: true, cut: false, error: None }
    }

    /// Fresh once, then up until the peer misbehaves.
    #[inline]
    fn poll(&mut self) -> State {
        if !self.cut && self.queues.has_error() {
            // Of one of them: that is enough to cut the peer off.
            self.error = self.queues.take_error();
            self.cut = true;
            self.queues.stop();
        }
        match (self.cut, core::mem::take(&mut self.fresh)) {
            (true, _) => State::Down,
            (false, true) => State::Fresh,
            (false, false) => State::Up,
        }
    }

    #[inline]
    fn commit(&mut self) -> bool {
        if !self.queues.expose() {
            return false;
        }
        // Orders our indices before the loads of the peer's flags; pairs with the fence in its `wait`.
        self.memory.fence();
        self.queues.peer_waits()
    }

    #[inline]
    fn wait(&mut self) -> bool {
        self.queues.announce();
        // Orders our flags before the loads of the peer's indices; pairs with the fence in its `commit`.
        self.memory.fence();
        self.queues.is_idle()
    }

    fn take_error(&mut self) -> Option<PeerMisbehaved> {
        self.poll_error();
        self.error.take()
    }

    fn poll_error(&mut self) {
        let fresh = self.fresh;
        self.poll();
        self.fresh = fresh;
    }
}

fn producer<E: Entry, M: Memory, W: Wire>(
    memory: &M,
    capacity: u32,
) -> Result<Producer<E, M, W>, LayoutError> {
    let queue = Producer::new(memory.clone(), 0, capacity);
    let mut queue = queue.ok_or(LayoutError { size: memory.size() })?;
    queue.resume();
    Ok(queue)
}

fn consumer<E: Entry, M: Memory, W: Wire>(
    memory: &M,
    capacity: u32,
) -> Result<Consumer<E, M, W>, LayoutError> {
    let queue = Consumer::new(memory.clone(), 0, capacity);
    let mut queue = queue.ok_or(LayoutError { size: memory.size() })?;
    queue.resume();
    Ok(queue)
}
