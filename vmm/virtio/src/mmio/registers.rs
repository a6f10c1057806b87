// SPDX-License-Identifier: BSD-2-Clause
//! Registers of virtio-mmio version 2 (section 4.2.2): byte offsets, and the words that mean something.

/// "virt".
pub const MAGIC: u64 = 0x000;
/// Version of the register layout.
pub const VERSION: u64 = 0x004;
/// Kind of device.
pub const DEVICE_ID: u64 = 0x008;
/// Vendor.
pub const VENDOR_ID: u64 = 0x00c;
/// Offered features, 32 of them.
pub const DEVICE_FEATURES: u64 = 0x010;
/// Which 32.
pub const DEVICE_FEATURES_SEL: u64 = 0x014;
/// Accepted features, 32 of them.
pub const DRIVER_FEATURES: u64 = 0x020;
/// Which 32.
pub const DRIVER_FEATURES_SEL: u64 = 0x024;
/// The queue that the queue registers mean.
pub const QUEUE_SEL: u64 = 0x030;
/// Its greatest size.
pub const QUEUE_NUM_MAX: u64 = 0x034;
/// Its size.
pub const QUEUE_NUM: u64 = 0x038;
/// Whether it is in use.
pub const QUEUE_READY: u64 = 0x044;
/// A kick; the value is the queue.
pub const QUEUE_NOTIFY: u64 = 0x050;
/// Why the device interrupts.
pub const INTERRUPT_STATUS: u64 = 0x060;
/// Clears bits of it.
pub const INTERRUPT_ACK: u64 = 0x064;
/// Device status.
pub const STATUS: u64 = 0x070;
/// Descriptor table.
pub const QUEUE_DESC_LOW: u64 = 0x080;
/// Upper half.
pub const QUEUE_DESC_HIGH: u64 = 0x084;
/// Available ring.
pub const QUEUE_DRIVER_LOW: u64 = 0x090;
/// Upper half.
pub const QUEUE_DRIVER_HIGH: u64 = 0x094;
/// Used ring.
pub const QUEUE_DEVICE_LOW: u64 = 0x0a0;
/// Upper half.
pub const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
/// Shared memory region: length and base of one that does not exist are all ones.
pub const SHM_LEN_LOW: u64 = 0x0b0;
/// Upper half.
pub const SHM_LEN_HIGH: u64 = 0x0b4;
/// Its address.
pub const SHM_BASE_LOW: u64 = 0x0b8;
/// Upper half.
pub const SHM_BASE_HIGH: u64 = 0x0bc;
/// Resets the selected queue.
pub const QUEUE_RESET: u64 = 0x0c0;
/// Changes when the configuration space does.
pub const CONFIG_GENERATION: u64 = 0x0fc;
/// Configuration space of the device type.
pub const CONFIG: u64 = 0x100;

/// What [`MAGIC`] reads as.
pub const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"virt");
/// What [`VERSION`] reads as.
pub const VERSION_VALUE: u32 = 2;
/// What [`VENDOR_ID`] reads as.
pub const VENDOR_VALUE: u32 = u32::from_le_bytes(*b"BLKH");

/// Bits of [`STATUS`] (section 2.1).
pub struct Status;

impl Status {
    /// The guest has seen the device.
    pub const ACKNOWLEDGE: u32 = 1;
    /// It has a driver for it.
    pub const DRIVER: u32 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u32 = 4;
    /// Both agree on features.
    pub const FEATURES_OK: u32 = 8;
    /// The device cannot go on; only the device sets it.
    pub const NEEDS_RESET: u32 = 64;
    /// The driver has given up.
    pub const FAILED: u32 = 128;
    /// What a driver may set.
    pub const OF_DRIVER: u32 =
        Self::ACKNOWLEDGE | Self::DRIVER | Self::DRIVER_OK | Self::FEATURES_OK | Self::FAILED;
}

/// Bits of [`INTERRUPT_STATUS`].
pub struct Interrupt;

impl Interrupt {
    /// The device has used buffers.
    pub const USED: u32 = 1;
    /// Its configuration or its status has changed.
    pub const CONFIG: u32 = 2;
}

/// Features of any device (section 6).
pub struct Feature;

impl Feature {
    /// Descriptors that name a table of descriptors.
    pub const INDIRECT: u64 = 1 << 28;
    /// Both sides say when they want to be woken.
    pub const EVENT_INDEX: u64 = 1 << 29;
    /// Not the legacy interface.
    pub const VERSION_1: u64 = 1 << 32;
    /// Queues can be reset one by one.
    pub const RING_RESET: u64 = 1 << 40;
    /// What every device here offers.
    pub const ALL: u64 = Self::INDIRECT | Self::EVENT_INDEX | Self::VERSION_1 | Self::RING_RESET;
}
