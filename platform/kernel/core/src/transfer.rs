// SPDX-License-Identifier: BSD-2-Clause
//! Moving a message from one thread to another: registers, IPC buffers, capabilities.

use crate::cap::Cap;
use crate::error::Lookup;
use crate::kernel::Kernel;
use crate::layout::{Endpoint, Slot, Tcb, TcbSlot};
use crate::machine::Machine;
use crate::{PhysAddr, delete};
use kernel_abi::{MessageInfo, ipc};

/// Register of the first message word (x2).
const FIRST_MESSAGE_REGISTER: usize = 2;
const REGISTERS: u64 = ipc::MSG_REGISTERS;

impl<M: Machine> Kernel<M> {
    /// Physical address of a thread's IPC buffer, if it has one that it can read (`write`: and write).
    pub fn ipc_buffer(&self, tcb: Tcb, write: bool) -> Option<PhysAddr> {
        let (at, bits, writable) = tcb.slot(TcbSlot::IpcBuffer).memory_frame(&self.m)?;
        if write && !writable {
            return None;
        }
        let offset = tcb.ipc_buffer(&self.m) & ((1 << bits) - 1);
        Some(at.add(offset & !((1 << ipc::IPC_BUFFER_BITS) - 1)))
    }

    /// The buffer a thread sends from.
    pub fn send_buffer(&self, tcb: Tcb) -> Option<PhysAddr> {
        self.ipc_buffer(tcb, false)
    }

    /// Message word `index` of a thread.
    #[inline]
    pub fn message_word(&self, tcb: Tcb, buffer: Option<PhysAddr>, index: u64) -> u64 {
        if index < REGISTERS {
            tcb.reg(&self.m, FIRST_MESSAGE_REGISTER + index as usize)
        } else {
            buffer.map_or(0, |b| self.m.load(b.add(ipc::IPC_BUFFER_MSG + 8 * index)))
        }
    }

    /// Writes message word `index` of a thread.
    #[inline]
    pub fn set_message_word(&mut self, tcb: Tcb, buffer: Option<PhysAddr>, index: u64, value: u64) {
        if index < REGISTERS {
            tcb.set_reg(&mut self.m, FIRST_MESSAGE_REGISTER + index as usize, value);
        } else if let Some(buffer) = buffer
            && index < ipc::MSG_MAX_LENGTH
        {
            self.m.store(buffer.add(ipc::IPC_BUFFER_MSG + 8 * index), value);
        }
    }

    /// Slots of the extra capabilities of a message. Fails with the address that could not be looked up.
    #[inline]
    pub fn lookup_extra_caps(
        &self,
        thread: Tcb,
        buffer: Option<PhysAddr>,
        info: MessageInfo,
    ) -> Result<[Option<Slot>; 3], (u64, Lookup)> {
        let mut extra = [None; 3];
        if info.extra_caps() == 0 {
            return Ok(extra);
        }
        let Some(buffer) = buffer else { return Ok(extra) };
        for (index, slot) in (0..info.extra_caps()).zip(extra.iter_mut()) {
            let address = self.m.load(buffer.add(ipc::IPC_BUFFER_CAPS + 8 * index));
            *slot = Some(self.lookup_slot(thread, address).map_err(|l| (address, l))?);
        }
        Ok(extra)
    }

    /// Gives `receiver` the message (or the fault) of `sender`. `endpoint` is the one it went through; capabilities
    /// to that one arrive as their badge.
    pub fn transfer(
        &mut self,
        sender: Tcb,
        endpoint: Option<Endpoint>,
        badge: u64,
        grant: bool,
        receiver: Tcb,
    ) {
        let info = if sender.fault_label(&self.m) != kernel_abi::fault::NULL {
            self.fault_message(sender, receiver)
        } else {
            let info = MessageInfo(sender.reg(&self.m, 1));
            let caps = info.extra_caps() != 0 && grant;
            let to = if caps || info.length() > REGISTERS { self.ipc_buffer(receiver, true) } else { None };
            let length = self.copy_words(sender, receiver, to, info.length());
            let (extra, unwrapped) =
                if caps { self.transfer_caps(sender, endpoint, receiver, to, info) } else { (0, 0) };
            MessageInfo::new(info.label(), unwrapped, extra, length)
        };
        receiver.set_reg(&mut self.m, 1, info.0);
        receiver.set_reg(&mut self.m, 0, badge);
    }

    /// Copies the words of a message; returns how many arrived.
    fn copy_words(&mut self, sender: Tcb, receiver: Tcb, to: Option<PhysAddr>, length: u64) -> u64 {
        for index in 0..length.min(REGISTERS) as usize {
            let word = sender.reg(&self.m, FIRST_MESSAGE_REGISTER + index);
            receiver.set_reg(&mut self.m, FIRST_MESSAGE_REGISTER + index, word);
        }
        if length <= REGISTERS {
            return length;
        }
        let (Some(from), Some(to)) = (self.send_buffer(sender), to) else { return REGISTERS };
        for index in REGISTERS..length {
            let at = ipc::IPC_BUFFER_MSG + 8 * index;
            let word = self.m.load(from.add(at));
            self.m.store(to.add(at), word);
        }
        length
    }

    /// Transfers the extra capabilities: those to `endpoint` as badges, at most one other into the receiver's slot.
    /// Returns how many were handled and which of them were unwrapped.
    fn transfer_caps(
        &mut self,
        sender: Tcb,
        endpoint: Option<Endpoint>,
        receiver: Tcb,
        to: Option<PhysAddr>,
        info: MessageInfo,
    ) -> (u64, u64) {
        let from = self.send_buffer(sender);
        let Ok(extra) = self.lookup_extra_caps(sender, from, info) else { return (0, 0) };
        let Some(to) = to else { return (0, 0) };
        let mut target = self.receive_slot(receiver, to);
        let mut unwrapped = 0;
        for (index, slot) in (0u64..).zip(extra) {
            let Some(slot) = slot else { return (index, unwrapped) };
            let cap = slot.cap(&self.m);
            if let (Cap::Endpoint { at, badge, .. }, Some(endpoint)) = (cap, endpoint)
                && at == endpoint
            {
                self.m.store(to.add(ipc::IPC_BUFFER_CAPS + 8 * index), badge);
                unwrapped |= 1 << index;
                continue;
            }
            let Some(free) = target.take() else { return (index, unwrapped) };
            match self.derive(slot, cap) {
                Ok(Cap::Null) | Err(_) => return (index, unwrapped),
                Ok(derived) => self.insert_derived(derived, slot, free),
            }
        }
        (extra.len() as u64, unwrapped)
    }

    /// The empty slot that a receiver named in its IPC buffer.
    fn receive_slot(&self, receiver: Tcb, buffer: PhysAddr) -> Option<Slot> {
        let root = self.m.load(buffer.add(ipc::IPC_BUFFER_RECEIVE_CNODE));
        let index = self.m.load(buffer.add(ipc::IPC_BUFFER_RECEIVE_INDEX));
        let depth = self.m.load(buffer.add(ipc::IPC_BUFFER_RECEIVE_DEPTH));
        let (_, root) = self.lookup_cap(receiver, root).ok()?;
        let slot = self.lookup_target(root, index, depth, true).ok()?;
        slot.is_empty(&self.m).then_some(slot)
    }

    /// Derives a capability for a copy: what the copy says, or why there can be none. `Null`: none.
    pub fn derive(&self, slot: Slot, cap: Cap) -> Result<Cap, crate::Error> {
        delete::derive(self, slot, cap)
    }
}
