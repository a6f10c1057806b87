// SPDX-License-Identifier: BSD-2-Clause
//! The memory-mapped transport: finding a device, agreeing on features, queues, interrupts (virtio 1.2, sections 3.1 and
//! 4.2).

use bitflags::bitflags;

use crate::barrier;
use crate::queue::Queue;
use crate::registers::{Register, Registers};

/// `MagicValue` (4.2.2).
const MAGIC: u32 = u32::from_le_bytes(*b"virt");

/// The version of the interface this is written for.
const VERSION: u32 = 2;

/// Most looks at the status while a device resets. A device that takes longer is given up.
const RESET_BOUND: usize = 1_000_000;

/// Most attempts at a configuration that changes while it is read.
const CONFIG_ATTEMPTS: usize = 16;

/// Kinds of devices (5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum DeviceType {
    /// Network card.
    Network = 1,
    /// Block device.
    Block = 2,
    /// Entropy source.
    Entropy = 4,
}

bitflags! {
    /// Device status (2.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Status: u32 {
        /// The driver has noticed the device.
        const ACKNOWLEDGE = 1;
        /// The driver knows how to drive it.
        const DRIVER = 2;
        /// The driver is set up.
        const DRIVER_OK = 4;
        /// The features are agreed on.
        const FEATURES_OK = 8;
        /// The device cannot go on without a reset.
        const NEEDS_RESET = 64;
        /// The driver has given up.
        const FAILED = 128;
        const _ = !0;
    }

    /// Features that are not about one kind of device (6).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Descriptors may be in a table of their own.
        const INDIRECT_DESC = 1 << 28;
        /// Both sides say at which index they want to hear.
        const EVENT_IDX = 1 << 29;
        /// Not a legacy device.
        const VERSION_1 = 1 << 32;
        const _ = !0;
    }

    /// `InterruptStatus` (4.2.2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct InterruptStatus: u32 {
        /// The device has used buffers.
        const USED_BUFFER = 1;
        /// The configuration has changed, or the device needs a reset.
        const CONFIG_CHANGE = 2;
        const _ = !0;
    }
}

/// Why a device cannot be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no virtio device.
    #[error("no virtio-mmio device: magic value {0:#x}")]
    NoDevice(u32),
    /// Version 1 is the legacy interface.
    #[error("virtio-mmio version {0} instead of {VERSION} (the emulator's legacy interface is switched on?)")]
    Version(u32),
    /// The device is of another kind; 0 is a slot without a device.
    #[error("device of kind {0} instead of {1:?}")]
    Kind(u32, DeviceType),
    /// The device does not finish its reset.
    #[error("the device does not reset: status {0:#x}")]
    ResetTimeout(u32),
    /// The device refuses a selection of its own features, or lacks `VERSION_1`.
    #[error("the device refuses the features {0:#x} out of {1:#x}")]
    FeaturesRefused(u64, u64),
    /// There is no such queue, or it is in use, or the device offers fewer entries.
    #[error("queue {0} with {1} entries is not to be had, the device offers {2}")]
    Queue(u16, u16, u32),
}

/// A virtio device behind its registers.
#[derive(Debug)]
pub struct Device<R> {
    registers: R,
    features: Features,
}

impl<R: Registers> Device<R> {
    /// The device of this kind at `registers`, reset, so that nothing of what it did before goes on.
    ///
    /// # Errors
    /// When there is no such device or it does not reset.
    pub fn new(mut registers: R, kind: DeviceType) -> Result<Self, Error> {
        let magic = registers.read(Register::Magic);
        if magic != MAGIC {
            return Err(Error::NoDevice(magic));
        }
        let version = registers.read(Register::Version);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let id = registers.read(Register::DeviceId);
        if id != kind as u32 {
            return Err(Error::Kind(id, kind));
        }
        let mut this = Self { registers, features: Features::empty() };
        this.reset()?;
        Ok(this)
    }

    /// Resets the device and waits until it has stopped (2.4): none of its DMA is on the way afterwards.
    ///
    /// # Errors
    /// When it does not finish within a bounded time.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.features = Features::empty();
        self.registers.write(Register::Status, 0);
        let mut status = 0;
        for _ in 0..RESET_BOUND {
            status = self.registers.read(Register::Status);
            if status == 0 {
                barrier::full();
                return Ok(());
            }
        }
        Err(Error::ResetTimeout(status))
    }

    /// Agrees on features: of `wanted`, those that the device offers. `VERSION_1` is always among them (3.1.1, steps 2
    /// to 6).
    ///
    /// # Errors
    /// When the device does not agree.
    pub fn negotiate(&mut self, wanted: u64) -> Result<Features, Error> {
        self.add_status(Status::ACKNOWLEDGE);
        self.add_status(Status::DRIVER);
        let mut offered = 0u64;
        for half in [1u32, 0] {
            self.registers.write(Register::DeviceFeaturesSel, half);
            offered = offered << 32 | u64::from(self.registers.read(Register::DeviceFeatures));
        }
        let accepted = offered & (wanted | Features::VERSION_1.bits());
        for half in [0u32, 1] {
            self.registers.write(Register::DriverFeaturesSel, half);
            self.registers.write(Register::DriverFeatures, (accepted >> (32 * half)) as u32);
        }
        self.add_status(Status::FEATURES_OK);
        let features = Features::from_bits_retain(accepted);
        if !self.status().contains(Status::FEATURES_OK) || !features.contains(Features::VERSION_1) {
            self.fail();
            return Err(Error::FeaturesRefused(accepted, offered));
        }
        self.features = features;
        Ok(features)
    }

    /// What was agreed on.
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Number of entries that queue `index` may have at most; 0 when there is no such queue.
    pub fn queue_size_max(&mut self, index: u16) -> u32 {
        self.registers.write(Register::QueueSel, index.into());
        self.registers.read(Register::QueueSizeMax)
    }

    /// Makes `queue` the device's queue `index` (4.2.3.2).
    ///
    /// # Errors
    /// When the device has no such queue.
    pub fn set_up_queue<const N: usize>(&mut self, index: u16, queue: &Queue<N>) -> Result<(), Error> {
        let max = self.queue_size_max(index);
        if u32::from(queue.size()) > max || self.registers.read(Register::QueueReady) != 0 {
            return Err(Error::Queue(index, queue.size(), max));
        }
        let registers = &mut self.registers;
        registers.write(Register::QueueSize, queue.size().into());
        let mut address = |low, high, value: u64| {
            registers.write(low, value as u32);
            registers.write(high, (value >> 32) as u32);
        };
        address(Register::QueueDescLow, Register::QueueDescHigh, queue.descriptor_area());
        address(Register::QueueDriverLow, Register::QueueDriverHigh, queue.driver_area());
        address(Register::QueueDeviceLow, Register::QueueDeviceHigh, queue.device_area());
        barrier::before_publish();
        self.registers.write(Register::QueueReady, 1);
        Ok(())
    }

    /// The driver is set up: the device may begin (3.1.1, step 8).
    pub fn start(&mut self) {
        self.add_status(Status::DRIVER_OK);
    }

    /// Gives the device up for good.
    pub fn fail(&mut self) {
        self.add_status(Status::FAILED);
    }

    /// Tells the device that queue `index` has new buffers.
    #[inline]
    pub fn notify(&mut self, index: u16) {
        barrier::before_publish();
        self.registers.write(Register::QueueNotify, index.into());
    }

    /// Why the interrupt has come, acknowledged. To be called before the used rings are looked at.
    #[inline]
    pub fn acknowledge_interrupt(&mut self) -> InterruptStatus {
        let status = self.registers.read(Register::InterruptStatus);
        if status != 0 {
            self.registers.write(Register::InterruptAck, status);
        }
        InterruptStatus::from_bits_retain(status)
    }

    /// The device's status.
    pub fn status(&mut self) -> Status {
        Status::from_bits_retain(self.registers.read(Register::Status))
    }

    /// Reads from the configuration with `read` until it has not changed meanwhile (2.5.1); the last reading when it never
    /// stops changing.
    pub fn config<T>(&mut self, mut read: impl FnMut(&mut R) -> T) -> T {
        let mut generation = self.registers.read(Register::ConfigGeneration);
        let mut value = read(&mut self.registers);
        for _ in 0..CONFIG_ATTEMPTS {
            let before = core::mem::replace(&mut generation, self.registers.read(Register::ConfigGeneration));
            if before == generation {
                break;
            }
            value = read(&mut self.registers);
        }
        value
    }

    fn add_status(&mut self, status: Status) {
        let old = self.status();
        self.registers.write(Register::Status, (old | status).bits());
    }
}
