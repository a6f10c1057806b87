// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic: packets between link and device.

use heapless::Vec;
use link_pd::{Logic, Outcome};
use ring::link::{LinkError, State};
use ring::net::{Buffer, Info, MAX_BUFFERS, Offload, Server};
use ring::pages::Memory;
use virtio_driver::registers::Registers;
use virtio_driver::{Device, DeviceMisbehaved, DmaMemory, Error, InterruptStatus, Status};

use crate::hardware::Hardware;

/// Most packets taken from each side in one call of `service`.
const BATCH: usize = 256;

/// The device is short of buffers to receive into when it has fewer than these: then the driver asks for a notification.
/// Otherwise new ones are taken along when there is another reason to look.
const FEW_BUFFERS: usize = 32;

/// Packets to send that may stay at the device, sent, until there is another reason to look. The client knows that it may have
/// to do without so many buffers.
const KEPT: u16 = 8;

/// How often a device may be reset without having received or sent anything in between before it is given up.
const MAX_FAILURES: u32 = 8;

/// Something that somebody should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// The device cannot be driven: nothing is sent or received.
    #[error("no device: {0}")]
    NoDevice(Error),
    /// The DMA region or the device's queues are too small.
    #[error("the DMA region or the device's queues are too small")]
    NoMemory,
    /// The device was reset because of what it wrote.
    #[error("the device is reset: {0}")]
    Misbehaved(DeviceMisbehaved),
    /// The device was reset because it asked for it.
    #[error("the device is reset: it asked for it")]
    NeedsReset,
    /// It was reset so often that this is the end.
    #[error("the device is given up: {MAX_FAILURES} resets without a packet")]
    GivenUp,
    /// The client has broken the link.
    #[error("the client is cut off: {0}")]
    Client(LinkError),
    /// The line was connected or disconnected.
    #[error("the line is {}", if *.0 { "connected" } else { "disconnected" })]
    Line(bool),
}

/// A network device that serves a link.
#[derive(Debug)]
pub struct Driver<R, M> {
    hardware: Option<Hardware<R>>,
    link: Server<M>,
    info: Info,
    /// The packet taken last; it waits for room at the device if there is an `Offload`.
    packet: Vec<Buffer, MAX_BUFFERS>,
    waiting: Option<Offload>,
    failures: u32,
    events: Vec<Event, 8>,
}

impl<R: Registers, M: Memory> Driver<R, M> {
    /// Sets the device up, which has just been reset, and opens a new epoch of the link. When there is no device, packets are
    /// lost.
    pub fn new(device: Result<Device<R>, Error>, dma: DmaMemory, link: Server<M>) -> Self {
        let mut this = Self {
            hardware: None,
            link,
            info: Info::default(),
            packet: Vec::new(),
            waiting: None,
            failures: 0,
            events: Vec::new(),
        };
        match device.map_err(Event::NoDevice).and_then(|device| Hardware::new(device, dma)) {
            Ok(mut hardware) => {
                this.info = hardware.describe();
                this.hardware = Some(hardware);
            }
            Err(event) => this.report(event),
        }
        this.link.publish_info(&this.info);
        this
    }

    /// What the client is told of the device.
    pub const fn info(&self) -> &Info {
        &self.info
    }

    fn report(&mut self, event: Event) {
        // Beyond the first few they are lost.
        let _ = self.events.push(event);
    }

    #[cold]
    fn handle_change(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        if hardware.device().status().contains(Status::NEEDS_RESET) {
            self.fail(Event::NeedsReset);
            return;
        }
        let info = hardware.describe();
        if info != self.info {
            use ring::net::Abilities;
            if info.abilities != self.info.abilities {
                self.report(Event::Line(info.abilities.contains(Abilities::LINK_UP)));
            }
            self.info = info;
            self.link.publish_info(&info);
        }
    }

    #[inline]
    fn move_packets(&mut self) -> Result<(), DeviceMisbehaved> {
        let Some(hardware) = &mut self.hardware else { return Ok(()) };
        for _ in 0..BATCH {
            let Some(received) = hardware.received()? else { break };
            self.failures = 0;
            // Fails when the client is cut off or gone: the buffer is its own again then.
            let _ = self.link.deliver(&[received.buffer], &received.offload);
        }
        let mut done = None;
        for _ in 0..BATCH {
            let Some(buffer) = hardware.sent(&mut done)? else { break };
            self.failures = 0;
            // As above.
            let _ = self.link.give_back(buffer);
        }
        for _ in 0..self.link.buffers().min(BATCH as u32) {
            if !hardware.wants_buffer() {
                break;
            }
            let Some(buffer) = self.link.buffer() else { break };
            hardware.supply(buffer);
        }
        // Only the attempt to take one more asks for a notification.
        if hardware.receiving() < FEW_BUFFERS
            && hardware.wants_buffer()
            && let Some(buffer) = self.link.buffer()
        {
            hardware.supply(buffer);
        }
        for _ in 0..BATCH {
            let offload = match self.waiting.take() {
                Some(offload) => offload,
                None => match self.link.packet(&mut self.packet) {
                    Some(offload) => offload,
                    None => break,
                },
            };
            if hardware.send(&self.packet, &offload) {
                continue;
            }
            if hardware.transmitting() > 0 {
                self.waiting = Some(offload);
                break;
            }
            // More buffers than the device has descriptors: lost.
            for buffer in &self.packet {
                let _ = self.link.give_back(*buffer);
            }
        }
        hardware.publish();
        Ok(())
    }

    #[inline]
    fn may_sleep(&mut self) -> bool {
        let mut idle = true;
        if let Some(hardware) = &mut self.hardware {
            let count = hardware.transmitting();
            // One interrupt for most of what is being sent; none for the odd packet.
            let wanted = match count {
                count if count > KEPT => count - count / 4,
                count if self.waiting.is_some() => count,
                _ => 0,
            };
            idle &= hardware.wait(wanted);
        }
        // While a packet waits for room, the device comes first.
        if self.waiting.is_none() {
            idle &= self.link.wait();
        }
        idle
    }

    /// The client has restarted: stops whatever the device still does with its buffers.
    #[cold]
    fn drop_in_flight(&mut self) {
        self.waiting = None;
        let Some(hardware) = &mut self.hardware else { return };
        if hardware.is_idle() {
            return;
        }
        if let Err(error) = hardware.restart() {
            self.give_up(Event::NoDevice(error));
        }
    }

    /// Resets the device after a failure, and begins a new epoch: the client gives its buffers again.
    #[cold]
    fn fail(&mut self, event: Event) {
        self.report(event);
        self.waiting = None;
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            self.give_up(Event::GivenUp);
        } else if let Some(Err(error)) = self.hardware.as_mut().map(Hardware::restart) {
            self.give_up(Event::NoDevice(error));
        }
        self.link.restart();
        self.link.publish_info(&self.info);
    }

    #[cold]
    fn give_up(&mut self, event: Event) {
        self.report(event);
        if let Some(hardware) = self.hardware.take() {
            hardware.give_up();
        }
        self.info = Info::default();
        self.link.publish_info(&self.info);
    }
}

impl<R: Registers, M: Memory> Logic for Driver<R, M> {
    type Event = Event;

    #[inline]
    fn handle_interrupt(&mut self) {
        let Some(hardware) = &mut self.hardware else { return };
        if hardware.device().acknowledge_interrupt().contains(InterruptStatus::CONFIG_CHANGE) {
            self.handle_change();
        }
    }

    fn service(&mut self, _notified: bool) -> Outcome {
        if self.link.poll() == State::PeerRestarted {
            self.drop_in_flight();
            self.link.accept();
            self.link.poll();
        }
        if let Err(error) = self.move_packets() {
            self.fail(Event::Misbehaved(error));
        }
        let notify = self.link.commit();
        if let Some(error) = self.link.take_error() {
            self.report(Event::Client(error));
        }
        Outcome { notify, again: !self.may_sleep() }
    }

    fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    fn is_error(event: &Event) -> bool {
        !matches!(event, Event::Line(_))
    }
}
