// SPDX-License-Identifier: BSD-2-Clause
//! A client's port: the server's end of its link, and its two regions.
//!
//! The client is not trusted. What it sends is copied before it is looked at; its buffers are given back as soon as the
//! packet has been copied to whoever gets it, so nothing of a client is in use between two rounds but at most one packet that
//! waits for the uplink.

use heapless::Vec;
use ring::link::{LinkError, State};
use ring::net::{Abilities, BUFFER_SIZE, Buffer, Info, MAX_BUFFERS, Offload, Server};
use ring::pages::Memory;

use crate::counters::{Counters, Loss};
use crate::frame::{Fragment, Fragments, Frame, Places, Work, write_whole};
use crate::policy::Policy;
use crate::region::Region;
use crate::segment::{Segments, TcpLayout, Version};
use crate::table::Port;

/// What every client is offered: the switch does itself what a receiver cannot.
const OFFLOADS: Abilities = Abilities::TX_CSUM
    .union(Abilities::TX_TSO4)
    .union(Abilities::TX_TSO6)
    .union(Abilities::TX_CHAIN)
    .union(Abilities::RX_CSUM)
    .union(Abilities::RX_TSO4)
    .union(Abilities::RX_TSO6)
    .union(Abilities::RX_CHAIN)
    .union(Abilities::TSO_ECN);

/// A client's port.
#[derive(Debug)]
pub struct Client<M> {
    port: Port,
    link: Server<M>,
    /// Where its packets lie; the switch only reads it.
    tx: Region,
    /// Where packets for it are put.
    rx: Region,
    policy: Policy,
    /// The packet taken last; it waits for the uplink if there is an `Offload`.
    buffers: Vec<Buffer, MAX_BUFFERS>,
    waiting: Option<Offload>,
    counters: Counters,
}

impl<M: Memory> Client<M> {
    /// The port of client `number`.
    pub fn new(number: u8, link: Server<M>, tx: Region, rx: Region, policy: Policy) -> Self {
        let port = Port::Client(number);
        let counters = Counters::default();
        Self { port, link, tx, rx, policy, buffers: Vec::new(), waiting: None, counters }
    }

    /// What is configured for it.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its number as a port.
    pub fn port(&self) -> Port {
        self.port
    }

    /// What has passed.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether the link was up at the last look.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Counts a loss.
    #[cold]
    pub fn lose(&mut self, loss: Loss) {
        self.counters.lose(loss, &self.port);
    }

    /// Describes the network to the client.
    pub fn publish(&mut self, mtu: u16, line_up: bool) {
        let mut abilities = if self.policy.offload { OFFLOADS } else { Abilities::empty() };
        abilities.set(Abilities::LINK_UP, line_up);
        self.link.publish_info(&Info { mac: self.policy.mac.0, mtu, speed: 0, abilities });
    }

    /// Looks at the link. Gives whether a packet that waited was forgotten, with the client's old life.
    #[inline]
    pub fn poll(&mut self) -> bool {
        match self.link.poll() {
            State::Up => false,
            state => self.settle(state),
        }
    }

    #[cold]
    fn settle(&mut self, state: State) -> bool {
        let forgotten = self.waiting.take().is_some();
        match state {
            State::PeerRestarted => {
                // Nothing of the old epoch is in use.
                self.link.accept();
                if self.link.poll() == State::Fresh {
                    log::info!("{} is up", self.port);
                }
            }
            State::Fresh => log::info!("{} is up", self.port),
            State::Down | State::Up => {}
        }
        forgotten
    }

    /// The next packet, one that waited first: its pieces go to `fragments`.
    #[inline]
    pub fn take(&mut self, fragments: &mut Fragments) -> Option<(Region, Offload)> {
        let offload = match self.waiting.take() {
            Some(offload) => offload,
            None => {
                let offload = self.link.packet(&mut self.buffers)?;
                self.counters.from += 1;
                offload
            }
        };
        fragments.clear();
        for buffer in &self.buffers {
            // An offset that does not fit is outside as well; both have the same capacity.
            let offset = usize::try_from(buffer.offset).unwrap_or(usize::MAX);
            let _ = fragments.push(Fragment { offset, length: buffer.length.into() });
        }
        Some((self.tx, offload))
    }

    /// The packet taken last has to wait.
    #[inline]
    pub fn keep(&mut self, offload: Offload) {
        self.waiting = Some(offload);
    }

    /// The packet taken last has been copied, or is lost: its buffers are the client's again.
    #[inline]
    pub fn finish(&mut self) {
        for buffer in &self.buffers {
            // Fails only when the link is down: then they are the client's anyway.
            let _ = self.link.give_back(*buffer);
        }
    }

    /// Copies a packet to the client's buffers.
    ///
    /// # Errors
    /// When the packet is lost for this client.
    #[inline]
    pub fn deliver(&mut self, frame: &Frame<'_>) -> Result<(), Loss> {
        if !self.is_up() {
            return Err(Loss::Down);
        }
        let accepted = self.accepted();
        let has = |ability| accepted.contains(ability);
        match frame.work {
            Work::None => self.deliver_whole(frame, false, &Offload::default()),
            Work::Validated | Work::Checksum { .. } if has(Abilities::RX_CSUM) => {
                self.deliver_whole(frame, false, &frame.work.offload())
            }
            Work::Validated | Work::Checksum { .. } => self.deliver_whole(frame, true, &Offload::default()),
            Work::Segments { layout, size, ecn } => {
                let large = match layout.version {
                    Version::V4 => Abilities::RX_TSO4,
                    Version::V6 => Abilities::RX_TSO6,
                };
                if has(Abilities::RX_CSUM | large) && (!ecn || has(Abilities::TSO_ECN)) {
                    self.deliver_whole(frame, false, &frame.work.offload())
                } else {
                    self.deliver_segments(frame, layout, size)
                }
            }
        }
    }

    /// What the client takes.
    #[inline]
    pub(crate) fn accepted(&self) -> Abilities {
        if self.policy.offload { self.link.accepted() } else { Abilities::empty() }
    }

    #[inline]
    fn deliver_whole(&mut self, frame: &Frame<'_>, complete: bool, offload: &Offload) -> Result<(), Loss> {
        let count = frame.length().div_ceil(BUFFER_SIZE);
        if (self.link.buffers() as usize) < count {
            return Err(Loss::NoBuffers);
        }
        let mut offsets: Vec<usize, MAX_BUFFERS> = Vec::new();
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        let mut left = frame.length();
        for _ in 0..count {
            let (offset, place) = self.place()?;
            let length = left.min(BUFFER_SIZE);
            left -= length;
            // A packet of more buffers than these can hold is longer than any packet.
            let _ = offsets.push(place);
            let _ = buffers.push(Buffer { offset, length: length as u16 });
        }
        let places = Places { region: self.rx, offsets: &offsets, room: BUFFER_SIZE };
        if !write_whole(frame, places, complete) {
            return Err(Loss::Malformed);
        }
        self.link.deliver(&buffers, offload).map_err(|_| Loss::Down)?;
        self.counters.to += 1;
        Ok(())
    }

    #[inline]
    fn deliver_segments(&mut self, frame: &Frame<'_>, layout: TcpLayout, size: usize) -> Result<(), Loss> {
        let mut segments =
            Segments::new(frame.head(), layout, frame.length(), size).ok_or(Loss::Malformed)?;
        if (self.link.buffers() as usize) < segments.count() {
            return Err(Loss::NoBuffers);
        }
        let mut reader = frame.reader(segments.headers());
        for index in 0..segments.count() {
            let (offset, place) = self.place()?;
            let length = segments.write(index, &mut reader, &self.rx, place).ok_or(Loss::Malformed)?;
            let buffer = Buffer { offset, length: length as u16 };
            self.link.deliver(&[buffer], &Offload::default()).map_err(|_| Loss::Down)?;
            self.counters.to += 1;
        }
        Ok(())
    }

    /// An empty buffer: as the client wrote it, and where it is.
    #[inline]
    fn place(&mut self) -> Result<(u64, usize), Loss> {
        let Buffer { offset, length } = self.link.buffer().ok_or(Loss::NoBuffers)?;
        let place = usize::try_from(offset).map_err(|_| Loss::BadBuffer)?;
        let is_large = length == 0 || usize::from(length) >= BUFFER_SIZE;
        let is_inside = place <= self.rx.size() && self.rx.size() - place >= BUFFER_SIZE;
        if is_large && is_inside { Ok((offset, place)) } else { Err(Loss::BadBuffer) }
    }

    /// Shows the client what was done. Gives whether to notify it.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.link.commit()
    }

    /// Asks to be notified of the next packet, unless one waits already: then the uplink wakes the switch. Gives
    /// whether the caller may sleep.
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.waiting.is_some() || !self.is_up() || self.link.wait()
    }

    /// The reason the client was cut off, once.
    #[inline]
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.link.take_error()
    }
}
