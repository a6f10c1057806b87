// SPDX-License-Identifier: BSD-2-Clause
//! A client of the block virtualiser: writes its whole part of the disk, flushes, reads it back and compares, as often as
//! its configuration says; then asks for what it must not have. Says what the server told about the disk. A server that
//! restarts gets again what it has not answered.
#![no_std]
#![no_main]

use core::fmt::Write;
use core::ptr::NonNull;

use ring::blk::{Client, Code, Info, Request, Response, Segment, Status};
use ring::link::State;
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
    /// Of the requests of this round, which have no answer: bit n is request n modulo `DEPTH`.
    waiting: u64,
    seed: u64,
    /// Write, flush and read so often.
    passes: u64,
    replays: u64,
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

    /// The word that belongs at byte `at` of the part, in this pass.
    fn word(&self, at: u64) -> u64 {
        (at + self.seed + (self.passes << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Submits request `id` of this phase.
    fn submit(&mut self, id: u64) -> bool {
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
        let bit = 1 << (response.id % DEPTH);
        if self.waiting & bit == 0 {
            return self.fail(format_args!("request {} is answered twice", response.id));
        }
        self.waiting &= !bit;
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
                Phase::Read if self.passes > 1 => {
                    self.passes -= 1;
                    Phase::Write
                }
                Phase::Read => Phase::Outside,
                Phase::Outside => Phase::Foreign,
                _ => {
                    let replays = self.replays;
                    self.say(format_args!("passed, {replays} replays"));
                    Phase::Done
                }
            };
        }
    }

    fn service(&mut self) {
        loop {
            if self.link.poll() == State::Fresh && self.phase != Phase::Waiting {
                self.replays += 1;
                // All of this round that have no answer.
                let round = self.next.saturating_sub(1) / DEPTH * DEPTH;
                for id in round..self.next {
                    if self.waiting & 1 << (id % DEPTH) != 0 && !self.submit(id) {
                        self.fail(format_args!("no place for a replay"));
                    }
                }
            }
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
                && self.submit(self.next)
            {
                self.waiting |= 1 << (self.next % DEPTH);
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

/// What the configuration, if there is one, says in its only line: `passes=<number>`.
fn passes() -> u64 {
    let (address, size) = (*var!(config: usize = 0), *var!(config_size: usize = 0));
    let Some(text) = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)) else { return 1 };
    // SAFETY: a region of at least this size that is mapped read-only for the PD's whole life and never changes.
    let text = unsafe { core::slice::from_raw_parts(text.as_ptr(), size) };
    let value = text.strip_prefix(b"passes=").and_then(|value| core::str::from_utf8(value).ok());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(1)
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
        waiting: 0,
        passes: passes(),
        replays: 0,
        seed: pd_name().unwrap_or_default().bytes().map(u64::from).sum(),
    };
    this.service();
    this
}
