// SPDX-License-Identifier: BSD-2-Clause
//! Threads: life cycle, registers, invocations (manual 6.1; `seL4_TCB_*`).

use crate::cap::Cap;
use crate::error::Error;
use crate::fault::is_handler;
use crate::state::{Config, Holder, Obj, Slot, State, ThreadState, tcb_slot};
use crate::syscall::{Invocation, Words};
use kernel_abi::context::{FRAME_WORDS, ORDER, WORDS, stored};
use kernel_abi::extension::EXITS;
use kernel_abi::{CapRights, Invocation as Label, ipc};

/// SPSR of a user thread: EL0 and FIQ masked; without hardware debugging, SError too.
pub const fn user_spsr(config: &Config) -> u64 {
    if config.hw_debug { 0x40 } else { 0x140 }
}

/// Flags that exist.
const KNOWN_FLAGS: u64 = 1;

impl State {
    /// Stops a thread: it no longer waits for anything and does not run. One that was running goes on from where it
    /// was when it is resumed, one that was in a system call does that again.
    ///
    /// Changes: the thread, whatever it waited in, the queues, the scheduler.
    pub(crate) fn suspend(&mut self, tcb: Obj) {
        self.cancel_ipc(tcb);
        let thread = self.tcb_mut(tcb);
        if thread.state == ThreadState::Running {
            thread.fault_ip = thread.regs[stored::PC];
        }
        self.leave_ready_queue(tcb);
        self.leave_release_queue(tcb);
        self.cancel_yield_to(tcb);
        self.set_thread_state(tcb, ThreadState::Inactive);
    }

    /// Lets a stopped or waiting thread run from its restart address. No effect on one that could run already.
    ///
    /// Changes: as [`State::suspend`], and the refills of a sporadic scheduling context, which count from now.
    pub(crate) fn resume(&mut self, tcb: Obj) {
        if self.tcb(tcb).state.is_runnable() {
            return;
        }
        self.cancel_ipc(tcb);
        self.set_thread_state(tcb, ThreadState::Restart);
        self.note_unblocked(tcb);
        if let Some(sc) = self.tcb(tcb).sched_context {
            self.wait_for_budget_if_needed(sc);
        }
        self.possible_switch_to(tcb);
    }

    /// Sets a user register. The processor mode stays a user's; a thread with a virtual CPU may choose its guest's.
    ///
    /// Changes: the register; the program counter is also where a restart starts.
    pub(crate) fn set_user_register(&mut self, tcb: Obj, register: usize, value: u64) {
        let plain = user_spsr(&self.config);
        let thread = self.tcb_mut(tcb);
        let guest = thread.vcpu.is_some();
        thread.regs[register] = match register {
            stored::SPSR if guest && matches!(value & 0x1f, 0 | 4 | 5) => value & 0xffff_ffff,
            stored::SPSR => value & 0xf000_0000 | plain,
            _ => value,
        };
        if register == stored::PC {
            thread.fault_ip = value;
        }
    }

    /// A register as others see it; the program counter is that of the instruction that last entered the kernel
    /// (after a suspend: where the thread would go on).
    pub fn user_register(&self, tcb: Obj, register: usize) -> u64 {
        let thread = self.tcb(tcb);
        if register == stored::PC { thread.fault_ip } else { thread.regs[register] }
    }

    /// An invocation of the thread `tcb` through the capability in `slot`.
    ///
    /// Changes: see the operation.
    pub(crate) fn tcb_invocation(&mut self, slot: Slot, tcb: Obj, call: &Invocation) -> Result<Words, Error> {
        use Label::*;
        match call.label {
            Some(TcbReadRegisters) => return self.read_registers(tcb, call),
            Some(TcbWriteRegisters) => self.write_registers(tcb, call)?,
            Some(TcbCopyRegisters) => self.copy_registers(tcb, call)?,
            Some(TcbConfigure) => self.configure(slot, tcb, call)?,
            Some(TcbSetPriority) => {
                call.needs(1, 1)?;
                let mcp = self.authority(call.extra[0])?;
                allowed(call.words[0], mcp)?;
                self.set_priority(tcb, call.words[0]);
            }
            Some(TcbSetMcPriority) => {
                call.needs(1, 1)?;
                let mcp = self.authority(call.extra[0])?;
                allowed(call.words[0], mcp)?;
                self.tcb_mut(tcb).mcp = call.words[0];
            }
            Some(TcbSetSchedParams) => self.set_sched_params(slot, tcb, call)?,
            Some(TcbSetTimeoutEndpoint) => {
                call.needs(0, 1)?;
                let handler = self.handler(call.extra[0], 1)?;
                self.install(slot, tcb, tcb_slot::TIMEOUT, handler, call.extra[0]);
            }
            Some(TcbSetIpcBuffer) => {
                call.needs(1, 1)?;
                let buffer = self.buffer_cap(call.words[0], call.extra[0])?;
                self.install_buffer(slot, tcb, call.words[0], buffer, call.extra[0]);
            }
            Some(TcbSetSpace) => {
                call.needs(2, 3)?;
                self.not_being_deleted(tcb)?;
                let cspace = self.cspace_cap(call.words[0], call.extra[1])?;
                let vspace = self.vspace_cap(call.extra[2])?;
                let handler = self.handler(call.extra[0], 1)?;
                self.install(slot, tcb, tcb_slot::FAULT, handler, call.extra[0]);
                self.install(slot, tcb, tcb_slot::CSPACE, Some(cspace), call.extra[1]);
                self.install(slot, tcb, tcb_slot::VSPACE, Some(vspace), call.extra[2]);
            }
            Some(TcbSuspend) => self.suspend(tcb),
            Some(TcbResume) => self.resume(tcb),
            Some(TcbBindNotification) => self.bind_notification(tcb, call)?,
            Some(TcbUnbindNotification) => {
                if self.tcb(tcb).notification.is_none() {
                    return Err(Error::IllegalOperation);
                }
                self.unbind_notification(tcb);
            }
            Some(TcbSetTlsBase) => {
                call.needs(1, 0)?;
                self.tcb_mut(tcb).regs[stored::TPIDR] = call.words[0];
            }
            Some(TcbSetFlags) => {
                call.needs(2, 0)?;
                let known = KNOWN_FLAGS | if self.config.extension { EXITS } else { 0 };
                let flags = (self.tcb(tcb).flags & !call.words[0] | call.words[1]) & known;
                self.tcb_mut(tcb).flags = flags;
                return Ok(vec![flags]);
            }
            Some(TcbSetBreakpoint | TcbGetBreakpoint | TcbUnsetBreakpoint | TcbConfigureSingleStepping) => {
                return self.debug_invocation(tcb, call);
            }
            _ => return Err(Error::IllegalOperation),
        }
        Ok(vec![])
    }

    /// `TCBReadRegisters(suspend, count) -> registers`; not of the running thread.
    ///
    /// Changes: the thread, when it is to be suspended.
    fn read_registers(&mut self, tcb: Obj, call: &Invocation) -> Result<Words, Error> {
        call.needs(2, 0)?;
        let (flags, count) = (call.words[0], call.words[1]);
        if !(1..=WORDS as u64).contains(&count) {
            return Err(Error::Range(1, WORDS as u64));
        }
        if self.current == Some(tcb) {
            return Err(Error::IllegalOperation);
        }
        if flags & 1 != 0 {
            self.suspend(tcb);
        }
        Ok(ORDER[..count as usize].iter().map(|&r| self.user_register(tcb, r)).collect())
    }

    /// `TCBWriteRegisters(resume, count, registers)`; not of the running thread. More registers than there are, are
    /// ignored.
    ///
    /// Changes: the thread's registers; as [`State::resume`], when it is to be resumed.
    fn write_registers(&mut self, tcb: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(2, 0)?;
        let (flags, count) = (call.words[0], call.words[1]);
        if (call.words.len() as u64) - 2 < count {
            return Err(Error::TruncatedMessage);
        }
        if self.current == Some(tcb) {
            return Err(Error::IllegalOperation);
        }
        for (&register, &value) in ORDER.iter().zip(&call.words[2..2 + count as usize]) {
            self.set_user_register(tcb, register, value);
        }
        if flags & 1 != 0 {
            self.resume(tcb);
        }
        Ok(())
    }

    /// `TCBCopyRegisters(source; flags)`: bit 0 suspends the source, 1 resumes the target, 2 copies the frame, 3 the
    /// integer registers (with them the thread pointers).
    ///
    /// Changes: the target's registers; source and target as by suspend and resume.
    fn copy_registers(&mut self, tcb: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(1, 1)?;
        let flags = call.words[0];
        let Some(Cap::Tcb { obj: source }) = self.cap(call.extra[0]) else {
            return Err(Error::InvalidCapability(1));
        };
        if flags & 1 != 0 {
            self.suspend(source);
        }
        if flags & 2 != 0 {
            self.resume(tcb);
        }
        let frame = if flags & 4 != 0 { &ORDER[..FRAME_WORDS] } else { &[] };
        let integer = if flags & 8 != 0 { &ORDER[FRAME_WORDS..] } else { &[] };
        for &register in frame.iter().chain(integer) {
            // A guest's processor mode must not get into a thread without virtual CPU.
            let value = self.user_register(source, register);
            self.set_user_register(tcb, register, value);
        }
        if self.current == Some(tcb) {
            self.reschedule();
        }
        Ok(())
    }

    /// `TCBConfigure(cspace, vspace, buffer frame; cspace_data, vspace_data, buffer)`.
    ///
    /// Changes: three slots of the thread (their old capabilities are deleted), its buffer address.
    fn configure(&mut self, slot: Slot, tcb: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(3, 3)?;
        let buffer = self.buffer_cap(call.words[2], call.extra[2])?;
        self.not_being_deleted(tcb)?;
        let cspace = self.cspace_cap(call.words[0], call.extra[0])?;
        let vspace = self.vspace_cap(call.extra[1])?;
        self.install(slot, tcb, tcb_slot::CSPACE, Some(cspace), call.extra[0]);
        self.install(slot, tcb, tcb_slot::VSPACE, Some(vspace), call.extra[1]);
        self.install_buffer(slot, tcb, call.words[2], buffer, call.extra[2]);
        Ok(())
    }

    /// `TCBSetSchedParams(authority, sc, fault_ep; mcp, priority)`: an empty capability for `sc` unbinds.
    ///
    /// Changes: fault handler slot, mcp, priority, scheduling context; the scheduler.
    fn set_sched_params(&mut self, slot: Slot, tcb: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(2, 3)?;
        let (mcp, priority) = (call.words[0], call.words[1]);
        let most = self.authority(call.extra[0])?;
        allowed(mcp, most)?;
        allowed(priority, most)?;
        let bound = self.tcb(tcb).sched_context;
        let wanted = match self.cap(call.extra[1]) {
            Some(Cap::SchedContext { obj, .. }) => {
                let taken = bound != Some(obj) && (bound.is_some() || self.sc(obj).tcb.is_some());
                if taken || self.tcb(tcb).state.is_blocked() && !self.is_released(obj) {
                    return Err(Error::IllegalOperation);
                }
                Some(obj)
            }
            None if self.current == Some(tcb) => return Err(Error::IllegalOperation),
            None => None,
            Some(_) => return Err(Error::InvalidCapability(2)),
        };
        let handler = self.handler(call.extra[2], 3)?;

        self.install(slot, tcb, tcb_slot::FAULT, handler, call.extra[2]);
        self.tcb_mut(tcb).mcp = mcp;
        self.set_priority(tcb, priority);
        if wanted != bound {
            match (wanted, self.tcb(tcb).sched_context) {
                (Some(sc), _) => self.bind_thread(sc, tcb),
                (None, Some(sc)) => self.unbind_thread(sc),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Sets a priority. A thread that could run comes to the front of its new queue; one that waits is put in order
    /// again.
    ///
    /// Changes: the priority, the queue the thread is in, the scheduler.
    fn set_priority(&mut self, tcb: Obj, priority: u64) {
        let queued = self.is_queued(tcb);
        self.leave_ready_queue(tcb);
        self.tcb_mut(tcb).priority = priority;
        match self.tcb(tcb).state {
            ThreadState::Running | ThreadState::Restart if queued || self.current == Some(tcb) => {
                self.enqueue_first(tcb);
                self.reschedule();
            }
            ThreadState::BlockedOnReceive { endpoint, .. } | ThreadState::BlockedOnSend { endpoint, .. } => {
                let mut queue = self.endpoints[&endpoint].queue.clone();
                queue.retain(|&t| t != tcb);
                queue.insert(self.queue_position(&queue, tcb), tcb);
                if let Some(e) = self.endpoints.get_mut(&endpoint) {
                    e.queue = queue;
                }
            }
            ThreadState::BlockedOnNotification { notification } => {
                let mut queue = self.notifications[&notification].queue.clone();
                queue.retain(|&t| t != tcb);
                queue.insert(self.queue_position(&queue, tcb), tcb);
                self.ntfn_mut(notification).queue = queue;
            }
            _ => {}
        }
    }

    /// `TCBBindNotification(notification)`: one-to-one, needs Read, and nobody may wait for the notification.
    ///
    /// Changes: both.
    fn bind_notification(&mut self, tcb: Obj, call: &Invocation) -> Result<(), Error> {
        call.needs(0, 1)?;
        if self.tcb(tcb).notification.is_some() {
            return Err(Error::IllegalOperation);
        }
        let Some(Cap::Notification { obj, rights, .. }) = self.cap(call.extra[0]) else {
            return Err(Error::IllegalOperation);
        };
        let notification = &self.notifications[&obj];
        if rights & CapRights::READ == 0 || !notification.queue.is_empty() || notification.tcb.is_some() {
            return Err(Error::IllegalOperation);
        }
        self.ntfn_mut(obj).tcb = Some(tcb);
        self.tcb_mut(tcb).notification = Some(obj);
        Ok(())
    }

    /// The greatest priority that a thread capability gives authority for.
    fn authority(&self, slot: Slot) -> Result<u64, Error> {
        match self.cap(slot) {
            Some(Cap::Tcb { obj }) => Ok(self.tcb(obj).mcp),
            _ => Err(Error::InvalidCapability(1)),
        }
    }

    /// The capability in `slot` as a handler; `number` of the argument for the error.
    fn handler(&self, slot: Slot, number: u64) -> Result<Option<Cap>, Error> {
        let cap = self.cap(slot);
        if is_handler(cap) { Ok(cap) } else { Err(Error::InvalidCapability(number)) }
    }

    /// The capability for a thread's IPC buffer at `address`: a frame of ordinary memory. Address 0: none.
    fn buffer_cap(&self, address: u64, slot: Slot) -> Result<Option<Cap>, Error> {
        if address == 0 {
            return Ok(None);
        }
        let cap = match self.cap(slot) {
            Some(cap) => self.derive(slot, cap)?,
            None => None,
        };
        match cap {
            Some(Cap::Frame { device: false, .. }) if !address.is_multiple_of(1 << ipc::IPC_BUFFER_BITS) => {
                Err(Error::Alignment)
            }
            Some(Cap::Frame { device: false, .. }) => Ok(cap),
            _ => Err(Error::IllegalOperation),
        }
    }

    /// The capability for a CSpace root, with the guard that `data` says (0: as it is).
    fn cspace_cap(&self, data: u64, slot: Slot) -> Result<Cap, Error> {
        let cap =
            self.cap(slot).and_then(|cap| if data == 0 { Some(cap) } else { cap.with_data(false, data) });
        match cap.map(|cap| self.derive(slot, cap)).transpose()? {
            Some(Some(cap @ Cap::CNode { .. })) => Ok(cap),
            _ => Err(Error::IllegalOperation),
        }
    }

    /// The capability for an address space: a VSpace with an ASID.
    fn vspace_cap(&self, slot: Slot) -> Result<Cap, Error> {
        match self.cap(slot).map(|cap| self.derive(slot, cap)).transpose()? {
            Some(Some(cap @ Cap::VSpace { asid: Some(_), .. })) => Ok(cap),
            _ => Err(Error::IllegalOperation),
        }
    }

    /// Refuses to replace a CSpace or VSpace root when that would destroy a container (the replacement has to be
    /// short; and it may be under destruction).
    fn not_being_deleted(&self, tcb: Obj) -> Result<(), Error> {
        for index in [tcb_slot::CSPACE, tcb_slot::VSPACE] {
            let slot = Slot { holder: Holder::Tcb(tcb), index };
            if matches!(self.cap(slot), Some(Cap::CNode { .. } | Cap::Tcb { .. } | Cap::Zombie { .. }))
                && self.is_last(slot)
            {
                return Err(Error::IllegalOperation);
            }
        }
        Ok(())
    }

    /// Replaces a capability of a thread. If deleting the old one also deleted the new one or the thread's own
    /// capability, the slot stays empty.
    fn install(&mut self, own: Slot, tcb: Obj, index: u64, cap: Option<Cap>, source: Slot) {
        let target = Slot { holder: Holder::Tcb(tcb), index };
        self.delete(target);
        if let Some(cap) = cap
            && self.cap(source).is_some_and(|c| c.same_object(cap))
            && self.cap(own).is_some_and(|c| c.same_object(Cap::Tcb { obj: tcb }))
        {
            self.insert_derived(cap, source, target);
        }
    }

    fn install_buffer(&mut self, own: Slot, tcb: Obj, address: u64, cap: Option<Cap>, source: Slot) {
        self.install(own, tcb, tcb_slot::BUFFER, cap, source);
        if let Some(thread) = self.tcbs.get_mut(&tcb) {
            thread.buffer = address;
        }
        if self.current == Some(tcb) {
            self.reschedule();
        }
    }
}

/// Refuses a priority above the authority's.
fn allowed(priority: u64, most: u64) -> Result<(), Error> {
    if priority > most { Err(Error::Range(0, most)) } else { Ok(()) }
}
