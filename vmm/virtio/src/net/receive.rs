// SPDX-License-Identifier: BSD-2-Clause
//! From the network to the guest (section 5.1.6.4).

use super::backend::{Backend, Received};
use super::{Feature, Net, header};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::model::Progress;
use crate::queue::{Chain, Queue};

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The guest has it.
    Given,
    /// Nobody gets it.
    Dropped,
    /// It waits for more buffers.
    Starved,
}

impl Net {
    pub(super) fn receive<M: GuestMemory>(
        &mut self,
        queue: &mut Queue,
        memory: &M,
        backend: &mut impl Backend<M>,
        chain: &mut Chain,
    ) -> Result<Progress, Abuse> {
        for _ in 0..queue.size() {
            let Some(packet) = backend.received() else {
                queue.publish(memory)?;
                // Buffers are only missed when there is a packet.
                queue.ask_for_kick(memory, queue.size())?;
                return Ok(Progress::Done);
            };
            match self.give(queue, memory, backend, &packet, chain)? {
                End::Given => self.counters.received = self.counters.received.wrapping_add(1),
                End::Dropped => self.counters.receive_dropped = self.counters.receive_dropped.wrapping_add(1),
                End::Starved => {
                    queue.publish(memory)?;
                    // Whatever the driver adds may be enough; what it has added meanwhile, too.
                    let before = queue.waiting();
                    queue.ask_for_kick(memory, before)?;
                    if queue.waiting() == before {
                        return Ok(Progress::Done);
                    }
                    continue;
                }
            }
            backend.done();
        }
        queue.publish(memory)?;
        Ok(Progress::More)
    }

    /// Gives the guest a packet. Buffers that were taken for one that then needs more are left in the queue.
    #[inline]
    fn give<M: GuestMemory>(
        &self,
        queue: &mut Queue,
        memory: &M,
        backend: &mut impl Backend<M>,
        packet: &Received,
        chain: &mut Chain,
    ) -> Result<End, Abuse> {
        let Some(header) = header::build(self, &packet.offload) else { return Ok(End::Dropped) };
        let mergeable = self.has(Feature::MRG_RXBUF);
        let (mut chains, mut offset, mut count_at) = (0u16, 0u32, [0u64; 2]);
        loop {
            if !queue.pop(memory, chain)? {
                queue.undo(chains, chains);
                // With all buffers there are, it will never fit.
                return Ok(if chains == queue.size() { End::Dropped } else { End::Starved });
            }
            chains += 1;
            let mut written = 0;
            if chains == 1 {
                let at = |byte| chain.writable_at(header::BUFFERS + byte);
                let (Some(low), Some(high)) = (at(0), at(1)) else {
                    return Err(Abuse::Missing { what: "place for a header", head: chain.head() });
                };
                count_at = [low, high];
                if !chain.write_front(memory, &header) {
                    return Err(Abuse::Missing { what: "place for a header", head: chain.head() });
                }
                written = header::SIZE as u32;
            }
            let length = chain.writable_bytes().min(packet.length - offset);
            if length == 0 && packet.length != offset && chains > 1 {
                return Err(Abuse::Missing { what: "place for a packet", head: chain.head() });
            }
            if !mergeable && length < packet.length {
                queue.undo(1, 0);
                return Ok(End::Dropped);
            }
            if length > 0 && !backend.copy(offset, length, chain.writable(), memory) {
                queue.undo(chains, chains - 1);
                return Ok(End::Dropped);
            }
            offset += length;
            queue.push_used(memory, chain.head(), written + length)?;
            if offset == packet.length {
                break;
            }
        }
        if chains > 1 {
            for (at, byte) in count_at.into_iter().zip(chains.to_le_bytes()) {
                memory.write(at, &[byte]).ok_or(Abuse::OutsideMemory { address: at, length: 1 })?;
            }
        }
        Ok(End::Given)
    }
}
