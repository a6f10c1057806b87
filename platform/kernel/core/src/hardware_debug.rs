// SPDX-License-Identifier: BSD-2-Clause
//! The hardware debug interface: breakpoints, watchpoints and single steps of threads (`seL4_TCB_SetBreakpoint` and so
//! on; seL4 manual, 6.2.4 and 6.2.5). Only in configurations whose labels have it ([`Machine::HW_DEBUG`]), in which a
//! thread has room for what is set.
//!
//! What is set is kept here; the machine puts it into the hardware while a thread without a virtual CPU runs. Steps are
//! instructions executed between two kernel entries: a system call is none.

use crate::error::Error;
use crate::fault::Fault;
use crate::invoke::{Message, Outcome};
use crate::kernel::Kernel;
use crate::layout::Tcb;
use crate::machine::Machine;
use kernel_abi::{Invocation, debug};

/// A breakpoint or watchpoint as it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// Where.
    pub address: u64,
    /// Bytes; 0 for an instruction.
    pub size: u64,
    /// Which accesses ([`kernel_abi::debug`]).
    pub access: u64,
    /// Whether it is set.
    pub enabled: bool,
}

/// A debug exception of a running thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugEvent {
    /// A breakpoint, at the instruction that is to be executed.
    Breakpoint,
    /// A watchpoint, at an access to this address.
    Watchpoint(u64),
    /// An instruction was executed.
    Step,
    /// A `brk` instruction.
    BreakRequest,
}

impl Tcb {
    /// Byte offset of the breakpoints: address, and settings.
    const BREAKPOINTS: u64 = 2048;
    /// Byte offset of the number of instructions between two step faults; 0: none.
    const STEPS: u64 = Self::BREAKPOINTS + 16 * debug::TOTAL;
    /// Byte offset of the number of instructions until the next step fault.
    const STEPS_LEFT: u64 = Self::STEPS + 8;

    /// Breakpoint or watchpoint `number`.
    pub fn breakpoint<M: Machine>(self, m: &M, number: u64) -> Breakpoint {
        let at = self.addr().add(16 * (number % debug::TOTAL));
        let settings = m.load_at(at, Self::BREAKPOINTS + 8);
        Breakpoint {
            address: m.load_at(at, Self::BREAKPOINTS),
            size: settings >> 8 & 0xff,
            access: settings >> 1 & 3,
            enabled: settings & 1 != 0,
        }
    }

    fn set_breakpoint<M: Machine>(self, m: &mut M, number: u64, to: Breakpoint) {
        let at = self.addr().add(16 * (number % debug::TOTAL));
        m.store_at(at, Self::BREAKPOINTS, to.address);
        m.store_at(at, Self::BREAKPOINTS + 8, to.size << 8 | to.access << 1 | u64::from(to.enabled));
    }

    /// Instructions between two step faults; 0: none.
    pub fn steps<M: Machine>(self, m: &M) -> u64 {
        m.load_at(self.addr(), Self::STEPS)
    }

    /// Instructions until the next step fault.
    pub fn steps_left<M: Machine>(self, m: &M) -> u64 {
        m.load_at(self.addr(), Self::STEPS_LEFT)
    }

    pub(crate) fn set_steps<M: Machine>(self, m: &mut M, steps: u64) {
        m.store_at(self.addr(), Self::STEPS, steps);
        m.store_at(self.addr(), Self::STEPS_LEFT, steps);
    }

    /// Whether the hardware has anything to do for this thread.
    pub fn is_debugged<M: Machine>(self, m: &M) -> bool {
        self.steps(m) != 0 || (0..debug::TOTAL).any(|number| self.breakpoint(m, number).enabled)
    }
}

impl<M: Machine> Kernel<M> {
    /// The four invocations of a thread.
    pub(crate) fn decode_hardware_debug(
        &mut self,
        tcb: Tcb,
        invocation: Invocation,
        msg: &Message,
    ) -> Outcome {
        match invocation {
            Invocation::TcbSetBreakpoint => {
                self.require(msg, 5, 0)?;
                let [number, address, kind, size, access] = [0, 1, 2, 3, 4].map(|i| self.arg(msg, i));
                check(self.m.address_space().top(), number, address, kind, size, access)?;
                self.change(tcb, number, Breakpoint { address, size, access, enabled: true });
                Ok(0)
            }
            Invocation::TcbGetBreakpoint => {
                self.require(msg, 1, 0)?;
                let number = checked(self.arg(msg, 0))?;
                let found = tcb.breakpoint(&self.m, number);
                let kind = if number < debug::BREAKPOINTS { debug::INSTRUCTION } else { debug::DATA };
                let words = [found.address, kind, found.size, found.access, u64::from(found.enabled)];
                for (index, word) in (0..).zip(words) {
                    self.answer(msg, index, word);
                }
                Ok(words.len() as u64)
            }
            Invocation::TcbUnsetBreakpoint => {
                self.require(msg, 1, 0)?;
                let number = checked(self.arg(msg, 0))?;
                self.change(tcb, number, Breakpoint { address: 0, size: 0, access: 0, enabled: false });
                Ok(0)
            }
            _ => {
                self.require(msg, 2, 0)?;
                // Stepping takes no breakpoint on this architecture: the number says nothing. seL4 calls it consumed while
                // it steps.
                let steps = self.arg(msg, 1);
                self.reload(tcb);
                tcb.set_steps(&mut self.m, steps);
                self.answer(msg, 0, u64::from(steps != 0));
                Ok(1)
            }
        }
    }

    fn change(&mut self, tcb: Tcb, number: u64, to: Breakpoint) {
        self.reload(tcb);
        tcb.set_breakpoint(&mut self.m, number, to);
    }

    /// A debug exception of the current thread. Registers are stored; the stored PC is of the next instruction.
    pub fn handle_debug(&mut self, event: DebugEvent) {
        let thread = self.current;
        if event == DebugEvent::Step {
            let left = thread.steps_left(&self.m);
            if left > 1 {
                self.m.store_at(thread.addr(), Tcb::STEPS_LEFT, left - 1);
                return self.handle_nothing();
            }
            let steps = thread.steps(&self.m);
            thread.set_steps(&mut self.m, steps);
        }
        let pc = thread.reg(&self.m, kernel_abi::context::stored::PC);
        let hit = |kernel: &Self, numbers: core::ops::Range<u64>, address: u64| {
            numbers.clone().find(|&number| {
                let set = thread.breakpoint(&kernel.m, number);
                set.enabled && address.wrapping_sub(set.address) < set.size.max(1)
            })
        };
        let (reason, address, number) = match event {
            DebugEvent::Breakpoint => {
                (debug::INSTRUCTION, pc, hit(self, 0..debug::BREAKPOINTS, pc).unwrap_or(0))
            }
            DebugEvent::Watchpoint(address) => {
                let number = hit(self, debug::BREAKPOINTS..debug::TOTAL, address);
                (debug::DATA, address, number.unwrap_or(debug::BREAKPOINTS))
            }
            DebugEvent::Step => (debug::SINGLE_STEP, 0, 0),
            DebugEvent::BreakRequest => (debug::BREAK_REQUEST, 0, 0),
        };
        let what = Fault::Debug { reason, address, number };
        match event {
            // Nothing would tell of it again.
            DebugEvent::Step => self.handle_vcpu_event(what),
            _ => self.handle_fault(what),
        }
    }
}

fn checked(number: u64) -> Result<u64, Error> {
    if number < debug::TOTAL { Ok(number) } else { Err(Error::Range(0, debug::TOTAL - 1)) }
}

fn check(top: u64, number: u64, address: u64, kind: u64, size: u64, access: u64) -> Result<(), Error> {
    checked(number)?;
    let is_breakpoint = number < debug::BREAKPOINTS;
    match kind {
        debug::INSTRUCTION if !is_breakpoint => return Err(Error::InvalidArgument(0)),
        debug::DATA if is_breakpoint => return Err(Error::InvalidArgument(0)),
        debug::INSTRUCTION | debug::DATA => {}
        _ => return Err(Error::InvalidArgument(2)),
    }
    if address > top {
        return Err(Error::InvalidArgument(1));
    }
    if is_breakpoint {
        if size != 0 {
            return Err(Error::InvalidArgument(3));
        }
        if access != debug::ON_READ {
            return Err(Error::InvalidArgument(4));
        }
        return if address.is_multiple_of(4) { Ok(()) } else { Err(Error::Alignment) };
    }
    if !matches!(size, 1 | 2 | 4 | 8) {
        return Err(Error::InvalidArgument(3));
    }
    if access > debug::ON_READ_WRITE {
        return Err(Error::InvalidArgument(4));
    }
    if address.is_multiple_of(size) { Ok(()) } else { Err(Error::Alignment) }
}
