// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of a thread.

use crate::cap::Cap;
use crate::error::Error;
use crate::fault::Fault;
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::{SchedContext, Slot, State, Tcb, TcbSlot};
use crate::machine::Machine;
use kernel_abi::context::{self, stored};
use kernel_abi::extension::EXITS;
use kernel_abi::{CapRights, Invocation, NUM_PRIORITIES, ipc};

/// A capability to put into one of a thread's slots, and where it was copied from.
type NewCap = (Cap, Slot);

/// `TCB_SetFlags`: the thread may not use the FPU.
const FLAG_FPU_DISABLED: u64 = 1;

impl<M: Machine> Kernel<M> {
    /// Invocations of a thread capability.
    pub fn decode_tcb(&mut self, tcb: Tcb, slot: Slot, msg: &Message) -> Outcome {
        use Invocation as I;
        let Some(invocation) = msg.invocation else { return Err(Error::IllegalOperation.into()) };
        match invocation {
            I::TcbReadRegisters => return self.read_registers(tcb, msg),
            I::TcbWriteRegisters => self.write_registers(tcb, msg)?,
            I::TcbCopyRegisters => self.copy_registers(tcb, msg)?,
            I::TcbConfigure => {
                self.require(msg, 3, 3)?;
                let address = self.arg(msg, 2);
                let buffer = self.new_buffer(msg, 2, address)?;
                self.require_short_deletion(tcb)?;
                let cspace = self.new_cspace(msg, 0, self.arg(msg, 0))?;
                let vspace = self.new_vspace(msg, 1, self.arg(msg, 1))?;
                self.install(tcb, TcbSlot::CSpace, Some(cspace), slot)?;
                self.install(tcb, TcbSlot::VSpace, Some(vspace), slot)?;
                self.install_buffer(tcb, buffer, address, slot)?;
            }
            I::TcbSetSpace => {
                self.require(msg, 2, 3)?;
                self.require_short_deletion(tcb)?;
                let cspace = self.new_cspace(msg, 1, self.arg(msg, 0))?;
                let vspace = self.new_vspace(msg, 2, self.arg(msg, 1))?;
                let handler = self.new_handler(msg, 0)?;
                self.install(tcb, TcbSlot::FaultHandler, handler, slot)?;
                self.install(tcb, TcbSlot::CSpace, Some(cspace), slot)?;
                self.install(tcb, TcbSlot::VSpace, Some(vspace), slot)?;
            }
            I::TcbSetIpcBuffer => {
                self.require(msg, 1, 1)?;
                let address = self.arg(msg, 0);
                let buffer = self.new_buffer(msg, 0, address)?;
                self.install_buffer(tcb, buffer, address, slot)?;
            }
            I::TcbSetTimeoutEndpoint => {
                self.require(msg, 0, 1)?;
                let handler = self.new_handler(msg, 0)?;
                self.install(tcb, TcbSlot::TimeoutHandler, handler, slot)?;
            }
            I::TcbSetPriority => {
                self.require(msg, 1, 1)?;
                let priority = self.arg(msg, 0);
                self.check_priority(priority, self.authority(msg)?)?;
                self.set_thread_priority(tcb, priority);
            }
            I::TcbSetMcPriority => {
                self.require(msg, 1, 1)?;
                let priority = self.arg(msg, 0);
                self.check_priority(priority, self.authority(msg)?)?;
                tcb.set_max_priority(&mut self.m, priority);
            }
            I::TcbSetSchedParams => self.set_sched_params(tcb, slot, msg)?,
            I::TcbSuspend => self.suspend(tcb),
            I::TcbResume => self.restart(tcb),
            I::TcbBindNotification => {
                self.require(msg, 0, 1)?;
                if tcb.bound_notification(&self.m).is_some() {
                    return Err(Error::IllegalOperation.into());
                }
                let Cap::Notification { at, rights, .. } = self.extra(msg, 0)?.1 else {
                    return Err(Error::IllegalOperation.into());
                };
                if rights & CapRights::READ == 0
                    || at.head(&self.m).is_some()
                    || at.bound_tcb(&self.m).is_some()
                {
                    return Err(Error::IllegalOperation.into());
                }
                at.set_bound_tcb(&mut self.m, Some(tcb));
                tcb.set_bound_notification(&mut self.m, Some(at));
            }
            I::TcbUnbindNotification => {
                if tcb.bound_notification(&self.m).is_none() {
                    return Err(Error::IllegalOperation.into());
                }
                self.unbind_tcb_notification(tcb);
            }
            I::TcbSetTlsBase => {
                self.require(msg, 1, 0)?;
                let base = self.arg(msg, 0);
                self.reload(tcb);
                tcb.set_reg(&mut self.m, stored::TPIDR, base);
            }
            I::TcbSetFlags => {
                self.require(msg, 2, 0)?;
                let (clear, set) = (self.arg(msg, 0), self.arg(msg, 1));
                let known = if M::EXTENSION { FLAG_FPU_DISABLED | EXITS } else { FLAG_FPU_DISABLED };
                let flags = (tcb.flags(&self.m) & !clear | set) & known;
                if flags & FLAG_FPU_DISABLED != 0 {
                    self.m.fpu_release(tcb, false);
                }
                tcb.set_flags(&mut self.m, flags);
                self.reload(tcb);
                self.answer(msg, 0, flags);
                return Ok(1);
            }
            I::TcbSetBreakpoint
            | I::TcbGetBreakpoint
            | I::TcbUnsetBreakpoint
            | I::TcbConfigureSingleStepping
                if M::HW_DEBUG =>
            {
                return self.decode_hardware_debug(tcb, invocation, msg);
            }
            _ => return Err(Error::IllegalOperation.into()),
        }
        Ok(0)
    }

    // ---- registers

    fn read_registers(&mut self, tcb: Tcb, msg: &Message) -> Outcome {
        self.require(msg, 2, 0)?;
        let (flags, count) = (self.arg(msg, 0), self.arg(msg, 1));
        if count < 1 || count > context::WORDS as u64 {
            return Err(Error::Range(1, context::WORDS as u64).into());
        }
        if tcb == self.current {
            return Err(Error::IllegalOperation.into());
        }
        if flags & 1 != 0 {
            self.suspend(tcb);
        }
        for (index, &reg) in (0..count).zip(&context::ORDER) {
            let value = if reg == stored::PC { self.user_pc(tcb) } else { tcb.reg(&self.m, reg) };
            self.answer(msg, index, value);
        }
        Ok(count)
    }

    fn write_registers(&mut self, tcb: Tcb, msg: &Message) -> Result<(), Error> {
        self.require(msg, 2, 0)?;
        let (flags, count) = (self.arg(msg, 0), self.arg(msg, 1));
        if msg.length - 2 < count {
            return Err(Error::TruncatedMessage);
        }
        if tcb == self.current {
            return Err(Error::IllegalOperation);
        }
        for (index, &reg) in (0..count).zip(&context::ORDER) {
            let value = self.arg(msg, index + 2);
            self.set_user_register(tcb, reg, value);
        }
        // TLS registers live in the machine while the thread is loaded.
        if count as usize > context::FRAME_WORDS + context::INTEGER_WORDS {
            self.reload(tcb);
        }
        if flags & 1 != 0 {
            self.restart(tcb);
        }
        Ok(())
    }

    fn copy_registers(&mut self, tcb: Tcb, msg: &Message) -> Result<(), Error> {
        self.require(msg, 1, 1)?;
        let flags = self.arg(msg, 0);
        let Cap::Thread { at: source } = self.extra(msg, 0)?.1 else {
            return Err(Error::InvalidCapability(1));
        };
        if flags & 1 != 0 {
            self.suspend(source);
        }
        if flags & 2 != 0 {
            self.restart(tcb);
        }
        let copy = |kernel: &mut Self, regs: &[usize]| {
            for &reg in regs {
                let value =
                    if reg == stored::PC { kernel.user_pc(source) } else { source.reg(&kernel.m, reg) };
                kernel.set_user_register(tcb, reg, value);
            }
        };
        if flags & 4 != 0 {
            copy(self, &context::ORDER[..context::FRAME_WORDS]);
        }
        if flags & 8 != 0 {
            // With the integer registers go the thread pointers, which live in the machine while it is loaded.
            self.reload(source);
            self.reload(tcb);
            copy(self, &context::ORDER[context::FRAME_WORDS..]);
        }
        if tcb == self.current {
            self.reschedule();
        }
        Ok(())
    }

    // ---- priorities and scheduling contexts

    fn authority(&self, msg: &Message) -> Result<Tcb, Error> {
        match self.extra(msg, 0)?.1 {
            Cap::Thread { at } => Ok(at),
            _ => Err(Error::InvalidCapability(1)),
        }
    }

    fn check_priority(&self, priority: u64, authority: Tcb) -> Result<(), Error> {
        let most = authority.max_priority(&self.m).min(NUM_PRIORITIES as u64 - 1);
        if priority > most { Err(Error::Range(0, most)) } else { Ok(()) }
    }

    fn set_sched_params(&mut self, tcb: Tcb, slot: Slot, msg: &Message) -> Result<(), crate::Stop> {
        self.require(msg, 2, 3)?;
        let (max_priority, priority) = (self.arg(msg, 0), self.arg(msg, 1));
        let authority = self.authority(msg)?;
        self.check_priority(max_priority, authority)?;
        self.check_priority(priority, authority)?;
        let sc: Option<SchedContext> = match self.extra(msg, 1)?.1 {
            Cap::SchedContext { at, .. } => {
                let bound_elsewhere = at.tcb(&self.m).is_some_and(|t| t != tcb);
                if tcb.sched_context(&self.m).is_some_and(|sc| sc != at)
                    || bound_elsewhere
                    || !self.may_get_time(tcb, at)
                {
                    return Err(Error::IllegalOperation.into());
                }
                Some(at)
            }
            Cap::Null => {
                if tcb == self.current {
                    return Err(Error::IllegalOperation.into());
                }
                None
            }
            _ => return Err(Error::InvalidCapability(2).into()),
        };
        let handler = self.new_handler(msg, 2)?;
        self.install(tcb, TcbSlot::FaultHandler, handler, slot)?;
        tcb.set_max_priority(&mut self.m, max_priority);
        self.set_thread_priority(tcb, priority);
        match sc {
            Some(sc) if tcb.sched_context(&self.m) != Some(sc) => self.bind_sc_to_tcb(sc, tcb),
            Some(_) => {}
            None => {
                if let Some(sc) = tcb.sched_context(&self.m) {
                    self.unbind_sc_from_tcb(sc);
                }
            }
        }
        Ok(())
    }

    // ---- capabilities of a thread

    /// Refuses to replace roots whose deletion would take a container with it, or is not done yet.
    fn require_short_deletion(&self, tcb: Tcb) -> Result<(), Error> {
        for which in [TcbSlot::CSpace, TcbSlot::VSpace] {
            let slot = tcb.slot(which);
            let container =
                matches!(slot.cap(&self.m), Cap::CNode { .. } | Cap::Thread { .. } | Cap::Zombie(_));
            if container && self.is_final(slot) {
                return Err(Error::IllegalOperation);
            }
        }
        Ok(())
    }

    fn new_cspace(&self, msg: &Message, index: usize, data: u64) -> Result<NewCap, Error> {
        let (slot, cap) = self.extra(msg, index)?;
        let cap = if data == 0 { cap } else { cap.with_data(data, false) };
        match self.derive(slot, cap)? {
            cap @ Cap::CNode { .. } => Ok((cap, slot)),
            _ => Err(Error::IllegalOperation),
        }
    }

    fn new_vspace(&self, msg: &Message, index: usize, data: u64) -> Result<NewCap, Error> {
        let (slot, cap) = self.extra(msg, index)?;
        let cap = if data == 0 { cap } else { cap.with_data(data, false) };
        match self.derive(slot, cap)? {
            cap @ Cap::VSpace { asid: Some(_), .. } => Ok((cap, slot)),
            _ => Err(Error::IllegalOperation),
        }
    }

    fn new_buffer(&self, msg: &Message, index: usize, address: u64) -> Result<Option<NewCap>, Error> {
        let (slot, cap) = self.extra(msg, index)?;
        if address == 0 {
            return Ok(None);
        }
        match self.derive(slot, cap)? {
            cap @ Cap::Frame { device: false, .. } => {
                if address & ((1 << ipc::IPC_BUFFER_BITS) - 1) != 0 {
                    return Err(Error::Alignment);
                }
                Ok(Some((cap, slot)))
            }
            _ => Err(Error::IllegalOperation),
        }
    }

    fn new_handler(&self, msg: &Message, index: usize) -> Result<Option<NewCap>, Error> {
        let (slot, cap) = self.extra(msg, index)?;
        match cap {
            Cap::Null => Ok(None),
            Cap::Endpoint { rights, .. }
                if rights & CapRights::WRITE != 0
                    && rights & (CapRights::GRANT | CapRights::GRANT_REPLY) != 0 =>
            {
                Ok(Some((cap, slot)))
            }
            _ => Err(Error::InvalidCapability(index as u64 + 1)),
        }
    }

    /// Replaces the capability in a slot of `tcb`. The deletion of the old one may be preempted, or may delete the
    /// very capabilities that are used here; then nothing is put in.
    fn install(
        &mut self,
        tcb: Tcb,
        which: TcbSlot,
        new: Option<NewCap>,
        tcb_slot: Slot,
    ) -> Result<(), crate::Stop> {
        let target = tcb.slot(which);
        self.delete(target)?;
        if let Some((cap, from)) = new
            && cap.same_object(from.cap(&self.m))
            && tcb_slot.cap(&self.m) == (Cap::Thread { at: tcb })
        {
            self.insert_derived(cap, from, target);
        }
        self.reload(tcb);
        Ok(())
    }

    fn install_buffer(
        &mut self,
        tcb: Tcb,
        new: Option<NewCap>,
        address: u64,
        tcb_slot: Slot,
    ) -> Result<(), crate::Stop> {
        self.install(tcb, TcbSlot::IpcBuffer, new, tcb_slot)?;
        tcb.set_ipc_buffer(&mut self.m, address);
        if tcb == self.current {
            self.reschedule();
        }
        Ok(())
    }

    /// A fault of the current thread found by the machine.
    pub fn fault_current(&mut self, what: Fault) {
        let thread = self.current;
        if thread.state(&self.m) == State::Running {
            self.fault(thread, what);
        }
    }
}
