// SPDX-License-Identifier: BSD-2-Clause
//! The side that sends and receives.

use heapless::Vec;

use super::{
    Abilities, Buffer, BufferEntry, Info, Layout, Offload, PacketEntry, Taken, pop_packet, push_packet,
};
use crate::link::{End, Kind, LayoutError, LinkError, Role, State};
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Full, Producer};

/// Packets to send and their buffers back, empty buffers and received packets.
type Queues<M> = (
    (Producer<PacketEntry, M>, Consumer<BufferEntry, M>),
    (Producer<BufferEntry, M>, Consumer<PacketEntry, M>),
);

/// The client's end of a network link.
///
/// One round: [`poll`](Self::poll); [`receive`](Self::receive) and [`transmitted`](Self::transmitted) until there is
/// none; [`transmit`](Self::transmit) and [`supply`](Self::supply); notify the peer if [`commit`](Self::commit) says so;
/// sleep if [`wait`](Self::wait) says so, else another round.
#[derive(Debug)]
pub struct Client<M = SharedPages> {
    end: End<M, Queues<M>>,
}

impl<M: Memory> Client<M> {
    /// The client's end in `memory`, beginning a new epoch. [`Self::commit`] then says that the peer is to be notified.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn new(memory: M) -> Result<Self, LayoutError> {
        let size = memory.size();
        let Layout { capacity, tx, rx, tx_done, rx_free } = Layout::of(size)?;
        let error = LayoutError { size };
        let queues = (
            (
                Producer::new(memory.clone(), tx, capacity).ok_or(error)?,
                Consumer::new(memory.clone(), tx_done, capacity).ok_or(error)?,
            ),
            (
                Producer::new(memory.clone(), rx_free, capacity).ok_or(error)?,
                Consumer::new(memory.clone(), rx, capacity).ok_or(error)?,
            ),
        );
        Ok(Self { end: End::open(memory, Role::Client, Kind::Net, queues) })
    }

    /// A look at the link. Never [`State::PeerRestarted`]. After [`State::Fresh`] the server knows of no buffer any more:
    /// all are this side's; supply empty ones again.
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// Whether the link was up at the last look.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.end.is_up()
    }

    /// Sends the packet in `buffers`, all or nothing. The buffers are the server's until [`Self::transmitted`] gives them back.
    ///
    /// # Errors
    /// [`Full`] when there is no place (then [`Self::wait`] also waits for space), the link is down, or there are no
    /// buffers, more than [`super::MAX_BUFFERS`] or than the queue has places at all.
    #[inline]
    pub fn transmit(&mut self, buffers: &[Buffer], offload: &Offload) -> Result<(), Full> {
        push_packet(&mut self.end.queues.0.0, buffers, offload)
    }

    /// Number of buffers that can be sent now.
    #[inline]
    pub fn transmit_space(&mut self) -> u32 {
        self.end.queues.0.0.space()
    }

    /// A buffer that was sent. Its offset is what the server wrote: check that it is one of those outstanding
    /// ([`crate::inflight::Buffers`]).
    #[inline]
    pub fn transmitted(&mut self) -> Option<Buffer> {
        self.end.queues.0.1.pop().map(Buffer::from)
    }

    /// Gives the server an empty buffer to receive into.
    ///
    /// # Errors
    /// [`Full`] when there is no place or the link is down.
    #[inline]
    pub fn supply(&mut self, buffer: Buffer) -> Result<(), Full> {
        self.end.queues.1.0.push(buffer.into())
    }

    /// Number of empty buffers that can be supplied now.
    #[inline]
    pub fn supply_space(&mut self) -> u32 {
        self.end.queues.1.0.space()
    }

    /// The next received packet; its buffers go to `buffers` and are this side's again. Offsets and lengths are what the
    /// server wrote: check them. A malformed packet, or one of more than `N` buffers, cuts the server off.
    #[inline]
    pub fn receive<const N: usize>(&mut self, buffers: &mut Vec<Buffer, N>) -> Option<Offload> {
        match pop_packet(&mut self.end.queues.1.1, buffers, |_| true) {
            Taken::Packet(offload) => Some(offload),
            Taken::Nothing => None,
            Taken::Malformed(id) => {
                self.end.cut(LinkError::Chain { id });
                None
            }
        }
    }

    /// Whether [`Self::wait`] also waits for sent buffers: yes at the start of an epoch. A client with enough buffers
    /// saves notifications by collecting them when it comes along.
    #[inline]
    pub fn ask_for_transmitted(&mut self, asking: bool) {
        self.end.queues.0.1.ask(asking);
    }

    /// Shows the server everything sent, supplied and taken. Gives whether to notify it.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// Asks to be notified of the next packet or sent buffer, and of space if a push failed for the lack of it. Gives
    /// whether the caller may sleep; `false`: there is something to do already.
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.end.wait()
    }

    /// Tells the server which of its `RX_` abilities and `TSO_ECN` this side takes: none until this is called. Packets that are
    /// on the way may still be of another form.
    pub fn set_accepted(&mut self, abilities: Abilities) {
        self.end.set_accepted(abilities.bits());
    }

    /// The network, if the link is up and the server has described it.
    pub fn info(&self) -> Option<Info> {
        self.end.info().map(Info::from_words)
    }

    /// The network, if its description is new since the last call or since the link came up.
    pub fn changed_info(&mut self) -> Option<Info> {
        self.end.changed_info().map(Info::from_words)
    }

    /// The reason the server was cut off, once. It may come back by a restart of its or of this side.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.end.take_error()
    }

    /// Begins a new epoch, as if this side had restarted.
    pub fn restart(&mut self) {
        self.end.restart();
    }

    /// Entries in each queue.
    pub fn capacity(&self) -> u32 {
        self.end.queues.0.0.capacity()
    }
}
