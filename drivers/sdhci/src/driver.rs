// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic.

use heapless::Vec;
use link_pd::{Logic, Outcome};
use ring::blk::{Abilities, Code, Info, MAX_SEGMENTS, Request, Response, SECTOR, Segment, Server, Status};
use ring::link::{LinkError, State};
use ring::pages::Memory;
use virtio_driver::DmaMemory;

use crate::card::{Card, CardError};
use crate::host::{Command, Host};
use crate::registers::{Engine, Register, Registers, Status as Interrupts, mode};
use crate::tables::Tables;

/// Most bytes in a request.
const MAX_BYTES: u32 = 1 << 20;

/// How often a card may fail without having done anything in between before it is given up.
const MAX_FAILURES: u32 = 8;

/// So many interrupts may come in a row that are about nothing.
const MAX_IDLE_INTERRUPTS: u32 = 100;

/// What interrupts while the driver works.
const WANTED: Interrupts = Interrupts::TRANSFER_COMPLETE
    .union(Interrupts::INSERTED)
    .union(Interrupts::REMOVED)
    .union(Interrupts::ERRORS);

/// Something that somebody should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// There is no card to be used: requests are answered [`Status::NO_DEVICE`].
    #[error("no disk: {0}")]
    NoCard(CardError),
    /// A card is there.
    #[error(
        "card of {mib} MiB, {speed} speed{protected}",
        speed = if *high_speed { "high" } else { "default" },
        protected = if *read_only { ", write-protected" } else { "" }
    )]
    Card {
        /// Its size.
        mib: u64,
        /// Whether it may not be written.
        read_only: bool,
        /// Whether it runs at 50 MHz, otherwise at 25.
        high_speed: bool,
    },
    /// It was removed.
    #[error("the card has been removed")]
    Removed,
    /// Another one was inserted in its place: what is in use must not change under its users.
    #[error("another card has been inserted; the one before is waited for")]
    OtherCard,
    /// The DMA region is too small.
    #[error("the DMA region is too small")]
    NoMemory,
    /// A transfer failed.
    #[error("a transfer failed with errors {0:#x}")]
    Failed(u32),
    /// It failed so often that this is the end.
    #[error("the card is given up: {MAX_FAILURES} failures without a request done")]
    GivenUp,
    /// The controller interrupts for nothing.
    #[error("the controller is given up: it interrupts without end")]
    Storm,
    /// The client has broken the link.
    #[error("the client is cut off: {0}")]
    Client(LinkError),
}

/// What is in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Nothing that was ever used.
    Empty,
    /// A card in use.
    Card(Card),
    /// Nothing now; this card comes back or none.
    Removed(Card),
    /// The hardware is not to be trusted any more.
    Dead,
}

/// The request at the card.
#[derive(Debug, Clone, Copy)]
struct Current {
    id: u64,
    /// The engine's list, until it has been started.
    list: Option<u64>,
}

/// A slot that serves a link.
#[derive(Debug)]
pub struct Driver<R, E, M> {
    host: Host<R>,
    engine: Option<E>,
    /// Bus address of the controller's data port, for the engine.
    port: u32,
    tables: Option<Tables>,
    slot: Slot,
    link: Server<M>,
    info: Info,
    current: Option<Current>,
    segments: Vec<Segment, MAX_SEGMENTS>,
    failures: u32,
    idle_interrupts: u32,
    /// What interrupts at present.
    signals: Interrupts,
    /// The controller was seen to interrupt, and that has not been handled.
    raised: bool,
    /// The client's link is to be looked at though it has not notified.
    look_at_client: bool,
    events: Vec<Event, 8>,
}

impl<R: Registers, E: Engine, M: Memory> Driver<R, E, M> {
    /// Takes a controller over and opens a new epoch of the link. `engine` does the DMA for a controller that cannot, at the
    /// data port with the bus address `port`. Without a card requests are answered so.
    pub fn new(registers: R, engine: Option<E>, port: u32, mut dma: DmaMemory, link: Server<M>) -> Self {
        let tables = Tables::new(&mut dma);
        let mut this = Self {
            host: Host::new(registers),
            engine,
            port,
            tables,
            slot: Slot::Empty,
            link,
            info: Info::default(),
            current: None,
            segments: Vec::new(),
            failures: 0,
            idle_interrupts: 0,
            signals: Interrupts::empty(),
            raised: false,
            look_at_client: true,
            events: Vec::new(),
        };
        if this.tables.is_none() {
            this.slot = Slot::Dead;
            this.report(Event::NoMemory);
        } else {
            this.look_for_card();
        }
        this.link.publish_info(&this.info);
        this
    }

    /// Whether the controller interrupts. One that does so without end is given up.
    fn is_raised(&mut self) -> bool {
        let status = Interrupts::from_bits_retain(self.host.registers.read(Register::Status));
        status.intersects(self.signals)
    }

    /// What the client is told of the card.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    fn report(&mut self, event: Event) {
        // Beyond the first few they are lost.
        let _ = self.events.push(event);
    }

    /// Resets the controller and makes the card in the slot ready; the one that was there before, if there was one.
    fn look_for_card(&mut self) {
        let found = self
            .host
            .reset(self.engine.is_some())
            .map_err(CardError::Host)
            .and_then(|()| Card::identify(&mut self.host));
        match (found, self.slot) {
            (Ok(card), Slot::Removed(before)) if card.identification != before.identification => {
                self.report(Event::OtherCard);
            }
            (Ok(card), _) => {
                self.slot = Slot::Card(card);
                self.failures = 0;
                self.info = describe(&card);
                let Card { read_only, high_speed, .. } = card;
                self.report(Event::Card { mib: card.sectors >> 11, read_only, high_speed });
            }
            (Err(error), _) => self.report(Event::NoCard(error)),
        }
        self.want_interrupts();
    }

    fn want_interrupts(&mut self) {
        let ready = Interrupts::READ_READY | Interrupts::WRITE_READY;
        let engine = self.current.is_some_and(|current| current.list.is_some());
        self.signals = if engine { WANTED | ready } else { WANTED };
        self.host.registers.write(Register::SignalEnable, self.signals.bits());
    }

    /// Gives a request to the card, or an answer at once.
    fn start(&mut self, request: &Request) -> Option<Status> {
        let Slot::Card(card) = self.slot else { return Some(Status::NO_DEVICE) };
        if let Some(status) = answer_at_once(&self.info, request, &self.segments) {
            return Some(status);
        }
        let read = request.code == Code::Read;
        let blocks = request.length / u64::from(SECTOR);
        let mut transfer = mode::COUNT | if read { mode::READ } else { 0 };
        if blocks > 1 {
            transfer |= mode::MULTIPLE | mode::AUTO_STOP;
        }
        let tables = self.tables.as_ref()?;
        let list = if self.host.adma {
            let Some(list) = tables.for_controller(&self.segments) else { return Some(Status::INVALID) };
            transfer |= mode::DMA;
            self.host.registers.write(Register::AdmaAddress, list);
            None
        } else {
            let list = tables.for_engine(&self.segments, self.port, read);
            if list.is_none() {
                return Some(Status::INVALID);
            }
            list
        };
        let index = match (read, blocks > 1) {
            (true, false) => 17,
            (true, true) => 18,
            (false, false) => 24,
            (false, true) => 25,
        };
        self.current = Some(Current { id: request.id, list });
        self.want_interrupts();
        let command = Command::new(index, card.argument(request.sector));
        if self.host.start(command, blocks as u16, transfer).is_err() {
            self.failed(Interrupts::empty());
        }
        None
    }

    /// The data port is ready: the engine moves the data.
    fn start_engine(&mut self) {
        let Some(list) = self.current.as_mut().and_then(|current| current.list.take()) else { return };
        self.idle_interrupts = 0;
        self.want_interrupts();
        if let Some(engine) = &mut self.engine {
            engine.start(list);
        }
    }

    fn completed(&mut self) {
        self.idle_interrupts = 0;
        self.failures = 0;
        self.answer(Status::OK);
    }

    /// Answers the request at the card.
    fn answer(&mut self, status: Status) {
        if let Some(current) = self.current.take() {
            let _ = self.link.complete(Response { id: current.id, status });
        }
        // What waits behind it.
        self.look_at_client = true;
    }

    /// A transfer failed: the card is brought back to where it takes the next.
    #[cold]
    fn failed(&mut self, errors: Interrupts) {
        self.idle_interrupts = 0;
        self.stop();
        self.answer(Status::IO);
        let Slot::Card(card) = self.slot else { return };
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            return self.give_up(Event::GivenUp);
        }
        self.report(Event::Failed(errors.bits()));
        // Without an automatic stop it may still be sending or receiving.
        let _ = self.host.command(Command::new(12, 0).answered(crate::host::Answer::Busy));
        if !card.is_well(&mut self.host) {
            self.removed();
        }
        self.want_interrupts();
    }

    /// Ends what goes on between card and memory.
    fn stop(&mut self) {
        self.host.registers.write(Register::SignalEnable, 0);
        if let Some(engine) = &mut self.engine {
            engine.stop();
        }
        self.host.reset_lines();
    }

    /// The client has restarted: its request is of no use any more.
    #[cold]
    fn drop_current(&mut self) {
        if self.current.is_none() {
            return;
        }
        self.stop();
        self.current = None;
        let _ = self.host.command(Command::new(12, 0).answered(crate::host::Answer::Busy));
        self.want_interrupts();
    }

    /// The card is gone.
    #[cold]
    fn removed(&mut self) {
        let Slot::Card(card) = self.slot else { return };
        if self.current.is_some() {
            self.stop();
        }
        self.answer(Status::NO_DEVICE);
        self.slot = Slot::Removed(card);
        self.report(Event::Removed);
        self.no_card();
        // It may be there again already.
        self.look_for_card();
        self.link.publish_info(&self.info);
    }

    #[cold]
    fn inserted(&mut self) {
        if self.slot == Slot::Dead {
            return;
        }
        self.look_for_card();
        self.link.publish_info(&self.info);
        self.look_at_client = true;
    }

    fn no_card(&mut self) {
        self.info = Info { serial: self.info.serial, ..Info::default() };
    }

    #[cold]
    fn give_up(&mut self, event: Event) {
        self.report(event);
        self.stop();
        self.answer(Status::IO);
        self.slot = Slot::Dead;
        self.no_card();
        self.link.publish_info(&self.info);
        self.host.registers.write(Register::StatusEnable, 0);
        self.signals = Interrupts::empty();
    }
}

impl<R: Registers, E: Engine, M: Memory> Logic for Driver<R, E, M> {
    type Event = Event;

    fn handle_interrupt(&mut self) {
        let raised = Interrupts::from_bits_retain(self.host.registers.read(Register::Status));
        self.host.registers.write(Register::Status, raised.bits());
        let idle = self.idle_interrupts;
        self.idle_interrupts += 1;
        if raised.intersects(Interrupts::REMOVED) {
            self.removed();
        } else if raised.intersects(Interrupts::ERRORS) && self.current.is_some() {
            self.failed(raised & Interrupts::ERRORS);
        } else if raised.intersects(Interrupts::TRANSFER_COMPLETE) && self.current.is_some() {
            self.completed();
        } else if raised.intersects(Interrupts::READ_READY | Interrupts::WRITE_READY) {
            self.start_engine();
        }
        if raised.intersects(Interrupts::INSERTED) && !matches!(self.slot, Slot::Card(_)) {
            self.inserted();
        }
        if idle >= MAX_IDLE_INTERRUPTS && self.slot != Slot::Dead {
            self.give_up(Event::Storm);
        }
    }

    fn service(&mut self, notified: bool) -> Outcome {
        // What an engine has done at once is not waited for.
        if core::mem::take(&mut self.raised) || self.is_raised() {
            self.handle_interrupt();
        }
        let look = core::mem::replace(&mut self.look_at_client, false) | notified;
        if look && self.link.poll() == State::PeerRestarted {
            self.drop_current();
            self.link.accept();
            self.link.poll();
        }
        while self.current.is_none() {
            let Some(request) = self.link.request(&mut self.segments) else { break };
            if let Some(status) = self.start(&request) {
                // Fails when the client is cut off or gone: it has no use for the answer then.
                let _ = self.link.complete(Response { id: request.id, status });
            }
        }
        let notify = self.link.commit();
        // While a request is at the card, its end comes first.
        if self.current.is_none() {
            self.look_at_client |= !self.link.wait();
        }
        if let Some(error) = self.link.take_error() {
            self.report(Event::Client(error));
        }
        // Handled, and counted, the next time even if it is over by then: a status that comes and goes is no work without end.
        self.raised = self.is_raised();
        Outcome { notify, again: self.look_at_client || self.raised }
    }

    fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    fn is_error(event: &Event) -> bool {
        !matches!(event, Event::Card { .. })
    }
}

fn describe(card: &Card) -> Info {
    let mut abilities = Abilities::PRESENT;
    abilities.set(Abilities::READ_ONLY, card.read_only);
    Info {
        capacity: card.sectors,
        max_segments: MAX_SEGMENTS as u32,
        max_segment_bytes: MAX_BYTES,
        max_bytes: MAX_BYTES,
        abilities,
        serial: card.serial(),
        ..Info::default()
    }
}

/// The answer to a request that does not get to the card.
fn answer_at_once(info: &Info, request: &Request, segments: &[Segment]) -> Option<Status> {
    match request.code {
        Code::Read | Code::Write => {
            if request.code == Code::Write && info.abilities.contains(Abilities::READ_ONLY) {
                return Some(Status::READ_ONLY);
            }
            let sectors = request.length / u64::from(SECTOR);
            let inside = request.sector.checked_add(sectors).is_some_and(|end| end <= info.capacity);
            let fits = request.length > 0
                && request.length <= info.max_bytes.into()
                && segments.len() <= info.max_segments as usize
                && segments.iter().all(|segment| segment.length <= info.max_segment_bytes);
            (!inside || !fits).then_some(Status::INVALID)
        }
        // A card has written what it is no longer busy with; requests are done one after the other.
        Code::Flush | Code::Barrier => Some(Status::OK),
        Code::Discard | Code::WriteZeroes | Code::Unknown(_) => Some(Status::UNSUPPORTED),
    }
}
