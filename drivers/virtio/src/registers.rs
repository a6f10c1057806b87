// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a virtio-mmio device, version 2 (virtio 1.2, section 4.2.2).

use core::ptr::NonNull;

use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{field, field_shared};

/// A control register: its offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Register {
    /// `MagicValue`: "virt".
    Magic = 0x000,
    /// `Version`.
    Version = 0x004,
    /// `DeviceID`.
    DeviceId = 0x008,
    /// `DeviceFeatures`: 32 of the bits that the device offers.
    DeviceFeatures = 0x010,
    /// `DeviceFeaturesSel`: which.
    DeviceFeaturesSel = 0x014,
    /// `DriverFeatures`: 32 of the bits that the driver accepts.
    DriverFeatures = 0x020,
    /// `DriverFeaturesSel`: which.
    DriverFeaturesSel = 0x024,
    /// `QueueSel`: the queue that the next ones are about.
    QueueSel = 0x030,
    /// `QueueSizeMax`; 0 when there is no such queue.
    QueueSizeMax = 0x034,
    /// `QueueSize`.
    QueueSize = 0x038,
    /// `QueueReady`.
    QueueReady = 0x044,
    /// `QueueNotify`.
    QueueNotify = 0x050,
    /// `InterruptStatus`.
    InterruptStatus = 0x060,
    /// `InterruptACK`.
    InterruptAck = 0x064,
    /// `Status`; writing 0 resets the device.
    Status = 0x070,
    /// `QueueDescLow`.
    QueueDescLow = 0x080,
    /// `QueueDescHigh`.
    QueueDescHigh = 0x084,
    /// `QueueDriverLow`.
    QueueDriverLow = 0x090,
    /// `QueueDriverHigh`.
    QueueDriverHigh = 0x094,
    /// `QueueDeviceLow`.
    QueueDeviceLow = 0x0a0,
    /// `QueueDeviceHigh`.
    QueueDeviceHigh = 0x0a4,
    /// `ConfigGeneration`.
    ConfigGeneration = 0x0fc,
}

/// What a driver does with a device's registers. Configuration fields are read with their own width (4.2.2.2); one that
/// lies outside, or not at a multiple of its size, reads as zero.
pub trait Registers {
    /// Reads a control register.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a control register.
    fn write(&mut self, register: Register, value: u32);
    /// Reads 8 bits of the device's configuration at byte `offset`.
    fn config_u8(&mut self, offset: usize) -> u8;
    /// Reads 16 bits.
    fn config_u16(&mut self, offset: usize) -> u16;
    /// Reads 32 bits.
    fn config_u32(&mut self, offset: usize) -> u32;
}

/// Bytes of configuration space that are read at most; larger than any device's here.
const CONFIG_SIZE: usize = 0x100;

/// The registers as they lie in memory.
#[repr(C)]
pub struct Layout {
    control: [ReadPureWrite<u32>; 0x100 / 4],
    config: [ReadPure<u32>; CONFIG_SIZE / 4],
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Layout, config) == 0x100, "virtio 1.2, table 4.1");
    assert!(size_of::<Layout>() == 0x200, "a slot of QEMU's machine");
};

/// The registers of a real device.
#[derive(Debug)]
pub struct Mmio<'a>(pub UniqueMmioPointer<'a, Layout>);

/// A method that reads configuration fields of one width.
macro_rules! config_read {
    ($name:ident, $value:ty) => {
        #[allow(unsafe_code, reason = "fields narrower than the words that the layout is made of")]
        fn $name(&mut self, offset: usize) -> $value {
            const SIZE: usize = size_of::<$value>();
            if !offset.is_multiple_of(SIZE) || offset > CONFIG_SIZE - SIZE {
                return 0;
            }
            let config = field_shared!(self.0, config);
            // The pointer's provenance is that of the registers; it is not dereferenced here.
            let place = config.ptr().cast_mut().wrapping_byte_add(offset).cast::<ReadPure<$value>>();
            let Some(place) = NonNull::new(place) else { return 0 };
            // SAFETY: aligned and inside `config` by the check above.
            unsafe { config.child(place) }.read()
        }
    };
}

impl Registers for Mmio<'_> {
    #[inline]
    fn read(&mut self, register: Register) -> u32 {
        field_shared!(self.0, control).as_slice().get(register as usize / 4).map_or(0, |place| place.read())
    }

    #[inline]
    fn write(&mut self, register: Register, value: u32) {
        if let Some(mut place) = field!(self.0, control).get(register as usize / 4) {
            place.write(value);
        }
    }

    config_read!(config_u8, u8);
    config_read!(config_u16, u16);
    config_read!(config_u32, u32);
}
