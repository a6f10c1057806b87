// SPDX-License-Identifier: BSD-2-Clause
//! Links that carry packets: driver, switch, and whoever sends and receives.
//!
//! Four queues, seen from the client: packets to send, their buffers back, empty buffers to receive into, received packets.
//! A packet is one buffer or a chain of them. The server takes a packet or an empty buffer only when what it
//! owes for it has a place, so that giving buffers back and delivering cannot fail for a slow client: such a client just gets
//! no more.

mod client;
mod entry;
mod info;
mod server;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use entry::{Buffer, Gso, MAX_BUFFERS, Offload, OffloadFlags};
pub use entry::{BufferEntry, PacketEntry};
pub use info::{Abilities, Info};
pub use server::Server;

use heapless::Vec;

use crate::link::{LayoutError, largest_capacity};
use crate::pages::Memory;
use crate::queue::{Bulkhead, Consumer, Entry, Full, Producer, Wire};

/// Bytes of a packet buffer.
pub const BUFFER_SIZE: usize = 2048;

/// Where the queues lie in a region, in this order, all of the same capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Entries in each queue.
    pub capacity: u32,
    /// Byte offset of the queue of packets to send.
    pub tx: usize,
    /// Byte offset of the queue of received packets.
    pub rx: usize,
    /// Byte offset of the queue of sent buffers.
    pub tx_done: usize,
    /// Byte offset of the queue of empty buffers.
    pub rx_free: usize,
}

impl Layout {
    /// The layout of a region of `size` bytes. Both sides derive the same.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn of(size: usize) -> Result<Self, LayoutError> {
        let (packet, buffer) = (PacketEntry::STRIDE, BufferEntry::STRIDE);
        let capacity = largest_capacity(size, &[packet, packet, buffer, buffer])?;
        let length = |stride: usize| Bulkhead::ENTRIES + stride * capacity as usize;
        let tx = crate::link::HEADER_SIZE;
        let rx = tx + length(packet);
        let tx_done = rx + length(packet);
        let rx_free = tx_done + length(buffer);
        Ok(Self { capacity, tx, rx, tx_done, rx_free })
    }
}

/// Pushes a packet, all or nothing.
#[inline]
fn push_packet<M: Memory>(
    queue: &mut Producer<PacketEntry, M>,
    buffers: &[Buffer],
    offload: &Offload,
) -> Result<(), Full> {
    let count = buffers.len() as u32;
    if buffers.is_empty()
        || buffers.len() > MAX_BUFFERS
        || count > queue.capacity()
        || !queue.has_space(count)
    {
        return Err(Full);
    }
    let mut offload = Some(offload);
    for (index, &buffer) in buffers.iter().enumerate() {
        queue.push(PacketEntry::new(buffer, index + 1 < buffers.len(), offload.take()))?;
    }
    Ok(())
}

/// What taking a packet came to.
enum Taken {
    Packet(Offload),
    /// Nothing there, or not enough room for what is owed.
    Nothing,
    /// No end, too long, or an empty buffer in it.
    Malformed(u64),
}

/// Pops a packet if its number of buffers `fits`. A chain is published as a whole, so its entries are all known.
#[inline]
fn pop_packet<M: Memory, const N: usize>(
    queue: &mut Consumer<PacketEntry, M>,
    buffers: &mut Vec<Buffer, N>,
    fits: impl FnOnce(u32) -> bool,
) -> Taken {
    buffers.clear();
    let mark = queue.mark();
    let Some(first) = queue.pop() else { return Taken::Nothing };
    let mut entry = first;
    loop {
        if entry.buffer().length == 0 || buffers.push(entry.buffer()).is_err() {
            return Taken::Malformed(first.buffer().offset);
        }
        if !entry.has_more() {
            break;
        }
        match queue.pop_known() {
            Some(next) => entry = next,
            None => return Taken::Malformed(first.buffer().offset),
        }
    }
    if fits(buffers.len() as u32) {
        Taken::Packet(first.offload())
    } else {
        queue.rewind(mark);
        Taken::Nothing
    }
}
