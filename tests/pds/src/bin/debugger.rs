// SPDX-License-Identifier: BSD-2-Clause
//! Debugs its child: a breakpoint, three single steps at a time, a watchpoint. Prints what each fault says.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{
    Child, Handler, Infallible, MessageInfo, get_mr, memory_region_symbol, protection_domain, set_mr,
};
use test_pds::{METHODS, Uart};

/// Numbers, types and reasons of the interface (`seL4_BreakpointType`).
const BREAKPOINT: u16 = 0;
const WATCHPOINT: u16 = 6;
const DATA: u64 = 0;
const INSTRUCTION: u64 = 1;
const SINGLE_STEP: u64 = 2;
const BREAK_REQUEST: u64 = 3;
const ON_READ: u64 = 0;
const ON_WRITE: u64 = 1;
/// Bytes of an instruction.
const INSTRUCTION_BYTES: u64 = 4;

/// Where the direction of accesses is among the words of `SetBreakpoint`: the only one that travels in the IPC buffer, where
/// `set_mr` puts it.
const ACCESS_WORD: usize = 4;

struct Debugger {
    uart: Uart,
    straight: u64,
    watched: u64,
}

impl Handler for Debugger {
    type Error = Infallible;

    fn fault(&mut self, child: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        let [ip, reason, address, number] = [0, 1, 2, 3].map(get_mr);
        let tcb = child.tcb();
        let _ = write!(self.uart, "TEST debug label {} reason {reason}", info.label());
        let mut buffer = METHODS;
        let code = match reason {
            BREAK_REQUEST if self.straight == 0 => {
                let registers = child.registers();
                (self.straight, self.watched) = (registers.x0, registers.x1);
                let _ = write!(self.uart, " first");
                set_mr(ACCESS_WORD, ON_READ);
                buffer.seL4_TCB_SetBreakpoint(tcb, BREAKPOINT, self.straight, INSTRUCTION, 0, ON_READ)
            }
            BREAK_REQUEST => {
                let _ = write!(self.uart, " last with {}", child.registers().x0);
                0
            }
            INSTRUCTION => {
                let _ = write!(self.uart, " number {number} there {}", ip == self.straight && address == ip);
                buffer.seL4_TCB_UnsetBreakpoint(tcb, BREAKPOINT);
                buffer.seL4_TCB_ConfigureSingleStepping(tcb, 0, 3).error
            }
            SINGLE_STEP => {
                let steps = (ip - self.straight) / INSTRUCTION_BYTES;
                let _ = write!(self.uart, " after {steps}");
                if steps < 6 {
                    0
                } else {
                    buffer.seL4_TCB_ConfigureSingleStepping(tcb, 0, 0);
                    set_mr(ACCESS_WORD, ON_WRITE);
                    buffer.seL4_TCB_SetBreakpoint(tcb, WATCHPOINT, self.watched, DATA, 8, ON_WRITE)
                }
            }
            _ => {
                let _ = write!(self.uart, " number {number} there {}", address == self.watched);
                buffer.seL4_TCB_UnsetBreakpoint(tcb, WATCHPOINT)
            }
        };
        let _ = writeln!(self.uart, " code {code}\r");
        // Behind a `brk`, otherwise where it was stopped.
        let next = if reason == BREAK_REQUEST { ip + INSTRUCTION_BYTES } else { ip };
        child.restart(next as usize);
        Ok(None)
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there, for this PD alone.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    Debugger { uart, straight: 0, watched: 0 }
}
