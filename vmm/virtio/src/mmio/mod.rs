// SPDX-License-Identifier: BSD-2-Clause
//! The virtio-mmio transport (section 4.2), version 2: registers, feature negotiation, life of a device.

mod life;
pub mod registers;
#[cfg(test)]
mod tests;

use crate::memory::GuestMemory;
use crate::model::{CONFIG_SIZE, Model};
use crate::queue::Queue;
use heapless::Vec;
use registers::{Feature, Interrupt};
use serde::{Deserialize, Serialize};

/// Most queues of any device.
pub const MAX_QUEUES: usize = 4;

/// What a write to a register has left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// Nothing.
    Done,
    /// The guest kicked this queue: the device's `run` has something to do.
    Kick(u16),
    /// The write waits for requests at the back end that use guest memory, and has had no effect but that the device
    /// takes no more of them. The vCPU has to execute the instruction again (its PC is not advanced); best after the
    /// back end's next completion.
    Again,
}

/// A device behind its registers: one value, serialisable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mmio<D> {
    pub(crate) model: D,
    pub(crate) queues: Vec<Queue, MAX_QUEUES>,
    status: u32,
    pub(crate) interrupts: u32,
    generation: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    /// The driver accepted features that are beyond the words that exist.
    accepts_unknown: bool,
    queue_select: u32,
    /// Waits until it is idle, to be reset.
    draining: bool,
    /// Offences that were logged since the guest's start.
    offences: u8,
}

impl<D: Model> Mmio<D> {
    /// A device as after power-on.
    pub fn new(model: D) -> Self {
        let mut queues = Vec::new();
        for _ in 0..D::QUEUES.min(MAX_QUEUES) {
            // There is room for as many.
            let _ = queues.push(Queue::new(D::QUEUE_SIZE));
        }
        Self {
            model,
            queues,
            status: 0,
            interrupts: 0,
            generation: 0,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            accepts_unknown: false,
            queue_select: 0,
            draining: false,
            offences: 0,
        }
    }

    /// The device behind the registers.
    pub const fn model(&self) -> &D {
        &self.model
    }

    /// Level of the interrupt. (On an edge-triggered line, an interrupt is due when it rises.)
    #[inline]
    pub const fn asserted(&self) -> bool {
        self.interrupts != 0
    }

    /// Reads `width` bytes (1, 2, 4 or 8) at byte `offset` of the register page. Registers are words: anything else
    /// reads as zero (section 4.2.2.2 forbids the driver to ask), but for configuration space.
    #[inline]
    pub fn read(&self, offset: u64, width: usize) -> u64 {
        if offset >= registers::CONFIG {
            return self.read_config(offset - registers::CONFIG, width);
        }
        if width != 4 {
            return 0;
        }
        match offset {
            registers::INTERRUPT_STATUS => self.interrupts.into(),
            _ => self.read_register(offset).into(),
        }
    }

    fn read_register(&self, offset: u64) -> u32 {
        let queue = self.selected();
        match offset {
            registers::MAGIC => registers::MAGIC_VALUE,
            registers::VERSION => registers::VERSION_VALUE,
            registers::DEVICE_ID => D::ID,
            registers::VENDOR_ID => registers::VENDOR_VALUE,
            registers::DEVICE_FEATURES => match self.device_features_select {
                0 => self.offered() as u32,
                1 => (self.offered() >> 32) as u32,
                _ => 0,
            },
            registers::QUEUE_NUM_MAX => queue.map_or(0, |queue| queue.maximum.into()),
            registers::QUEUE_READY => queue.is_some_and(Queue::is_ready).into(),
            registers::STATUS => self.status,
            registers::SHM_LEN_LOW..=registers::SHM_BASE_HIGH if offset.is_multiple_of(4) => u32::MAX,
            registers::CONFIG_GENERATION => self.generation,
            // QUEUE_RESET too: a reset is over when the write is.
            _ => 0,
        }
    }

    /// Writes `width` bytes (1, 2, 4 or 8) at byte `offset` of the register page. Whatever is not a register of that
    /// width, or may not be written now, ignores it.
    #[inline]
    pub fn write(&mut self, offset: u64, width: usize, value: u64, memory: &impl GuestMemory) -> Written {
        if offset >= registers::CONFIG {
            self.write_config(offset - registers::CONFIG, width, value);
            return Written::Done;
        }
        if width != 4 {
            return Written::Done;
        }
        let value = value as u32;
        match offset {
            registers::QUEUE_NOTIFY => self.kicked(value),
            registers::INTERRUPT_ACK => {
                self.interrupts &= !value;
                Written::Done
            }
            registers::STATUS => self.write_status(value),
            registers::QUEUE_READY => self.write_ready(value, memory),
            registers::QUEUE_RESET => self.write_queue_reset(value),
            _ => {
                self.write_register(offset, value);
                Written::Done
            }
        }
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        match offset {
            registers::DEVICE_FEATURES_SEL => self.device_features_select = value,
            registers::DRIVER_FEATURES_SEL => self.driver_features_select = value,
            registers::DRIVER_FEATURES => self.write_features(value),
            registers::QUEUE_SEL => self.queue_select = value,
            _ => self.write_queue_register(offset, value),
        }
    }

    /// Where a queue is can only be changed while it is not in use.
    fn write_queue_register(&mut self, offset: u64, value: u32) {
        let index = self.queue_select as usize;
        let Some(queue) = self.queues.get_mut(index).filter(|queue| !queue.is_ready()) else { return };
        match offset {
            // A size that does not fit is no size.
            registers::QUEUE_NUM => queue.size = u16::try_from(value).unwrap_or(0),
            registers::QUEUE_DESC_LOW => set_low(&mut queue.descriptors, value),
            registers::QUEUE_DESC_HIGH => set_high(&mut queue.descriptors, value),
            registers::QUEUE_DRIVER_LOW => set_low(&mut queue.driver, value),
            registers::QUEUE_DRIVER_HIGH => set_high(&mut queue.driver, value),
            registers::QUEUE_DEVICE_LOW => set_low(&mut queue.device, value),
            registers::QUEUE_DEVICE_HIGH => set_high(&mut queue.device, value),
            _ => {}
        }
    }

    fn selected(&self) -> Option<&Queue> {
        self.queues.get(self.queue_select as usize)
    }

    fn offered(&self) -> u64 {
        Feature::ALL | self.model.features()
    }

    /// The device's configuration has changed: tells the driver.
    pub fn config_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.driver_runs() {
            self.interrupts |= Interrupt::CONFIG;
        }
    }

    fn read_config(&self, offset: u64, width: usize) -> u64 {
        let mut space = [0; CONFIG_SIZE];
        self.model.config(&mut space);
        let bytes = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(bytes).take(width) {
            *to = *from;
        }
        u64::from_le_bytes(value)
    }

    fn write_config(&mut self, offset: u64, width: usize, value: u64) {
        let bytes = value.to_le_bytes();
        if let (Ok(offset), Some(bytes)) = (usize::try_from(offset), bytes.get(..width)) {
            self.model.write_config(offset, bytes);
        }
    }
}

fn set_low(word: &mut u64, value: u32) {
    *word = *word & !0xffff_ffff | u64::from(value);
}

fn set_high(word: &mut u64, value: u32) {
    *word = *word & 0xffff_ffff | u64::from(value) << 32;
}
