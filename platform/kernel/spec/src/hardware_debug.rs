// SPDX-License-Identifier: BSD-2-Clause
//! Breakpoints, watchpoints and single steps (manual 6.2.4, 6.2.5; `seL4_TCB_SetBreakpoint` and so on).
//!
//! Numbers 0 to 5 are breakpoints on instructions, 6 to 9 watchpoints on data. A step is an instruction executed between
//! two kernel entries.

use crate::error::Error;
use crate::fault::Fault;
use crate::state::{Obj, State};
use crate::syscall::{Invocation, Words};
use kernel_abi::{Invocation as Label, debug};

/// A breakpoint or watchpoint that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// Where.
    pub address: u64,
    /// Bytes; 0 for an instruction.
    pub size: u64,
    /// Which accesses.
    pub access: u64,
}

fn kind_of(number: u64) -> u64 {
    if number < debug::BREAKPOINTS { debug::INSTRUCTION } else { debug::DATA }
}

impl Breakpoint {
    fn checked(top: u64, number: u64, kind: u64, new: Self) -> Result<Self, Error> {
        if kind != debug::INSTRUCTION && kind != debug::DATA {
            return Err(Error::InvalidArgument(2));
        }
        if kind_of(number) != kind {
            return Err(Error::InvalidArgument(0));
        }
        if new.address > top {
            return Err(Error::InvalidArgument(1));
        }
        let (sizes, accesses): (&[u64], _) =
            if kind == debug::DATA { (&[1, 2, 4, 8], debug::ON_READ_WRITE) } else { (&[0], debug::ON_READ) };
        if !sizes.contains(&new.size) {
            return Err(Error::InvalidArgument(3));
        }
        if new.access > accesses {
            return Err(Error::InvalidArgument(4));
        }
        // Instructions have four bytes.
        let align = if new.size == 0 { 4 } else { new.size };
        if new.address.is_multiple_of(align) { Ok(new) } else { Err(Error::Alignment) }
    }
}

impl State {
    /// `TCBSetBreakpoint(number, address, type, size, access)`, `TCBGetBreakpoint(number) -> address, type, size, access,
    /// enabled`, `TCBUnsetBreakpoint(number)`, `TCBConfigureSingleStepping(number, steps) -> consumed`: a fault after that
    /// many steps each, none for 0; otherwise the number is said to be consumed.
    ///
    /// Changes: what is set for the thread.
    pub(crate) fn debug_invocation(&mut self, tcb: Obj, call: &Invocation) -> Result<Words, Error> {
        let words = match call.label {
            Some(Label::TcbSetBreakpoint) => 5,
            Some(Label::TcbConfigureSingleStepping) => 2,
            _ => 1,
        };
        call.needs(words, 0)?;
        if call.label == Some(Label::TcbConfigureSingleStepping) {
            self.set_steps(tcb, call.words[1]);
            return Ok(vec![u64::from(call.words[1] != 0)]);
        }
        let number = call.words[0];
        if number >= debug::TOTAL {
            return Err(Error::Range(0, debug::TOTAL - 1));
        }
        match call.label {
            Some(Label::TcbSetBreakpoint) => {
                let new = Breakpoint { address: call.words[1], size: call.words[3], access: call.words[4] };
                let new = Breakpoint::checked(self.config.address_space.top(), number, call.words[2], new)?;
                self.tcb_mut(tcb).breakpoints.insert(number, new);
                Ok(vec![])
            }
            Some(Label::TcbGetBreakpoint) => {
                let set = self.tcb(tcb).breakpoints.get(&number).copied();
                let b = set.unwrap_or(Breakpoint { address: 0, size: 0, access: 0 });
                Ok(vec![b.address, kind_of(number), b.size, b.access, u64::from(set.is_some())])
            }
            _ => {
                self.tcb_mut(tcb).breakpoints.remove(&number);
                Ok(vec![])
            }
        }
    }

    /// A thread faults after `steps` instructions, and after as many again.
    ///
    /// Changes: the thread's steps.
    pub(crate) fn set_steps(&mut self, tcb: Obj, steps: u64) {
        let tcb = self.tcb_mut(tcb);
        (tcb.steps, tcb.steps_left) = (steps, steps);
    }

    /// The running thread has executed one instruction under single stepping. Returns the fault, if one is due.
    ///
    /// Changes: the steps that are left.
    pub(crate) fn step_done(&mut self, tcb: Obj) -> Option<Fault> {
        let thread = self.tcb_mut(tcb);
        if thread.steps_left > 1 {
            thread.steps_left -= 1;
            return None;
        }
        thread.steps_left = thread.steps;
        Some(Fault::Debug { reason: debug::SINGLE_STEP, address: 0, number: 0 })
    }
}
