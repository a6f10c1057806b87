// SPDX-License-Identifier: BSD-2-Clause
//! From the guest to the network (section 5.1.6.2).

use super::backend::{Backend, Offload, Segmentation};
use super::{Net, STANDARD_MTU, header};
use crate::abuse::Abuse;
use crate::memory::GuestMemory;
use crate::model::Progress;
use crate::queue::{Chain, Queue};

/// An Ethernet header.
const SHORTEST: u32 = 14;
/// Ethernet header and two VLAN tags, beside the payload.
const FRAME: u32 = 14 + 8;
/// The largest IP packet.
const LARGEST_PAYLOAD: u32 = 0xffff;

impl Net {
    pub(super) fn transmit<M: GuestMemory>(
        &mut self,
        queue: &mut Queue,
        memory: &M,
        backend: &mut impl Backend<M>,
        chain: &mut Chain,
    ) -> Result<Progress, Abuse> {
        let mut left = queue.size();
        loop {
            while queue.pop(memory, chain)? {
                let head = chain.head();
                if !self.send(memory, backend, chain)? {
                    // The back end calls when it has room.
                    queue.undo(1, 0);
                    queue.publish(memory)?;
                    queue.ask_for_kick(memory, queue.size())?;
                    return Ok(Progress::Done);
                }
                queue.push_used(memory, head, 0)?;
                left -= 1;
                if left == 0 {
                    queue.publish(memory)?;
                    return Ok(Progress::More);
                }
            }
            queue.publish(memory)?;
            // With a quarter of the queue it never has to stop for want of room.
            let patience = backend.patience().min(queue.size() / 4);
            if !queue.ask_for_kick(memory, patience)? {
                return Ok(Progress::Done);
            }
        }
    }

    /// Sends the packet in `chain`, or drops it; false when the network has no room.
    #[inline]
    fn send<M: GuestMemory>(
        &mut self,
        memory: &M,
        backend: &mut impl Backend<M>,
        chain: &mut Chain,
    ) -> Result<bool, Abuse> {
        let mut header = [0; header::SIZE];
        if !chain.read_front(memory, &mut header) {
            return Err(Abuse::Missing { what: "header", head: chain.head() });
        }
        let length = chain.readable_bytes();
        let Some(offload) = header::parse(self, header, length).filter(|offload| self.fits(offload, length))
        else {
            self.counters.send_dropped = self.counters.send_dropped.wrapping_add(1);
            return Ok(true);
        };
        let sent = backend.send(&offload, length, chain.readable(), memory).is_ok();
        self.counters.sent = self.counters.sent.wrapping_add(sent.into());
        Ok(sent)
    }

    /// Whether this can be a frame.
    #[inline]
    fn fits(&self, offload: &Offload, length: u32) -> bool {
        let payload = match (offload.segmentation, self.info.mtu) {
            (Segmentation::None, 0) => STANDARD_MTU.into(),
            (Segmentation::None, mtu) => mtu.into(),
            _ => LARGEST_PAYLOAD,
        };
        (SHORTEST..=payload + FRAME).contains(&length)
    }
}
