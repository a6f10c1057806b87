// SPDX-License-Identifier: BSD-2-Clause
//! Back ends in memory.

use super::Ram;
use crate::block::{self, Operation, Outcome, Refused, Request, SECTOR};
use crate::memory::{GuestMemory, Segment};
use crate::model::Full;
use crate::net::{self, Offload, Received};
use crate::{console, entropy};
use std::collections::VecDeque;

/// A disk that completes requests when it is told to.
#[derive(Debug)]
pub struct Disk {
    /// What is on it.
    pub data: Vec<u8>,
    /// Copies data instead of working on guest memory.
    pub bounce: bool,
    /// Requests that it takes beyond those that are in [`Disk::pending`].
    pub room: usize,
    /// Taken and not yet completed, with the guest memory or the copied bytes of the data.
    pub pending: Vec<(Request, Vec<Segment>, Vec<u8>)>,
    /// Answers that the device has not fetched.
    completed: VecDeque<(u64, Outcome)>,
    /// Bytes read, for [`block::Backend::finish`].
    bounced: Vec<(u64, Vec<u8>)>,
    /// Every request that was taken.
    pub log: Vec<Request>,
    /// Times that the other side would have been signalled.
    pub signals: usize,
    /// How requests end that are completed from now on.
    pub outcome: Outcome,
}

impl Disk {
    /// A disk of `sectors` sectors, filled with a pattern.
    #[must_use]
    pub fn new(sectors: usize, bounce: bool) -> Self {
        Self {
            data: (0..sectors * SECTOR as usize).map(|at| (at / 7 + at / 512) as u8).collect(),
            bounce,
            room: usize::MAX,
            pending: Vec::new(),
            completed: VecDeque::new(),
            bounced: Vec::new(),
            log: Vec::new(),
            signals: 0,
            outcome: Outcome::Done,
        }
    }

    /// Completes the pending request at `at`, doing its work now.
    ///
    /// # Panics
    /// There is none.
    pub fn complete(&mut self, at: usize, ram: &Ram) {
        let (request, segments, bytes) = self.pending.remove(at);
        if self.outcome == Outcome::Done {
            self.work(&request, &segments, bytes, ram);
        }
        self.completed.push_back((request.id, self.outcome));
    }

    /// Completes everything that is pending.
    pub fn complete_all(&mut self, ram: &Ram) {
        while !self.pending.is_empty() {
            self.complete(0, ram);
        }
    }

    /// Says that a request has ended, whether there is one or not.
    pub fn say(&mut self, id: u64, outcome: Outcome) {
        self.completed.push_back((id, outcome));
    }

    /// Forgets everything but what is on the disk, as a crashed driver domain.
    pub fn crash(&mut self) {
        self.pending.clear();
        self.completed.clear();
        self.bounced.clear();
    }

    fn work(&mut self, request: &Request, segments: &[Segment], bytes: Vec<u8>, ram: &Ram) {
        let first = (request.sector * SECTOR) as usize;
        let end = first + request.sectors as usize * SECTOR as usize;
        let Some(place) = self.data.get_mut(first..end) else { panic!("beyond the disk: {request:?}") };
        match request.operation {
            Operation::Read if self.bounce => self.bounced.push((request.id, place.to_vec())),
            Operation::Read => {
                let mut rest: &[u8] = place;
                for segment in segments {
                    let (now, later) = rest.split_at(segment.length as usize);
                    ram.write(segment.address, now).expect("a checked segment");
                    rest = later;
                }
                assert!(rest.is_empty(), "segments and size differ");
            }
            Operation::Write if self.bounce => place.copy_from_slice(&bytes),
            Operation::Write => {
                place.copy_from_slice(&gather(segments, ram));
            }
            Operation::WriteZeroes { .. } => place.fill(0),
            Operation::Discard | Operation::Flush => {}
        }
    }
}

fn gather(segments: &[Segment], ram: &Ram) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in segments {
        let mut piece = vec![0; segment.length as usize];
        ram.read(segment.address, &mut piece).expect("a checked segment");
        bytes.extend(piece);
    }
    bytes
}

impl block::Backend<Ram> for Disk {
    fn submit(&mut self, request: &Request, data: &[Segment], memory: &Ram) -> Result<(), Refused> {
        if self.pending.len() >= self.room {
            return Err(Refused::Full);
        }
        let bytes = if self.bounce && request.operation == Operation::Write {
            gather(data, memory)
        } else {
            Vec::new()
        };
        self.log.push(*request);
        self.pending.push((*request, data.to_vec(), bytes));
        Ok(())
    }

    fn completed(&mut self) -> Option<(u64, Outcome)> {
        self.completed.pop_front()
    }

    fn copies(&self) -> bool {
        self.bounce
    }

    fn finish(&mut self, id: u64, data: &[Segment], memory: &Ram) -> bool {
        let Some(at) = self.bounced.iter().position(|(known, _)| *known == id) else { return true };
        let (_, bytes) = self.bounced.remove(at);
        let mut rest: &[u8] = &bytes;
        for segment in data {
            let (now, later) = rest.split_at(rest.len().min(segment.length as usize));
            memory.write(segment.address, now).expect("a checked segment");
            rest = later;
        }
        true
    }

    fn flush(&mut self) {
        self.signals += 1;
    }
}

/// A network.
#[derive(Debug, Default)]
pub struct Network {
    /// What the guest sent.
    pub sent: Vec<(Offload, Vec<u8>)>,
    /// Packets for the guest.
    pub coming: VecDeque<(Offload, Vec<u8>)>,
    /// Packets that it takes before it is full; `None`: any number.
    pub room: Option<usize>,
    /// What it was told that the guest takes.
    pub accepted: u64,
    /// Packets that may wait without a kick.
    pub patience: u16,
    /// Times that the other side would have been signalled.
    pub signals: usize,
}

impl net::Backend<Ram> for Network {
    fn accept(&mut self, offloads: u64) {
        self.accepted = offloads;
    }

    fn send(&mut self, offload: &Offload, length: u32, data: &[Segment], memory: &Ram) -> Result<(), Full> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or(Full)?;
        }
        let bytes = gather(data, memory);
        assert_eq!(bytes.len(), length as usize);
        self.sent.push((*offload, bytes));
        Ok(())
    }

    fn patience(&self) -> u16 {
        self.patience
    }

    fn received(&mut self) -> Option<Received> {
        let (offload, bytes) = self.coming.front()?;
        Some(Received { length: bytes.len() as u32, offload: *offload })
    }

    fn copy(&mut self, offset: u32, length: u32, to: &[Segment], memory: &Ram) -> bool {
        let (_, bytes) = self.coming.front().expect("a packet");
        let mut rest = &bytes[offset as usize..(offset + length) as usize];
        for segment in to {
            let (now, later) = rest.split_at(rest.len().min(segment.length as usize));
            memory.write(segment.address, now).expect("a checked segment");
            rest = later;
        }
        assert!(rest.is_empty(), "more than the segments hold");
        true
    }

    fn done(&mut self) {
        self.coming.pop_front().expect("a packet");
    }

    fn flush(&mut self) {
        self.signals += 1;
    }
}

/// A terminal.
#[derive(Debug, Default)]
pub struct Terminal {
    /// What the guest wrote.
    pub output: Vec<u8>,
    /// What it can read.
    pub input: VecDeque<u8>,
    /// Bytes that it takes before it is full; `None`: any number.
    pub room: Option<usize>,
}

impl console::Backend for Terminal {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let count = self.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Some(room) = &mut self.room {
            *room -= count;
        }
        self.output.extend(&bytes[..count]);
        count
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.input.len());
        for (place, byte) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *place = byte;
        }
        count
    }

    fn flush(&mut self) {}
}

/// A source of numbers that a test knows.
#[derive(Debug, Default)]
pub struct Noise(pub VecDeque<u8>);

impl entropy::Backend for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.0.len());
        for (place, byte) in buffer.iter_mut().zip(self.0.drain(..count)) {
            *place = byte;
        }
        count
    }
}
