// SPDX-License-Identifier: BSD-2-Clause
//! Messages: words, IPC buffers, capability transfer (manual 4.1, 4.2.2, 4.2.3).

use crate::cap::Cap;
use crate::error::Lookup;
use crate::state::{Obj, Slot, State, tcb_slot};
use crate::syscall::REGISTER_WORDS;
use kernel_abi::{MessageInfo, ipc};

impl State {
    /// Word of user memory at a physical address.
    pub fn word(&self, at: u64) -> u64 {
        self.memory.get(&at).copied().unwrap_or(0)
    }

    /// Writes a word of user memory.
    pub fn set_word(&mut self, at: u64, value: u64) {
        if value == 0 {
            self.memory.remove(&at);
        } else {
            self.memory.insert(at, value);
        }
    }

    /// Physical address of a thread's IPC buffer, if it has one that may be read (`write`: and written). Frames of
    /// device memory never are one.
    pub fn buffer(&self, tcb: Obj, write: bool) -> Option<u64> {
        match self.tcb_cap(tcb, tcb_slot::BUFFER) {
            Some(Cap::Frame { obj, bits, rights, device: false, .. })
                if rights.read && (rights.write || !write) =>
            {
                Some(obj.0 + (self.tcb(tcb).buffer & ((1 << bits) - 1)))
            }
            _ => None,
        }
    }

    /// The words of the message that a thread has ready.
    pub(crate) fn message_words(&self, tcb: Obj, info: MessageInfo) -> Vec<u64> {
        let regs = &self.tcb(tcb).regs[2..2 + REGISTER_WORDS];
        let buffer = self.buffer(tcb, false);
        (0..info.length())
            .map_while(|i| match regs.get(i as usize) {
                Some(&word) => Some(word),
                None => buffer.map(|b| self.word(b + ipc::IPC_BUFFER_MSG + 8 * i)),
            })
            .collect()
    }

    /// Gives a thread message words; those beyond the registers are lost when it has no writable buffer. Returns
    /// how many arrived.
    ///
    /// Changes: message registers and IPC buffer of the thread.
    pub(crate) fn write_words(&mut self, tcb: Obj, words: &[u64]) -> u64 {
        let buffer = self.buffer(tcb, true);
        for (i, &word) in (0u64..).zip(words) {
            if (i as usize) < REGISTER_WORDS {
                self.tcb_mut(tcb).regs[2 + i as usize] = word;
            } else if let Some(buffer) = buffer {
                self.set_word(buffer + ipc::IPC_BUFFER_MSG + 8 * i, word);
            } else {
                return i;
            }
        }
        words.len() as u64
    }

    /// Slots of the extra capabilities in a thread's message; or the address that names none. Without IPC buffer
    /// there are none.
    pub(crate) fn extra_caps(&self, tcb: Obj, info: MessageInfo) -> Result<Vec<Slot>, (u64, Lookup)> {
        let Some(buffer) = self.buffer(tcb, false) else { return Ok(vec![]) };
        (0..info.extra_caps())
            .map(|i| {
                let address = self.word(buffer + ipc::IPC_BUFFER_CAPS + 8 * i);
                self.lookup_slot(tcb, address).map_err(|why| (address, why))
            })
            .collect()
    }

    /// Hands the message of `sender` over to `receiver`: a fault message when it waits with a fault, else its words,
    /// and with `grant` its extra capabilities. `endpoint` is the one it went through (none for a reply).
    ///
    /// Changes: the receiver's message registers and IPC buffer, and its receive slot.
    pub(crate) fn transfer(
        &mut self,
        sender: Obj,
        endpoint: Option<Obj>,
        badge: u64,
        grant: bool,
        receiver: Obj,
    ) {
        let info = if let Some(fault) = self.tcb(sender).fault {
            let words = self.fault_words(sender, fault);
            let length = self.write_words(receiver, &words);
            MessageInfo::new(fault.label(), 0, 0, length)
        } else {
            let info = MessageInfo(self.tcb(sender).regs[1]);
            let extra = if grant { self.extra_caps(sender, info).unwrap_or_default() } else { vec![] };
            let words = self.message_words(sender, info);
            let length = self.write_words(receiver, &words);
            let (transferred, unwrapped) = self.transfer_caps(&extra, endpoint, receiver);
            MessageInfo::new(info.label(), unwrapped, transferred, length)
        };
        let tcb = self.tcb_mut(receiver);
        tcb.regs[1] = info.0;
        tcb.regs[0] = badge;
    }

    /// Transfers extra capabilities in order. One that names `endpoint` arrives as its badge (unwrapped); the first
    /// other one is derived into the receive slot; whatever cannot be transferred ends it. Returns how many arrived
    /// and the set of unwrapped ones.
    ///
    /// Changes: the receiver's IPC buffer (badges) and receive slot, the derivation tree.
    fn transfer_caps(&mut self, extra: &[Slot], endpoint: Option<Obj>, receiver: Obj) -> (u64, u64) {
        let Some(buffer) = self.buffer(receiver, true) else { return (0, 0) };
        let mut receive_slot = if extra.is_empty() { None } else { self.receive_slot(receiver, buffer) };
        let mut unwrapped = 0;
        for (i, &slot) in (0..).zip(extra) {
            match self.cap(slot) {
                Some(Cap::Endpoint { obj, badge, .. }) if Some(obj) == endpoint => {
                    self.set_word(buffer + ipc::IPC_BUFFER_CAPS + 8 * i, badge);
                    unwrapped |= 1 << i;
                }
                Some(cap) => match (receive_slot.take(), self.derive(slot, cap)) {
                    (Some(target), Ok(Some(new))) => self.insert_derived(new, slot, target),
                    _ => return (i, unwrapped),
                },
                None => return (i, unwrapped),
            }
        }
        (extra.len() as u64, unwrapped)
    }

    /// The empty slot that a receiver names in its IPC buffer for a capability.
    fn receive_slot(&self, receiver: Obj, buffer: u64) -> Option<Slot> {
        let root = self.lookup_slot(receiver, self.word(buffer + ipc::IPC_BUFFER_RECEIVE_CNODE)).ok()?;
        let index = self.word(buffer + ipc::IPC_BUFFER_RECEIVE_INDEX);
        let depth = self.word(buffer + ipc::IPC_BUFFER_RECEIVE_DEPTH);
        let slot = self.lookup_target(self.cap(root), index, depth, false).ok()?;
        self.cap(slot).is_none().then_some(slot)
    }
}
