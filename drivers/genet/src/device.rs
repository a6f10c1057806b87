// SPDX-License-Identifier: BSD-2-Clause
//! The device: set-up, PHY, and its two rings.

use ring::net::{BUFFER_SIZE, Buffer};

use crate::registers::{Dma, RECEIVE, Registers, TRANSMIT, flags, interrupt, mac, system};

/// Descriptors in each direction.
pub const DESCRIPTORS: u16 = 256;
/// Longest frame: 1500 bytes, headers, a VLAN tag, the check sum; what other drivers write.
const MAX_FRAME: u32 = 1536;
/// Longest wait for the device.
const PATIENCE_US: u64 = 10_000;
/// Address of the PHY (a BCM54213PE) on its bus.
const PHY: u32 = 1;
/// Ring 16 in the words that say which are used; bit 0 of the control word is "on".
const RING: u32 = 1 << 16;

/// Why the device cannot be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no device.
    #[error("there is no device")]
    Absent,
    /// It is another device, or another version.
    #[error("the device says version {0}, not 6 (GENET v5)")]
    Version(u32),
    /// It does not stop.
    #[error("the device's DMA does not stop")]
    Busy,
    /// It claims to have done more than it was told to.
    #[error("the device claims {claimed} of {given} packets done")]
    Index {
        /// What it claims.
        claimed: u16,
        /// What it had.
        given: u16,
    },
}

/// The driver's view of one ring. Indices count up for ever, modulo 2^16.
#[derive(Debug, Clone, Copy)]
struct Ring {
    dma: Dma,
    /// Descriptors given to the device so far.
    given: u16,
    /// Descriptors taken back so far.
    taken: u16,
    /// Whether `given` is to be shown to the device.
    changed: bool,
    buffers: [Buffer; DESCRIPTORS as usize],
}

impl Ring {
    const fn new(dma: Dma) -> Self {
        let buffers = [Buffer { offset: 0, length: 0 }; DESCRIPTORS as usize];
        Self { dma, given: 0, taken: 0, changed: false, buffers }
    }

    const fn outstanding(&self) -> u16 {
        self.given.wrapping_sub(self.taken)
    }

    /// Writes the next descriptor, which is free.
    fn give(&mut self, registers: &mut impl Registers, buffer: Buffer, word: u32) {
        let index = usize::from(self.given % DESCRIPTORS);
        let at = self.dma.descriptor(index);
        registers.write(at + 4, buffer.offset as u32);
        registers.write(at + 8, (buffer.offset >> 32) as u32);
        registers.write(at, word);
        if let Some(place) = self.buffers.get_mut(index) {
            *place = buffer;
        }
        self.given = self.given.wrapping_add(1);
        self.changed = true;
    }

    /// Shows the device what it was given.
    fn show(&mut self, registers: &mut impl Registers) {
        if core::mem::take(&mut self.changed) {
            // The receiver may go a whole ring ahead of the driver's index: to the last buffer that it was given.
            let index = if self.dma == RECEIVE { self.given.wrapping_sub(DESCRIPTORS) } else { self.given };
            registers.write(self.dma.driver_index(), index.into());
        }
    }

    /// Takes the next descriptor back if the device has reached `device_index`.
    fn take(&mut self, device_index: u16) -> Result<Option<(usize, Buffer)>, DeviceError> {
        let claimed = device_index.wrapping_sub(self.taken);
        if claimed > self.outstanding() {
            return Err(DeviceError::Index { claimed, given: self.outstanding() });
        }
        if claimed == 0 {
            return Ok(None);
        }
        let index = usize::from(self.taken % DESCRIPTORS);
        self.taken = self.taken.wrapping_add(1);
        Ok(self.buffers.get(index).map(|&buffer| (index, buffer)))
    }
}

/// A received packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Good.
    Packet(Buffer),
    /// Damaged, too long or in pieces: the buffer is empty still.
    Nothing(Buffer),
}

/// A device that works.
#[derive(Debug)]
pub struct Device<R> {
    pub registers: R,
    receive: Ring,
    transmit: Ring,
}

impl<R: Registers> Device<R> {
    /// Takes a device over: whatever it was doing ends.
    pub fn new(mut registers: R) -> Result<Self, DeviceError> {
        let revision = registers.read(system::REVISION);
        let version = revision >> 24 & 0xf;
        if revision == 0 || revision == u32::MAX {
            return Err(DeviceError::Absent);
        }
        if version != 6 {
            return Err(DeviceError::Version(version));
        }
        let mut this = Self { registers, receive: Ring::new(RECEIVE), transmit: Ring::new(TRANSMIT) };
        this.stop()?;
        this.reset_mac();
        this.set_up();
        Ok(this)
    }

    /// Stops both directions. Afterwards it touches no memory.
    pub fn stop(&mut self) -> Result<(), DeviceError> {
        self.registers.write(interrupt::MASK_SET, u32::MAX);
        let command = self.registers.read(mac::COMMAND);
        self.registers.write(mac::COMMAND, command & !(mac::TRANSMIT | mac::RECEIVE));
        for dma in [TRANSMIT, RECEIVE] {
            self.registers.write(dma.control(), 0);
            if !self.wait(|r| r.read(dma.status()) & 1 != 0) {
                return Err(DeviceError::Busy);
            }
        }
        Ok(())
    }

    fn reset_mac(&mut self) {
        let address = [mac::ADDRESS_0, mac::ADDRESS_1].map(|register| self.registers.read(register));
        for value in [2, 0] {
            self.registers.write(system::RECEIVE_FLUSH, value);
            self.pause(10);
        }
        self.registers.write(mac::COMMAND, 0);
        self.registers.write(mac::COMMAND, mac::RESET | mac::LOOP_BACK);
        self.pause(2);
        self.registers.write(mac::COMMAND, 0);
        for value in [1, 0] {
            self.registers.write(mac::TRANSMIT_FLUSH, value);
            self.registers.write(system::RECEIVE_FLUSH, value);
            self.pause(10);
        }
        self.registers.write(mac::ADDRESS_0, address[0]);
        self.registers.write(mac::ADDRESS_1, address[1]);
        self.registers.write(mac::MAX_FRAME, MAX_FRAME);
        self.registers.write(system::PORT, 3);
        // Packets begin where their buffers do, with nothing in front.
        self.registers.write(system::RECEIVE_CONTROL, 0);
        self.registers.write(system::TRANSMIT_SIZE, 1);
    }

    fn set_up(&mut self) {
        (self.receive, self.transmit) = (Ring::new(RECEIVE), Ring::new(TRANSMIT));
        for dma in [RECEIVE, TRANSMIT] {
            self.registers.write(dma.burst(), 8);
            for register in [
                dma.start(),
                dma.device_pointer(),
                dma.driver_pointer(),
                dma.device_index(),
                dma.driver_index(),
            ] {
                self.registers.write(register, 0);
            }
            self.registers.write(dma.end(), u32::from(DESCRIPTORS) * 3 - 1);
            self.registers.write(dma.size(), u32::from(DESCRIPTORS) << 16 | BUFFER_SIZE as u32);
            self.registers.write(dma.threshold(), 1);
        }
        // The device does not take every index to 0: the rings go on from where it is.
        for ring in [&mut self.receive, &mut self.transmit] {
            let index = self.registers.read(ring.dma.device_index()) as u16;
            (ring.given, ring.taken) = (index, index);
            let word = u32::from(index % DESCRIPTORS) * 3;
            self.registers.write(ring.dma.device_pointer(), word);
            self.registers.write(ring.dma.driver_pointer(), word);
            ring.changed = true;
            ring.show(&mut self.registers);
            self.registers.write(ring.dma.rings(), RING);
            self.registers.write(ring.dma.control(), RING << 1 | 1);
        }
        self.registers.write(interrupt::CLEAR, u32::MAX);
        self.registers.write(interrupt::MASK_CLEAR, interrupt::RECEIVED | interrupt::SENT | interrupt::LINK);
    }

    /// The address that the firmware has put into the MAC.
    pub fn address(&mut self) -> [u8; 6] {
        let [first, second] = [mac::ADDRESS_0, mac::ADDRESS_1].map(|register| self.registers.read(register));
        let ([a, b, c, d], [_, _, e, f]) = (first.to_be_bytes(), second.to_be_bytes());
        [a, b, c, d, e, f]
    }

    /// Reads a register of the PHY; `None` when nobody answers.
    fn phy(&mut self, register: u32) -> Option<u32> {
        let command = mac::MDIO_READ | PHY << 21 | register << 16;
        self.registers.write(mac::MDIO, command);
        self.registers.write(mac::MDIO, command | mac::MDIO_BUSY);
        if !self.wait(|r| r.read(mac::MDIO) & mac::MDIO_BUSY == 0) {
            return None;
        }
        let answer = self.registers.read(mac::MDIO);
        (answer & mac::MDIO_FAILED == 0).then_some(answer & 0xffff)
    }

    /// Follows the PHY: sets the MAC to the speed that was agreed (IEEE 802.3, 22.2.4). Gives megabits a second; `None` when the
    /// line is not connected.
    pub fn follow_line(&mut self) -> Option<u32> {
        const CONNECTED: u32 = 1 << 2;
        // The bit remembers a loss until it is read.
        self.phy(1);
        let connected = self.phy(1).is_some_and(|status| status & CONNECTED != 0);
        let gigabit = self.phy(9).zip(self.phy(10));
        let gigabit = gigabit.is_some_and(|(own, partner)| own & 0x300 & partner >> 2 != 0);
        let hundred = self.phy(4).zip(self.phy(5)).is_some_and(|(own, partner)| own & partner & 0x180 != 0);
        let (speed, megabits) = if gigabit {
            (2, 1000)
        } else if hundred {
            (1, 100)
        } else {
            (0, 10)
        };
        let rgmii = self.registers.read(system::RGMII) & !system::OUT_OF_BAND_OFF;
        self.registers.write(system::RGMII, rgmii | system::RGMII_ON);
        let on = if connected { mac::TRANSMIT | mac::RECEIVE } else { 0 };
        self.registers.write(mac::COMMAND, speed << mac::SPEED_SHIFT | mac::PROMISCUOUS | on);
        connected.then_some(megabits)
    }

    /// What has happened since the last call.
    pub fn interrupts(&mut self) -> u32 {
        let status = self.registers.read(interrupt::STATUS);
        self.registers.write(interrupt::CLEAR, status);
        status
    }

    /// Whether it takes another buffer to receive into.
    pub const fn wants_buffer(&self) -> bool {
        self.receive.outstanding() < DESCRIPTORS
    }

    /// Gives it one.
    pub fn supply(&mut self, buffer: Buffer) {
        self.receive.give(&mut self.registers, buffer, 0);
    }

    /// Whether it takes a packet of so many pieces.
    pub fn has_room(&self, pieces: usize) -> bool {
        usize::from(self.transmit.outstanding()) + pieces <= usize::from(DESCRIPTORS)
    }

    /// Gives it a packet to send, which it has room for.
    pub fn send(&mut self, pieces: &[Buffer]) {
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.iter().enumerate() {
            let first = if index == 0 { flags::FIRST | flags::CRC } else { 0 };
            let last = if index == last { flags::LAST } else { 0 };
            let word = u32::from(piece.length) << 16 | flags::NO_TAG | first | last;
            self.transmit.give(&mut self.registers, *piece, word);
        }
    }

    /// Whether nothing of the client's is in use.
    pub const fn is_idle(&self) -> bool {
        self.receive.outstanding() == 0 && self.transmit.outstanding() == 0
    }

    /// Pieces given and not sent yet.
    pub const fn transmitting(&self) -> u16 {
        self.transmit.outstanding()
    }

    /// A piece that has been sent.
    pub fn sent(&mut self) -> Result<Option<Buffer>, DeviceError> {
        if self.transmit.outstanding() == 0 {
            return Ok(None);
        }
        let index = self.registers.read(TRANSMIT.device_index()) as u16;
        Ok(self.transmit.take(index)?.map(|(_, buffer)| buffer))
    }

    /// A buffer that has been received into.
    pub fn received(&mut self) -> Result<Option<Received>, DeviceError> {
        let index = self.registers.read(RECEIVE.device_index()) as u16;
        let Some((index, buffer)) = self.receive.take(index)? else { return Ok(None) };
        let word = self.registers.read(RECEIVE.descriptor(index));
        let length = word >> 16;
        let whole = word & (flags::FIRST | flags::LAST) == flags::FIRST | flags::LAST;
        let fits = (14..=BUFFER_SIZE as u32).contains(&length);
        Ok(Some(if whole && fits && word & flags::ERRORS == 0 {
            Received::Packet(Buffer { length: length as u16, ..buffer })
        } else {
            Received::Nothing(buffer)
        }))
    }

    /// Shows the device what it was given.
    pub fn publish(&mut self) {
        self.receive.show(&mut self.registers);
        self.transmit.show(&mut self.registers);
    }

    /// Begins anew: nothing is in flight then.
    pub fn restart(&mut self) -> Result<(), DeviceError> {
        self.stop()?;
        self.set_up();
        Ok(())
    }

    /// Microseconds since some moment.
    pub fn now_us(&mut self) -> u64 {
        self.registers.now_us()
    }

    fn wait(&mut self, holds: impl Fn(&mut R) -> bool) -> bool {
        let start = self.registers.now_us();
        loop {
            if holds(&mut self.registers) {
                return true;
            }
            if self.registers.now_us().wrapping_sub(start) > PATIENCE_US {
                return false;
            }
        }
    }

    fn pause(&mut self, us: u64) {
        let start = self.registers.now_us();
        while self.registers.now_us().wrapping_sub(start) < us {}
    }
}
