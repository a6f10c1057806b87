// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic.

use core::sync::atomic::{AtomicU8, AtomicU64};

use heapless::Vec;
use ring::blk::{Abilities, Code, Info, MAX_SEGMENTS, Request, Response, SECTOR, Segment, Server, Status};
use ring::link::{LinkError, State};
use ring::pages::Memory;
use virtio_driver::registers::Registers;
use virtio_driver::{
    Buffer, Device, DeviceMisbehaved, Direction, DmaArray, DmaMemory, Error, Features, InterruptStatus,
    Queue, Status as DeviceStatus,
};

use crate::protocol::{self, Features as BlockFeatures, ID_SIZE, NO_STATUS, UNMAP, request};

/// Most requests at the device.
const DEPTH: usize = 128;

/// The queue that requests go to.
const QUEUE: u16 = 0;

/// Buffers of a request beside its segments: header and status.
const EXTRA: usize = 2;

/// Most buffers of a request.
const MAX_BUFFERS: usize = MAX_SEGMENTS + EXTRA;

/// Words of a header, and of the range of a discard or write-zeroes.
const HEADER_WORDS: usize = 2;

/// Most bytes in a request.
const MAX_BYTES: u32 = 4 << 20;

/// How often a device may be reset without having completed anything in between before it is given up.
const MAX_FAILURES: u32 = 8;

/// One interrupt for a quarter of what is outstanding: a busy device interrupts seldom, one with few requests at once.
const INTERRUPT_SHARE: u16 = 4;

/// Bytes of DMA memory for tables of `table` buffers, the most useful being 130 (a request of 128 segments). With less than
/// 4 there are no tables, and requests take several descriptors.
pub const fn dma_size(table: usize) -> usize {
    DEPTH * (4 * HEADER_WORDS * 4 + 1) + 64 + Queue::<DEPTH>::memory_size(DEPTH, table)
}

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

/// What is to be done after [`Driver::service`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Notify the client.
    pub notify: bool,
    /// Call again at once: there is more to do.
    pub again: bool,
}

/// A device that works, and the memory it shares with the driver.
#[derive(Debug)]
struct Hardware<R> {
    device: Device<R>,
    features: Features,
    queue: Queue<DEPTH>,
    /// Of each request: type, sector.
    headers: DmaArray<AtomicU64>,
    /// Of each discard or write-zeroes: sector, length and flags.
    ranges: DmaArray<AtomicU64>,
    statuses: DmaArray<AtomicU8>,
    name: DmaArray<AtomicU8>,
    /// The request for the name, if it is at the device.
    naming: Option<u16>,
    /// Most segments in a request.
    max_segments: u32,
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

    /// The device's interrupt has come; [`service`](Self::service) follows.
    pub fn handle_interrupt(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
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

    /// Does what there is to do: requests to the device, completions to the client.
    pub fn service(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if self.link.poll() == State::PeerRestarted {
            self.drop_in_flight();
            self.link.accept();
            self.link.poll();
        }
        self.take_completions();
        self.take_requests();
        if let Some(hardware) = &mut self.hardware
            && hardware.queue.publish()
        {
            hardware.device.notify(QUEUE);
        }
        outcome.notify = self.link.commit();
        if let Some(error) = self.link.take_error() {
            self.report(Event::Client(error));
        }
        outcome.again = !self.may_sleep();
        outcome
    }

    /// Something to report, oldest first.
    pub fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// What the client is told of the device.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    fn report(&mut self, event: Event) {
        // Beyond the first few they are lost.
        let _ = self.events.push(event);
    }

    #[inline]
    fn may_sleep(&mut self) -> bool {
        let mut idle = true;
        if let Some(hardware) = &mut self.hardware {
            idle &= hardware.queue.enable_interrupts(hardware.queue.outstanding() / INTERRUPT_SHARE);
        }
        // While a request is held, a completion comes first.
        if matches!(self.held, Held::Nothing) {
            idle &= self.link.wait();
        }
        idle
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

impl<R: Registers> Hardware<R> {
    /// Sets up a device that has just been reset.
    fn new(mut device: Device<R>, mut dma: DmaMemory) -> Result<Self, Event> {
        let features = negotiate(&mut device).map_err(Event::NoDevice)?;
        let headers = dma.take(DEPTH * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let ranges = dma.take(DEPTH * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let statuses = dma.take(DEPTH, 1).ok_or(Event::NoMemory)?;
        let name = dma.take(ID_SIZE, 1).ok_or(Event::NoMemory)?;
        // Tables as long as the rest of the region allows.
        let rest = dma.left().saturating_sub(Queue::<DEPTH>::memory_size(DEPTH, 0));
        let table = (rest / (DEPTH * 16)).min(MAX_BUFFERS);
        let table = if table > EXTRA { table } else { 0 };
        let max = device.queue_size_max(QUEUE);
        let queue = Queue::new(&mut dma, max, features, table).ok_or(Event::NoMemory)?;
        // With tables, the longest that has one: it always takes one descriptor. Without, a chain may fill the queue. The
        // specification allows no table longer than the queue (2.7.5.3.1).
        let buffers = match features.contains(Features::INDIRECT_DESC) && table > 0 {
            true => table.min(queue.size().into()),
            false => queue.size().into(),
        };
        let max_segments = buffers.saturating_sub(EXTRA).clamp(1, MAX_SEGMENTS) as u32;
        device.set_up_queue(QUEUE, &queue).map_err(Event::NoDevice)?;
        device.start();
        Ok(Self { device, features, queue, headers, ranges, statuses, name, naming: None, max_segments })
    }

    /// Resets the device and sets it up again. Nothing is in flight then.
    fn restart(&mut self) -> Result<(), Error> {
        self.naming = None;
        self.device.reset()?;
        self.queue.reset();
        let features = negotiate(&mut self.device)?;
        if features != self.features {
            return Err(Error::FeaturesRefused(self.features.bits(), features.bits()));
        }
        self.device.set_up_queue(QUEUE, &self.queue)?;
        self.device.start();
        Ok(())
    }

    fn describe(&mut self) -> Info {
        protocol::describe(&mut self.device, self.max_segments, MAX_BYTES)
    }

    /// Whether nothing of the client's is at the device.
    #[inline]
    fn is_idle(&self) -> bool {
        self.queue.outstanding() == u16::from(self.naming.is_some())
    }

    /// Adds a request to the queue; `None` when it does not fit now.
    #[inline]
    fn submit(&mut self, kind: u32, request: &Request, segments: &[Segment]) -> Option<u16> {
        let slot = usize::from(self.queue.next_id());
        // The sector of a flush is 0 (5.2.6.1).
        self.headers.set(HEADER_WORDS * slot, kind.into());
        let sector = if request.code.has_data() { request.sector } else { 0 };
        self.headers.set(HEADER_WORDS * slot + 1, sector);
        self.statuses.set(slot, NO_STATUS);
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        let to_device = |address, length| Buffer { address, length, direction: Direction::ToDevice };
        buffers.push(to_device(self.headers.physical(HEADER_WORDS * slot), 16)).ok()?;
        let direction = if request.code == Code::Read { Direction::FromDevice } else { Direction::ToDevice };
        for segment in segments {
            buffers.push(Buffer { address: segment.offset, length: segment.length, direction }).ok()?;
        }
        if matches!(request.code, Code::Discard | Code::WriteZeroes) {
            let flags = if request.unmap && request.code == Code::WriteZeroes { UNMAP } else { 0 };
            // Checked to be within the device's limit, which has 32 bits.
            let sectors = request.length / u64::from(SECTOR);
            self.ranges.set(HEADER_WORDS * slot, request.sector);
            self.ranges.set(HEADER_WORDS * slot + 1, sectors | flags << 32);
            buffers.push(to_device(self.ranges.physical(HEADER_WORDS * slot), 16)).ok()?;
        }
        let status = self.statuses.physical(slot);
        buffers.push(Buffer { address: status, length: 1, direction: Direction::FromDevice }).ok()?;
        self.queue.add(&buffers).ok()
    }

    /// Asks the device for its name.
    fn ask_name(&mut self) {
        let slot = usize::from(self.queue.next_id());
        self.headers.set(HEADER_WORDS * slot, request::GET_ID.into());
        self.headers.set(HEADER_WORDS * slot + 1, 0);
        self.statuses.set(slot, NO_STATUS);
        let buffer = |address, length, direction| Buffer { address, length, direction };
        let buffers = [
            buffer(self.headers.physical(HEADER_WORDS * slot), 16, Direction::ToDevice),
            buffer(self.name.physical(0), ID_SIZE as u32, Direction::FromDevice),
            buffer(self.statuses.physical(slot), 1, Direction::FromDevice),
        ];
        self.naming = self.queue.add(&buffers).ok();
    }

    /// The name that the device has written: printable ASCII up to the first zero.
    fn name(&self) -> [u8; ID_SIZE] {
        let mut name = [0; ID_SIZE];
        for (index, place) in name.iter_mut().enumerate() {
            match self.name.get(index) {
                0 => break,
                byte if byte == b' ' || byte.is_ascii_graphic() => *place = byte,
                _ => *place = b'?',
            }
        }
        name
    }
}

/// Agrees with the device on what this driver uses.
fn negotiate<R: Registers>(device: &mut Device<R>) -> Result<Features, Error> {
    let block = BlockFeatures::all().bits();
    device.negotiate(block | (Features::INDIRECT_DESC | Features::EVENT_IDX).bits())
}
