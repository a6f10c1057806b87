// SPDX-License-Identifier: BSD-2-Clause
//! A client of the block virtualiser: writes its whole part of the disk, flushes, reads it back and compares; then asks for
//! what it must not have. Says what the server told about the disk.
#![no_std]
#![no_main]

use core::fmt::Write;

use ring::blk::{Client, Code, Info, Request, Response, Segment, Status};
use ring::pages::{Memory, SharedPages};
use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, memory_region_symbol, pd_name, protection_domain, var,
};
use test_pds::Uart;

/// Bytes in a request, in so many segments.
const BYTES: u64 = 16384;
const SEGMENTS: u64 = 4;
/// Requests at a time; each has its own place in the data region.
const DEPTH: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Write,
    Flush,
    Read,
    /// Past the end.
    Outside,
    /// Memory that is not ours.
    Foreign,
    Done,
}

struct BlockClient {
    uart: Uart,
    server: Channel,
    link: Client,
    data: SharedPages,
    phase: Phase,
    info: Info,
    /// Requests of this phase that were submitted and answered.
    next: u64,
    answered: u64,
    seed: u64,
}

impl BlockClient {
    fn say(&mut self, what: core::fmt::Arguments<'_>) {
        // The console cannot fail.
        let _ = writeln!(self.uart, "TEST {} {what}\r", pd_name().unwrap_or("?"));
    }

    fn fail(&mut self, what: core::fmt::Arguments<'_>) {
        self.say(format_args!("failed: {what}"));
        self.phase = Phase::Done;
    }

    /// Number of requests for the whole part.
    fn count(&self) -> u64 {
        match self.phase {
            Phase::Write | Phase::Read => self.info.capacity * 512 / BYTES,
            Phase::Waiting | Phase::Done => 0,
            _ => 1,
        }
    }

    /// The word that belongs at byte `at` of the part.
    fn word(&self, at: u64) -> u64 {
        (at + self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn submit(&mut self) -> bool {
        let id = self.next;
        let offset = id % DEPTH * BYTES;
        let (code, sector, length) = match self.phase {
            Phase::Write => (Code::Write, id * BYTES / 512, BYTES),
            Phase::Read => (Code::Read, id * BYTES / 512, BYTES),
            Phase::Flush => (Code::Flush, 0, 0),
            Phase::Outside => (Code::Write, self.info.capacity - 1, 1024),
            Phase::Foreign => (Code::Read, 0, 1024),
            Phase::Waiting | Phase::Done => return false,
        };
        if self.phase == Phase::Write {
            for at in (0..BYTES).step_by(8) {
                self.data.write((offset + at) as usize, [self.word(id * BYTES + at)]);
            }
        }
        let segments: [Segment; SEGMENTS as usize] = core::array::from_fn(|index| Segment {
            offset: offset + index as u64 * BYTES / SEGMENTS,
            length: (BYTES / SEGMENTS) as u32,
        });
        let one = [Segment { offset: 0, length: 1024 }];
        let foreign = [Segment { offset: self.data.size() as u64 - 512, length: 1024 }];
        let segments = match self.phase {
            Phase::Flush => &[][..],
            Phase::Outside => &one,
            Phase::Foreign => &foreign,
            _ => &segments,
        };
        self.link.submit(&Request { id, code, sector, length, unmap: false }, segments).is_ok()
    }

    fn answer(&mut self, response: Response) {
        let expected = match self.phase {
            Phase::Outside | Phase::Foreign => Status::INVALID,
            _ => Status::OK,
        };
        if response.status != expected {
            let phase = self.phase;
            return self.fail(format_args!("{response:?} while {phase:?}"));
        }
        if self.phase == Phase::Read {
            let offset = response.id % DEPTH * BYTES;
            for at in (0..BYTES).step_by(8) {
                let [found] = self.data.read((offset + at) as usize);
                if found != self.word(response.id * BYTES + at) {
                    return self.fail(format_args!("byte {at} of request {} is wrong", response.id));
                }
            }
        }
        self.answered += 1;
        if self.answered == self.count() {
            (self.next, self.answered) = (0, 0);
            self.phase = match self.phase {
                Phase::Write => Phase::Flush,
                Phase::Flush => {
                    for at in (0..DEPTH * BYTES).step_by(8) {
                        self.data.write(at as usize, [0]);
                    }
                    Phase::Read
                }
                Phase::Read => Phase::Outside,
                Phase::Outside => Phase::Foreign,
                _ => {
                    self.say(format_args!("passed"));
                    Phase::Done
                }
            };
        }
    }

    fn service(&mut self) {
        loop {
            self.link.poll();
            if let Some(info) = self.link.changed_info()
                && self.phase == Phase::Waiting
            {
                self.info = info;
                self.say(format_args!(
                    "{} sectors, {} segments, {:?}",
                    info.capacity, info.max_segments, info.abilities
                ));
                self.phase = if info.capacity > 0 { Phase::Write } else { Phase::Done };
            }
            while let Some(response) = self.link.response() {
                self.answer(response);
            }
            // In rounds of `DEPTH`, so that each request has its place.
            while self.next < self.count()
                && self.next < self.answered / DEPTH * DEPTH + DEPTH
                && self.submit()
            {
                self.next += 1;
            }
            if self.link.commit() {
                self.server.notify();
            }
            if let Some(error) = self.link.take_error() {
                self.fail(format_args!("{error}"));
            }
            if self.link.wait() {
                return;
            }
        }
    }
}

impl Handler for BlockClient {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        self.service();
        Ok(())
    }
}

#[protection_domain(stack_size = 16384)]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there; whole lines are written at once.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    // SAFETY: the system description maps these regions read-write for the PD's whole life, with these sizes, and nothing
    // else in this PD uses them.
    let (link, data) = unsafe {
        (
            SharedPages::at(*var!(blk_link: usize = 0), *var!(blk_link_size: usize = 0)),
            SharedPages::at(*var!(blk_data: usize = 0), *var!(blk_data_size: usize = 0)),
        )
    };
    let (Some(Ok(link)), Some(data)) = (link.map(Client::new), data) else {
        panic!("link or data are not mapped");
    };
    let mut this = BlockClient {
        uart,
        server: Channel::new(*var!(blk_ch: usize = 0)),
        link,
        data,
        phase: Phase::Waiting,
        info: Info::default(),
        next: 0,
        answered: 0,
        seed: pd_name().unwrap_or_default().bytes().map(u64::from).sum(),
    };
    this.service();
    this
}
