// SPDX-License-Identifier: BSD-2-Clause
//! The back end of a guest's disk: the client's side of a block link.
//!
//! Requests in flight are remembered by the device model, which submits them again when the link has come up anew; here
//! is only what belongs to one submission: the room of its copy.

use super::bounce::{Bounce, Place};
use super::{DataRegion, each_piece};
use heapless::Vec;
use ring::blk::{
    Abilities, Client, Code, MAX_SEGMENTS, Request as LinkRequest, SECTOR, Segment as LinkSegment, Status,
};
use ring::link::{LinkError, State};
use ring::pages::Memory;
use vmm_fdt::machine::map;
use vmm_virtio::block::{Backend, Info, Operation, Outcome, Refused, Request};
use vmm_virtio::queue::MAX_SIZE;
use vmm_virtio::{GuestMemory, Segment};

/// Submissions at once: one for each place in the guest's queue.
const RECORDS: usize = MAX_SIZE as usize;
/// Most segments of a request that the guest may make. A compromise: virtio has no limit of a request's bytes, only those
/// of segments, so with more of them each would have to be smaller, and memory that lies together would be cut up.
const GUEST_SEGMENTS: u16 = 64;
/// Linux takes no segments shorter than its pages.
const PAGE: u64 = 4096;

/// A submission whose data is in the data region.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: u64,
    place: Place,
    bytes: u32,
}

/// The isolated layout's copies.
struct Isolated<D> {
    region: D,
    bounce: Bounce,
    records: [Option<Record>; RECORDS],
}

/// The client's side of a block link.
pub struct BlockLink<P, D> {
    client: Client<P>,
    /// `None`: requests name guest memory.
    isolated: Option<Isolated<D>>,
    /// The virtualiser has said that there is no disk.
    absent: bool,
}

impl<P: Memory, D> BlockLink<P, D> {
    /// In the direct layout: the link's data region is guest memory.
    pub fn direct(client: Client<P>) -> Self {
        Self { client, isolated: None, absent: false }
    }

    /// In the isolated layout, with a data region of `bytes` bytes.
    pub fn isolated(client: Client<P>, region: D, bytes: u64) -> Self {
        let isolated = Isolated { region, bounce: Bounce::new(bytes), records: [None; RECORDS] };
        Self { client, isolated: Some(isolated), absent: false }
    }

    /// A look at the link. After [`State::Fresh`] the device has to submit again what it waits for.
    #[inline]
    pub fn poll(&mut self) -> State {
        let state = self.client.poll();
        if state == State::Fresh
            && let Some(isolated) = &mut self.isolated
        {
            isolated.bounce.clear();
            isolated.records = [None; RECORDS];
        }
        state
    }

    /// Whether the link was up at the last look.
    pub fn is_up(&mut self) -> bool {
        self.client.is_up()
    }

    /// Whether the virtualiser has said that there is no disk for this guest.
    pub const fn is_absent(&self) -> bool {
        self.absent
    }

    /// The disk, if there is one and its description is new.
    pub fn changed_info(&mut self) -> Option<Info> {
        let info = self.client.changed_info()?;
        self.absent = !info.abilities.contains(Abilities::PRESENT);
        if self.absent {
            return None;
        }
        let can = |ability, value| if info.abilities.contains(ability) { value } else { 0 };
        // As much as a link takes, and the room for copies.
        let most = match &self.isolated {
            Some(isolated) => isolated.bounce.capacity(),
            None => u64::MAX,
        };
        let most = most.min(info.max_bytes.into());
        let fitting = (most / PAGE).clamp(1, GUEST_SEGMENTS.into()) as u32;
        let max_segments = if self.isolated.is_some() { fitting } else { fitting.min(info.max_segments) };
        let each = most / u64::from(max_segments);
        let unit = if each < PAGE { SECTOR.into() } else { PAGE };
        let limit = (each & !(unit - 1)).min(info.max_segment_bytes.into());
        let max_segment_bytes = limit.max(SECTOR.into()) as u32;
        Some(Info {
            capacity: info.capacity,
            read_only: info.abilities.contains(Abilities::READ_ONLY),
            flush: info.abilities.contains(Abilities::FLUSH),
            block_size: info.block_size,
            max_segments: max_segments as u16,
            max_segment_bytes,
            max_discard_sectors: can(Abilities::DISCARD, info.max_discard_sectors),
            discard_alignment: info.discard_alignment,
            max_write_zeroes_sectors: can(Abilities::WRITE_ZEROES, info.max_write_zeroes_sectors),
            serial: info.serial,
        })
    }

    /// Shows the virtualiser what was done. Gives whether to notify it.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.client.commit()
    }

    /// Asks to be notified when `count` requests have ended, of those submitted; `false`: so many have already.
    #[inline]
    pub fn wait_for(&mut self, count: u16) -> bool {
        self.client.wait_for(count.into())
    }

    /// Whether to notify the virtualiser after that, which it is anyway if `notified`; `all` requests have not ended.
    #[inline]
    pub fn tells(&mut self, notified: bool, all: u16) -> bool {
        self.client.tells(notified, all.into())
    }

    /// Why the virtualiser was cut off, once.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.client.take_error()
    }

    /// Begins a new epoch: what was submitted will not be answered, and is over when the link comes up again.
    pub fn restart(&mut self) {
        self.client.restart();
    }
}

impl<M: GuestMemory, P: Memory, D: DataRegion<M>> Backend<M> for BlockLink<P, D> {
    #[inline]
    fn submit(&mut self, request: &Request, data: &[Segment], memory: &M) -> Result<(), Refused> {
        let (code, unmap) = match request.operation {
            Operation::Read => (Code::Read, false),
            Operation::Write => (Code::Write, false),
            Operation::Flush => (Code::Flush, false),
            Operation::Discard => (Code::Discard, false),
            Operation::WriteZeroes { unmap } => (Code::WriteZeroes, unmap),
        };
        let length = u64::from(request.sectors) * u64::from(SECTOR);
        let asked = LinkRequest { id: request.id, code, sector: request.sector, length, unmap };
        if data.is_empty() {
            return self.client.submit(&asked, &[]).map_err(|_| Refused::Full);
        }
        let Some(isolated) = &mut self.isolated else { return direct(&mut self.client, &asked, data) };
        if !self.client.is_up() {
            return Err(Refused::Full);
        }
        isolated.submit(&mut self.client, &asked, data, memory)
    }

    #[inline]
    fn completed(&mut self) -> Option<(u64, Outcome)> {
        let response = self.client.response()?;
        let outcome = match response.status {
            Status::OK => Outcome::Done,
            Status::UNSUPPORTED => Outcome::Unsupported,
            _ => Outcome::Failed,
        };
        Some((response.id, outcome))
    }

    #[inline]
    fn copies(&self) -> bool {
        self.isolated.is_some()
    }

    #[inline]
    fn finish(&mut self, id: u64, data: &[Segment], memory: &M) -> bool {
        match &mut self.isolated {
            Some(isolated) => isolated.finish(id, data, memory),
            None => true,
        }
    }

    fn flush(&mut self) {
        // The caller commits when all of its work is done.
    }
}

/// Submits guest memory as the link names it.
#[inline]
fn direct<P: Memory>(client: &mut Client<P>, request: &LinkRequest, data: &[Segment]) -> Result<(), Refused> {
    // The device wants whole sectors. A guest may cut its buffers otherwise, but none does.
    let bits = data.iter().fold(0, |bits, segment| bits | segment.length);
    if !bits.is_multiple_of(SECTOR) || data.len() > MAX_SEGMENTS.min(client.capacity() as usize) {
        return Err(Refused::Impossible);
    }
    let link = |segment: &Segment| LinkSegment {
        offset: segment.address.wrapping_sub(map::RAM),
        length: segment.length,
    };
    client.submit_from(request, data.iter().map(link)).map_err(|_| Refused::Full)
}

impl<D> Isolated<D> {
    #[inline]
    fn submit<M: GuestMemory, P: Memory>(
        &mut self,
        client: &mut Client<P>,
        request: &LinkRequest,
        data: &[Segment],
        memory: &M,
    ) -> Result<(), Refused>
    where
        D: DataRegion<M>,
    {
        let bytes = u32::try_from(request.length).map_err(|_| Refused::Impossible)?;
        if request.length > self.bounce.capacity() {
            return Err(Refused::Impossible);
        }
        let Some(record) = self.free_record(request.id) else { return Err(Refused::Full) };
        let place = self.bounce.take(bytes).ok_or(Refused::Full)?;
        let mut segments: Vec<LinkSegment, MAX_SEGMENTS> = Vec::new();
        let mut result = Ok(());
        for segment in self.bounce.segments(place, bytes) {
            // More pieces than a request may have: when others have ended there will be fewer.
            result = result.and(segments.push(segment).map_err(|_| Refused::Full));
        }
        if result.is_ok() {
            result = client.submit(request, &segments).map_err(|_| Refused::Full);
        }
        // Copied before anybody sees the request: it is shown by a later commit.
        if result.is_ok() && request.code == Code::Write {
            // Both are as long, and were found inside.
            let _ = each_piece(data, segments.iter().copied(), |address, offset, length| {
                self.region.fill(offset, memory, address, length)
            });
        }
        match result {
            Ok(()) => {
                if let Some(free) = self.records.get_mut(record) {
                    *free = Some(Record { id: request.id, place, bytes });
                }
            }
            Err(_) => self.bounce.give_back(place, bytes),
        }
        result
    }

    #[inline]
    fn finish<M: GuestMemory>(&mut self, id: u64, data: &[Segment], memory: &M) -> bool
    where
        D: DataRegion<M>,
    {
        let wanted = |record: &Option<Record>| record.is_some_and(|record| record.id == id);
        let Some(Record { place, bytes, .. }) =
            self.position(id, wanted).and_then(|at| self.records.get_mut(at)?.take())
        else {
            return true;
        };
        let copied = data.is_empty()
            || each_piece(data, self.bounce.segments(place, bytes), |address, offset, length| {
                self.region.drain(offset, memory, address, length)
            })
            .is_some();
        self.bounce.give_back(place, bytes);
        copied
    }

    fn free_record(&self, id: u64) -> Option<usize> {
        self.position(id, Option::is_none)
    }

    /// The first record from the place of `id` on that is so. Mostly that place itself: ids end in small numbers.
    #[inline]
    fn position(&self, id: u64, is: impl Fn(&Option<Record>) -> bool) -> Option<usize> {
        let home = id as usize % RECORDS;
        (home..RECORDS).chain(0..home).find(|&at| self.records.get(at).is_some_and(&is))
    }
}
