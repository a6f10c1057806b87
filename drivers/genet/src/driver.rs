// SPDX-License-Identifier: BSD-2-Clause
//! The driver's logic: packets between link and device.

use heapless::Vec;
use link_pd::{Logic, Outcome};
use ring::link::{LinkError, State};
use ring::net::{Abilities, BUFFER_SIZE, Buffer, Info, MAX_BUFFERS, Offload, Server};
use ring::pages::Memory;

use crate::device::{Device, DeviceError, Received};
use crate::registers::{Registers, interrupt};

/// Most packets taken from each side in one call of `service`.
const BATCH: usize = 256;

/// How often a device may be reset without having received or sent anything in between before it is given up.
const MAX_FAILURES: u32 = 8;

/// How often the line is looked at, at most.
const LINE_PERIOD_US: u64 = 1_000_000;

/// First address that the descriptors cannot express.
const REACH: u64 = 1 << 40;

/// Something that somebody should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Event {
    /// The device cannot be driven: nothing is sent or received.
    #[error("no network: {0}")]
    NoDevice(DeviceError),
    /// The device was reset because of what it claimed.
    #[error("the device is reset: {0}")]
    Misbehaved(DeviceError),
    /// It was reset so often that this is the end.
    #[error("the device is given up: {MAX_FAILURES} resets without a packet")]
    GivenUp,
    /// The client has broken the link.
    #[error("the client is cut off: {0}")]
    Client(LinkError),
    /// The line was connected, with so many megabits a second, or disconnected.
    #[error("the line is {}", if .0.is_some() { "connected" } else { "disconnected" })]
    Line(Option<u32>),
}

/// A network device that serves a link.
#[derive(Debug)]
pub struct Driver<R, M> {
    device: Option<Device<R>>,
    link: Server<M>,
    info: Info,
    /// The packet taken last; it waits for room at the device if `waiting`.
    packet: Vec<Buffer, MAX_BUFFERS>,
    waiting: bool,
    failures: u32,
    /// When the line was looked at.
    line_looked_at_us: u64,
    events: Vec<Event, 8>,
}

impl<R: Registers, M: Memory> Driver<R, M> {
    /// Takes a device over and opens a new epoch of the link. When there is no device, packets are lost.
    pub fn new(registers: R, link: Server<M>) -> Self {
        let mut this = Self {
            device: None,
            link,
            info: Info::default(),
            packet: Vec::new(),
            waiting: false,
            failures: 0,
            line_looked_at_us: 0,
            events: Vec::new(),
        };
        match Device::new(registers) {
            Ok(device) => {
                this.device = Some(device);
                this.follow_line();
            }
            Err(error) => this.report(Event::NoDevice(error)),
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

    /// Whether its PHY interrupts is a board's business, so it is also asked every second.
    fn look_after_line(&mut self) {
        let Some(device) = &mut self.device else { return };
        if device.now_us().wrapping_sub(self.line_looked_at_us) >= LINE_PERIOD_US && self.follow_line() {
            self.link.publish_info(&self.info);
        }
    }

    /// Gives whether there is something new to publish.
    fn follow_line(&mut self) -> bool {
        let Some(device) = &mut self.device else { return false };
        self.line_looked_at_us = device.now_us();
        let speed = device.follow_line();
        let mut abilities = Abilities::TX_CHAIN;
        abilities.set(Abilities::LINK_UP, speed.is_some());
        let info = Info { mac: device.address(), mtu: 1500, speed: speed.unwrap_or(0), abilities };
        if info == self.info {
            return false;
        }
        self.info = info;
        self.report(Event::Line(speed));
        true
    }

    fn move_packets(&mut self) -> Result<(), DeviceError> {
        let Some(device) = &mut self.device else { return Ok(()) };
        for _ in 0..BATCH {
            match device.received()? {
                Some(Received::Packet(buffer)) => {
                    self.failures = 0;
                    // Fails when the client is cut off or gone: the buffer is its own again then.
                    let _ = self.link.deliver(&[buffer], &Offload::default());
                }
                // It takes the next packet.
                Some(Received::Nothing(buffer)) => device.supply(buffer),
                None => break,
            }
        }
        for _ in 0..BATCH {
            let Some(buffer) = device.sent()? else { break };
            self.failures = 0;
            let _ = self.link.give_back(buffer);
        }
        while device.wants_buffer() {
            let Some(buffer) = self.link.buffer() else { break };
            if usize::from(buffer.length) >= BUFFER_SIZE && within_reach(&buffer) {
                device.supply(buffer);
            } else {
                // Too small, or out of reach: it comes back empty, as a packet that is none.
                let _ = self.link.deliver(&[Buffer { length: 0, ..buffer }], &Offload::default());
            }
        }
        for _ in 0..BATCH {
            if !self.waiting && self.link.packet(&mut self.packet).is_none() {
                break;
            }
            self.waiting = false;
            let good = self.packet.iter().all(|piece| piece.length > 0 && within_reach(piece));
            if good && device.has_room(self.packet.len()) {
                device.send(&self.packet);
            } else if good && device.transmitting() > 0 {
                self.waiting = true;
                break;
            } else {
                for piece in &self.packet {
                    let _ = self.link.give_back(*piece);
                }
            }
        }
        device.publish();
        Ok(())
    }

    /// The client has restarted: stops whatever the device still does with its buffers.
    #[cold]
    fn drop_in_flight(&mut self) {
        self.waiting = false;
        let Some(device) = &mut self.device else { return };
        if device.is_idle() {
            return;
        }
        if let Err(error) = device.restart() {
            self.give_up(Event::NoDevice(error));
        }
        self.follow_line();
    }

    /// Resets the device after a failure, and begins a new epoch: the client gives its buffers again.
    #[cold]
    fn fail(&mut self, event: Event) {
        self.report(event);
        self.waiting = false;
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            self.give_up(Event::GivenUp);
        } else if let Some(Err(error)) = self.device.as_mut().map(Device::restart) {
            self.give_up(Event::NoDevice(error));
        }
        self.follow_line();
        self.link.restart();
        self.link.publish_info(&self.info);
    }

    #[cold]
    fn give_up(&mut self, event: Event) {
        self.report(event);
        if let Some(mut device) = self.device.take() {
            // Whether it still listens or not.
            let _ = device.stop();
        }
        self.info = Info::default();
        self.link.publish_info(&self.info);
    }
}

impl<R: Registers, M: Memory> Logic for Driver<R, M> {
    type Event = Event;

    fn handle_interrupt(&mut self) {
        let Some(device) = &mut self.device else { return };
        if device.interrupts() & interrupt::LINK != 0 && self.follow_line() {
            self.link.publish_info(&self.info);
        }
    }

    fn service(&mut self, _notified: bool) -> Outcome {
        if self.link.poll() == State::PeerRestarted {
            self.drop_in_flight();
            self.link.accept();
            self.link.poll();
        }
        self.look_after_line();
        if let Err(error) = self.move_packets() {
            self.fail(Event::Misbehaved(error));
        }
        let notify = self.link.commit();
        if let Some(error) = self.link.take_error() {
            self.report(Event::Client(error));
        }
        // Sent and received packets interrupt. While a packet waits for room, that comes first.
        let idle = self.waiting || self.link.wait();
        Outcome { notify, again: !idle }
    }

    fn take_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    fn is_error(event: &Event) -> bool {
        !matches!(event, Event::Line(_))
    }
}

fn within_reach(buffer: &Buffer) -> bool {
    buffer.offset.checked_add(buffer.length.into()).is_some_and(|end| end <= REACH)
}
