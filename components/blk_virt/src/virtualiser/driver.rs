// SPDX-License-Identifier: BSD-2-Clause
//! The virtualiser towards the driver: what it is given, what it answers, what it has to get again, and when its disk is
//! flushed.

use ring::blk::{Abilities, Server, Status};
use ring::link::State;
use ring::pages::Memory;

use crate::client::Client;
use crate::disk;
use crate::request::is_write;
use crate::slots::{Mask, Owner, Slots};

use super::{ChannelFlags, Event, Virtualiser};

/// How often the driver's link may be restarted without a request done in between, before requests are answered with an
/// error until the driver restarts by itself.
const MAX_FAILURES: u32 = 8;

impl<M: Memory> Virtualiser<'_, M> {
    #[inline]
    pub(super) fn look_at_driver(&mut self, slots: &mut Slots) {
        if self.driver.poll() == State::Fresh {
            self.replay();
            self.open_clients();
        }
        if let Some(info) = self.driver.changed_info() {
            self.described(slots, disk::limit(info, self.driver.capacity()));
        }
    }

    /// The driver has a new life and nothing of ours: whatever it had is queued again. Its device was reset, so that clients
    /// that are gone may drop their requests, which they do next.
    #[cold]
    fn replay(&mut self) {
        self.given_up = false;
        let had = core::mem::take(&mut self.at_driver);
        self.ready = self.ready | self.riding;
        self.queued = self.queued | (had & !self.riding);
        self.riding = Mask::EMPTY;
    }

    /// Opens the links of the clients, the first time that the driver is there.
    #[cold]
    fn open_clients(&mut self) {
        for (client, closed) in self.clients.iter_mut().zip(&mut self.closed) {
            if let Some((link, data)) = closed.take()
                // Its size has been checked.
                && let Ok(link) = Server::new(link)
            {
                *client = Some(Client::new(link, data));
                self.changed = ChannelFlags::MAX;
            }
        }
    }

    /// Gives the driver what it does not have yet, oldest first.
    pub(super) fn submit_waiting(&mut self, slots: &mut Slots) {
        // What clients have dropped meanwhile.
        self.queued = self.queued & slots.used();
        self.ready = self.ready & slots.used();
        self.riding = self.riding & slots.used();
        while let Some(slot) = slots.oldest(self.queued) {
            if !self.submit(slots, slot) {
                return;
            }
        }
    }

    /// Gives the driver a request, or queues it.
    #[inline]
    pub(super) fn submit(&mut self, slots: &Slots, slot: usize) -> bool {
        let Some(entry) = slots.get(slot) else { return true };
        let submitted = self.driver.submit(&entry.request, &entry.segments).is_ok();
        if submitted {
            self.at_driver.insert(slot);
            self.queued.remove(slot);
        } else {
            self.queued.insert(slot);
        }
        submitted
    }

    #[inline]
    pub(super) fn take_answers(&mut self, slots: &mut Slots) {
        for _ in 0..self.driver.capacity() {
            let Some(answer) = self.driver.response() else { break };
            let Some(slot) = slots.find(answer.id).filter(|slot| self.at_driver.contains(*slot)) else {
                self.restart_driver(Event::Stray(answer.id));
                return;
            };
            self.progress.0 = self.progress.0.wrapping_add(1);
            self.failures = 0;
            self.at_driver.remove(slot);
            if self.riding.contains(slot) {
                self.flushed(slots, answer.status);
            } else {
                self.done(slots, slot, answer.status);
            }
        }
    }

    /// The request in `slot` is done.
    #[inline]
    pub(super) fn done(&mut self, slots: &mut Slots, slot: usize, status: Status) {
        let Some(entry) = slots.get(slot) else { return };
        let write = is_write(entry.request.code);
        match entry.owner {
            Owner::Client(index) => {
                let Some(client) = self.clients.get_mut(usize::from(index)).and_then(Option::as_mut) else {
                    return;
                };
                if write {
                    self.ready = self.ready | client.written(slots, slot);
                }
                client.answer(slots, slot, status);
                client.pass_barrier(slots);
                self.changed |= 1 << index;
            }
            Owner::Table => {
                slots.release(slot);
                self.table_read(slots, status == Status::OK);
            }
        }
    }

    /// The driver does what it should not: begins a new epoch, whereupon it resets its device, and gets everything again.
    #[cold]
    pub(super) fn restart_driver(&mut self, event: Event) {
        self.report(event);
        self.unfinished.driver = true;
        self.failures += 1;
        if self.failures <= MAX_FAILURES {
            self.driver.restart();
        } else if !self.given_up {
            self.given_up = true;
            self.report(Event::GivenUp);
        }
    }

    /// Begins a flush of the device for all that wait for one, unless one is going on: that one began too early for them.
    pub(super) fn flush(&mut self, slots: &mut Slots) {
        if self.ready.is_empty() || !self.riding.is_empty() {
            return;
        }
        let Some(info) = self.disk.ready() else { return };
        let riders = core::mem::take(&mut self.ready);
        if !info.abilities.contains(Abilities::FLUSH) {
            // Without a cache, what is done is on the medium.
            self.riding = riders;
            self.flushed(slots, Status::OK);
            return;
        }
        let Some(carrier) = riders.first() else { return };
        self.ready = riders;
        if self.submit(slots, carrier) {
            self.ready = Mask::EMPTY;
            self.riding = riders;
        } else {
            // Not among the queued ones: it waits with the others, and more may join them.
            self.queued.remove(carrier);
        }
    }

    /// The device's flush is done.
    pub(super) fn flushed(&mut self, slots: &mut Slots, status: Status) {
        for slot in core::mem::take(&mut self.riding) {
            self.done(slots, slot, status);
        }
    }
}
