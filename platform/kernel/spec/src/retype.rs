// SPDX-License-Identifier: BSD-2-Clause
//! Untyped memory (manual 2.4; `seL4_Untyped_Retype`).

use crate::cap::{Cap, FrameRights};
use crate::error::{Error, Lookup};
use crate::state::{
    Config, Endpoint, Holder, Notification, Obj, SchedContext, Slot, State, Tcb, ThreadState, Vcpu,
};
use crate::syscall::{Invocation, Words};
use kernel_abi::{CapRights, ObjectType, RETYPE_FAN_OUT_LIMIT, object};
use std::collections::BTreeMap;

impl State {
    /// log2 of the size of an object of type `kind`, for which the user asked `size_bits`.
    fn object_bits(&self, kind: ObjectType, size_bits: u64) -> u64 {
        match kind {
            ObjectType::Untyped | ObjectType::SchedContext => size_bits,
            ObjectType::CNode => size_bits + object::SLOT_BITS,
            ObjectType::Tcb => self.config.tcb_bits,
            ObjectType::Endpoint => object::ENDPOINT_BITS,
            ObjectType::Notification => object::NOTIFICATION_BITS,
            ObjectType::Reply => object::REPLY_BITS,
            ObjectType::HugePage => object::HUGE_PAGE_BITS,
            ObjectType::LargePage => object::LARGE_PAGE_BITS,
            ObjectType::SmallPage => object::SMALL_PAGE_BITS,
            ObjectType::VSpace => self.config.address_space.root_bits(),
            ObjectType::PageTable => object::PAGE_TABLE_BITS,
            ObjectType::Vcpu => object::VCPU_BITS,
        }
    }

    /// `UntypedRetype(type, size_bits, root, node_index, node_depth, node_offset, num_objects)`: makes
    /// `num_objects` objects and puts capabilities to them in consecutive slots of one CNode, `node_offset` on.
    ///
    /// An untyped without children starts from its beginning again, and its memory is zeroed then. Objects are
    /// placed at the next address aligned to their size.
    ///
    /// Changes: the slots, the watermark of the untyped, the new objects; at a restart also the memory in it.
    pub(crate) fn untyped_retype(&mut self, slot: Slot, cap: Cap, call: &Invocation) -> Result<Words, Error> {
        let Cap::Untyped { base, bits, device, used } = cap else { return Err(Error::IllegalOperation) };
        call.needs(6, 1)?;
        let kind = ObjectType::from_number(call.words[0]).ok_or(Error::InvalidArgument(0))?;
        let size_bits = call.words[1];
        let (node_index, node_depth) = (call.words[2], call.words[3]);
        let (offset, count) = (call.words[4], call.words[5]);
        if size_bits >= 64 || self.object_bits(kind, size_bits) > object::MAX_UNTYPED_BITS {
            return Err(Error::Range(0, object::MAX_UNTYPED_BITS));
        }
        let object_bits = self.object_bits(kind, size_bits);
        let least = match kind {
            ObjectType::CNode => 1,
            ObjectType::Untyped => object::MIN_UNTYPED_BITS,
            ObjectType::SchedContext => object::MIN_SCHED_CONTEXT_BITS,
            _ => 0,
        };
        if size_bits < least {
            return Err(Error::InvalidArgument(1));
        }
        let root = self.cap(call.extra[0]);
        let node = if node_depth == 0 {
            root
        } else {
            let slot = self.lookup_target(root, node_index, node_depth, false)?;
            self.cap(slot)
        };
        let Some(Cap::CNode { obj: node, radix, .. }) = node else {
            let why = Lookup::MissingCapability { bits_left: node_depth };
            return Err(Error::FailedLookup { source: false, why });
        };
        let node_size = 1 << radix;
        if offset >= node_size {
            return Err(Error::Range(0, node_size - 1));
        }
        if !(1..=RETYPE_FAN_OUT_LIMIT).contains(&count) {
            return Err(Error::Range(1, RETYPE_FAN_OUT_LIMIT));
        }
        if count > node_size - offset {
            return Err(Error::Range(1, node_size - offset));
        }
        let target = |i| Slot { holder: Holder::CNode(node, radix), index: offset + i };
        for i in 0..count {
            self.require_empty(target(i))?;
        }
        let restart = !self.has_children(slot);
        let used = if restart { 0 } else { used };
        let free = (1 << bits) - used;
        if free >> object_bits < count {
            return Err(Error::NotEnoughMemory(free));
        }
        let is_frame = matches!(kind, ObjectType::SmallPage | ObjectType::LargePage | ObjectType::HugePage);
        if device && !is_frame && kind != ObjectType::Untyped {
            return Err(Error::InvalidArgument(1));
        }

        if restart && !device {
            let end = base.0 + (1 << bits);
            self.memory.retain(|&at, _| at < base.0 || at >= end);
        }
        let start = (base.0 + used).next_multiple_of(1 << object_bits);
        let used = start - base.0 + (count << object_bits);
        self.caps.insert(slot, Cap::Untyped { base, bits, device, used });
        for i in 0..count {
            let cap = self.create(kind, Obj(start + (i << object_bits)), size_bits, device);
            self.insert_new(cap, slot, target(i));
        }
        Ok(vec![])
    }

    /// A new object in its first state, and the first capability to it, with all rights.
    ///
    /// Changes: the object.
    fn create(&mut self, kind: ObjectType, obj: Obj, size_bits: u64, device: bool) -> Cap {
        let rights = FrameRights { read: true, write: true };
        match kind {
            ObjectType::Untyped => Cap::Untyped { base: obj, bits: size_bits, device, used: 0 },
            ObjectType::Tcb => {
                self.tcbs.insert(obj, Tcb::new(&self.config));
                Cap::Tcb { obj }
            }
            ObjectType::Endpoint => {
                self.endpoints.insert(obj, Endpoint::default());
                Cap::Endpoint { obj, badge: 0, rights: CapRights::ALL.0 }
            }
            ObjectType::Notification => {
                self.notifications.insert(obj, Notification::default());
                Cap::Notification { obj, badge: 0, rights: CapRights::READ | CapRights::WRITE }
            }
            ObjectType::CNode => Cap::CNode { obj, radix: size_bits, guard: 0, guard_bits: 0 },
            ObjectType::SchedContext => {
                self.sched_contexts.insert(obj, SchedContext::default());
                Cap::SchedContext { obj, bits: size_bits }
            }
            ObjectType::Reply => {
                self.replies.insert(obj, None);
                Cap::Reply { obj, can_grant: true }
            }
            ObjectType::HugePage | ObjectType::LargePage | ObjectType::SmallPage => {
                Cap::Frame { obj, bits: self.object_bits(kind, 0), rights, device, mapping: None }
            }
            ObjectType::VSpace => {
                self.tables.insert(obj, BTreeMap::new());
                Cap::VSpace { obj, asid: None }
            }
            ObjectType::PageTable => {
                self.tables.insert(obj, BTreeMap::new());
                Cap::PageTable { obj, mapping: None }
            }
            ObjectType::Vcpu => {
                self.vcpus.insert(obj, Vcpu::default());
                Cap::Vcpu { obj }
            }
        }
    }
}

impl Tcb {
    /// A new thread: inactive, priority 0, no authority, registers zero but for a user-mode SPSR.
    pub fn new(config: &Config) -> Self {
        let mut regs = [0; kernel_abi::context::WORDS];
        regs[kernel_abi::context::stored::SPSR] = crate::tcb::user_spsr(config);
        Self {
            state: ThreadState::Inactive,
            fault: None,
            regs,
            fault_ip: 0,
            priority: 0,
            mcp: 0,
            sched_context: None,
            yield_to: None,
            notification: None,
            buffer: 0,
            vcpu: None,
            flags: 0,
            domain: 0,
            breakpoints: BTreeMap::new(),
            steps: 0,
            steps_left: 0,
        }
    }
}
