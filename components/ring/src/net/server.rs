// SPDX-License-Identifier: BSD-2-Clause
//! The side near the device.

use heapless::Vec;

use super::{
    Abilities, Buffer, BufferEntry, Info, Layout, Offload, PacketEntry, Taken, pop_packet, push_packet,
};
use crate::link::{End, Kind, LayoutError, LinkError, Role, State};
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Full, Producer};

/// Packets to send and their buffers back, empty buffers and received packets.
type Queues<M> = (
    (Consumer<PacketEntry, M>, Producer<BufferEntry, M>),
    (Consumer<BufferEntry, M>, Producer<PacketEntry, M>),
);

/// The server's end of a network link.
///
/// One round: [`poll`](Self::poll) (and [`accept`](Self::accept) when asked and drained); [`packet`](Self::packet) until
/// there is none, each buffer back with [`give_back`](Self::give_back) when sent; [`buffer`](Self::buffer) and
/// [`deliver`](Self::deliver) for what comes in; notify the peer if [`commit`](Self::commit) says so; sleep if
/// [`wait`](Self::wait) says so, else another round.
#[derive(Debug)]
pub struct Server<M = SharedPages> {
    end: End<M, Queues<M>>,
    /// Buffers of packets taken and not given back.
    sending: u32,
    /// Empty buffers taken and not delivered.
    receiving: u32,
}

impl<M: Memory> Server<M> {
    /// The server's end in `memory`, beginning a new epoch. [`Self::commit`] then says that the peer is to be notified.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn new(memory: M) -> Result<Self, LayoutError> {
        let size = memory.size();
        let Layout { capacity, tx, rx, tx_done, rx_free } = Layout::of(size)?;
        let error = LayoutError { size };
        let queues = (
            (
                Consumer::new(memory.clone(), tx, capacity).ok_or(error)?,
                Producer::new(memory.clone(), tx_done, capacity).ok_or(error)?,
            ),
            (
                Consumer::new(memory.clone(), rx_free, capacity).ok_or(error)?.lazy(),
                Producer::new(memory.clone(), rx, capacity).ok_or(error)?,
            ),
        );
        Ok(Self { end: End::open(memory, Role::Server, Kind::Net, queues), sending: 0, receiving: 0 })
    }

    /// A look at the link. [`State::PeerRestarted`] is told until [`Self::accept`]: the client's buffers must not be used
    /// any more by then.
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// Whether the link was up at the last look.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.end.is_up()
    }

    /// None of the client's old buffers is in use any more: follows it into its new epoch. The next [`Self::poll`] tells
    /// [`State::Fresh`]. Does nothing when the client has not restarted.
    pub fn accept(&mut self) {
        if self.end.accept() {
            (self.sending, self.receiving) = (0, 0);
        }
    }

    /// The next packet to send; its buffers go to `buffers` and are this side's until [`Self::give_back`]. Offsets and
    /// lengths are the client's claims: check them. A malformed packet, or one of more than `N` buffers, cuts the client
    /// off.
    #[inline]
    pub fn packet<const N: usize>(&mut self, buffers: &mut Vec<Buffer, N>) -> Option<Offload> {
        let (packets, sent) = &mut self.end.queues.0;
        let sending = self.sending;
        let mut blocked = false;
        let taken = pop_packet(packets, buffers, |count| {
            blocked = !sent.has_space(sending + count);
            !blocked
        });
        // Packets that cannot be taken do not keep the caller awake; space for their buffers does.
        packets.ask(!blocked);
        match taken {
            Taken::Packet(offload) => {
                self.sending += buffers.len() as u32;
                Some(offload)
            }
            Taken::Nothing => None,
            Taken::Malformed(id) => {
                self.end.cut(LinkError::Chain { id });
                None
            }
        }
    }

    /// Gives a buffer of a sent packet back.
    ///
    /// # Errors
    /// [`Full`] when the link is down or more is given back than was taken.
    #[inline]
    pub fn give_back(&mut self, buffer: Buffer) -> Result<(), Full> {
        let sending = self.sending.checked_sub(1).ok_or(Full)?;
        self.end.queues.0.1.push(buffer.into())?;
        self.sending = sending;
        Ok(())
    }

    /// An empty buffer to receive into. `None` when there is none (then [`Self::wait`] also waits for one), or when
    /// so many are out that a packet in it might not have a place.
    #[inline]
    pub fn buffer(&mut self) -> Option<Buffer> {
        let (empty, received) = &mut self.end.queues.1;
        if !received.has_space(self.receiving + 1) {
            empty.ask(false);
            return None;
        }
        let buffer = empty.pop();
        empty.ask(buffer.is_none());
        self.receiving += u32::from(buffer.is_some());
        buffer.map(Buffer::from)
    }

    /// Number of empty buffers that [`Self::buffer`] would give now, one after the other.
    #[inline]
    pub fn buffers(&mut self) -> u32 {
        let (empty, received) = &mut self.end.queues.1;
        empty.available().min(received.space().saturating_sub(self.receiving))
    }

    /// Delivers a packet in buffers taken before, all or nothing.
    ///
    /// # Errors
    /// [`Full`] when the link is down, or there are no buffers, more than were taken, or more than [`super::MAX_BUFFERS`].
    #[inline]
    pub fn deliver(&mut self, buffers: &[Buffer], offload: &Offload) -> Result<(), Full> {
        let receiving = self.receiving.checked_sub(buffers.len() as u32).ok_or(Full)?;
        push_packet(&mut self.end.queues.1.1, buffers, offload)?;
        self.receiving = receiving;
        Ok(())
    }

    /// Shows the client everything given back, delivered and taken. Gives whether to notify it.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// Asks to be notified of the next packet, and of empty buffers if there were none. Gives whether the caller may
    /// sleep; `false`: there is something to do already.
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.end.wait()
    }

    /// Which of the `RX_` abilities and `TSO_ECN` the client takes now: only these forms of packets may be delivered.
    #[inline]
    pub fn accepted(&self) -> Abilities {
        Abilities::from_bits_retain(self.end.accepted())
    }

    /// Describes the network to the client. To be called in each life of this side; again when something changes.
    pub fn publish_info(&mut self, info: &Info) {
        self.end.publish_info(info.to_words());
    }

    /// The reason the client was cut off, once. It may come back by a restart of its or of this side.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.end.take_error()
    }

    /// Begins a new epoch, as if this side had restarted. Only when no buffer of the client is in use.
    pub fn restart(&mut self) {
        (self.sending, self.receiving) = (0, 0);
        self.end.restart();
    }

    /// Entries in each queue.
    pub fn capacity(&self) -> u32 {
        self.end.queues.0.1.capacity()
    }
}
