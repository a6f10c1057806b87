// SPDX-License-Identifier: BSD-2-Clause
//! Network queues with the layout of sDDF 0.7: 16-bit indices, one buffer a packet, no offload data, a flag that the
//! consumer clears to be notified. Sending and receiving are separate pairs of queues, often to different components; each
//! role has an end for either.

use super::{End, consumer, producer};
use crate::PeerMisbehaved;
use crate::link::{LayoutError, State};
use crate::net::Buffer;
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Entry, Full, Producer, Wake, Wire};

/// Either queue of a pair.
#[derive(Debug)]
enum Queue {}

impl Wire for Queue {
    const INDEX_MASK: u32 = 0xffff;
    const TAIL: usize = 0;
    const HEAD: usize = 2;
    const ENTRY_WAKE: Wake = Wake::Flag(4);
    const SPACE_WAKE: Wake = Wake::Never;
    const ENTRIES: usize = 8;
}

/// Offset or bus address at 0 (64 bits), length at 8 (16), owner at 10 (6 bits; 0 from clients and drivers).
#[derive(Debug, Clone, Copy)]
struct Descriptor(Buffer);

impl Entry for Descriptor {
    const STRIDE: usize = 16;

    #[inline(always)]
    fn read<M: Memory>(memory: &M, offset: usize) -> Self {
        let [offset, rest] = memory.read(offset);
        Self(Buffer { offset, length: rest as u16 })
    }

    #[inline(always)]
    fn write<M: Memory>(self, memory: &M, offset: usize) {
        memory.write(offset, [self.0.offset, self.0.length.into()]);
    }
}

/// A client's sides: buffers go out and come back.
type Giving<M> = (Producer<Descriptor, M, Queue>, Consumer<Descriptor, M, Queue>);
/// A server's sides.
type Returning<M> = (Consumer<Descriptor, M, Queue>, Producer<Descriptor, M, Queue>);

macro_rules! common_methods {
    () => {
        /// [`State::Fresh`] once, then [`State::Up`]; [`State::Down`] for good when the peer misbehaved.
        #[inline]
        pub fn poll(&mut self) -> State {
            self.end.poll()
        }

        /// Shows the peer what was pushed and taken. Gives whether to notify it.
        #[inline]
        #[must_use = "the peer may be asleep"]
        pub fn commit(&mut self) -> bool {
            self.end.commit()
        }

        /// Asks to be notified. Gives whether the caller may sleep; `false`: there is something to do already.
        #[inline]
        pub fn wait(&mut self) -> bool {
            self.end.wait()
        }

        /// The reason the peer was cut off, once.
        pub fn take_error(&mut self) -> Option<PeerMisbehaved> {
            self.end.take_error()
        }
    };
}

/// The sending side of a client.
#[derive(Debug)]
pub struct TxClient<M = SharedPages> {
    end: End<M, Giving<M>>,
}

impl<M: Memory> TxClient<M> {
    /// The end of the queues of `capacity` entries in the regions `active` and `free`. All buffers are this side's: what a
    /// client of sDDF would put into its own free queue is left out, and kept in a table ([`crate::inflight::Buffers`]).
    ///
    /// # Errors
    /// [`LayoutError`] when the capacity is no power of two or a queue does not fit into its region.
    pub fn new(active: M, free: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (producer(&active, capacity)?, consumer(&free, capacity)?);
        Ok(Self { end: End::new(active, queues) })
    }

    /// As [`crate::net::Client::transmit`].
    ///
    /// # Errors
    /// [`Full`] when there is no place.
    #[inline]
    pub fn transmit(&mut self, buffer: Buffer) -> Result<(), Full> {
        self.end.queues.0.push(Descriptor(buffer))
    }

    /// As [`crate::net::Client::transmitted`].
    #[inline]
    pub fn transmitted(&mut self) -> Option<Buffer> {
        self.end.queues.1.pop().map(|Descriptor(buffer)| buffer)
    }

    common_methods!();
}

/// The sending side of a server.
#[derive(Debug)]
pub struct TxServer<M = SharedPages> {
    end: End<M, Returning<M>>,
    sending: u32,
    begun: bool,
}

impl<M: Memory> TxServer<M> {
    /// As [`TxClient::new`].
    ///
    /// # Errors
    /// As [`TxClient::new`].
    pub fn new(active: M, free: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (consumer(&active, capacity)?, producer(&free, capacity)?);
        Ok(Self { end: End::new(active, queues), sending: 0, begun: false })
    }

    /// As [`crate::net::Server::packet`].
    #[inline]
    pub fn packet(&mut self) -> Option<Buffer> {
        let (active, free) = &mut self.end.queues;
        if !self.begun && active.available() > 0 {
            // A client of sDDF fills the free queue itself before its first packet. Until now nothing was pushed there.
            free.resume();
            self.begun = true;
        }
        let returnable = free.has_space(self.sending + 1);
        active.ask(returnable || !self.begun);
        if !returnable {
            return None;
        }
        let Descriptor(buffer) = active.pop()?;
        self.sending += 1;
        Some(buffer)
    }

    /// As [`crate::net::Server::give_back`].
    ///
    /// # Errors
    /// [`Full`] when the client misbehaved or more is given back than was taken.
    #[inline]
    pub fn give_back(&mut self, buffer: Buffer) -> Result<(), Full> {
        let sending = self.sending.checked_sub(1).ok_or(Full)?;
        self.end.queues.1.push(Descriptor(Buffer { length: 0, ..buffer }))?;
        self.sending = sending;
        Ok(())
    }

    common_methods!();
}

/// The receiving side of a client.
#[derive(Debug)]
pub struct RxClient<M = SharedPages> {
    end: End<M, Giving<M>>,
}

impl<M: Memory> RxClient<M> {
    /// The end of the queues of `capacity` entries in the regions `active` and `free`.
    ///
    /// # Errors
    /// As [`TxClient::new`].
    pub fn new(active: M, free: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (producer(&free, capacity)?, consumer(&active, capacity)?);
        Ok(Self { end: End::new(active, queues) })
    }

    /// As [`crate::net::Client::supply`].
    ///
    /// # Errors
    /// [`Full`] when there is no place.
    #[inline]
    pub fn supply(&mut self, buffer: Buffer) -> Result<(), Full> {
        self.end.queues.0.push(Descriptor(Buffer { length: 0, ..buffer }))
    }

    /// As [`crate::net::Client::receive`].
    #[inline]
    pub fn receive(&mut self) -> Option<Buffer> {
        self.end.queues.1.pop().map(|Descriptor(buffer)| buffer)
    }

    common_methods!();
}

/// The receiving side of a server.
#[derive(Debug)]
pub struct RxServer<M = SharedPages> {
    end: End<M, Returning<M>>,
    receiving: u32,
}

impl<M: Memory> RxServer<M> {
    /// The end of the queues of `capacity` entries in the regions `active` and `free`.
    ///
    /// # Errors
    /// As [`TxClient::new`].
    pub fn new(active: M, free: M, capacity: u32) -> Result<Self, LayoutError> {
        let queues = (consumer(&free, capacity)?.lazy(), producer(&active, capacity)?);
        Ok(Self { end: End::new(active, queues), receiving: 0 })
    }

    /// As [`crate::net::Server::buffer`].
    #[inline]
    pub fn buffer(&mut self) -> Option<Buffer> {
        let (free, active) = &mut self.end.queues;
        if !active.has_space(self.receiving + 1) {
            free.ask(false);
            return None;
        }
        let buffer = free.pop();
        free.ask(buffer.is_none());
        self.receiving += u32::from(buffer.is_some());
        buffer.map(|Descriptor(buffer)| buffer)
    }

    /// As [`crate::net::Server::deliver`].
    ///
    /// # Errors
    /// [`Full`] when the client misbehaved or more is delivered than was taken.
    #[inline]
    pub fn deliver(&mut self, buffer: Buffer) -> Result<(), Full> {
        let receiving = self.receiving.checked_sub(1).ok_or(Full)?;
        self.end.queues.1.push(Descriptor(buffer))?;
        self.receiving = receiving;
        Ok(())
    }

    common_methods!();
}
