// SPDX-License-Identifier: BSD-2-Clause
//! Kernel entries: system calls, faults, interrupts. Each ends with the thread that is to run loaded.

use crate::cap::Cap;
use crate::error::Lookup;
use crate::fault::Fault;
use crate::invoke::SendKind;
use crate::kernel::Kernel;
use crate::layout::{Reply, State, Tcb};
use crate::machine::Machine;
use kernel_abi::context::stored;
use kernel_abi::{CapRights, Syscall};
use number::{CALL, NB_SEND, NB_SEND_RECV, RECV, REPLY_RECV, SEND};

/// Numbers of the system calls that have a fast path.
pub mod number {
    use kernel_abi::Syscall;
    /// [`Syscall::Call`].
    pub const CALL: i64 = Syscall::Call as i64;
    /// [`Syscall::ReplyRecv`].
    pub const REPLY_RECV: i64 = Syscall::ReplyRecv as i64;
    /// [`Syscall::Send`].
    pub const SEND: i64 = Syscall::Send as i64;
    /// [`Syscall::NBSend`].
    pub const NB_SEND: i64 = Syscall::NBSend as i64;
    /// [`Syscall::Recv`].
    pub const RECV: i64 = Syscall::Recv as i64;
    /// [`Syscall::NBSendRecv`].
    pub const NB_SEND_RECV: i64 = Syscall::NBSendRecv as i64;
}

/// A system call that has a fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the system calls")]
pub enum FastCall {
    Call,
    ReplyRecv,
    /// NBSend as well.
    Send,
    Recv,
    NBSendRecv,
}

/// Who runs after a fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This thread, whose registers and translation are the machine's.
    Ready(Tcb),
    /// This thread, which has to be [loaded](Kernel::load_thread) first.
    Load(Tcb),
}

/// Bytes of an instruction.
const INSTRUCTION: u64 = 4;
/// Register of the reply object, or of NBSendWait's destination.
const REPLY_REGISTER: usize = 6;
/// Register of NBSendRecv's destination.
const DEST_REGISTER: usize = 8;

impl<M: Machine> Kernel<M> {
    /// A system call of the current thread (`svc` from EL0). Registers are stored; x7 is `number`; the stored PC is
    /// behind the instruction.
    pub fn handle_syscall(&mut self, number: u64) {
        let fast = match number as i64 {
            CALL => self.fast_syscall(FastCall::Call),
            REPLY_RECV => self.fast_syscall(FastCall::ReplyRecv),
            SEND | NB_SEND => self.fast_syscall(FastCall::Send),
            RECV => self.fast_syscall(FastCall::Recv),
            NB_SEND_RECV => self.fast_syscall(FastCall::NBSendRecv),
            _ => None,
        };
        match fast {
            None => self.slow_syscall(number),
            Some(Next::Load(thread)) => self.load_thread(thread),
            Some(Next::Ready(_)) => {}
        }
    }

    /// The part of [`handle_syscall`](Self::handle_syscall) that the fast paths do. Returns who runs now, or `None` when
    /// [`slow_syscall`](Self::slow_syscall) has to follow.
    #[inline(always)]
    pub fn fast_syscall(&mut self, call: FastCall) -> Option<Next> {
        let thread = self.enter_syscall();
        if !self.is_quiet() {
            return None;
        }
        let next = match call {
            FastCall::Call => self.fast_call(thread)?,
            FastCall::ReplyRecv => self.fast_reply_receive(thread)?,
            FastCall::Send => self.fast_signal(thread)?,
            FastCall::Recv => self.fast_receive(thread)?,
            FastCall::NBSendRecv => self.fast_send_receive(thread)?,
        };
        let ready = next == thread || self.switch_from_plain(thread, next);
        Some(if ready { Next::Ready(next) } else { Next::Load(next) })
    }

    /// Whoever is loaded, `next` is from now on.
    #[inline(always)]
    pub(crate) fn load_next(&mut self, next: Tcb) {
        if self.loaded != Some(next) && !self.loaded.is_some_and(|from| self.switch_to_plain(from, next)) {
            self.load_thread(next);
        }
    }

    /// The thread that made a system call, and the time it did.
    #[inline(always)]
    fn enter_syscall(&mut self) -> Tcb {
        let thread = self.current;
        let pc = thread.reg(&self.m, stored::PC).wrapping_sub(INSTRUCTION);
        thread.set_restart_pc(&mut self.m, pc);
        self.update_time();
        thread
    }

    /// A system call that no fast path took.
    pub fn slow_syscall(&mut self, number: u64) {
        self.enter_syscall();
        if self.check_budget_restart() {
            self.dispatch(number);
        }
        self.leave();
    }

    fn dispatch(&mut self, number: u64) {
        match Syscall::from_number(number as i64) {
            Some(call) if Self::exists(call) => self.syscall(call),
            _ => self.fault_current(Fault::UnknownSyscall { number }),
        }
    }

    /// The part of [`handle_fault`](Self::handle_fault) that the fast path does. Returns who runs now, or `None` when
    /// `handle_fault` has to follow.
    #[inline(always)]
    pub fn fast_fault_entry(&mut self, what: Fault) -> Option<Next> {
        let thread = self.current;
        let pc = thread.reg(&self.m, stored::PC);
        thread.set_restart_pc(&mut self.m, pc);
        self.update_time();
        if !self.is_quiet() {
            return None;
        }
        let what = self.as_told(thread, what);
        let next = self.fast_fault(thread, what)?;
        let ready = self.switch_to_plain(thread, next);
        Some(if ready { Next::Ready(next) } else { Next::Load(next) })
    }

    /// A fault of the current thread. Registers are stored; the stored PC is where it happened.
    pub fn handle_fault(&mut self, what: Fault) {
        match self.fast_fault_entry(what) {
            Some(Next::Ready(_)) => return,
            Some(Next::Load(next)) => return self.load_thread(next),
            None => {}
        }
        let what = self.as_told(self.current, what);
        if self.check_budget_restart() {
            self.fault_current(what);
        }
        self.leave();
    }

    /// A guest's hypervisor call: never a system call of ours, always its VMM's. The stored PC is behind the
    /// instruction; the fault shows the instruction.
    pub fn handle_guest_hvc(&mut self) {
        let thread = self.current;
        let pc = thread.reg(&self.m, stored::PC).wrapping_sub(INSTRUCTION);
        thread.set_reg(&mut self.m, stored::PC, pc);
        let number = thread.reg(&self.m, 7);
        self.handle_fault(Fault::UnknownSyscall { number });
    }

    /// An interrupt, while a user thread or nobody ran. `None`: the kernel's deadline.
    pub fn handle_interrupt(&mut self, irq: Option<u64>) {
        self.stopped_here();
        self.update_time();
        if let Some(irq) = irq
            && self.is_quiet()
            && self.fast_interrupt(irq)
        {
            return;
        }
        self.check_budget_restart();
        match irq {
            Some(irq) => self.user_irq(irq),
            // The deadline is used up, whatever comes next.
            None => {
                self.reprogram = true;
                self.check_turn();
            }
        }
        self.leave();
    }

    /// An event of the current thread that becomes a fault message and does not come again (virtual timer, list-register
    /// maintenance, a single step). The message goes out even if the budget ends now.
    pub fn handle_vcpu_event(&mut self, what: Fault) {
        self.stopped_here();
        self.update_time();
        if self.is_quiet()
            && self.current.state(&self.m) == State::Running
            && let Some(next) = self.fast_fault(self.current, what)
        {
            self.load_next(next);
            return;
        }
        self.fault_current(what);
        self.check_budget_restart();
        self.leave();
    }

    /// An entry after which the current thread goes on as before, if it has budget.
    pub(crate) fn handle_nothing(&mut self) {
        self.stopped_here();
        self.update_time();
        self.check_budget_restart();
        self.leave();
    }

    /// The current thread was interrupted between two instructions, and goes on there.
    fn stopped_here(&mut self) {
        if self.current != self.idle {
            let pc = self.current.reg(&self.m, stored::PC);
            self.current.set_restart_pc(&mut self.m, pc);
        }
    }

    /// Checks the budget; a thread without starts again where it was when it gets some.
    #[inline]
    fn check_budget_restart(&mut self) -> bool {
        let thread = self.current;
        let enough = self.check_budget();
        if !enough && thread.state(&self.m) == State::Running {
            thread.set_state(&mut self.m, State::Restart);
        }
        enough
    }

    /// Chooses and loads the thread to run.
    #[inline]
    pub fn leave(&mut self) {
        self.schedule();
        self.activate();
    }

    const fn exists(call: Syscall) -> bool {
        match call {
            Syscall::DebugPutChar
            | Syscall::DebugDumpScheduler
            | Syscall::DebugHalt
            | Syscall::DebugCapIdentify
            | Syscall::DebugSnapshot
            | Syscall::DebugNameThread => M::DEBUG,
            Syscall::BenchmarkFlushCaches
            | Syscall::BenchmarkResetLog
            | Syscall::BenchmarkFinalizeLog
            | Syscall::BenchmarkSetLogBuffer
            | Syscall::BenchmarkNullSyscall
            | Syscall::BenchmarkGetThreadUtilisation
            | Syscall::BenchmarkResetThreadUtilisation => M::BENCHMARK,
            Syscall::SetTLSBase => false,
            _ => true,
        }
    }

    fn syscall(&mut self, call: Syscall) {
        let thread = self.current;
        let x0 = thread.reg(&self.m, stored::X0);
        let send = SendKind { call: false, blocking: true, can_donate: false, first_phase: false };
        let first = SendKind { call: false, blocking: false, can_donate: true, first_phase: true };
        match call {
            Syscall::Send => self.handle_invocation(send, x0),
            Syscall::NBSend => self.handle_invocation(SendKind { blocking: false, ..send }, x0),
            Syscall::Call => {
                self.handle_invocation(SendKind { call: true, can_donate: true, ..send }, x0);
            }
            Syscall::Recv => self.handle_receive(true, true),
            Syscall::NBRecv => self.handle_receive(false, true),
            Syscall::Wait => self.handle_receive(true, false),
            Syscall::NBWait => self.handle_receive(false, false),
            Syscall::ReplyRecv => {
                let reply = thread.reg(&self.m, REPLY_REGISTER);
                self.handle_invocation(first, reply);
                self.handle_second_phase(true);
            }
            Syscall::NBSendRecv => {
                let dest = thread.reg(&self.m, DEST_REGISTER);
                self.handle_invocation(first, dest);
                self.handle_second_phase(true);
            }
            Syscall::NBSendWait => {
                let dest = thread.reg(&self.m, REPLY_REGISTER);
                self.handle_invocation(first, dest);
                self.handle_second_phase(false);
            }
            Syscall::Yield => self.handle_yield(),
            Syscall::DebugPutChar => self.m.debug_putc(x0 as u8),
            Syscall::DebugHalt => self.m.halt(),
            Syscall::DebugCapIdentify => {
                let number = self.lookup_slot(thread, x0).map_or(0, |slot| slot.cap(&self.m).type_number());
                thread.set_reg(&mut self.m, stored::X0, number);
            }
            Syscall::DebugNameThread => self.name_thread(x0),
            Syscall::DebugDumpScheduler | Syscall::DebugSnapshot => self.dump_scheduler(),
            Syscall::BenchmarkFlushCaches
            | Syscall::BenchmarkResetLog
            | Syscall::BenchmarkFinalizeLog
            | Syscall::BenchmarkSetLogBuffer
            | Syscall::BenchmarkNullSyscall
            | Syscall::BenchmarkGetThreadUtilisation
            | Syscall::BenchmarkResetThreadUtilisation => self.benchmark_syscall(call),
            Syscall::SetTLSBase => {}
        }
    }

    /// The receive after a send, unless the send was stopped or stopped the thread.
    fn handle_second_phase(&mut self, with_reply: bool) {
        if self.current.state(&self.m) == State::Running {
            self.handle_receive(true, with_reply);
        }
    }

    fn handle_receive(&mut self, blocking: bool, with_reply: bool) {
        let thread = self.current;
        let address = thread.reg(&self.m, stored::X0);
        let missing = Lookup::MissingCapability { bits_left: 0 };
        let slot = match self.lookup_slot(thread, address) {
            Ok(slot) => slot,
            Err(lookup) => return self.cap_fault(thread, address, true, lookup),
        };
        if let Some((at, _, rights)) = slot.endpoint(&self.m)
            && rights & CapRights::READ != 0
        {
            let reply = if with_reply {
                match self.lookup_reply() {
                    Ok(reply) => Some(reply),
                    Err((address, lookup)) => return self.cap_fault(thread, address, true, lookup),
                }
            } else {
                None
            };
            self.receive_ipc(thread, at, blocking, reply);
        } else if let Some((at, _, rights)) = slot.notification(&self.m)
            && rights & CapRights::READ != 0
            && at.bound_tcb(&self.m).is_none_or(|bound| bound == thread)
        {
            self.wait(thread, at, blocking);
        } else {
            self.cap_fault(thread, address, true, missing);
        }
    }

    fn lookup_reply(&self) -> Result<Reply, (u64, Lookup)> {
        let address = self.current.reg(&self.m, REPLY_REGISTER);
        let slot = self.lookup_slot(self.current, address).map_err(|lookup| (address, lookup))?;
        match slot.reply(&self.m) {
            Some((reply, _)) => Ok(reply),
            None => Err((address, Lookup::MissingCapability { bits_left: 0 })),
        }
    }

    /// Yield: the rest of the first refill is given up.
    fn handle_yield(&mut self) {
        let sc = self.current_sc;
        let consumed = sc.consumed(&self.m).saturating_add(self.consumed);
        self.consumed = sc.first_amount(&self.m);
        self.end_turn(false);
        // Time given up was not consumed.
        if sc != self.idle_sc {
            sc.set_consumed(&mut self.m, consumed);
        }
    }

    // ---- debugging

    fn name_thread(&mut self, address: u64) {
        let thread = self.current;
        let Ok((_, Cap::Thread { at })) = self.lookup_cap(thread, address) else { return };
        let Some(buffer) = self.send_buffer(thread) else { return };
        // The name stands in the message words of the IPC buffer, 0-terminated.
        for offset in (0..Tcb::NAME_BYTES).step_by(8) {
            let word = self.m.load(buffer.add(kernel_abi::ipc::IPC_BUFFER_MSG + offset));
            self.m.store(at.addr().add(Tcb::NAME + offset), word);
        }
    }

    fn debug_print(&mut self, text: &str) {
        for byte in text.bytes() {
            self.m.debug_putc(byte);
        }
    }

    /// Prints what is ready to run.
    fn dump_scheduler(&mut self) {
        self.debug_print("current and ready threads:\n");
        self.dump_thread(self.current);
        for priority in (0..kernel_abi::NUM_PRIORITIES as u64).rev() {
            for domain in 0..kernel_abi::NUM_DOMAINS as u64 {
                let mut next = self.ready_queue(domain, priority).head;
                while let Some(tcb) = next {
                    self.dump_thread(tcb);
                    next = tcb.sched_next(&self.m);
                }
            }
        }
    }

    fn dump_thread(&mut self, tcb: Tcb) {
        self.debug_print("  ");
        'name: for offset in (0..Tcb::NAME_BYTES).step_by(8) {
            for byte in self.m.load(tcb.addr().add(Tcb::NAME + offset)).to_le_bytes() {
                if byte == 0 {
                    break 'name;
                }
                self.m.debug_putc(if byte.is_ascii_graphic() || byte == b' ' { byte } else { b'.' });
            }
        }
        self.debug_print(" at ");
        let pc = tcb.restart_pc(&self.m);
        for nibble in (0..16).rev() {
            let digit = (pc >> (4 * nibble) & 15) as u32;
            self.m.debug_putc(char::from_digit(digit, 16).map_or(b'?', |c| c as u8));
        }
        self.debug_print("\n");
    }
}
