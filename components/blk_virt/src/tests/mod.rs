// SPDX-License-Identifier: BSD-2-Clause
//! The virtualiser between model clients and a model driver with a disk that has a volatile cache.

mod crashes;
mod fairness;
mod flushes;
mod hostile;
mod parts;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use ring::blk::{self, Abilities, Code, Info, Request, Response, Segment, Server, Status};
use ring::link::State;
use ring::mortal::MortalPages;
use ring::pages::Memory;

use crate::config::Assignment;
use crate::virtualiser::Assignments;
use crate::{DataRegion, MAX_CLIENTS, Slots, Virtualiser, Wake};

/// 64 KiB.
pub type Pages = MortalPages<0x4000>;

pub const SECTOR: usize = 512;
/// Sectors of the disk.
pub const DISK: usize = 256;
/// Where the device sees the buffer for partition tables.
const TABLE: u64 = 0x7_0000_0000;
/// Bytes of a client's memory.
pub const DATA: u64 = 0x1_0000;

/// Where the device sees the memory of client `number`.
pub const fn data(number: usize) -> u64 {
    (number as u64 + 1) << 32
}

fn pages() -> &'static Pages {
    Box::leak(Box::new(Pages::new()))
}

/// A disk: what it says it has written, and what would survive a power cut.
pub struct Disk {
    pub cached: Vec<u8>,
    pub durable: Vec<u8>,
}

impl Disk {
    /// The number at the begin of a sector.
    pub fn number(bytes: &[u8], sector: u64) -> u64 {
        let start = sector as usize * SECTOR;
        u64::from_le_bytes(bytes[start..start + 8].try_into().unwrap())
    }
}

/// A request at the device.
#[derive(Clone)]
pub struct AtDevice {
    pub request: Request,
    pub segments: Vec<Segment>,
    /// A flush: the cache as it was when the flush began. Later writes are not covered.
    covered: Vec<u8>,
}

/// The driver, and all that is behind it.
pub struct ModelDriver {
    pages: &'static Pages,
    pub link: Server<&'static Pages>,
    pub info: Info,
    pub disk: Disk,
    /// Memory of the clients, by physical address.
    memory: BTreeMap<u64, Vec<u8>>,
    table: &'static Pages,
    pub at_device: Vec<AtDevice>,
    /// Sectors that each client may touch, and whether it may write: asserted at each request.
    pub allowed: BTreeMap<u64, (u64, u64, bool)>,
    /// All requests ever taken.
    pub log: Vec<Request>,
}

impl ModelDriver {
    fn new(pages: &'static Pages, table: &'static Pages) -> Self {
        let info = Info {
            capacity: DISK as u64,
            max_segments: 8,
            max_segment_bytes: 8192,
            max_bytes: 16384,
            max_discard_sectors: 64,
            max_write_zeroes_sectors: 64,
            abilities: Abilities::PRESENT | Abilities::FLUSH | Abilities::DISCARD | Abilities::WRITE_ZEROES,
            ..Info::default()
        };
        let disk = Disk { cached: vec![0; DISK * SECTOR], durable: vec![0; DISK * SECTOR] };
        let mut this = Self {
            pages,
            link: Server::new(pages).unwrap(),
            info,
            disk,
            memory: (0..MAX_CLIENTS).map(|number| (data(number), vec![0; DATA as usize])).collect(),
            table,
            at_device: Vec::new(),
            allowed: BTreeMap::new(),
            log: Vec::new(),
        };
        this.link.publish_info(&info);
        this
    }

    /// Dies and comes back: its device is reset and has done what `done` says of its requests, or not.
    pub fn crash(&mut self, done: impl Fn(usize) -> bool) {
        for (index, entry) in core::mem::take(&mut self.at_device).into_iter().enumerate() {
            if done(index) {
                self.execute(&entry);
            }
        }
        self.link = Server::new(self.pages).unwrap();
        self.link.publish_info(&self.info);
    }

    /// Takes new requests.
    pub fn take(&mut self) {
        if self.link.poll() == State::PeerRestarted {
            self.at_device.clear();
            self.link.accept();
            self.link.poll();
        }
        let mut segments = heapless::Vec::<Segment, 16>::new();
        while let Some(request) = self.link.request(&mut segments) {
            self.check(&request, &segments);
            self.log.push(request);
            let covered = if request.code == Code::Flush { self.disk.cached.clone() } else { Vec::new() };
            self.at_device.push(AtDevice { request, segments: segments.to_vec(), covered });
        }
    }

    /// Nothing gets here that its client may not do.
    fn check(&self, request: &Request, segments: &[Segment]) {
        let end = request.sector + request.length / 512;
        assert!(end <= self.info.capacity, "outside the disk");
        assert!(request.length <= self.info.max_bytes.into() || !request.code.has_data());
        for segment in segments.iter().filter(|segment| segment.offset < TABLE) {
            let base = segment.offset >> 32 << 32;
            assert!(segment.offset - base + u64::from(segment.length) <= DATA, "outside the client's memory");
            let (first, last, writable) = self.allowed.get(&base).expect("a client's memory");
            assert!(request.sector >= *first && end <= *last, "outside the client's part");
            assert!(*writable || request.code == Code::Read);
        }
    }

    /// Does what request `index` says, without answering.
    pub fn perform(&mut self, index: usize) {
        let entry = self.at_device[index].clone();
        self.execute(&entry);
    }

    fn execute(&mut self, entry: &AtDevice) {
        let mut place = entry.request.sector as usize * SECTOR;
        let length = entry.request.length as usize;
        match entry.request.code {
            Code::Read | Code::Write => {
                for segment in &entry.segments {
                    let length = segment.length as usize;
                    let bytes = &mut self.disk.cached[place..place + length];
                    place += length;
                    if segment.offset >= TABLE {
                        let offset = (segment.offset - TABLE) as usize;
                        for (chunk, at) in bytes.chunks_exact(8).zip((offset..).step_by(8)) {
                            self.table.write(at, [u64::from_le_bytes(chunk.try_into().unwrap())]);
                        }
                        continue;
                    }
                    let base = segment.offset >> 32 << 32;
                    let start = (segment.offset - base) as usize;
                    let memory = &mut self.memory.get_mut(&base).unwrap()[start..start + length];
                    match entry.request.code {
                        Code::Read => memory.copy_from_slice(bytes),
                        _ => bytes.copy_from_slice(memory),
                    }
                }
            }
            Code::Discard | Code::WriteZeroes => self.disk.cached[place..place + length].fill(0),
            Code::Flush => self.disk.durable.clone_from(&entry.covered),
            other => panic!("{other:?} gets to the driver"),
        }
    }

    /// Answers request `index`; the virtualiser sees it after [`commit`](Self::commit).
    pub fn answer(&mut self, index: usize, status: Status) {
        let entry = self.at_device.remove(index);
        self.link.complete(Response { id: entry.request.id, status }).unwrap();
    }

    /// Performs and answers everything, oldest first.
    pub fn finish(&mut self) {
        while !self.at_device.is_empty() {
            self.perform(0);
            self.answer(0, Status::OK);
        }
    }

    pub fn memory(&mut self, number: usize) -> &mut [u8] {
        self.memory.get_mut(&data(number)).unwrap()
    }
}

/// Everything together.
pub struct Bench {
    pub driver: ModelDriver,
    pub virt: Virtualiser<'static, &'static Pages>,
    pub slots: Box<Slots>,
    pub clients: Vec<blk::Client<&'static Pages>>,
    pub client_pages: Vec<&'static Pages>,
    pages: (&'static Pages, &'static Pages),
    assignments: Assignments<'static>,
    /// Who has notified the virtualiser since it last worked.
    pub woken: Wake,
    /// Clients that it has notified since they last looked.
    pub notified: u8,
}

impl Bench {
    /// With a client for each assignment. The partition table is not read yet.
    pub fn new(assignments: &[&'static str]) -> Self {
        Self::with_disk(assignments, |_| {})
    }

    /// With a disk that `prepare` has prepared.
    pub fn with_disk(assignments: &[&'static str], prepare: impl FnOnce(&mut ModelDriver)) -> Self {
        let (link, table) = (pages(), pages());
        let mut driver = ModelDriver::new(link, table);
        prepare(&mut driver);
        driver.link.publish_info(&driver.info);
        let parsed: Assignments<'static> =
            core::array::from_fn(|index| assignments.get(index).map(|text| Assignment::parse(text)));
        let client_pages: Vec<_> = assignments.iter().map(|_| pages()).collect();
        let mut this = Self {
            driver,
            virt: Self::virtualiser((link, table), parsed, &client_pages),
            slots: Box::default(),
            clients: client_pages.iter().map(|pages| blk::Client::new(*pages).unwrap()).collect(),
            client_pages,
            pages: (link, table),
            assignments: parsed,
            woken: Wake::NOBODY,
            notified: 0,
        };
        this.settle();
        for number in 0..this.clients.len() {
            if let Some(Ok(part)) = this.virt.part(number) {
                let range = (part.first, part.first + part.sectors, !part.read_only);
                this.driver.allowed.insert(data(number), range);
            }
        }
        this
    }

    fn virtualiser(
        (link, table): (&'static Pages, &'static Pages),
        assignments: Assignments<'static>,
        clients: &[&'static Pages],
    ) -> Virtualiser<'static, &'static Pages> {
        let driver = blk::Client::new(link).unwrap();
        let mut virt = Virtualiser::new(driver, table, TABLE, assignments);
        for (number, pages) in clients.iter().enumerate() {
            let region = DataRegion { physical: data(number), size: DATA };
            virt.add_client(number, *pages, region).unwrap();
        }
        virt
    }

    /// The region of the driver's link.
    pub fn driver_pages(&self) -> &'static Pages {
        self.pages.0
    }

    /// The virtualiser dies and comes back.
    pub fn crash_virtualiser(&mut self) {
        *self.slots = Slots::new();
        self.virt = Self::virtualiser(self.pages, self.assignments, &self.client_pages);
    }

    /// Client `number` dies and comes back.
    pub fn crash_client(&mut self, number: usize) {
        self.clients[number] = blk::Client::new(self.client_pages[number]).unwrap();
    }

    /// The virtualiser works until it sleeps. Gives the clients it has notified.
    pub fn service(&mut self) -> u8 {
        let mut notified = 0;
        let mut woken = core::mem::replace(&mut self.woken, Wake::NOBODY);
        for _ in 0..1000 {
            let outcome = self.virt.service(&mut self.slots, woken);
            notified |= outcome.clients;
            self.notified |= outcome.clients;
            if !outcome.again {
                return notified;
            }
            woken = Wake::NOBODY;
        }
        panic!("the virtualiser does not go to sleep");
    }

    /// Client `number` shows what it has submitted and takes its answers.
    pub fn look(&mut self, number: usize) -> Vec<Response> {
        self.notified &= !(1 << number);
        let client = &mut self.clients[number];
        client.poll();
        let responses = core::iter::from_fn(|| client.response()).collect();
        if client.commit() {
            self.woken.clients |= 1 << number;
        }
        // Whether it sleeps or not: it asks to be notified.
        let _ = client.wait();
        responses
    }

    /// The driver shows what it has answered and taken.
    pub fn drive(&mut self) {
        self.woken.driver |= self.driver.link.commit();
        self.driver.take();
        self.woken.driver |= self.driver.link.commit();
        let _ = self.driver.link.wait();
    }

    /// Everybody works until nothing is left, each when notified. Gives the answers that each client has got.
    pub fn settle(&mut self) -> Vec<Vec<Response>> {
        let mut all = vec![Vec::new(); self.clients.len()];
        for round in 0..60 {
            for (number, all) in all.iter_mut().enumerate() {
                if round == 0 || self.notified & 1 << number != 0 {
                    all.extend(self.look(number));
                }
            }
            self.service();
            self.drive();
            self.driver.finish();
            self.drive();
        }
        all
    }

    /// Client `number` submits a request for `sectors` sectors with its data at byte `offset`.
    pub fn submit(&mut self, number: usize, id: u64, code: Code, sector: u64, sectors: u32, offset: u64) {
        let segment = [Segment { offset, length: sectors * 512 }];
        let request = Request { id, code, sector, length: u64::from(sectors) * 512, unmap: false };
        let segments = if code.has_data() { &segment[..] } else { &[] };
        self.clients[number].submit(&request, segments).unwrap();
    }

    /// Client `number` writes `value` to `sector`, from memory that no other write uses.
    pub fn write(&mut self, number: usize, id: u64, sector: u64, value: u64) {
        let offset = id as usize % 64 * SECTOR;
        self.driver.memory(number)[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        self.submit(number, id, Code::Write, sector, 1, offset as u64);
    }

    pub fn flush(&mut self, number: usize, id: u64) {
        self.clients[number].submit(&Request::flush(id), &[]).unwrap();
    }
}

pub fn ok(id: u64) -> Response {
    Response { id, status: Status::OK }
}

pub fn failed(id: u64, status: Status) -> Response {
    Response { id, status }
}
