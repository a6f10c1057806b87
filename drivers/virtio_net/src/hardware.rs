// SPDX-License-Identifier: BSD-2-Clause
//! The device: its two queues, and what belongs to the buffers in them.

use core::sync::atomic::AtomicU64;

use heapless::Vec;
use ring::net::{BUFFER_SIZE, Buffer, Info, MAX_BUFFERS, Offload};
use virtio_driver::registers::Registers;
use virtio_driver::{
    Buffer as DeviceBuffer, Device, DeviceMisbehaved, Direction, DmaArray, DmaMemory, Error, Features, Queue,
};

use crate::driver::Event;
use crate::pieces::Pieces;
use crate::protocol::{self, Features as NetFeatures, HEADER_SIZE};

/// Descriptors of each queue: QEMU's default.
const DESCRIPTORS: usize = 256;
/// Number of the queue of received packets.
pub const RECEIVE: u16 = 0;
/// Number of the queue of packets to send.
pub const TRANSMIT: u16 = 1;
/// Words of a header, rounded up.
const HEADER_WORDS: usize = 2;
/// Descriptors of a receive buffer: header and data.
const RECEIVE_DESCRIPTORS: usize = 2;

/// Bytes of DMA memory that suffice.
pub const DMA_SIZE: usize = 2 * Queue::<DESCRIPTORS>::memory_size(DESCRIPTORS, 0)
    + (2 * DESCRIPTORS + 1) * HEADER_WORDS * size_of::<u64>()
    + 2 * 16;

/// A received packet: its buffer, filled, and what the device says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Where it is and how long.
    pub buffer: Buffer,
    /// What is left to do.
    pub offload: Offload,
}

/// A device that works, and the memory it shares with the driver.
#[derive(Debug)]
pub struct Hardware<R> {
    device: Device<R>,
    features: Features,
    receive: Queue<DESCRIPTORS>,
    transmit: Queue<DESCRIPTORS>,
    /// Headers of received packets, one for each request.
    received: DmaArray<AtomicU64>,
    /// Headers of packets to send, one for each request, and one of zeroes for all that leave no work to the device.
    sent: DmaArray<AtomicU64>,
    /// Buffers to receive into, by request.
    empty: [Buffer; DESCRIPTORS],
    /// Buffers of packets to send, by request.
    sending: Pieces<DESCRIPTORS>,
}

impl<R: Registers> Hardware<R> {
    /// Sets up a device that has just been reset.
    pub fn new(mut device: Device<R>, mut dma: DmaMemory) -> Result<Self, Event> {
        let features = negotiate(&mut device).map_err(Event::NoDevice)?;
        let mut queue = |index| {
            Queue::new(&mut dma, device.queue_size_max(index), features, 0)
                .filter(|queue| usize::from(queue.size()) > RECEIVE_DESCRIPTORS)
                .ok_or(Event::NoMemory)
        };
        let (receive, transmit) = (queue(RECEIVE)?, queue(TRANSMIT)?);
        let received = dma.take(DESCRIPTORS * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let sent = dma.take((DESCRIPTORS + 1) * HEADER_WORDS, 16).ok_or(Event::NoMemory)?;
        let mut this = Self {
            device,
            features,
            receive,
            transmit,
            received,
            sent,
            empty: [Buffer::default(); DESCRIPTORS],
            sending: Pieces::new(),
        };
        this.start().map_err(Event::NoDevice)?;
        Ok(this)
    }

    fn start(&mut self) -> Result<(), Error> {
        self.device.set_up_queue(RECEIVE, &self.receive)?;
        self.device.set_up_queue(TRANSMIT, &self.transmit)?;
        self.device.start();
        Ok(())
    }

    /// Resets the device and sets it up again. It has no buffers then.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.device.reset()?;
        self.receive.reset();
        self.transmit.reset();
        self.sending.clear();
        let features = negotiate(&mut self.device)?;
        if features != self.features {
            return Err(Error::FeaturesRefused(self.features.bits(), features.bits()));
        }
        self.start()
    }

    /// Resets the device for good.
    pub fn give_up(mut self) {
        // Whether it still listens or not.
        let _ = self.device.reset();
        self.device.fail();
    }

    /// The device.
    pub fn device(&mut self) -> &mut Device<R> {
        &mut self.device
    }

    /// The device as its client is told of it.
    pub fn describe(&mut self) -> Info {
        protocol::describe(&mut self.device)
    }

    /// Whether it has no buffers at all.
    pub fn is_idle(&self) -> bool {
        self.receive.outstanding() == 0 && self.transmit.outstanding() == 0
    }

    /// Number of buffers to receive into that it has.
    #[inline]
    pub fn receiving(&self) -> usize {
        self.receive.outstanding().into()
    }

    /// Number of packets to send that it has.
    #[inline]
    pub fn transmitting(&self) -> u16 {
        self.transmit.outstanding()
    }

    /// Whether it takes another buffer to receive into.
    #[inline]
    pub fn wants_buffer(&self) -> bool {
        self.receive.fits(RECEIVE_DESCRIPTORS)
    }

    /// Gives it an empty buffer; there is room.
    #[inline]
    pub fn supply(&mut self, buffer: Buffer) {
        let id = usize::from(self.receive.next_id());
        // The smallest that the protocol has, if it does not say.
        let length = if buffer.length == 0 { BUFFER_SIZE as u16 } else { buffer.length };
        let from = |address, length| DeviceBuffer { address, length, direction: Direction::FromDevice };
        let header = from(self.received.physical(HEADER_WORDS * id), HEADER_SIZE);
        let added = self.receive.add(&[header, from(buffer.offset, length.into())]);
        if added.is_ok()
            && let Some(place) = self.empty.get_mut(id)
        {
            *place = Buffer { length, ..buffer };
        }
    }

    /// The next packet that it has received.
    #[inline]
    pub fn received(&mut self) -> Result<Option<Received>, DeviceMisbehaved> {
        let Some(completion) = self.receive.pop()? else { return Ok(None) };
        let id = usize::from(completion.id);
        let buffer = self.empty.get(id).copied().unwrap_or_default();
        // More than there was room for cannot be, but the length of what is there is safe in any case. A packet without bytes is
        // none: the switch refuses it.
        let written = completion.written.saturating_sub(HEADER_SIZE).clamp(1, buffer.length.into());
        let offload = match self.features.bits() & NetFeatures::GUEST_CSUM.bits() {
            0 => Offload::default(),
            _ => protocol::offload([
                self.received.get(HEADER_WORDS * id),
                self.received.get(HEADER_WORDS * id + 1),
            ]),
        };
        // At most the buffer's length, which fits.
        Ok(Some(Received { buffer: Buffer { length: written as u16, ..buffer }, offload }))
    }

    /// Whether a packet of `count` buffers can be sent now.
    #[inline]
    pub fn takes_packet(&self, count: usize) -> bool {
        self.transmit.fits(count + 1)
    }

    /// Sends a packet; `false` when it does not fit.
    #[inline]
    pub fn send(&mut self, buffers: &[Buffer], offload: &Offload) -> bool {
        if !self.takes_packet(buffers.len()) {
            return false;
        }
        let id = self.transmit.next_id();
        let mut header = DESCRIPTORS * HEADER_WORDS;
        if *offload != Offload::default() {
            header = HEADER_WORDS * usize::from(id);
            let [first, second] = protocol::header(offload);
            self.sent.set(header, first);
            self.sent.set(header + 1, second);
        }
        let to = |address, length| DeviceBuffer { address, length, direction: Direction::ToDevice };
        let header = to(self.sent.physical(header), HEADER_SIZE);
        let added = match buffers {
            [buffer] => self.transmit.add(&[header, to(buffer.offset, buffer.length.into())]),
            _ => {
                let mut chain: Vec<DeviceBuffer, { MAX_BUFFERS + 1 }> = Vec::new();
                // As many as a packet may have, and one.
                let _ = chain.push(header);
                for buffer in buffers {
                    let _ = chain.push(to(buffer.offset, buffer.length.into()));
                }
                self.transmit.add(&chain)
            }
        };
        // Each buffer has a descriptor, so each has a place.
        added.is_ok() && buffers.iter().all(|buffer| self.sending.add(id, *buffer))
    }

    /// A buffer of a packet that it has sent; `done` is the packet whose buffers are being given back.
    #[inline]
    pub fn sent(&mut self, done: &mut Option<u16>) -> Result<Option<Buffer>, DeviceMisbehaved> {
        loop {
            if let Some(id) = *done
                && let Some(buffer) = self.sending.take(id)
            {
                return Ok(Some(buffer));
            }
            let Some(completion) = self.transmit.pop()? else {
                *done = None;
                return Ok(None);
            };
            *done = Some(completion.id);
        }
    }

    /// Shows it what was added.
    #[inline]
    pub fn publish(&mut self) {
        if self.receive.publish() {
            self.device.notify(RECEIVE);
        }
        if self.transmit.publish() {
            self.device.notify(TRANSMIT);
        }
    }

    /// Asks to be interrupted at the next packet received and, if `transmitted` is not zero, when so many of those to send are
    /// sent. Gives whether nothing has come meanwhile.
    #[inline]
    pub fn wait(&mut self, transmitted: u16) -> bool {
        let idle = self.receive.enable_interrupts(1);
        if transmitted == 0 {
            self.transmit.disable_interrupts();
            return idle;
        }
        idle & self.transmit.enable_interrupts(transmitted)
    }
}

/// Agrees with the device on what this driver uses.
fn negotiate<R: Registers>(device: &mut Device<R>) -> Result<Features, Error> {
    device.negotiate(NetFeatures::all().bits() | Features::EVENT_IDX.bits())
}
