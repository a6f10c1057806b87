// SPDX-License-Identifier: BSD-2-Clause
//! Registers of GENET v5, by byte offset.

/// Version, and mode of the port.
pub mod system {
    /// Bits 27:24: the version, one higher than it is called (6 for v5).
    pub const REVISION: usize = 0x0000;
    /// How the PHY is connected: 3 for an external one at gigabit speed.
    pub const PORT: usize = 0x0004;
    /// Bit 1 resets the MAC, bit 0 flushes the receive buffer.
    pub const RECEIVE_FLUSH: usize = 0x0008;
    /// RGMII out of band control.
    pub const RGMII: usize = 0x008c;
    /// In [`RGMII`]: link, "out of band" off, RGMII on, no delay added here (the PHY does).
    pub const RGMII_ON: u32 = 1 << 4 | 1 << 6 | 1 << 16;
    /// In [`RGMII`]: "out of band" off.
    pub const OUT_OF_BAND_OFF: u32 = 1 << 5;
    /// Receive buffer control.
    pub const RECEIVE_CONTROL: usize = 0x0300;
    /// Size of the transmit buffer in front of the MAC; 1.
    pub const TRANSMIT_SIZE: usize = 0x03b4;
}

/// Interrupts.
pub mod interrupt {
    /// What has happened.
    pub const STATUS: usize = 0x0200;
    /// Ones clear.
    pub const CLEAR: usize = 0x0208;
    /// Ones mask.
    pub const MASK_SET: usize = 0x0210;
    /// Ones unmask.
    pub const MASK_CLEAR: usize = 0x0214;
    /// A packet has been received.
    pub const RECEIVED: u32 = 1 << 13;
    /// A packet has been sent.
    pub const SENT: u32 = 1 << 16;
    /// The line was connected, or disconnected.
    pub const LINK: u32 = 1 << 4 | 1 << 5;
}

/// The MAC.
pub mod mac {
    /// Command.
    pub const COMMAND: usize = 0x0808;
    /// Transmitter on.
    pub const TRANSMIT: u32 = 1 << 0;
    /// Receiver on.
    pub const RECEIVE: u32 = 1 << 1;
    /// Speed: 0 for 10, 1 for 100, 2 for 1000 Mbit/s.
    pub const SPEED_SHIFT: u32 = 2;
    /// Takes packets for everybody: guests have addresses of their own.
    pub const PROMISCUOUS: u32 = 1 << 4;
    /// Resets.
    pub const RESET: u32 = 1 << 13;
    /// Loops back locally, which the reset wants.
    pub const LOOP_BACK: u32 = 1 << 15;
    /// Address, bytes 0 to 3; the firmware leaves it here.
    pub const ADDRESS_0: usize = 0x080c;
    /// Address, bytes 4 and 5.
    pub const ADDRESS_1: usize = 0x0810;
    /// Longest frame.
    pub const MAX_FRAME: usize = 0x0814;
    /// Drops what is to be sent.
    pub const TRANSMIT_FLUSH: usize = 0x0b34;
    /// Management interface to the PHY.
    pub const MDIO: usize = 0x0e14;
    /// In [`MDIO`]: goes on.
    pub const MDIO_BUSY: u32 = 1 << 29;
    /// In [`MDIO`]: nobody answered.
    pub const MDIO_FAILED: u32 = 1 << 28;
    /// In [`MDIO`]: a read.
    pub const MDIO_READ: u32 = 2 << 26;
}

/// One direction's DMA: descriptors and the registers of ring 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dma(pub usize);

/// To memory.
pub const RECEIVE: Dma = Dma(0x2000);
/// From memory.
pub const TRANSMIT: Dma = Dma(0x4000);

impl Dma {
    /// Length (31:16) and flags of a descriptor; its address, low and high, in the two words behind.
    pub const fn descriptor(self, index: usize) -> usize {
        self.0 + 12 * index
    }
    const fn ring(self, offset: usize) -> usize {
        self.0 + 0xc00 + 16 * 0x40 + offset
    }
    /// Where the device is, in words: receive's write pointer, transmit's read pointer.
    pub const fn device_pointer(self) -> usize {
        self.ring(0x00)
    }
    /// Index that the receiver (0x08 produces) or the transmitter (0x08 consumes) has reached: the device's.
    pub const fn device_index(self) -> usize {
        self.ring(0x08)
    }
    /// The driver's.
    pub const fn driver_index(self) -> usize {
        self.ring(0x0c)
    }
    /// Number of descriptors (31:16), bytes of a buffer (15:0).
    pub const fn size(self) -> usize {
        self.ring(0x10)
    }
    /// First word of the descriptors.
    pub const fn start(self) -> usize {
        self.ring(0x14)
    }
    /// Last word of them.
    pub const fn end(self) -> usize {
        self.ring(0x1c)
    }
    /// Packets after which it interrupts.
    pub const fn threshold(self) -> usize {
        self.ring(0x24)
    }
    /// Where the driver is, in words.
    pub const fn driver_pointer(self) -> usize {
        self.ring(0x2c)
    }
    /// Which rings are used.
    pub const fn rings(self) -> usize {
        self.ring(0x40)
    }
    /// On, and which rings are.
    pub const fn control(self) -> usize {
        self.ring(0x44)
    }
    /// Bit 0: it has stopped.
    pub const fn status(self) -> usize {
        self.ring(0x48)
    }
    /// Longest burst on the bus.
    pub const fn burst(self) -> usize {
        self.ring(0x4c)
    }
}

/// Flags of a descriptor.
pub mod flags {
    /// First of a packet.
    pub const FIRST: u32 = 1 << 13;
    /// Last of a packet.
    pub const LAST: u32 = 1 << 14;
    /// The MAC appends the check sum.
    pub const CRC: u32 = 1 << 6;
    /// No queue tag.
    pub const NO_TAG: u32 = 0x3f << 7;
    /// Received with an error: overflow, check sum, signal, alignment, length.
    pub const ERRORS: u32 = 0x1f;
}

/// What the driver does with the registers.
pub trait Registers {
    /// Reads a word.
    fn read(&mut self, offset: usize) -> u32;
    /// Writes a word.
    fn write(&mut self, offset: usize, value: u32);
    /// Microseconds since some moment.
    fn now_us(&mut self) -> u64;
}
