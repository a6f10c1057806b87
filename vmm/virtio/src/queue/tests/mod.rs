// SPDX-License-Identifier: BSD-2-Clause
//! Queues against a driver: chains, indices, wake-ups, and what no driver may do.

mod abuse;
mod chains;
mod wakeups;

use super::{Chain, MAX_SIZE, Queue};
use crate::Abuse;
use crate::mock::Ram;
use crate::mock::driver::DriverQueue;

const BASE: u64 = 0x4000_0000;
const BUFFERS: u64 = BASE + 0x1_0000;

struct Pair {
    ram: Ram,
    driver: DriverQueue,
    queue: Queue,
    chain: Chain,
}

fn pair_with(size: u16, indirect: bool, event_index: bool) -> Pair {
    let ram = Ram::new(BASE, 0x4_0000);
    let driver = DriverQueue::new(0, size, BASE, event_index);
    let mut queue = Queue::new(MAX_SIZE);
    queue.size = size;
    (queue.descriptors, queue.driver, queue.device) = (driver.descriptors, driver.available, driver.used);
    queue.enable(&ram, indirect, event_index).unwrap();
    Pair { ram, driver, queue, chain: Chain::new() }
}

fn pair(size: u16) -> Pair {
    pair_with(size, true, true)
}

impl Pair {
    fn pop(&mut self) -> Result<bool, Abuse> {
        self.queue.pop(&self.ram, &mut self.chain)
    }

    fn offer(&mut self, head: u16) {
        self.driver.offer(&self.ram, head);
        self.driver.show(&self.ram);
    }
}
