// SPDX-License-Identifier: BSD-2-Clause
//! Between the clients and the driver.

use heapless::Vec;
use ring::blk::{self, Abilities, Code, Info, Request, Segment, Status};
use ring::link::{LinkError, State};
use ring::pages::Memory;

use crate::assign::{AssignError, assign};
use crate::client::Client;
use crate::config::{Assignment, ParseError};
use crate::disk::{self, Disk};
use crate::request::{is_write, translate};
use crate::slots::{Mask, Owner, SLOTS, Slots};
use crate::table::{Probe, SECTOR, Step, Table};

/// Most clients.
pub const MAX_CLIENTS: usize = 8;

/// Most requests taken from a client before it is the next one's turn.
const QUANTUM: usize = 8;

/// Most turns of all clients in one go.
const ROUNDS: usize = 2 * SLOTS / QUANTUM;

/// How often the driver's link may be restarted without a request done in between, before requests are answered with an
/// error until the driver restarts by itself.
const MAX_FAILURES: u32 = 8;

/// A bit for each client.
pub type ChannelFlags = u8;

/// What a client was assigned by the configuration.
pub type Assignments<'a> = [Option<Result<Assignment<'a>, ParseError>>; MAX_CLIENTS];

/// What is to be done after [`Virtualiser::service`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Notify the driver.
    pub driver: bool,
    /// Notify these clients.
    pub clients: ChannelFlags,
    /// Call again at once: there is more to do.
    pub again: bool,
    /// Something is at the driver: [`Virtualiser::check_progress`] is to be called after a while.
    pub waiting: bool,
}

/// Something that somebody should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// There is a disk, its table has been read, and clients have got their parts: see [`Virtualiser::table`] and
    /// [`Virtualiser::part`].
    #[error("disk of {0} sectors")]
    Ready(u64),
    /// The driver says that there is no disk.
    #[error("no disk")]
    NoDisk,
    /// The disk has changed its size.
    #[error("the disk has {0} sectors now")]
    Resized(u64),
    /// A client has broken its link.
    #[error("client {0} is cut off: {1}")]
    Client(usize, LinkError),
    /// The driver has broken its link.
    #[error("the driver is cut off: {0}")]
    Driver(LinkError),
    /// The driver has answered a request that it does not have.
    #[error("the driver is restarted: it has answered request {0:#x}, which it was not given")]
    Stray(u64),
    /// The driver does not answer.
    #[error("the driver is restarted: it has not answered for a while")]
    Stalled,
    /// Restarting it does not help.
    #[error("the driver is given up")]
    GivenUp,
}

/// A read of the partition table in pieces.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The next sector to read.
    sector: u64,
    /// How many are left.
    sectors: u64,
    /// Where they go in the buffer.
    offset: u64,
}

/// Clients, driver, and the disk between them.
#[derive(Debug)]
pub struct Virtualiser<'a, M> {
    driver: blk::Client<M>,
    assignments: Assignments<'a>,
    disk: Disk,
    probe: Probe<M>,
    /// Where the device sees the probe's buffer.
    table_physical: u64,
    reading: Option<Reading>,
    clients: [Option<Client<M>>; MAX_CLIENTS],
    /// Requests for the driver that it does not have (yet, or again).
    queued: Mask,
    /// Requests that the driver has.
    at_driver: Mask,
    /// Flushes that wait for the device's next flush.
    ready: Mask,
    /// Flushes that the device's present flush is for. The lowest of `at_driver` among them is that flush.
    riding: Mask,
    /// Most requests of one client.
    share: u32,
    /// Whose turn it is.
    turn: usize,
    /// Answers of the driver, now and at the last check.
    progress: (u64, u64),
    failures: u32,
    given_up: bool,
    events: Vec<Event, 8>,
}

impl<'a, M: Memory> Virtualiser<'a, M> {
    /// A virtualiser with this driver. Partition tables are read into `table`, which the device sees at `table_physical`.
    pub fn new(driver: blk::Client<M>, table: M, table_physical: u64, assignments: Assignments<'a>) -> Self {
        Self {
            driver,
            assignments,
            disk: Disk::Unknown,
            probe: Probe::new(table),
            table_physical,
            reading: None,
            clients: [const { None }; MAX_CLIENTS],
            queued: Mask::EMPTY,
            at_driver: Mask::EMPTY,
            ready: Mask::EMPTY,
            riding: Mask::EMPTY,
            share: SLOTS as u32,
            turn: 0,
            progress: (0, 0),
            failures: 0,
            given_up: false,
            events: Vec::new(),
        }
    }

    /// Adds client `number`. Before the first [`service`](Self::service).
    pub fn add_client(&mut self, number: usize, client: Client<M>) {
        if let Some(place) = self.clients.get_mut(number) {
            *place = Some(client);
        }
        let count = self.clients.iter().flatten().count().max(1);
        // One is left for the partition table.
        self.share = ((SLOTS - 1) / count) as u32;
    }

    /// Does what there is to do.
    pub fn service(&mut self, slots: &mut Slots) -> Outcome {
        self.look_at_driver(slots);
        self.take_answers(slots);
        for client in self.clients.iter_mut().flatten() {
            client.poll(slots, self.at_driver);
        }
        self.submit_waiting(slots);
        self.take_requests(slots);
        self.flush(slots);
        self.finish()
    }

    /// To be called a while after `waiting` was told: restarts a driver that has not answered anything since the last call.
    pub fn check_progress(&mut self) {
        let stalled = self.progress.0 == self.progress.1 && !self.at_driver.is_empty();
        self.progress.1 = self.progress.0;
        // A driver that is not there cannot answer; whoever restarts it is at it.
        if stalled && self.driver.is_up() {
            self.restart_driver(Event::Stalled);
        }
    }

    /// Something to report, oldest first.
    pub fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// The partition table.
    pub const fn table(&self) -> &Table {
        self.probe.table()
    }

    /// What client `number` has got; `None` when there is no such client.
    pub fn part(&self, number: usize) -> Option<Result<crate::Extent, AssignError>> {
        Some(self.clients.get(number)?.as_ref()?.part)
    }

    fn report(&mut self, event: Event) {
        // Beyond the first few they are lost.
        let _ = self.events.push(event);
    }

    // ---------------------------------------------------------------- driver

    #[inline]
    fn look_at_driver(&mut self, slots: &mut Slots) {
        if self.driver.poll() == State::Fresh {
            self.replay(slots);
        }
        if let Some(info) = self.driver.changed_info() {
            self.described(slots, disk::limit(info, self.driver.capacity()));
        }
    }

    /// The driver has a new life and nothing of ours: whatever it had is queued again. Its device was reset, so nothing
    /// that a client has given up is in use there any more.
    #[cold]
    fn replay(&mut self, slots: &mut Slots) {
        self.given_up = false;
        let had = core::mem::take(&mut self.at_driver);
        self.ready = self.ready | self.riding;
        self.queued = self.queued | (had & !self.riding);
        self.riding = Mask::EMPTY;
        for slot in had {
            if let Some(Owner::Client(index)) = slots.get(slot).map(|slot| slot.owner)
                && let Some(client) = self.clients.get_mut(usize::from(index)).and_then(Option::as_mut)
                && client.gone
            {
                client.slots.remove(slot);
                client.writes.remove(slot);
                self.drop_slot(slots, slot);
            }
        }
    }

    fn drop_slot(&mut self, slots: &mut Slots, slot: usize) {
        slots.release(slot);
        self.queued.remove(slot);
        self.ready.remove(slot);
        self.riding.remove(slot);
    }

    /// Gives the driver what it does not have yet, oldest first.
    fn submit_waiting(&mut self, slots: &mut Slots) {
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
    fn submit(&mut self, slots: &Slots, slot: usize) -> bool {
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
    fn take_answers(&mut self, slots: &mut Slots) {
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
    fn done(&mut self, slots: &mut Slots, slot: usize, status: Status) {
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
            }
            Owner::Table => {
                slots.release(slot);
                self.table_read(slots, status == Status::OK);
            }
        }
    }

    /// The driver does what it should not: begins a new epoch, whereupon it resets its device, and gets everything again.
    #[cold]
    fn restart_driver(&mut self, event: Event) {
        self.report(event);
        self.failures += 1;
        if self.failures <= MAX_FAILURES {
            self.driver.restart();
        } else if !self.given_up {
            self.given_up = true;
            self.report(Event::GivenUp);
        }
    }

    // ----------------------------------------------------------------- flush

    /// Begins a flush of the device for all that wait for one, unless one is going on: that one began too early for them.
    fn flush(&mut self, slots: &mut Slots) {
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
    fn flushed(&mut self, slots: &mut Slots, status: Status) {
        for slot in core::mem::take(&mut self.riding) {
            self.done(slots, slot, status);
        }
    }

    // --------------------------------------------------------------- clients

    /// Takes requests from the clients in turn.
    #[inline]
    fn take_requests(&mut self, slots: &mut Slots) {
        for _ in 0..ROUNDS {
            let mut any = false;
            for place in 0..MAX_CLIENTS {
                any |= self.take_from(slots, (self.turn + place) % MAX_CLIENTS);
            }
            if !any {
                break;
            }
        }
        self.turn = (self.turn + 1) % MAX_CLIENTS;
    }

    /// A client's turn. Gives whether it may have more.
    #[inline]
    fn take_from(&mut self, slots: &mut Slots, index: usize) -> bool {
        for _ in 0..QUANTUM {
            if !self.may_take(index) {
                return false;
            }
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { return false };
            let Some((slot, entry)) = slots.vacant() else { return false };
            let Some(request) = client.link.request(&mut entry.segments) else { return false };
            entry.request = request;
            let id = request.id;
            let admitted = match (&self.disk, client.part) {
                (Disk::Ready(info), Ok(part)) if !self.given_up => {
                    translate(info, &part, client.data, &mut entry.request, &mut entry.segments)
                }
                _ => Err(Status::NO_DEVICE),
            };
            if let Err(status) = admitted {
                client.respond(id, status);
                continue;
            }
            // Clients are fewer than 256.
            (entry.owner, entry.client_id) = (Owner::Client(index as u8), id);
            entry.after = client.writes;
            slots.occupy(slot);
            client.slots.insert(slot);
            match request.code {
                Code::Barrier => {
                    client.barrier = Some(slot);
                    client.pass_barrier(slots);
                }
                Code::Flush if client.writes.is_empty() => self.ready.insert(slot),
                Code::Flush => client.flushes.insert(slot),
                code => {
                    if is_write(code) {
                        client.writes.insert(slot);
                    }
                    self.submit(slots, slot);
                }
            }
        }
        true
    }

    /// Whether a request of this client could be dealt with now.
    #[inline]
    fn may_take(&self, index: usize) -> bool {
        let Some(client) = self.clients.get(index).and_then(Option::as_ref) else { return false };
        matches!(self.disk, Disk::Ready(_) | Disk::Absent)
            && !client.gone
            && client.barrier.is_none()
            && client.slots.len() < self.share
            // The driver's link is full, or it is not there: not before it has what is queued.
            && (self.queued.is_empty() || self.given_up)
    }

    // ------------------------------------------------------------------ disk

    /// The driver describes its disk.
    #[cold]
    fn described(&mut self, slots: &mut Slots, info: Info) {
        if !info.abilities.contains(Abilities::PRESENT) {
            self.disk = Disk::Absent;
            self.reading = None;
            self.report(Event::NoDisk);
            self.publish();
            return;
        }
        match self.disk {
            Disk::Ready(old) => {
                if old.capacity != info.capacity {
                    self.report(Event::Resized(info.capacity));
                }
                self.disk = Disk::Ready(info);
                self.resize(info);
                if old != info {
                    self.publish();
                }
            }
            Disk::Reading(_) => self.disk = Disk::Reading(info),
            Disk::Unknown | Disk::Absent => {
                self.disk = Disk::Reading(info);
                let step = self.probe.start(disk::geometry(&info));
                self.step(slots, step);
            }
        }
    }

    /// Parts that lie outside are gone; the whole disk stays the whole disk.
    fn resize(&mut self, info: Info) {
        let geometry = disk::geometry(&info);
        for (client, assignment) in self.clients.iter_mut().zip(&self.assignments) {
            let (Some(client), Some(Ok(assignment))) = (client, assignment) else { continue };
            let Ok(part) = &mut client.part else { continue };
            if assignment.target == crate::config::Target::Disk {
                part.sectors = geometry.blocks().saturating_mul(geometry.block_sectors());
            }
            if !part.fits(geometry) {
                client.part = Err(AssignError::Outside);
            }
        }
    }

    fn step(&mut self, slots: &mut Slots, step: Step) {
        match step {
            Step::Read { sector, sectors } => {
                self.reading = Some(Reading { sector, sectors, offset: 0 });
                self.read_more(slots);
            }
            Step::Done => {
                self.reading = None;
                let Disk::Reading(info) = self.disk else { return };
                let parts = assign(&self.assignments, self.probe.geometry(), self.probe.table());
                for (client, part) in self.clients.iter_mut().zip(parts) {
                    if let Some(client) = client {
                        client.part = part;
                    }
                }
                self.disk = Disk::Ready(info);
                self.report(Event::Ready(info.capacity));
                self.publish();
            }
        }
    }

    /// Reads the next piece of what the probe wants.
    fn read_more(&mut self, slots: &mut Slots) {
        let (Disk::Reading(info), Some(reading)) = (self.disk, &mut self.reading) else { return };
        let block = u64::from(info.block_size);
        let most = u64::from(info.max_segment_bytes.min(info.max_bytes)) / block * block;
        let length = (reading.sectors * SECTOR).min(most.max(block));
        let offset = self.table_physical.saturating_add(reading.offset);
        let request = Request { id: 0, code: Code::Read, sector: reading.sector, length, unmap: false };
        reading.sector += length / SECTOR;
        reading.sectors = reading.sectors.saturating_sub(length / SECTOR);
        reading.offset += length;
        // No client has been served yet, so there is one.
        let Some((slot, entry)) = slots.vacant() else { return };
        (entry.owner, entry.request, entry.after) = (Owner::Table, request, Mask::EMPTY);
        entry.segments.clear();
        // At most the buffer's size, which fits; the vector is empty.
        let _ = entry.segments.push(Segment { offset, length: length as u32 });
        slots.occupy(slot);
        self.submit(slots, slot);
    }

    fn table_read(&mut self, slots: &mut Slots, readable: bool) {
        let Some(reading) = self.reading else { return };
        if readable && reading.sectors > 0 {
            self.read_more(slots);
        } else {
            let step = self.probe.advance(readable);
            self.step(slots, step);
        }
    }

    /// Tells all clients what they have.
    fn publish(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            let info = match &self.disk {
                Disk::Ready(info) => disk::describe(info, client.part),
                _ => Info::default(),
            };
            client.link.publish_info(&info);
        }
    }

    // ------------------------------------------------------------------- end

    /// Shows everybody what is new, and decides whether to sleep.
    #[inline]
    fn finish(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut idle = true;
        for index in 0..MAX_CLIENTS {
            // One that has to wait for others is looked at when the driver has answered.
            let listen = self.may_take(index);
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { continue };
            if client.link.commit() {
                outcome.clients |= 1 << index;
            }
            idle &= !listen || client.link.wait();
            if let Some(error) = client.link.take_error() {
                self.report(Event::Client(index, error));
            }
        }
        outcome.driver = self.driver.commit();
        idle &= self.driver.wait();
        if let Some(error) = self.driver.take_error() {
            self.report(Event::Driver(error));
        }
        outcome.again = !idle;
        outcome.waiting = !self.at_driver.is_empty();
        outcome
    }
}
