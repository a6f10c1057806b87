// SPDX-License-Identifier: BSD-2-Clause
//! What is known of one client.

use ring::blk::{Response, Server, Status};
use ring::link::State;
use ring::pages::Memory;

use crate::assign::{AssignError, Extent};
use crate::slots::{Mask, Slots};

/// The memory that a client's requests name by offsets. Not mapped here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRegion {
    /// Where the device sees it.
    pub physical: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client<M> {
    pub link: Server<M>,
    pub data: DataRegion,
    /// Its part of the disk.
    pub part: Result<Extent, AssignError>,
    /// Its requests.
    pub slots: Mask,
    /// Of them those that change the disk.
    pub writes: Mask,
    /// Of them flushes that wait for such.
    pub flushes: Mask,
    /// Of them a barrier: nothing is taken until everything else is done.
    pub barrier: Option<usize>,
    /// It is not there, or has restarted: what is left of its requests is not answered.
    pub gone: bool,
}

impl<M: Memory> Client<M> {
    /// A client with this link and this memory.
    pub fn new(link: Server<M>, data: DataRegion) -> Self {
        Self {
            link,
            data,
            part: Err(AssignError::Nothing),
            slots: Mask::EMPTY,
            writes: Mask::EMPTY,
            flushes: Mask::EMPTY,
            barrier: None,
            gone: true,
        }
    }

    /// A look at the link. `at_device` has the slots that must stay until the device is done with them.
    #[inline]
    pub fn poll(&mut self, slots: &mut Slots, at_device: Mask) {
        let state = self.link.poll();
        if state == State::Up && !self.gone {
            return;
        }
        self.settle(state, slots, at_device);
    }

    #[cold]
    fn settle(&mut self, state: State, slots: &mut Slots, at_device: Mask) {
        match state {
            State::Fresh => self.gone = false,
            State::Up => {}
            State::Down | State::PeerRestarted => {
                self.gone = true;
                self.forget(slots, at_device);
                if state == State::PeerRestarted && self.slots.is_empty() {
                    self.link.accept();
                    self.gone = self.link.poll() != State::Fresh;
                }
            }
        }
    }

    /// Drops all requests that are not at the device.
    fn forget(&mut self, slots: &mut Slots, at_device: Mask) {
        for slot in self.slots & !at_device {
            slots.release(slot);
        }
        self.slots = self.slots & at_device;
        self.writes = self.writes & at_device;
        self.flushes = Mask::EMPTY;
        self.barrier = None;
    }

    /// Answers the request in `slot`, which is free afterwards.
    #[inline]
    pub fn answer(&mut self, slots: &mut Slots, slot: usize, status: Status) {
        let id = slots.get(slot).map_or(0, |slot| slot.client_id);
        slots.release(slot);
        self.slots.remove(slot);
        self.respond(id, status);
    }

    /// Answers a request, unless the client is gone.
    #[inline]
    pub fn respond(&mut self, id: u64, status: Status) {
        if !self.gone {
            // Fails when the link has gone down since: nobody waits for the answer.
            let _ = self.link.complete(Response { id, status });
        }
    }

    /// The write in `slot` is done. Gives the flushes that need not wait any more.
    #[inline]
    pub fn written(&mut self, slots: &mut Slots, slot: usize) -> Mask {
        self.writes.remove(slot);
        let mut ready = Mask::EMPTY;
        for flush in self.flushes {
            let Some(entry) = slots.get_mut(flush) else { continue };
            entry.after.remove(slot);
            if entry.after.is_empty() {
                ready.insert(flush);
            }
        }
        self.flushes = self.flushes & !ready;
        ready
    }

    /// Answers the barrier if everything in front of it is done.
    #[inline]
    pub fn pass_barrier(&mut self, slots: &mut Slots) {
        if let Some(barrier) = self.barrier
            && self.slots.len() == 1
        {
            self.barrier = None;
            self.answer(slots, barrier, Status::OK);
        }
    }
}
