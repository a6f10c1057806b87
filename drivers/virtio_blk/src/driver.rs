// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic.

use heapless::Vec;
use link_pd::{Logic, Outcome};
use ring::blk::{Abilities, Code, Info, MAX_SEGMENTS, Request, Response, SECTOR, Segment, Server, Status};
use ring::link::{LinkError, State};
use ring::pages::Memory;
use virtio_driver::registers::Registers;
use virtio_driver::{Device, DeviceMisbehaved, DmaMemory, Error, InterruptStatus, Status as DeviceStatus};

use crate::hardware::{DEPTH, Hardware, QUEUE};
use crate::protocol;

/// How often a device may be reset without having completed anything in between before it is given up.
const MAX_FAILURES: u32 = 8;

/// Something that somebody should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// The device cannot be driven: requests are answered [`Status::NO_DEVICE`].
    #[error("no device: {0}")]
    NoDevice(Error),
    /// The DMA region is too small.
    #[error("the DMA region is too small")]
    NoMemory,
    /// The device was reset because of what it wrote.
    #[error("the device is reset: {0}")]
    Misbehaved(DeviceMisbehaved),
    /// The device was reset because it asked for it.
    #[error("the device is reset: it asked for it")]
    NeedsReset,
    /// It was reset so often that this is the end.
    #[error("the device is given up: {MAX_FAILURES} resets without a request done")]
    GivenUp,
    /// The client has broken the link.
    #[error("the client is cut off: {0}")]
    Client(LinkError),
}

/// A request that has been taken and does not fit into the queue yet.
#[derive(Debug)]
enum Held {
    Nothing,
    /// With the segments in the driver's buffer.
    Request(Request),
    /// Answered when nothing is at the device.
    Barrier(u64),
}

/// A block device that serves a link.
#[derive(Debug)]
pub struct Driver<R, M> {
    hardware: Option<Hardware<R>>,
    link: Server<M>,
    info: Info,
    /// Of each request at the device, the client's name for it.
    ids: [u64; DEPTH],
    held: Held,
    segments: Vec<Segment, MAX_SEGMENTS>,
    failures: u32,
    /// The client's link is to be looked at though it has not notified.
    look_at_client: bool,
    /// The used ring is to be looked at.
    look_at_device: bool,
    events: Vec<Event, 8>,
}

impl<R: Registers, M: Memory> Driver<R, M> {
    /// Sets the device up, which has just been reset, and opens a new epoch of the link. When there is no device, requests are
    /// answered so.
    pub fn new(device: Result<Device<R>, Error>, dma: DmaMemory, link: Server<M>) -> Self {
        let mut this = Self {
            hardware: None,
            link,
            info: Info::default(),
            ids: [0; DEPTH],
            held: Held::Nothing,
            segments: Vec::new(),
            failures: 0,
            look_at_client: true,
            look_at_device: true,
            events: Vec::new(),
        };
        match device.map_err(Event::NoDevice).and_then(|device| Hardware::new(device, dma)) {
            Ok(mut hardware) => {
                this.info = hardware.describe();
                hardware.ask_name();
                this.hardware = Some(hardware);
            }
            Err(event) => this.report(event),
        }
        this.link.publish_info(&this.info);
        this
    }

    /// What the client is told of the device.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    fn report(&mut self, event: Event) {
        // Beyond the first few they are lost.
        let _ = self.events.push(event);
    }

    /// Asks to be woken by what was looked at, unless there is more of it already.
    #[inline]
    fn sleep(&mut self, client: bool) {
        if let Some(hardware) = &mut self.hardware {
            // One interrupt for as many completions as the client waits for. If it is yet to look at others, for all that
            // is outstanding; it notifies when it then wants fewer.
            let awaited = self.link.awaited().and_then(|count| u16::try_from(count).ok()).unwrap_or(u16::MAX);
            let count = if hardware.naming.is_some() { 1 } else { awaited };
            self.look_at_device |= !hardware.queue.enable_interrupts(count);
        }
        if client {
            // While a request is held, a completion comes first.
            if matches!(self.held, Held::Nothing) {
                self.look_at_client |= !self.link.wait();
            }
            if let Some(error) = self.link.take_error() {
                self.report(Event::Client(error));
            }
        }
    }

    #[inline]
    fn take_completions(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        // No more than the queue holds: what is added later is not completed here.
        for _ in 0..DEPTH {
            let completion = match hardware.queue.pop() {
                Ok(Some(completion)) => completion,
                Ok(None) => break,
                Err(error) => {
                    self.fail(Event::Misbehaved(error));
                    return;
                }
            };
            let status = protocol::status(hardware.statuses.get(completion.id.into()));
            if hardware.naming == Some(completion.id) {
                hardware.naming = None;
                if status == Status::OK {
                    self.info.serial = hardware.name();
                    self.link.publish_info(&self.info);
                }
                continue;
            }
            self.failures = 0;
            let id = self.ids.get(usize::from(completion.id)).copied().unwrap_or_default();
            // Fails when the client is cut off or gone: it has no use for the answer then.
            let _ = self.link.complete(Response { id, status });
        }
        if let Held::Barrier(id) = self.held
            && hardware.is_idle()
        {
            self.held = Held::Nothing;
            let _ = self.link.complete(Response { id, status: Status::OK });
        }
    }

    #[inline]
    fn take_requests(&mut self) {
        for _ in 0..DEPTH {
            let request = match core::mem::replace(&mut self.held, Held::Nothing) {
                Held::Barrier(id) => {
                    self.held = Held::Barrier(id);
                    return;
                }
                Held::Request(request) => request,
                Held::Nothing => match self.link.request(&mut self.segments) {
                    Some(request) => request,
                    None => return,
                },
            };
            match self.start(&request) {
                Progress::Started => {}
                Progress::Wait(held) => {
                    self.held = held;
                    return;
                }
                Progress::Answer(status) => {
                    let _ = self.link.complete(Response { id: request.id, status });
                }
            }
        }
    }

    /// Gives a request to the device.
    #[inline]
    fn start(&mut self, request: &Request) -> Progress {
        let Some(hardware) = &mut self.hardware else { return Progress::Answer(Status::NO_DEVICE) };
        if let Some(answer) = answer_at_once(&self.info, request, &self.segments) {
            return Progress::Answer(answer);
        }
        if request.code == Code::Barrier {
            return match hardware.is_idle() {
                true => Progress::Answer(Status::OK),
                false => Progress::Wait(Held::Barrier(request.id)),
            };
        }
        let Some(kind) = protocol::kind(request.code) else { return Progress::Answer(Status::UNSUPPORTED) };
        match hardware.submit(kind, request, &self.segments) {
            Some(id) => {
                if let Some(place) = self.ids.get_mut(usize::from(id)) {
                    *place = request.id;
                }
                Progress::Started
            }
            // It fits when enough others are done. A request alone always fits: the description says how many segments.
            None if !hardware.is_idle() => Progress::Wait(Held::Request(*request)),
            None => Progress::Answer(Status::INVALID),
        }
    }

    /// The client has restarted: stops whatever the device still does for it.
    #[cold]
    fn drop_in_flight(&mut self) {
        self.held = Held::Nothing;
        let Some(hardware) = &mut self.hardware else { return };
        if hardware.is_idle() {
            return;
        }
        if let Err(error) = hardware.restart() {
            self.give_up(Event::NoDevice(error));
        }
    }

    /// Resets the device after a failure, and begins a new epoch: the client replays what was in flight.
    #[cold]
    fn fail(&mut self, event: Event) {
        self.report(event);
        self.held = Held::Nothing;
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            self.give_up(Event::GivenUp);
        } else if let Some(Err(error)) = self.hardware.as_mut().map(Hardware::restart) {
            self.give_up(Event::NoDevice(error));
        }
        self.link.restart();
        self.link.publish_info(&self.info);
    }

    #[cold]
    fn give_up(&mut self, event: Event) {
        self.report(event);
        if let Some(mut hardware) = self.hardware.take() {
            // Whether it still listens or not.
            let _ = hardware.device.reset();
            hardware.device.fail();
        }
        self.info = Info { serial: self.info.serial, ..Info::default() };
        self.link.publish_info(&self.info);
    }
}

impl<R: Registers, M: Memory> Logic for Driver<R, M> {
    type Event = Event;

    fn handle_interrupt(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        self.look_at_device = true;
        let why = hardware.device.acknowledge_interrupt();
        if !why.contains(InterruptStatus::CONFIG_CHANGE) {
            return;
        }
        if hardware.device.status().contains(DeviceStatus::NEEDS_RESET) {
            self.fail(Event::NeedsReset);
            return;
        }
        let info = Info { serial: self.info.serial, ..hardware.describe() };
        if info != self.info {
            self.info = info;
            self.link.publish_info(&info);
        }
    }

    fn service(&mut self, notified: bool) -> Outcome {
        let device = core::mem::replace(&mut self.look_at_device, false);
        let client = core::mem::replace(&mut self.look_at_client, false) | notified;
        if client && self.link.poll() == State::PeerRestarted {
            self.drop_in_flight();
            self.link.accept();
            self.link.poll();
        }
        // Behind what is held there may be more.
        let client = client || !matches!(self.held, Held::Nothing);
        if device {
            self.take_completions();
        }
        if client {
            self.take_requests();
        }
        let notify = self.link.commit();
        self.sleep(client);
        // Last: what the device does at once is within what it has just been asked for.
        if let Some(hardware) = &mut self.hardware
            && hardware.queue.publish()
        {
            hardware.device.notify(QUEUE);
        }
        Outcome { notify, again: self.look_at_client || self.look_at_device }
    }

    fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }
}

/// What became of a request.
enum Progress {
    Started,
    Wait(Held),
    Answer(Status),
}

/// The answer to a request that does not get to the device.
#[inline]
fn answer_at_once(info: &Info, request: &Request, segments: &[Segment]) -> Option<Status> {
    let sectors = request.length / u64::from(SECTOR);
    let inside = request.sector.checked_add(sectors).is_some_and(|end| end <= info.capacity);
    let has = |ability| info.abilities.contains(ability);
    let range = |ability, max: u32| {
        if !has(ability) {
            Some(Status::UNSUPPORTED)
        } else if has(Abilities::READ_ONLY) {
            Some(Status::READ_ONLY)
        } else {
            (sectors == 0 || sectors > max.into() || !inside).then_some(Status::INVALID)
        }
    };
    match request.code {
        Code::Read | Code::Write => {
            if request.code == Code::Write && has(Abilities::READ_ONLY) {
                return Some(Status::READ_ONLY);
            }
            let fits = segments.len() <= info.max_segments as usize
                && request.length <= info.max_bytes.into()
                && segments.iter().all(|segment| segment.length <= info.max_segment_bytes);
            (!fits || !inside).then_some(Status::INVALID)
        }
        // Without a cache, what is answered is on the medium.
        Code::Flush => (!has(Abilities::FLUSH)).then_some(Status::OK),
        Code::Discard => range(Abilities::DISCARD, info.max_discard_sectors),
        Code::WriteZeroes => range(Abilities::WRITE_ZEROES, info.max_write_zeroes_sectors),
        Code::Barrier => None,
        Code::Unknown(_) => Some(Status::UNSUPPORTED),
    }
}
