// SPDX-License-Identifier: BSD-2-Clause
//! Between the clients and the driver.

mod disk;
mod driver;

use heapless::Vec;
use ring::blk::{self, Code, Layout, Status};
use ring::link::{LayoutError, LinkError};
use ring::pages::Memory;

use crate::assign::AssignError;
use crate::client::{Client, DataRegion};
use crate::config::{Assignment, ParseError};
use crate::disk::Disk;
use crate::request::{is_write, translate};
use crate::slots::{Mask, Owner, SLOTS, Slots};
use crate::table::{Probe, Table};

use disk::Reading;

/// Most clients.
pub const MAX_CLIENTS: usize = 8;

/// Most requests taken from a client before it is the next one's turn.
const QUANTUM: usize = 8;

/// Most turns of all clients in one go.
const ROUNDS: usize = 2 * SLOTS / QUANTUM;

/// A bit for each client.
pub type ChannelFlags = u8;

/// What a client was assigned by the configuration.
pub type Assignments<'a> = [Option<Result<Assignment<'a>, ParseError>>; MAX_CLIENTS];

/// Who has notified the virtualiser. Only they are looked at, and whom it had not finished with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// The driver.
    pub driver: bool,
    /// Clients.
    pub clients: ChannelFlags,
}

impl Wake {
    /// Nobody.
    pub const NOBODY: Self = Self { driver: false, clients: 0 };
    /// Everybody.
    pub const ALL: Self = Self { driver: true, clients: ChannelFlags::MAX };
}

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
    #[error("the driver is restarted: {0}")]
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
    /// Clients whose links are not open yet.
    closed: [Option<(M, DataRegion)>; MAX_CLIENTS],
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
    turn: u32,
    /// To be looked at the next time though they have not notified.
    unfinished: Wake,
    /// Clients that are being looked at.
    looking: ChannelFlags,
    /// Clients for which there is something new.
    changed: ChannelFlags,
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
            closed: [const { None }; MAX_CLIENTS],
            queued: Mask::EMPTY,
            at_driver: Mask::EMPTY,
            ready: Mask::EMPTY,
            riding: Mask::EMPTY,
            share: SLOTS as u32,
            turn: 0,
            unfinished: Wake::ALL,
            looking: 0,
            changed: 0,
            progress: (0, 0),
            failures: 0,
            given_up: false,
            events: Vec::new(),
        }
    }

    /// Adds client `number` with this link and this memory. Before the first [`service`](Self::service).
    ///
    /// The link is not opened before the driver's is up: until then the device may be busy with what was asked for in an
    /// earlier life, in memory of a client that has restarted meanwhile.
    ///
    /// # Errors
    /// When the link is too small.
    pub fn add_client(&mut self, number: usize, link: M, data: DataRegion) -> Result<(), LayoutError> {
        Layout::of(link.size())?;
        if let Some(place) = self.closed.get_mut(number) {
            *place = Some((link, data));
        }
        let count = self.closed.iter().flatten().count().max(1);
        // One is left for the partition table.
        self.share = ((SLOTS - 1) / count) as u32;
        Ok(())
    }

    /// Does what there is to do for those who have notified. The first time, and when told to call again, nobody needs to
    /// have.
    pub fn service(&mut self, slots: &mut Slots, woken: Wake) -> Outcome {
        let unfinished = core::mem::replace(&mut self.unfinished, Wake::NOBODY);
        let driver = woken.driver | unfinished.driver;
        self.looking = woken.clients | unfinished.clients;
        if driver {
            self.look_at_driver(slots);
            self.take_answers(slots);
        }
        for index in bits(self.looking) {
            if let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) {
                client.poll(slots, self.at_driver);
            }
        }
        if !(self.queued | self.ready | self.riding).is_empty() {
            self.submit_waiting(slots);
        }
        self.take_requests(slots);
        self.flush(slots);
        self.finish(driver)
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

    /// Takes requests from the clients in turn.
    #[inline]
    fn take_requests(&mut self, slots: &mut Slots) {
        let mut active = self.looking;
        for _ in 0..ROUNDS {
            if active == 0 {
                break;
            }
            for place in bits(active.rotate_right(self.turn)) {
                let index = (place + self.turn as usize) % MAX_CLIENTS;
                if !self.take_from(slots, index) {
                    active &= !(1 << index);
                }
            }
        }
        self.turn = (self.turn + 1) % MAX_CLIENTS as u32;
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

    /// For how many of the driver's answers to sleep: the least that any client waits for. One that is yet to look at
    /// others is taken to wait for all of its requests, and notifies if it does not.
    #[inline]
    fn awaited(&self) -> u32 {
        if self.reading.is_some() || !self.riding.is_empty() {
            return 1;
        }
        let of = |client: &Client<M>| {
            let there = (client.slots & self.at_driver).len();
            (there > 0).then(|| client.link.awaited().unwrap_or(there).min(there))
        };
        self.clients.iter().flatten().filter_map(of).min().unwrap_or(1)
    }

    /// Shows everybody what is new, and decides whether to sleep.
    #[inline]
    fn finish(&mut self, driver: bool) -> Outcome {
        let mut outcome = Outcome::default();
        let looking = core::mem::take(&mut self.looking);
        for index in bits(looking | core::mem::take(&mut self.changed)) {
            let bit = 1 << index;
            let may_take = self.may_take(index);
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else { continue };
            if client.link.commit() {
                outcome.clients |= bit;
            }
            if looking & bit == 0 {
                continue;
            }
            let sleeps = may_take && client.link.wait();
            outcome.again |= may_take && !sleeps;
            let error = client.link.take_error();
            // One that has to wait for others is looked at when the driver has answered.
            if !sleeps || error.is_some() {
                self.unfinished.clients |= bit;
            }
            if let Some(error) = error {
                self.report(Event::Client(index, error));
            }
        }
        outcome.driver = self.driver.commit();
        let count = self.awaited();
        if (driver || !self.at_driver.is_empty()) && !self.driver.wait_for(count) {
            self.unfinished.driver = true;
            outcome.again = true;
        }
        outcome.driver = self.driver.tells(outcome.driver, self.at_driver.len());
        if driver && let Some(error) = self.driver.take_error() {
            self.restart_driver(Event::Driver(error));
            outcome.again = true;
        }
        outcome.waiting = !self.at_driver.is_empty();
        outcome
    }
}

/// The numbers of the bits that are set, lowest first.
#[inline]
fn bits(mut of: ChannelFlags) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let index = of.trailing_zeros() as usize;
        of &= of.wrapping_sub(1);
        (index < MAX_CLIENTS).then_some(index)
    })
}

const _: () = assert!(ChannelFlags::BITS as usize == MAX_CLIENTS);
