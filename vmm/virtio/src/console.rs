// SPDX-License-Identifier: BSD-2-Clause
//! A guest's console (section 5.3): one port, its size, and emergency output before there is a driver.

#[cfg(test)]
mod tests;

use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::mmio::Mmio;
use crate::model::{CONFIG_SIZE, Model, Progress};
use crate::queue::{Chain, Queue};
use serde::{Deserialize, Serialize};

/// Queue of buffers for input.
pub const RECEIVE: usize = 0;
/// Queue of output.
pub const TRANSMIT: usize = 1;

/// Bytes that are moved at once.
const PIECE: usize = 128;

/// Feature bits (section 5.3.3).
pub struct Feature;

impl Feature {
    /// `cols` and `rows` are valid.
    pub const SIZE: u64 = 1 << 0;
    /// `emerg_wr` can be written.
    pub const EMERGENCY_WRITE: u64 = 1 << 2;
}

/// Offset of `emerg_wr`.
const EMERGENCY: usize = 8;

/// Where bytes come from and go to.
pub trait Backend {
    /// Takes output from the start of `bytes`, and returns how much. When that is not all, the device's `run` is called
    /// when there is room again.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Fills a part of `buffer` from its start with input and returns how much. When that is not all, the device's `run`
    /// is called when there is more.
    fn read(&mut self, buffer: &mut [u8]) -> usize;

    /// Everything that will be written for now has been.
    fn flush(&mut self);
}

/// The device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    columns: u16,
    rows: u16,
    features: u64,
    /// Bytes of the output in the next chain that the back end has taken.
    written: u32,
    /// A byte of emergency output.
    emergency: Option<u8>,
}

impl Console {
    /// A console of this size in characters; 0: not known.
    pub const fn new(columns: u16, rows: u16) -> Self {
        Self { columns, rows, features: 0, written: 0, emergency: None }
    }
}

impl Model for Console {
    const ID: u32 = 3;
    const NAME: &'static str = "console";
    const QUEUES: usize = 2;
    const QUEUE_SIZE: u16 = 64;

    fn features(&self) -> u64 {
        let size = if self.columns != 0 && self.rows != 0 { Feature::SIZE } else { 0 };
        size | Feature::EMERGENCY_WRITE
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
    }

    fn config(&self, space: &mut [u8; CONFIG_SIZE]) {
        let size = self.columns.to_le_bytes().into_iter().chain(self.rows.to_le_bytes());
        for (to, from) in space.iter_mut().zip(size.chain(1u32.to_le_bytes())) {
            *to = from;
        }
    }

    /// Emergency output needs no driver and no negotiation (section 5.3.4).
    fn write_config(&mut self, offset: usize, bytes: &[u8]) {
        if let (EMERGENCY, Some(&byte)) = (offset, bytes.first()) {
            self.emergency = Some(byte);
        }
    }

    fn reset_queue(&mut self, index: usize) {
        if index == TRANSMIT {
            self.written = 0;
        }
    }

    fn reset(&mut self) {
        self.features = 0;
        self.written = 0;
    }
}

impl Mmio<Console> {
    /// The console now has this size; the driver is told.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        if (self.model.columns, self.model.rows) != (columns, rows) {
            (self.model.columns, self.model.rows) = (columns, rows);
            self.config_changed();
        }
    }

    /// Whether a write to the registers left something for [`Mmio::run`] that was no kick: emergency output.
    #[inline]
    pub const fn has_emergency_output(&self) -> bool {
        self.model.emergency.is_some()
    }

    /// Does what there is to do: call it when the guest kicked a queue or left emergency output, and when the back end
    /// has input or room again.
    pub fn run(&mut self, memory: &impl GuestMemory, backend: &mut impl Backend) -> Progress {
        if let Some(byte) = self.model.emergency.take() {
            // What does not fit is lost.
            backend.write(&[byte]);
        }
        let mut progress = Progress::Done;
        if self.is_live() {
            let Self { model, queues, .. } = self;
            match work(model, queues, memory, backend) {
                Ok((interrupt, worked)) => {
                    progress = worked;
                    if interrupt {
                        self.interrupt();
                    }
                }
                Err(abuse) => self.fail(abuse),
            }
        }
        backend.flush();
        progress
    }
}

fn work(
    model: &mut Console,
    queues: &mut [Queue],
    memory: &impl GuestMemory,
    backend: &mut impl Backend,
) -> Result<(bool, Progress), Abuse> {
    let mut chain = Chain::new();
    let (mut interrupt, mut progress) = (false, Progress::Done);
    if let Some(queue) = queues.get_mut(RECEIVE).filter(|queue| queue.is_ready()) {
        if receive(queue, memory, backend, &mut chain)? == Progress::More {
            progress = Progress::More;
        }
        interrupt |= queue.interrupt_wanted(memory)?;
    }
    if let Some(queue) = queues.get_mut(TRANSMIT).filter(|queue| queue.is_ready()) {
        if transmit(model, queue, memory, backend, &mut chain)? == Progress::More {
            progress = Progress::More;
        }
        interrupt |= queue.interrupt_wanted(memory)?;
    }
    Ok((interrupt, progress))
}

/// Input is only read when there is a place for it.
fn receive(
    queue: &mut Queue,
    memory: &impl GuestMemory,
    backend: &mut impl Backend,
    chain: &mut Chain,
) -> Result<Progress, Abuse> {
    let mut buffer = [0; PIECE];
    for _ in 0..queue.size() {
        if !queue.pop(memory, chain)? {
            queue.publish(memory)?;
            // Input may wait for a place.
            if !queue.ask_for_kick(memory, 0)? {
                return Ok(Progress::Done);
            }
            continue;
        }
        if chain.writable_bytes() == 0 {
            return Err(Abuse::Missing { what: "place for input", head: chain.head() });
        }
        let wanted = buffer.len().min(chain.writable_bytes() as usize);
        let count = buffer.get_mut(..wanted).map_or(0, |buffer| backend.read(buffer)).min(wanted);
        if count == 0 {
            queue.undo(1, 0);
            queue.publish(memory)?;
            queue.ask_for_kick(memory, queue.size())?;
            return Ok(Progress::Done);
        }
        if !chain.write_front(memory, buffer.get(..count).unwrap_or_default()) {
            return Err(Abuse::Missing { what: "place for input", head: chain.head() });
        }
        queue.push_used(memory, chain.head(), count as u32)?;
    }
    queue.publish(memory)?;
    Ok(Progress::More)
}

/// Bytes that one call moves at most: a chain may be as long as the guest's memory, many times.
const MOST_OUTPUT: usize = 1 << 16;

fn transmit(
    model: &mut Console,
    queue: &mut Queue,
    memory: &impl GuestMemory,
    backend: &mut impl Backend,
    chain: &mut Chain,
) -> Result<Progress, Abuse> {
    let mut buffer = [0; PIECE];
    let mut moved = 0;
    for _ in 0..queue.size() {
        if !queue.pop(memory, chain)? {
            queue.publish(memory)?;
            if !queue.ask_for_kick(memory, 0)? {
                return Ok(Progress::Done);
            }
            continue;
        }
        chain.skip_readable(model.written);
        while chain.readable_bytes() > 0 {
            let wanted = buffer.len().min(chain.readable_bytes() as usize);
            let Some(piece) = buffer.get_mut(..wanted).filter(|_| moved < MOST_OUTPUT) else {
                queue.undo(1, 0);
                queue.publish(memory)?;
                return Ok(Progress::More);
            };
            if !chain.read_front(memory, piece) {
                return Err(Abuse::Missing { what: "output", head: chain.head() });
            }
            let count = backend.write(piece).min(wanted);
            moved += count;
            model.written = model.written.saturating_add(count as u32);
            if count < wanted {
                // The rest stays in the queue until there is room.
                queue.undo(1, 0);
                queue.publish(memory)?;
                queue.ask_for_kick(memory, queue.size())?;
                return Ok(Progress::Done);
            }
        }
        model.written = 0;
        queue.push_used(memory, chain.head(), 0)?;
    }
    queue.publish(memory)?;
    Ok(Progress::More)
}
