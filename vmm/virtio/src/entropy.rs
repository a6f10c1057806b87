// SPDX-License-Identifier: BSD-2-Clause
//! A guest's source of entropy (section 5.4). Without a source there is no such device: nothing here makes numbers up.

#[cfg(test)]
mod tests;

use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::mmio::Mmio;
use crate::model::{CONFIG_SIZE, Model, Progress};
use crate::queue::{Chain, Queue};
use serde::{Deserialize, Serialize};

/// Bytes that are fetched at once, and the most that one request gets (section 5.4.6.2: at least one byte).
const MOST: usize = 64;

/// The source.
pub trait Backend {
    /// Fills a part of `buffer` from its start and returns how much. When that is not all, the device's `run` is called
    /// when there is more.
    fn read(&mut self, buffer: &mut [u8]) -> usize;
}

/// The device: it has no state of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entropy;

impl Model for Entropy {
    const ID: u32 = 4;
    const NAME: &'static str = "entropy";
    const QUEUES: usize = 1;
    const QUEUE_SIZE: u16 = 8;

    fn features(&self) -> u64 {
        0
    }

    fn negotiated(&mut self, _features: u64) {}

    fn config(&self, _space: &mut [u8; CONFIG_SIZE]) {}

    fn reset(&mut self) {}
}

impl Mmio<Entropy> {
    /// Does what there is to do: call it when the guest kicked the queue, and when the source has more.
    pub fn run(&mut self, memory: &impl GuestMemory, source: &mut impl Backend) -> Progress {
        if !self.is_live() {
            return Progress::Done;
        }
        let Some(queue) = self.queues.first_mut().filter(|queue| queue.is_ready()) else {
            return Progress::Done;
        };
        match serve(queue, memory, source) {
            Ok((interrupt, progress)) => {
                if interrupt {
                    self.interrupt();
                }
                progress
            }
            Err(abuse) => {
                self.fail(abuse);
                Progress::Done
            }
        }
    }
}

fn serve(
    queue: &mut Queue,
    memory: &impl GuestMemory,
    source: &mut impl Backend,
) -> Result<(bool, Progress), Abuse> {
    let mut chain = Chain::new();
    let mut left = queue.size();
    let mut buffer = [0; MOST];
    let mut progress = Progress::Done;
    'asked: loop {
        while queue.pop(memory, &mut chain)? {
            let head = chain.head();
            if chain.readable_bytes() != 0 || chain.writable_bytes() == 0 {
                return Err(Abuse::Missing { what: "place for entropy alone", head });
            }
            let wanted = buffer.len().min(chain.writable_bytes() as usize);
            let count = buffer.get_mut(..wanted).map_or(0, |buffer| source.read(buffer)).min(wanted);
            if count == 0 {
                queue.undo(1, 0);
                queue.ask_for_kick(memory, queue.size())?;
                break 'asked;
            }
            if !chain.write_front(memory, buffer.get(..count).unwrap_or_default()) {
                return Err(Abuse::Missing { what: "place for entropy", head });
            }
            queue.push_used(memory, head, count as u32)?;
            left -= 1;
            if left == 0 {
                progress = Progress::More;
                break 'asked;
            }
        }
        if !queue.ask_for_kick(memory, 0)? {
            break;
        }
    }
    queue.publish(memory)?;
    Ok((queue.interrupt_wanted(memory)?, progress))
}
