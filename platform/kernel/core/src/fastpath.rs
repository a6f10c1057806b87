// SPDX-License-Identifier: BSD-2-Clause
//! Fast paths: the common system calls and faults, with everything checked first and nothing decoded twice.
//!
//! A fast path either does exactly what the slow one would and returns the thread that runs now, or changes nothing (but
//! what lookups it remembers, [`Lookups`](crate::cspace::Lookups)) and returns `None`. Refinement tests run both from the
//! same states (`kernel/refine`). Fast paths run after the clock was read, while nothing is due
//! ([`Kernel::quiet_before`]), and find what invariants of the kernel say of every entry: the current thread runs on the
//! current context, waits with no fault, and no choice or deadline is outstanding.
//!
//! * call to a server that waits with a reply object, passive (the caller's time goes along) or active;
//! * reply to such a caller, or to one that waits with a fault that has little to be written back, and receive from an
//!   endpoint in which nobody waits;
//! * a fault that a virtual CPU's monitor serves (hypervisor calls among them), or a pager, to a handler that waits;
//! * signals, interrupts and their receipt (`signal`), and short invocations (`invoke`).

mod invoke;
mod signal;

use crate::PhysAddr;
use crate::budget::Refill;
use crate::fault::Fault;
use crate::kernel::Kernel;
use crate::layout::{
    Endpoint, Reply, SchedContext, State, Tcb, TcbSlot, notification_state, queue_state, queued,
};
use crate::machine::Machine;
use kernel_abi::context::stored;
use kernel_abi::{CapRights, MessageInfo, extension, fault, ipc};

/// What is counted in host tests, to show that the fast paths are really taken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs, reason = "named after what was done")]
pub enum Path {
    Call,
    CallLong,
    Reply,
    ReplyExit,
    ReplyHypercall,
    Fault,
    Exit,
    Hypercall,
    HandOver,
    SignalMark,
    SignalSwitch,
    SignalStay,
    ReceiveBadge,
    ReceiveWait,
    ReceiveWaitSignal,
    SendReceive,
    Interrupt,
    ReadRegisters,
    WriteRegisters,
    Vcpu,
    VcpuState,
    IrqAck,
}

impl Path {
    /// How many there are.
    pub const COUNT: usize = Self::IrqAck as usize + 1;
}

/// The IPC buffers of sender and receiver, for a message that does not fit into registers.
type Buffers = Option<(PhysAddr, PhysAddr)>;

/// Whether an answer to a fault lets the thread go on, whatever it changes.
#[inline(always)]
fn goes_on(label: u64, answer: MessageInfo) -> bool {
    label >= fault::VM_FAULT || label == fault::UNKNOWN_SYSCALL && answer.label() == 0
}

impl<M: Machine> Kernel<M> {
    /// Call through an endpoint in which a server waits with a reply object, or of an object of the kernel.
    #[inline(always)]
    pub fn fast_call(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = self.message_without_caps(thread)?;
        let slot = self.find_slot(thread, thread.reg(&self.m, 0))?;
        let Some((endpoint, badge, rights)) = slot.endpoint(&self.m) else {
            return self.fast_invocation(thread, slot, info);
        };
        let (server, reply) = self.waiting_server(endpoint, rights)?;
        let buffers = self.buffers(thread, server, info)?;
        let sc = self.current_sc;
        let servers = server.sched_context(&self.m);
        if servers.is_some_and(|servers| !self.can_run_on(server, servers)) || !self.runs_next(server) {
            return None;
        }

        // Nothing can fail from here on.
        self.leave_endpoint(endpoint, server);
        self.wait_for_reply(thread, reply);
        self.fast_transfer(thread, server, info, badge, buffers);
        self.took(if buffers.is_some() { Path::CallLong } else { Path::Call });
        if let Some(own) = servers {
            let head = own.first(&self.m);
            self.run_on_own_time(server, own, head);
        } else {
            // The caller lends its time.
            self.add_lender(sc, thread);
            self.move_time(sc, thread, server);
        }
        Some(server)
    }

    /// Reply to a caller or faulting thread, and receive from an endpoint in which nobody waits.
    #[inline(always)]
    pub fn fast_reply_receive(&mut self, thread: Tcb) -> Option<Tcb> {
        let info = self.message_without_caps(thread)?;
        let slot = self.find_slot(thread, thread.reg(&self.m, 6))?;
        let (reply, _) = slot.reply(&self.m)?;
        let caller = reply.tcb(&self.m)?;
        if caller.state(&self.m) != State::BlockedOnReply {
            return None;
        }
        let label = caller.fault_label(&self.m);
        let exit = M::EXTENSION && label == extension::VCPU_EXIT;
        if !exit && label != fault::NULL && !goes_on(label, info) {
            return None;
        }
        let sc = self.current_sc;
        let callers = caller.sched_context(&self.m);
        let own = match callers {
            None => {
                if caller.lent(&self.m) != Some(sc) {
                    return None;
                }
                None
            }
            Some(own) => {
                let head = own.first(&self.m);
                let can_run = self.lends_nothing(caller)
                    && self.can_run_on(caller, own)
                    && head.time <= self.now
                    && head.amount >= self.min_budget();
                if !can_run {
                    return None;
                }
                Some((own, head))
            }
        };
        let slot = self.find_slot(thread, thread.reg(&self.m, 0))?;
        let (endpoint, _, rights) = slot.endpoint(&self.m)?;
        if rights & CapRights::READ == 0 || endpoint.head_word(&self.m) != queue_state::IDLE {
            return None;
        }
        if let Some(ntfn) = thread.bound_notification(&self.m)
            && (ntfn.state_word(&self.m) == notification_state::ACTIVE
                || own.is_some() && ntfn.sched_context(&self.m).is_some())
        {
            return None;
        }
        if !self.runs_next(caller) {
            return None;
        }
        let buffers = if label == fault::NULL { self.buffers(thread, caller, info)? } else { None };

        // Nothing can fail from here on.
        self.took(match label {
            extension::VCPU_EXIT => Path::ReplyExit,
            fault::UNKNOWN_SYSCALL => Path::ReplyHypercall,
            _ => Path::Reply,
        });
        caller.set_reply(&mut self.m, None);
        if label == fault::NULL {
            self.fast_transfer(thread, caller, info, 0, buffers);
        } else {
            caller.set_fault_label(&mut self.m, fault::NULL);
            if exit && info.length() >= extension::ANSWER_PC {
                self.answer_exit(thread, caller, info);
            } else {
                let pc = caller.restart_pc(&self.m);
                caller.set_reg(&mut self.m, stored::PC, pc);
            }
        }
        self.start_receiving_alone(endpoint, reply, thread);
        if let Some((own, head)) = own {
            caller.set_state(&mut self.m, State::Running);
            self.current = caller;
            // It was found to be due and enough.
            self.hand_over(own, head, true);
        } else {
            // The time goes back.
            self.drop_newest_lender(sc, caller);
            self.move_time(sc, thread, caller);
        }
        if label == fault::UNKNOWN_SYSCALL {
            // Last, since it calls: nothing else has to be kept for it.
            self.apply_fault_answer(thread, caller, label);
        }
        Some(caller)
    }

    /// A fault of the current thread whose handler waits and has time of its own.
    #[inline(always)]
    pub fn fast_fault(&mut self, thread: Tcb, what: Fault) -> Option<Tcb> {
        let (label, kept) = match what {
            Fault::Vm { address, fsr, prefetch } => (fault::VM_FAULT, [address, fsr, u64::from(prefetch)]),
            Fault::Vcpu { syndrome } => (fault::VCPU_FAULT, [syndrome, 0, 0]),
            Fault::VppiEvent { irq } => (fault::VPPI_EVENT, [irq, 0, 0]),
            Fault::VgicMaintenance { index } => (fault::VGIC_MAINTENANCE, [index.unwrap_or(u64::MAX), 0, 0]),
            Fault::Exit { address, syndrome } => (extension::VCPU_EXIT, [address, syndrome, 0]),
            Fault::UnknownSyscall { number } => (fault::UNKNOWN_SYSCALL, [number, 0, 0]),
            _ => return None,
        };
        let (endpoint, badge, rights) = thread.slot(TcbSlot::FaultHandler).endpoint(&self.m)?;
        let (handler, reply) = self.waiting_server(endpoint, rights)?;
        let own = handler.sched_context(&self.m)?;
        if !self.can_run_on(handler, own) || !self.runs_next(handler) {
            return None;
        }

        // Nothing can fail from here on.
        self.took(match label {
            extension::VCPU_EXIT => Path::Exit,
            fault::UNKNOWN_SYSCALL => Path::Hypercall,
            _ => Path::Fault,
        });
        thread.set_fault_label(&mut self.m, label);
        thread.set_fault0(&mut self.m, kept[0]);
        thread.set_fault1(&mut self.m, kept[1]);
        thread.set_fault2(&mut self.m, kept[2]);
        self.leave_endpoint(endpoint, handler);
        self.wait_for_reply(thread, reply);
        let length = if M::EXTENSION && label == extension::VCPU_EXIT {
            let [pc, address, state, value] = self.exit_words(thread, kept[0], kept[1]);
            handler.set_reg(&mut self.m, 2, pc);
            handler.set_reg(&mut self.m, 3, address);
            handler.set_reg(&mut self.m, 4, state);
            handler.set_reg(&mut self.m, 5, value);
            4
        } else if label == fault::VM_FAULT {
            let pc = thread.restart_pc(&self.m);
            handler.set_reg(&mut self.m, 2, pc);
            handler.set_reg(&mut self.m, 3, kept[0]);
            handler.set_reg(&mut self.m, 4, kept[2]);
            handler.set_reg(&mut self.m, 5, kept[1]);
            4
        } else if label == fault::UNKNOWN_SYSCALL {
            self.fault_message(thread, handler).length()
        } else {
            handler.set_reg(&mut self.m, 2, kept[0]);
            1
        };
        handler.set_reg(&mut self.m, 0, badge);
        handler.set_reg(&mut self.m, 1, MessageInfo::new(label, 0, 0, length).0);
        let head = own.first(&self.m);
        self.run_on_own_time(handler, own, head);
        Some(handler)
    }

    // ---- what has to be so

    /// The message word of a thread that sends no capabilities.
    #[inline(always)]
    fn message_without_caps(&self, thread: Tcb) -> Option<MessageInfo> {
        let info = MessageInfo(thread.reg(&self.m, 1));
        (info.extra_caps() == 0).then_some(info)
    }

    /// The buffers through which a message goes, `Some(None)` when registers suffice.
    #[inline(always)]
    fn buffers(&self, from: Tcb, to: Tcb, info: MessageInfo) -> Option<Buffers> {
        if info.length() <= ipc::MSG_REGISTERS {
            return Some(None);
        }
        Some(Some((self.send_buffer(from)?, self.ipc_buffer(to, true)?)))
    }

    /// The thread that waits first in an endpoint, with its reply object, for a caller with these rights.
    #[inline(always)]
    fn waiting_server(&self, endpoint: Endpoint, rights: u64) -> Option<(Tcb, Reply)> {
        if rights & CapRights::WRITE == 0 || rights & (CapRights::GRANT | CapRights::GRANT_REPLY) == 0 {
            return None;
        }
        let head = endpoint.head_word(&self.m);
        if head & queue_state::MASK != queue_state::RECEIVE {
            return None;
        }
        let server = Tcb::at(PhysAddr(head & !queue_state::MASK))?;
        if let Some(next) = server.queue_next(&self.m)
            && next.priority(&self.m) != server.priority(&self.m)
        {
            // The last of its rank takes more to leave ([`crate::waiting`]).
            return None;
        }
        Some((server, server.reply(&self.m)?))
    }

    /// Whether a waiting thread can go on with its own, plain context.
    #[inline(always)]
    fn can_run_on(&self, tcb: Tcb, own: SchedContext) -> bool {
        own.is_configured(&self.m) && !own.sporadic(&self.m) && tcb.queued(&self.m) == queued::NONE
    }

    /// Whether `tcb` would be chosen once the current thread blocks.
    #[inline(always)]
    fn runs_next(&self, tcb: Tcb) -> bool {
        let best = match self.ready.highest() {
            None => true,
            Some(best) => tcb.priority(&self.m) >= best,
        };
        best && self.in_turn(tcb)
    }

    /// Counts a fast path that was taken; in host tests only.
    #[inline(always)]
    pub(crate) fn took(&mut self, path: Path) {
        #[cfg(any(test, feature = "sim"))]
        {
            self.taken[path as usize] += 1;
        }
        let _ = path;
    }

    // ---- what is done

    /// Copies a message that carries no capabilities.
    #[inline(always)]
    fn fast_transfer(&mut self, from: Tcb, to: Tcb, info: MessageInfo, badge: u64, buffers: Buffers) {
        let length = info.length();
        if length > 0 {
            self.fast_copy(from, to, length, buffers);
        }
        to.set_reg(&mut self.m, 0, badge);
        to.set_reg(&mut self.m, 1, MessageInfo::new(info.label(), 0, 0, length).0);
    }

    #[inline(always)]
    fn fast_copy(&mut self, from: Tcb, to: Tcb, length: u64, buffers: Buffers) {
        for register in 2..2 + ipc::MSG_REGISTERS as usize {
            if (register as u64 - 2) < length {
                let word = from.reg(&self.m, register);
                to.set_reg(&mut self.m, register, word);
            }
        }
        if let Some((source, target)) = buffers {
            let mut offset = ipc::IPC_BUFFER_MSG + 8 * ipc::MSG_REGISTERS;
            let end = ipc::IPC_BUFFER_MSG + 8 * length;
            while offset < end {
                let word = self.m.load_at(source, offset);
                self.m.store_at(target, offset, word);
                offset += 8;
            }
        }
    }

    /// `thread` waits in `endpoint` with its reply object.
    #[inline(always)]
    fn start_receiving(&mut self, endpoint: Endpoint, reply: Reply, thread: Tcb) {
        if endpoint.head_word(&self.m) == queue_state::IDLE {
            return self.start_receiving_alone(endpoint, reply, thread);
        }
        self.attach_reply(thread, reply);
        thread.set_state(&mut self.m, State::BlockedOnReceive);
        thread.set_blocked_on(&mut self.m, endpoint.addr().0);
        self.endpoint_insert(endpoint, queue_state::RECEIVE, thread);
    }

    /// The same where nobody else waits.
    #[inline(always)]
    fn start_receiving_alone(&mut self, endpoint: Endpoint, reply: Reply, thread: Tcb) {
        self.attach_reply(thread, reply);
        thread.set_state(&mut self.m, State::BlockedOnReceive);
        thread.set_blocked_on(&mut self.m, endpoint.addr().0);
        // Its links say already that it is alone.
        endpoint.set_head_word(&mut self.m, thread.addr().0 | queue_state::RECEIVE);
        endpoint.set_tail(&mut self.m, Some(thread));
    }

    /// The first receiver, which is alone or of the same priority as the next, leaves its endpoint.
    #[inline(always)]
    fn leave_endpoint(&mut self, endpoint: Endpoint, receiver: Tcb) {
        match receiver.queue_next(&self.m) {
            Some(next) => {
                next.set_queue_prev(&mut self.m, None);
                endpoint.set_head_word(&mut self.m, next.addr().0 | queue_state::RECEIVE);
                receiver.set_queue_next(&mut self.m, None);
            }
            None => {
                endpoint.set_head_word(&mut self.m, queue_state::IDLE);
                endpoint.set_tail(&mut self.m, None);
            }
        }
        receiver.set_blocked_on(&mut self.m, 0);
        receiver.set_reply(&mut self.m, None);
    }

    /// `thread` waits for its answer.
    #[inline(always)]
    fn wait_for_reply(&mut self, thread: Tcb, reply: Reply) {
        self.attach_reply(thread, reply);
        thread.set_state(&mut self.m, State::BlockedOnReply);
    }

    /// `sc` and the CPU go from the current thread to `to`.
    #[inline(always)]
    fn move_time(&mut self, sc: SchedContext, from: Tcb, to: Tcb) {
        from.set_sched_context(&mut self.m, None);
        to.set_sched_context(&mut self.m, Some(sc));
        sc.set_tcb(&mut self.m, Some(to));
        to.set_state(&mut self.m, State::Running);
        self.current = to;
    }

    /// The CPU goes to `to`, which has a context of its own with this first refill.
    #[inline(always)]
    fn run_on_own_time(&mut self, to: Tcb, own: SchedContext, head: Refill) {
        to.set_state(&mut self.m, State::Running);
        self.current = to;
        self.hand_over(own, head, false);
    }
}
