// SPDX-License-Identifier: BSD-2-Clause
//! From the device's buffer to the clients' rings.

use core::sync::atomic::AtomicU8;

use ring::PeerMisbehaved;
use ring::memory::RingMemory;
use ring::serial::Producer;
use virtio_driver::registers::Registers;
use virtio_driver::{
    Buffer, Device, DeviceMisbehaved, Direction, DmaArray, DmaMemory, Error, Features, InterruptStatus,
    Queue, Status,
};

/// Most clients.
pub const MAX_CLIENTS: usize = 8;

/// Bytes that the device is asked for at once.
const BUFFER: usize = 256;

/// Bytes that a client gets before it is the next one's turn.
const SHARE: usize = 32;

/// The device's only queue (5.4.2).
const QUEUE: u16 = 0;

/// One request at a time.
const DEPTH: usize = 1;

/// Bytes of DMA memory that are needed.
pub const DMA_SIZE: usize = BUFFER + Queue::<DEPTH>::memory_size(DEPTH, 0);

/// What the driver's owner should know, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// There is no device that can be driven: there is no entropy.
    #[error("no entropy: {0}")]
    NoDevice(Error),
    /// The DMA memory is too small: there is no entropy.
    #[error("no entropy: the DMA region has less than {DMA_SIZE} bytes")]
    NoMemory,
    /// The device has written nonsense, and has been reset.
    #[error("the device is reset: {0}")]
    Misbehaved(DeviceMisbehaved),
    /// The device has asked for a reset, and got it.
    #[error("the device is reset: it asked for that")]
    NeedsReset,
    /// A client has written nonsense into its ring and gets no more.
    #[error("client {0} is cut off: {1}")]
    Client(usize, PeerMisbehaved),
}

/// What to do after [`Driver::work`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Clients to be notified, a bit for each.
    pub notify: u8,
    /// There is something to say.
    pub event: Option<Event>,
}

/// The device when it works, and the memory it writes.
#[derive(Debug)]
struct Hardware<R> {
    device: Device<R>,
    queue: Queue<DEPTH>,
    bytes: DmaArray<AtomicU8>,
}

/// The driver.
#[derive(Debug)]
pub struct Driver<R, M> {
    hardware: Option<Hardware<R>>,
    clients: [Option<Producer<M>>; MAX_CLIENTS],
    /// Whose turn it is.
    turn: usize,
    /// The bytes of the device's buffer from here to `end` are not given to anybody yet.
    start: usize,
    end: usize,
    event: Option<Event>,
}

impl<R: Registers, M: RingMemory> Driver<R, M> {
    /// Drives `device`, which was just reset, with a buffer in `dma`.
    pub fn new(device: Result<Device<R>, Error>, dma: DmaMemory) -> Self {
        let (hardware, event) = match device.map_err(Event::NoDevice).and_then(|device| set_up(device, dma)) {
            Ok(hardware) => (Some(hardware), None),
            Err(event) => (None, Some(event)),
        };
        Self { hardware, clients: [const { None }; MAX_CLIENTS], turn: 0, start: 0, end: 0, event }
    }

    /// Adds client `index`, which reads from the other end of `ring`. Indices from [`MAX_CLIENTS`] on are ignored. Without a
    /// device the ring is closed, so that the client knows.
    pub fn add_client(&mut self, index: usize, ring: Producer<M>) {
        if self.hardware.is_none() {
            ring.close();
        } else if let Some(place) = self.clients.get_mut(index) {
            *place = Some(ring);
        }
    }

    /// To be called for each interrupt, before [`work`](Self::work) and before the interrupt is acknowledged to the kernel.
    pub fn handle_interrupt(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        let status = hardware.device.acknowledge_interrupt();
        if status.contains(InterruptStatus::CONFIG_CHANGE)
            && hardware.device.status().contains(Status::NEEDS_RESET)
        {
            self.reset(Event::NeedsReset);
        }
    }

    /// Does what there is to do: gives bytes to clients that have room, and asks the device for more if there are such
    /// clients still. Bounded by the rings' sizes and the buffer's.
    pub fn work(&mut self) -> Work {
        self.collect();
        let mut filled = 0;
        loop {
            self.distribute(&mut filled);
            // No bytes left: nobody is asked for a signal, the device's interrupt comes first.
            if self.start == self.end || self.all_are_full() {
                break;
            }
        }
        if self.start == self.end && !self.all_are_full() {
            self.ask();
        }
        let mut notify = 0;
        for (index, client) in self.clients.iter_mut().enumerate() {
            let Some(ring) = client else { continue };
            // After a restart also one whose ring is full: it may not have heard of that.
            let notified = if filled & 1 << index != 0 { ring.should_notify() } else { ring.should_tell() };
            if notified {
                notify |= 1 << index;
            }
            if let Some(error) = ring.take_error() {
                self.event = self.event.or(Some(Event::Client(index, error)));
            }
        }
        Work { notify, event: self.event.take() }
    }

    /// Takes what the device has written.
    fn collect(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        match hardware.queue.pop() {
            Ok(Some(completion)) => {
                self.start = 0;
                // What the device says is not more than what it was asked for.
                self.end = BUFFER.min(completion.written as usize);
            }
            Ok(None) => {}
            Err(error) => self.reset(Event::Misbehaved(error)),
        }
    }

    /// One turn for each client: up to [`SHARE`] bytes.
    fn distribute(&mut self, filled: &mut u8) {
        let Some(hardware) = &mut self.hardware else { return };
        for _ in 0..MAX_CLIENTS {
            let index = self.turn;
            self.turn = (self.turn + 1) % MAX_CLIENTS;
            let Some(Some(ring)) = self.clients.get_mut(index) else { continue };
            let mut share = [0; SHARE];
            let count = SHARE.min(self.end - self.start).min(ring.free());
            for (offset, byte) in share.iter_mut().take(count).enumerate() {
                *byte = hardware.bytes.get(self.start + offset);
                hardware.bytes.set(self.start + offset, 0);
            }
            if ring.write(share.get(..count).unwrap_or_default()) > 0 {
                *filled |= 1 << index;
            }
            self.start += count;
        }
    }

    /// Whether no client takes anything. Those that are full will say when they are not.
    fn all_are_full(&mut self) -> bool {
        // Every one is asked: `all` would stop at the first that is not full.
        let mut full = true;
        for ring in self.clients.iter_mut().flatten() {
            full &= ring.is_cut() || ring.request_space_signal();
        }
        full
    }

    /// Asks the device for a buffer of bytes, unless it has been asked.
    fn ask(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        let buffer = Buffer {
            address: hardware.bytes.physical(0),
            length: BUFFER as u32,
            direction: Direction::FromDevice,
        };
        if hardware.queue.add(&[buffer]).is_ok() {
            // The interrupt that the queue begins with is for every completion.
            hardware.queue.enable_interrupts(1);
            if hardware.queue.publish() {
                hardware.device.notify(QUEUE);
            }
        }
    }

    /// Begins again with the device; without one when it does not come back.
    #[cold]
    fn reset(&mut self, reason: Event) {
        self.event = Some(reason);
        (self.start, self.end) = (0, 0);
        let Some(hardware) = &mut self.hardware else { return };
        if let Err(error) = hardware.restart() {
            hardware.device.fail();
            self.hardware = None;
            self.event = Some(Event::NoDevice(error));
        }
    }
}

/// Sets up a device that has just been reset.
fn set_up<R: Registers>(mut device: Device<R>, mut dma: DmaMemory) -> Result<Hardware<R>, Event> {
    let bytes = dma.take(BUFFER, 1).ok_or(Event::NoMemory)?;
    // No features of its own (5.4.3), and with one request at a time those of queues do not pay.
    let features = device.negotiate(0).map_err(Event::NoDevice)?;
    let max = device.queue_size_max(QUEUE);
    let queue = Queue::new(&mut dma, max, features, 0).ok_or(Event::NoMemory)?;
    device.set_up_queue(QUEUE, &queue).map_err(Event::NoDevice)?;
    device.start();
    Ok(Hardware { device, queue, bytes })
}

impl<R: Registers> Hardware<R> {
    fn restart(&mut self) -> Result<(), Error> {
        self.device.reset()?;
        self.queue.reset();
        self.device.negotiate(Features::empty().bits())?;
        self.device.set_up_queue(QUEUE, &self.queue)?;
        self.device.start();
        Ok(())
    }
}
