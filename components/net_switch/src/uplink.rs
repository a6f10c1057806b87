// SPDX-License-Identifier: BSD-2-Clause
//! The port to the network outside: the client's end of the driver's link, and two regions of buffers that the device
//! reads and writes.
//!
//! The switch owns all buffers and knows which ones the driver has. When the driver restarts, they are all the switch's
//! again: packets on their way to the device are lost, as on a wire, and the empty ones are given again.

use heapless::Vec;
use ring::inflight::Buffers;
use ring::link::{LinkError, State};
use ring::net::{Abilities, BUFFER_SIZE, Buffer, Client as Link, MAX_BUFFERS, Offload};
use ring::pages::Memory;

use crate::counters::{Counters, Loss};
use crate::frame::{Fragment, Fragments, Frame, Places, Work, write_whole};
use crate::policy::Policy;
use crate::region::Region;
use crate::segment::{MAX_SEGMENTS, Segments, TcpLayout, Version};
use crate::table::Port;

/// Most buffers of a region in use, in words of 64.
const WORDS: usize = 16;
/// Buffers that the driver may keep after they were sent, until it has another reason to look.
pub const KEPT: usize = 8;
/// Fewest buffers to send from: every packet that may be sent must fit beside those that the driver keeps.
pub const MIN_BUFFERS: usize = MAX_SEGMENTS + KEPT;
/// How often the driver may be cut off and given a new epoch without a packet in between.
const MAX_FAILURES: u32 = 8;
/// Longest packet without its Ethernet header, if the driver does not say.
const DEFAULT_MTU: u16 = 1500;
/// Longest packet that a buffer holds without its Ethernet header and tags.
const MAX_MTU: u16 = (BUFFER_SIZE - 22) as u16;

/// A region that the device reaches: where this PD and where the device sees it.
#[derive(Debug, Clone, Copy)]
pub struct DmaRegion {
    /// For this PD.
    pub region: Region,
    /// Bus address of its first byte.
    pub bus: u64,
    /// Whether the device sees what the processor has in its caches. Otherwise they are maintained around packets.
    pub coherent: bool,
}

impl DmaRegion {
    /// The offset of a bus address.
    #[inline]
    fn offset(&self, bus: u64) -> Option<usize> {
        usize::try_from(bus.checked_sub(self.bus)?).ok().filter(|offset| *offset < self.region.size())
    }

    /// A packet has been written.
    #[inline]
    fn clean(&self, offset: usize, length: usize) {
        if !self.coherent {
            self.region.clean(offset, length);
        }
    }

    /// A packet is going to be read. This program never writes where packets are received.
    #[inline]
    fn discard(&self, offset: usize, length: usize) {
        if !self.coherent {
            self.region.discard(offset, length);
        }
    }
}

/// The uplink.
#[derive(Debug)]
pub struct Uplink<M> {
    link: Link<M>,
    rx: DmaRegion,
    rx_out: Buffers<WORDS>,
    tx: DmaRegion,
    tx_out: Buffers<WORDS>,
    policy: Policy,
    abilities: Abilities,
    mtu: u16,
    counters: Counters,
    /// How often the driver was cut off since it last delivered a packet.
    failures: u32,
}

/// Why the regions do not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the uplink's transmit region or its link is too small for {MIN_BUFFERS} buffers")]
pub struct TooSmall;

impl<M: Memory> Uplink<M> {
    /// The uplink over `link`, receiving to `rx` and sending from `tx`.
    ///
    /// # Errors
    /// When the longest packet could not be sent.
    pub fn new(link: Link<M>, rx: DmaRegion, tx: DmaRegion, policy: Policy) -> Result<Self, TooSmall> {
        // Each buffer has a place in the queues, so that these are never full.
        let limit = link.capacity() as usize * BUFFER_SIZE;
        let buffers = |region: &Region| Buffers::new(region.size().min(limit), BUFFER_SIZE);
        let this = Self {
            rx_out: buffers(&rx.region),
            tx_out: buffers(&tx.region),
            link,
            rx,
            tx,
            policy,
            abilities: Abilities::LINK_UP,
            mtu: DEFAULT_MTU,
            counters: Counters::default(),
            failures: 0,
        };
        if (this.tx_out.count() as usize) < MIN_BUFFERS { Err(TooSmall) } else { Ok(this) }
    }

    /// What is configured for it.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What has passed.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Longest packet without its Ethernet header.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Whether the line is connected, as far as the driver has said; a driver that restarts changes nothing.
    pub fn is_connected(&self) -> bool {
        self.abilities.contains(Abilities::LINK_UP)
    }

    /// Counts a loss.
    #[cold]
    pub fn lose(&mut self, loss: Loss) {
        self.counters.lose(loss, &Port::Uplink);
    }

    /// Looks at the link. Gives whether what the driver says about the network has changed.
    #[inline]
    pub fn poll(&mut self) -> bool {
        let state = self.link.poll();
        if state != State::Up {
            self.settle(state);
        }
        self.link.changed_info().is_some_and(|info| {
            let before = (self.mtu, self.abilities);
            self.abilities = info.abilities;
            self.mtu = if info.mtu == 0 { DEFAULT_MTU } else { info.mtu.min(MAX_MTU) };
            before != (self.mtu, self.abilities)
        })
    }

    #[cold]
    fn settle(&mut self, state: State) {
        if state == State::Fresh {
            log::info!("the driver is up");
            // Sent buffers are collected when there is need of them.
            self.link.ask_for_transmitted(false);
            self.tx_out.clear();
            self.rx_out.clear();
            while let Some(offset) = self.rx_out.take() {
                if !self.supply(offset) {
                    break;
                }
            }
        }
    }

    /// Gives the driver the empty buffer at `offset`, which is marked as out.
    #[inline]
    fn supply(&mut self, offset: u64) -> bool {
        let buffer = Buffer { offset: self.rx.bus + offset, length: BUFFER_SIZE as u16 };
        let supplied = self.link.supply(buffer).is_ok();
        if !supplied {
            // Down: all are given again when it is up.
            let _ = self.rx_out.unmark(offset);
        }
        supplied
    }

    /// Where received packets are.
    #[inline]
    pub const fn received(&self) -> Region {
        self.rx.region
    }

    /// Whether packets can be sent at all.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// The next packet that was received: its pieces go to `fragments`, its buffers to `buffers`. Buffers that the driver
    /// does not have are not taken, and the packet in them is not there.
    #[inline]
    pub fn take(
        &mut self,
        buffers: &mut Vec<Buffer, MAX_BUFFERS>,
        fragments: &mut Fragments,
    ) -> Option<(Region, Offload)> {
        let offload = self.link.receive(buffers)?;
        self.counters.from += 1;
        self.failures = 0;
        fragments.clear();
        let mut is_good = true;
        for buffer in buffers.iter_mut() {
            let Some(offset) = self.rx.offset(buffer.offset) else {
                buffer.length = 0;
                is_good = false;
                continue;
            };
            if self.rx_out.unmark(offset as u64).is_err() {
                // Not to be given again.
                buffer.length = 0;
                is_good = false;
                continue;
            }
            self.rx.discard(offset, buffer.length.into());
            let within = offset % BUFFER_SIZE;
            is_good &= usize::from(buffer.length) <= BUFFER_SIZE - within;
            // Both have the same capacity.
            let _ = fragments.push(Fragment { offset, length: buffer.length.into() });
            buffer.offset = (offset - within) as u64;
        }
        if !is_good {
            self.lose(Loss::BadBuffer);
            fragments.clear();
        }
        Some((self.rx.region, offload))
    }

    /// The packet has been copied, or is lost: gives its buffers to the driver again.
    #[inline]
    pub fn finish(&mut self, buffers: &[Buffer]) {
        for buffer in buffers.iter().filter(|buffer| buffer.length != 0) {
            if self.rx_out.mark(buffer.offset).is_ok() {
                self.supply(buffer.offset);
            }
        }
    }

    /// How a packet goes to the device: as it is, or in segments. The number of buffers that takes.
    #[inline]
    pub fn needs(&self, frame: &Frame<'_>) -> usize {
        match self.segments(frame) {
            Some((layout, size)) => frame.length().saturating_sub(layout.headers).div_ceil(size.max(1)),
            None => frame.length().div_ceil(BUFFER_SIZE),
        }
    }

    /// Whether the device has `ability`.
    #[inline]
    fn has(&self, ability: Abilities) -> bool {
        self.policy.offload && self.abilities.contains(ability)
    }

    /// Whether the switch must cut the packet into segments.
    #[inline]
    fn segments(&self, frame: &Frame<'_>) -> Option<(TcpLayout, usize)> {
        let Work::Segments { layout, size, ecn } = frame.work else { return None };
        let able = match layout.version {
            Version::V4 => Abilities::TX_TSO4,
            Version::V6 => Abilities::TX_TSO6,
        };
        let able = self.has(able | Abilities::TX_CSUM | Abilities::TX_CHAIN)
            && (!ecn || self.has(Abilities::TSO_ECN));
        (!able).then_some((layout, size))
    }

    /// Whether there are `count` buffers to send from. Otherwise the driver is asked to tell when it has sent some.
    #[inline]
    pub fn has_room(&mut self, count: usize) -> bool {
        if self.room() >= count {
            return true;
        }
        self.collect();
        let fits = self.room() >= count;
        self.link.ask_for_transmitted(!fits);
        fits
    }

    #[inline]
    fn room(&self) -> usize {
        (self.tx_out.count() - self.tx_out.outstanding()) as usize
    }

    /// Takes sent buffers back.
    #[inline]
    fn collect(&mut self) {
        while let Some(buffer) = self.link.transmitted() {
            let known = self.tx.offset(buffer.offset).map(|offset| self.tx_out.unmark(offset as u64));
            if !matches!(known, Some(Ok(()))) {
                self.lose(Loss::BadBuffer);
            }
        }
    }

    /// Copies a packet to buffers and sends them. There is room.
    ///
    /// # Errors
    /// When the packet is lost.
    #[inline]
    pub fn send(&mut self, frame: &Frame<'_>) -> Result<(), Loss> {
        match self.segments(frame) {
            Some((layout, size)) => self.send_segments(frame, layout, size),
            None => self.send_whole(frame),
        }
    }

    #[inline]
    fn send_whole(&mut self, frame: &Frame<'_>) -> Result<(), Loss> {
        let complete = !self.has(Abilities::TX_CSUM);
        let offload = match frame.work {
            Work::Checksum { .. } if complete => Offload::default(),
            Work::Validated => Offload::default(),
            work => work.offload(),
        };
        let mut offsets: Vec<usize, MAX_BUFFERS> = Vec::new();
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        let mut left = frame.length();
        while left > 0 {
            let Some(offset) = self.tx_out.take() else { break };
            let length = left.min(BUFFER_SIZE);
            left -= length;
            // A packet of more buffers than these can hold is longer than any packet.
            let _ = offsets.push(offset as usize);
            let _ = buffers.push(Buffer { offset: self.tx.bus + offset, length: length as u16 });
        }
        let places = Places { region: self.tx.region, offsets: &offsets, room: BUFFER_SIZE };
        let written = left == 0 && write_whole(frame, places, complete);
        for (offset, buffer) in offsets.iter().zip(&buffers) {
            self.tx.clean(*offset, buffer.length.into());
        }
        if written && self.link.transmit(&buffers, &offload).is_ok() {
            self.counters.to += 1;
            return Ok(());
        }
        for offset in offsets {
            // Taken above.
            let _ = self.tx_out.unmark(offset as u64);
        }
        Err(if written { Loss::Down } else { Loss::Malformed })
    }

    #[inline]
    fn send_segments(&mut self, frame: &Frame<'_>, layout: TcpLayout, size: usize) -> Result<(), Loss> {
        let mut segments =
            Segments::new(frame.head(), layout, frame.length(), size).ok_or(Loss::Malformed)?;
        let mut reader = frame.reader(segments.headers());
        for index in 0..segments.count() {
            let offset = self.tx_out.take().ok_or(Loss::Down)?;
            let sent =
                segments.write(index, &mut reader, &self.tx.region, offset as usize).is_some_and(|length| {
                    self.tx.clean(offset as usize, length);
                    let buffer = Buffer { offset: self.tx.bus + offset, length: length as u16 };
                    self.link.transmit(&[buffer], &Offload::default()).is_ok()
                });
            if !sent {
                // Taken above.
                let _ = self.tx_out.unmark(offset);
                return Err(Loss::Down);
            }
            self.counters.to += 1;
        }
        Ok(())
    }

    /// Nobody waits for room any more.
    #[inline]
    pub fn stop_asking(&mut self) {
        self.link.ask_for_transmitted(false);
    }

    /// Shows the driver what was done. Gives whether to notify it.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.link.commit()
    }

    /// Asks to be notified. Gives whether the caller may sleep.
    #[inline]
    pub fn wait(&mut self) -> bool {
        !self.is_up() || self.link.wait()
    }

    /// The reason the driver was cut off, once.
    #[inline]
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.link.take_error()
    }

    /// The driver has been cut off: a new epoch with it, unless that has not helped several times. Gives whether there is one.
    #[cold]
    pub fn begin_again(&mut self) -> bool {
        self.failures += 1;
        let again = self.failures <= MAX_FAILURES;
        if again {
            self.link.restart();
        }
        again
    }

    /// Buffers that the driver has: to receive into, to send from.
    #[cfg(test)]
    pub(crate) fn outstanding(&self) -> (u32, u32) {
        (self.rx_out.outstanding(), self.tx_out.outstanding())
    }
}
