// SPDX-License-Identifier: BSD-2-Clause
//! `Untyped_Retype`: making objects of untyped memory.

use crate::addr::PhysAddr;
use crate::cap::{Cap, CapWords, FrameRights, FrameSize};
use crate::cdt::NewObjects;
use crate::cspace::slot_of;
use crate::error::{Error, Lookup};
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{Endpoint, Notification, Reply, SchedContext, Slot, Tcb, Vcpu};
use crate::machine::Machine;
use kernel_abi::object::{self as size, ObjectType};
use kernel_abi::{Invocation, RETYPE_FAN_OUT_LIMIT};

/// Bytes that are zeroed between two preemption points.
const ZERO_PIECE: u64 = 64 << 10;
/// Bytes at the start of new objects that a note may have been in: a cache line, written back as a whole. (Objects that
/// take more than a piece together are larger.)
const NOTE_BYTES: u64 = 64;

impl<M: Machine> Kernel<M> {
    /// log2 of the bytes of an object; `None` for a size argument that the type does not take.
    pub fn object_bits(&self, kind: ObjectType, size_bits: u64) -> Option<u64> {
        Some(match kind {
            ObjectType::Untyped if size_bits < size::MIN_UNTYPED_BITS => return None,
            ObjectType::SchedContext if size_bits < size::MIN_SCHED_CONTEXT_BITS => return None,
            ObjectType::CNode if size_bits == 0 => return None,
            ObjectType::Untyped | ObjectType::SchedContext => size_bits,
            ObjectType::CNode => size_bits + size::SLOT_BITS,
            ObjectType::Tcb => Self::TCB_BITS,
            ObjectType::Endpoint => size::ENDPOINT_BITS,
            ObjectType::Notification => size::NOTIFICATION_BITS,
            ObjectType::Reply => size::REPLY_BITS,
            ObjectType::HugePage => size::HUGE_PAGE_BITS,
            ObjectType::VSpace => self.m.address_space().root_bits(),
            ObjectType::SmallPage => size::SMALL_PAGE_BITS,
            ObjectType::LargePage => size::LARGE_PAGE_BITS,
            ObjectType::PageTable => size::PAGE_TABLE_BITS,
            ObjectType::Vcpu => size::VCPU_BITS,
        })
    }

    /// `Untyped_Retype`.
    pub fn decode_untyped(&mut self, slot: Slot, cap: Cap, msg: &Message) -> Outcome {
        let Cap::Untyped { at, bits, device, used, zeroing } = cap else {
            return Err(Error::InvalidCapability(0).into());
        };
        if msg.invocation != Some(Invocation::UntypedRetype) {
            return Err(Error::IllegalOperation.into());
        }
        self.require(msg, 6, 1)?;
        let [kind, size_bits, index, depth, offset, count] = [0, 1, 2, 3, 4, 5].map(|i| self.arg(msg, i));
        let (_, root) = self.extra(msg, 0)?;
        let kind = ObjectType::from_number(kind).ok_or(Error::InvalidArgument(0))?;
        let too_large = match kind {
            ObjectType::Untyped | ObjectType::SchedContext => size_bits > size::MAX_UNTYPED_BITS,
            ObjectType::CNode => size_bits > size::MAX_UNTYPED_BITS - size::SLOT_BITS,
            // Ignored, but has to be a number of bits.
            _ => size_bits >= u64::from(u64::BITS),
        };
        if too_large {
            return Err(Error::Range(0, size::MAX_UNTYPED_BITS).into());
        }
        let object_bits = self.object_bits(kind, size_bits).ok_or(Error::InvalidArgument(1))?;

        let node =
            if depth == 0 { root } else { self.lookup_target(root, index, depth, false)?.cap(&self.m) };
        let Cap::CNode { at: first, radix, .. } = node else {
            let missing = Lookup::MissingCapability { bits_left: depth };
            return Err(Error::FailedLookup(false, missing).into());
        };
        let slots = 1u64 << radix;
        if offset > slots - 1 {
            return Err(Error::Range(0, slots - 1).into());
        }
        if !(1..=RETYPE_FAN_OUT_LIMIT).contains(&count) {
            return Err(Error::Range(1, RETYPE_FAN_OUT_LIMIT).into());
        }
        if count > slots - offset {
            return Err(Error::Range(1, slots - offset).into());
        }
        let first = slot_of(first, offset);
        self.require_empty_range(first, count)?;

        // Without children all of it is free again.
        let used = if self.has_children(slot) { used } else { 0 };
        let left = (1u64 << bits) - used;
        if object_bits > 63 || left >> object_bits < count {
            return Err(Error::NotEnoughMemory(left).into());
        }
        let is_memory = matches!(
            kind,
            ObjectType::Untyped | ObjectType::SmallPage | ObjectType::LargePage | ObjectType::HugePage
        );
        if device && !is_memory {
            return Err(Error::InvalidArgument(1).into());
        }
        let align = (1u64 << object_bits) - 1;
        let start = PhysAddr((at.0 + used + align) & !align);
        let end = start.0 + (count << object_bits);
        if end > at.0 + (1u64 << bits) {
            return Err(Error::NotEnoughMemory(left).into());
        }

        if !device && kind != ObjectType::Untyped {
            let unused = Cap::Untyped { at, bits, device, used, zeroing };
            self.zero_new(slot, unused, start, PhysAddr(end))?;
        }
        slot.set_cap(&mut self.m, Cap::Untyped { at, bits, device, used: end - at.0, zeroing: false });
        let first_cap = capability(kind, start, size_bits, device).ok_or(Error::IllegalOperation)?;
        let mut new = NewObjects::below(slot, &self.m);
        for i in 0..count {
            let object = i << object_bits;
            self.initialise(kind, start.add(object));
            let cap = first_cap.of_object_behind(object);
            let next = (i + 1 < count).then(|| slot_of(first, i + 1));
            new.insert(&mut self.m, cap, slot_of(first, i), next);
        }
        self.capabilities_came(kind);
        Ok(0)
    }

    /// New capabilities of a kind came into empty slots, past [`put`](Self::put): what is remembered of such slots goes.
    fn capabilities_came(&mut self, kind: ObjectType) {
        match kind {
            ObjectType::CNode => self.lookups.forget(),
            ObjectType::VSpace => self.forget_switches(),
            _ => {}
        }
    }

    /// Zeroes the memory of new objects, in pieces with preemption points between them.
    ///
    /// When it is stopped, the untyped capability is marked, and where the objects start and how far it came is noted in
    /// the first bytes that are not used. Nobody can write there: whatever is made of them, by this capability (or by one
    /// that it is copied to, or by an untyped that it is revoked from), goes without the mark. So the same call, made
    /// again, goes on there.
    fn zero_new(
        &mut self,
        slot: Slot,
        untyped: Cap,
        start: PhysAddr,
        end: PhysAddr,
    ) -> Result<(), crate::Stop> {
        let Cap::Untyped { at, bits, device, used, zeroing } = untyped else { return Ok(()) };
        let note = at.add(used);
        let mut done = start;
        if zeroing && self.m.load(note) == start.0 {
            done = PhysAddr(self.m.load(note.add(8)).clamp(start.0, end.0));
        }
        while done < end {
            let bytes = (end.0 - done.0).min(ZERO_PIECE);
            self.m.zero(done, bytes);
            done = done.add(bytes);
            if done < end
                && let Err(stop) = self.preemption_check()
            {
                slot.set_cap(&mut self.m, Cap::Untyped { at, bits, device, used, zeroing: true });
                self.m.store(note, start.0);
                self.m.store(note.add(8), done.0);
                return Err(stop);
            }
        }
        if zeroing && note == start {
            self.m.zero(note, NOTE_BYTES);
        }
        Ok(())
    }

    /// What a new object in zeroed memory needs: every object but a thread and a virtual CPU is ready when it is zero.
    #[inline]
    fn initialise(&mut self, kind: ObjectType, at: PhysAddr) {
        match kind {
            ObjectType::Tcb => {
                if let Some(tcb) = Tcb::at(at) {
                    self.init_thread(tcb);
                }
            }
            ObjectType::Vcpu => {
                if let Some(vcpu) = Vcpu::at(at) {
                    self.m.vcpu_init(vcpu);
                }
            }
            _ => {}
        }
    }
}

/// The capability to a new object; `None` if it cannot be at that address.
fn capability(kind: ObjectType, at: PhysAddr, size_bits: u64, device: bool) -> Option<CapWords> {
    let rights = kernel_abi::CapRights::ALL.0;
    let frame = |size| Cap::Frame {
        at,
        size,
        rights: FrameRights { read: true, write: true },
        device,
        mapping: None,
    };
    let cap = match kind {
        ObjectType::Untyped => Cap::Untyped { at, bits: size_bits as u8, device, used: 0, zeroing: false },
        ObjectType::Tcb => Cap::Thread { at: Tcb::at(at)? },
        ObjectType::Endpoint => Cap::Endpoint { at: Endpoint::at(at)?, badge: 0, rights },
        ObjectType::Notification => Cap::Notification { at: Notification::at(at)?, badge: 0, rights: 3 },
        ObjectType::CNode => {
            Cap::CNode { at: Slot::at(at)?, radix: size_bits as u8, guard: 0, guard_size: 0 }
        }
        ObjectType::SchedContext => Cap::SchedContext { at: SchedContext::at(at)?, bits: size_bits as u8 },
        ObjectType::Reply => Cap::Reply { at: Reply::at(at)?, can_grant: true },
        ObjectType::SmallPage => frame(FrameSize::Small),
        ObjectType::LargePage => frame(FrameSize::Large),
        ObjectType::HugePage => frame(FrameSize::Huge),
        ObjectType::PageTable => Cap::PageTable { at, mapping: None },
        ObjectType::VSpace => Cap::VSpace { at, asid: None },
        ObjectType::Vcpu => Cap::Vcpu { at: Vcpu::at(at)? },
    };
    Some(CapWords(cap.encode()))
}
