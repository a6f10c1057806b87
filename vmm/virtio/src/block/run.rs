// SPDX-License-Identifier: BSD-2-Clause
//! The work of a disk: completions first, then new requests, then one look at who has to be woken.
//!
//! Exits and interrupts are what a request costs. While requests are at the back end, their completions look at the
//! queue, too, and so does the VMM when the guest goes to sleep; so the guest is only asked for a kick when half as many as
//! are there have been added. One that runs, and has kept several going until now, is expected to go on so: it kicks after
//! half as many as it kept going, even with nothing at work. Completions are told together when more of them are still to come
//! soon. The back end is told how many it may collect ([`Mmio::awaited`]), and so are those below it: that many
//! wake nobody on the way. With one request at a time none of this makes anything wait.

use super::Block;
use super::backend::{Backend, Operation, Outcome, Refused, Request};
use super::header::{self, What};
use super::table::{Entry, Stage, id};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::mmio::Mmio;
use crate::model::Progress;
use crate::queue::{Chain, MAX_SIZE, Queue};

/// What to do with the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

impl Mmio<Block> {
    /// Does what there is to do: call it when the guest kicked the queue, and when the back end has completions, room
    /// again, or comes up.
    pub fn run<M: GuestMemory>(&mut self, memory: &M, backend: &mut impl Backend<M>) -> Progress {
        let mut result = Progress::Done;
        if self.is_live()
            && let Some(queue) = self.queues.first_mut().filter(|queue| queue.is_ready())
        {
            let asserted = self.interrupts != 0;
            let mut work =
                Work { device: &mut self.model, queue, memory, backend, asserted, submitted: false };
            let worked = work.all();
            if work.submitted {
                work.backend.flush();
            }
            match worked {
                Ok((interrupt, run)) => {
                    result = run;
                    if interrupt {
                        self.interrupt();
                    }
                }
                Err(abuse) => self.fail(abuse),
            }
        }
        if !self.is_live() {
            self.model.drain(memory, backend);
        }
        result
    }

    /// How many completions the back end may collect before [`Mmio::run`] is to be called: as many as the guest will be told
    /// of, and all of a guest that is [busy](Mmio::set_busy) or was interrupted just now and will be.
    #[inline]
    pub fn awaited(&self) -> u16 {
        let table = &self.model.table;
        let Some(queue) = self.queues.first() else { return 1 };
        if table.waiting() > 0 || !self.is_live() {
            return 1;
        }
        if self.model.busy || self.asserted() {
            return table.transfers().max(1);
        }
        more_until_due(queue.unsignalled(), table.transfers())
    }

    /// The back end has lost what it was given (it was restarted): everything that the guest waits for is submitted
    /// again by the following calls of [`Mmio::run`], in the order of the guest's requests.
    pub fn replay(&mut self) {
        self.model.table.all_waiting();
    }
}

impl Block {
    /// Nobody waits for requests any more: forgets them as they end.
    fn drain<M: GuestMemory>(&mut self, memory: &M, backend: &mut impl Backend<M>) {
        self.table.drop_waiting();
        for _ in 0..MAX_SIZE {
            let Some((id, _)) = backend.completed() else { return };
            backend.finish(id, &[], memory);
            if let Some((head, _)) = self.table.find(id) {
                self.table.remove(head);
            }
        }
    }
}

/// A driver that keeps fewer requests going may be waiting for each of them.
const SEVERAL: u16 = 4;

/// Whether a guest is told of `ended` requests when `coming` that will not take long are at the back end.
#[inline]
const fn is_due(ended: u16, coming: u16) -> bool {
    ended > 0 && ended >= coming
}

/// How many of `coming` have to end, at least one, until [`is_due`] of those and of `ended` others.
#[inline]
fn more_until_due(ended: u16, coming: u16) -> u16 {
    coming.saturating_sub(ended).div_ceil(2).max(1)
}

struct Work<'a, M, B> {
    device: &'a mut Block,
    queue: &'a mut Queue,
    memory: &'a M,
    backend: &'a mut B,
    /// The guest was told of something and has not acknowledged it.
    asserted: bool,
    submitted: bool,
}

impl<M: GuestMemory, B: Backend<M>> Work<'_, M, B> {
    /// True: an interrupt is due.
    fn all(&mut self) -> Result<(bool, Progress), Abuse> {
        self.heard();
        let mut chain = Chain::new();
        let mut left = self.complete(&mut chain)?;
        let mut next = self.submit_waiting(&mut chain)?;
        left = left.min(self.queue.size());
        while next == Next::Go {
            while left > 0 && next == Next::Go && self.queue.pop(self.memory, &mut chain)? {
                left -= 1;
                next = self.take(&mut chain)?;
            }
            self.queue.publish(self.memory)?;
            if left == 0 {
                break;
            }
            // When the back end is full, its room is what is waited for.
            let after = if next == Next::Stop { self.queue.size() } else { self.kick_distance() };
            self.device.deferred = after > 0 && self.device.table.transfers() == 0;
            if !self.queue.ask_for_kick(self.memory, after)? {
                break;
            }
        }
        self.queue.publish(self.memory)?;
        let run = if left == 0 { Progress::More } else { Progress::Done };
        Ok((self.interrupt()?, run))
    }

    /// The driver has heard of everything that it was told of: what it kept going until then is what it keeps going.
    #[inline]
    fn heard(&mut self) {
        let told = self.queue.signalled();
        if !self.asserted && self.device.heard != told {
            self.device.heard = told;
            self.device.depth = core::mem::take(&mut self.device.peak);
        }
    }

    /// How many more requests may be added without a kick: half as many as the driver keeps going, since it adds about as
    /// many as it is told of. Somebody looks before long: completions do, and the caller if the guest is busy or about to be.
    #[inline]
    fn kick_distance(&mut self) -> u16 {
        let (device, queue) = (&mut *self.device, &*self.queue);
        let going = device.table.count().saturating_add(queue.published().wrapping_sub(device.heard));
        device.peak = device.peak.max(going);
        let runs = device.busy || self.asserted || is_due(queue.unsignalled(), device.table.transfers());
        let depth = if runs { device.depth.max(going) } else { going };
        let is_looked_after = device.table.transfers() > 0 || runs && depth >= SEVERAL;
        if is_looked_after { depth / 2 } else { 0 }
    }

    fn interrupt(&mut self) -> Result<bool, Abuse> {
        if is_due(self.queue.unsignalled(), self.device.table.transfers()) {
            return self.queue.interrupt_wanted(self.memory);
        }
        Ok(false)
    }

    /// Returns how many more things this call may do.
    fn complete(&mut self, chain: &mut Chain) -> Result<u16, Abuse> {
        for done in 0..MAX_SIZE {
            let Some((id, outcome)) = self.backend.completed() else { return Ok(MAX_SIZE - done) };
            match self.device.table.find(id) {
                Some((head, entry)) if !entry.is_waiting() => {
                    self.completed(id, head, &entry, outcome, chain)?
                }
                // Not one of ours.
                _ => {
                    self.backend.finish(id, &[], self.memory);
                }
            }
        }
        Ok(0)
    }

    #[inline]
    fn completed(
        &mut self,
        id: u64,
        head: u16,
        entry: &Entry,
        outcome: Outcome,
        chain: &mut Chain,
    ) -> Result<(), Abuse> {
        let done = outcome == Outcome::Done;
        let copy = done && entry.operation == Operation::Read && self.backend.copies();
        let finished = if copy {
            match header::data_again(self.queue, self.memory, head, entry.operation, entry.sectors, chain) {
                Ok(()) => self.backend.finish(id, chain.writable(), self.memory),
                Err(abuse) => {
                    self.backend.finish(id, &[], self.memory);
                    self.device.table.remove(head);
                    return Err(abuse);
                }
            }
        } else {
            self.backend.finish(id, &[], self.memory)
        };
        if done && finished && entry.flush && entry.stage == Stage::Submitted {
            self.device.table.update(head, Entry { stage: Stage::WaitingToFlush, ..*entry });
            return Ok(());
        }
        self.device.table.remove(head);
        let (status, bytes) = match outcome {
            Outcome::Done if !finished => (header::IO_ERROR, 0),
            Outcome::Done if entry.operation == Operation::Read => {
                (header::OK, entry.sectors.saturating_mul(512))
            }
            Outcome::Done => (header::OK, 0),
            Outcome::Failed => (header::IO_ERROR, 0),
            Outcome::Unsupported => (header::UNSUPPORTED, 0),
        };
        let data = if entry.operation == Operation::Read { entry.sectors } else { 0 };
        self.answer(head, entry.status, status, bytes, data != 0)
    }

    /// Tells the guest the end of a request, of which `bytes` bytes of data were written, of `has_data` at all.
    #[inline]
    fn answer(&mut self, head: u16, at: u64, status: u8, bytes: u32, has_data: bool) -> Result<(), Abuse> {
        self.memory.write(at, &[status]).ok_or(Abuse::OutsideMemory { address: at, length: 1 })?;
        // The length counts from the first byte on (section 2.7.8.2): without the data, the status does not count.
        let length = if has_data && bytes == 0 { 0 } else { bytes.saturating_add(1) };
        self.queue.push_used(self.memory, head, length)
    }

    /// A request of the guest. [`Next::Stop`]: it stays in the queue, the back end has no room.
    #[inline]
    fn take(&mut self, chain: &mut Chain) -> Result<Next, Abuse> {
        let head = chain.head();
        if self.device.table.get(head).is_some() {
            return Err(Abuse::Twice(head));
        }
        let asked = header::parse(self.device, self.memory, chain)?;
        let has_data = chain.writable_bytes() != 0;
        let (operation, sector, sectors) = match asked.what {
            What::Do { operation, sector, sectors } => (operation, sector, sectors),
            What::Answer(status, bytes) => {
                self.answer(head, asked.status, status, bytes, has_data)?;
                return Ok(Next::Go);
            }
        };
        let (sequence, id) = self.device.table.next(head);
        match self.submit(&Request { id, operation, sector, sectors }, chain) {
            Ok(()) => {}
            Err(Refused::Full) => {
                self.queue.undo(1, 0);
                return Ok(Next::Stop);
            }
            Err(Refused::Impossible) => {
                self.answer(head, asked.status, header::IO_ERROR, 0, has_data)?;
                return Ok(Next::Go);
            }
        }
        let writes = matches!(operation, Operation::Write | Operation::WriteZeroes { .. });
        let flush = writes && self.device.info.flush && !self.device.writeback;
        let stage = Stage::Submitted;
        let entry = Entry { sequence, operation, sector, sectors, status: asked.status, stage, flush };
        self.device.table.insert(head, entry);
        Ok(Next::Go)
    }

    #[inline]
    fn submit(&mut self, request: &Request, chain: &Chain) -> Result<(), Refused> {
        let data = match request.operation {
            Operation::Read => chain.writable(),
            Operation::Write => chain.readable(),
            _ => &[],
        };
        self.backend.submit(request, data, self.memory)?;
        self.submitted = true;
        Ok(())
    }

    /// Submits requests that were taken from the queue earlier.
    #[inline]
    fn submit_waiting(&mut self, chain: &mut Chain) -> Result<Next, Abuse> {
        for _ in 0..self.device.table.waiting() {
            let Some((head, entry)) = self.device.table.oldest_waiting() else { break };
            if self.submit_again(head, &entry, chain)? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Go)
    }

    fn submit_again(&mut self, head: u16, entry: &Entry, chain: &mut Chain) -> Result<Next, Abuse> {
        let mut request = Request {
            id: id(head, entry.sequence),
            operation: entry.operation,
            sector: entry.sector,
            sectors: entry.sectors,
        };
        let mut stage = Stage::Submitted;
        if entry.stage == Stage::WaitingToFlush {
            request = Request { operation: Operation::Flush, sector: 0, sectors: 0, ..request };
            stage = Stage::Flushing;
        } else if entry.is_transfer() {
            header::data_again(self.queue, self.memory, head, entry.operation, entry.sectors, chain)?;
        }
        match self.submit(&request, chain) {
            Ok(()) => self.device.table.update(head, Entry { stage, ..*entry }),
            Err(Refused::Full) => return Ok(Next::Stop),
            Err(Refused::Impossible) => {
                self.device.table.remove(head);
                self.answer(head, entry.status, header::IO_ERROR, 0, entry.operation == Operation::Read)?;
            }
        }
        Ok(Next::Go)
    }
}
