// SPDX-License-Identifier: BSD-2-Clause
//! Entry, receive loop, and printing.

use core::fmt::{self, Write as _};
use core::panic::PanicInfo;

use fault_report::{Report, instruction};
use sel4_sys::{Error, Fault, fault_label, seL4_IPCBuffer, seL4_UserContext, seL4_UserVSpaceTop};
use system_spec::symbols;

use crate::tables;

/// The CSpace that the tool lays out.
mod slot {
    /// The endpoint for faults and handshakes.
    pub const FAULT_ENDPOINT: u64 = 1;
    /// The reply object.
    pub const REPLY: u64 = 2;
    /// TCBs of protection domains, by index.
    pub const PD_TCB: u64 = 10;
    /// Scheduling contexts of passive domains, by index.
    pub const SCHED_CONTEXT: u64 = 138;
    /// Notifications of passive domains, by index.
    pub const NOTIFICATION: u64 = 202;
}

const PAGE: u64 = 0x1000;

/// The initialiser starts the thread here, with a stack.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
extern "C" fn _start() -> ! {
    // SAFETY: the tool maps the IPC buffer in the top page of every protection domain; this is the only reference to it.
    let buffer = unsafe { &mut *((seL4_UserVSpaceTop & !(PAGE - 1)) as *mut seL4_IPCBuffer) };
    loop {
        // No reply is ever sent: a domain that faulted stays stopped. Receiving again gives up its reply.
        let (info, badge) = buffer.seL4_Recv(slot::FAULT_ENDPOINT, slot::REPLY);
        let Some(pd) = badge.checked_sub(1) else { continue };
        if info.get_label() == fault_label::NULL {
            make_passive(buffer, pd);
        } else {
            let fault = Fault::decode(info, |index| buffer.msg.get(index).copied().unwrap_or(0));
            report(buffer, pd, &fault);
        }
    }
}

/// Moves a domain's scheduling context from its thread to its notification.
fn make_passive(buffer: &mut seL4_IPCBuffer, pd: u64) {
    let sched_context = slot::SCHED_CONTEXT + pd;
    let unbound = buffer.seL4_SchedContext_UnbindObject(sched_context, slot::PD_TCB + pd);
    let result = Error::check(unbound)
        .and_then(|()| Error::check(buffer.seL4_SchedContext_Bind(sched_context, slot::NOTIFICATION + pd)));
    let name = tables::pd_name(pd as usize);
    let name = name.as_ref().map_or("?", |name| name.as_str());
    match result {
        Ok(()) => print(format_args!("MON|INFO: PD '{name}' is now passive!\n")),
        Err(error) => print(format_args!("MON|ERROR: could not make PD '{name}' passive: {error:?}\n")),
    }
}

/// Prints what is known about a fault.
fn report(buffer: &mut seL4_IPCBuffer, pd: u64, fault: &Fault) {
    if !sel4_sys::config::PRINTING {
        return;
    }
    let index = pd as usize;
    let name = tables::pd_name(index);
    let name = name.as_ref().map_or("?", |name| name.as_str());
    print(format_args!("MON|ERROR: faulting PD: {name}\n"));
    let what = Report { fault, stack_bottom: tables::stack_bottom(index) };
    print(format_args!("MON|ERROR: {what}\n"));
    if let Some(ip) = instruction(fault) {
        print(format_args!("MON|ERROR: at {}\n", Place { pd: index, address: ip }));
    }
    let mut registers = seL4_UserContext::default();
    let count = seL4_UserContext::LEN as u64;
    let error = buffer.seL4_TCB_ReadRegisters(slot::PD_TCB + pd, false, 0, count, &mut registers);
    if let Err(error) = Error::check(error) {
        print(format_args!("MON|ERROR: registers cannot be read: {error:?}\n"));
        return;
    }
    print(format_args!("MON|ERROR: called from {}\n", Place { pd: index, address: registers.x30 }));
    print_registers(&registers);
}

fn print_registers(registers: &seL4_UserContext) {
    let seL4_UserContext { pc, sp, spsr, .. } = registers;
    print(format_args!("  pc  {pc:#018x}  sp  {sp:#018x}  spsr {spsr:#x}"));
    let words = registers.as_words();
    for n in 0..=30 {
        let value = seL4_UserContext::index_of_x(n).and_then(|at| words.get(at)).copied().unwrap_or(0);
        let separator = if n % 4 == 0 { "\n" } else { "" };
        print(format_args!("{separator}  x{n:<2} {value:#018x}"));
    }
    print(format_args!("\n"));
}

/// An address in a program, with the function when its name is known.
struct Place {
    pd: usize,
    address: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address)?;
        match symbols::find(tables::functions(), self.pd, self.address) {
            Some((name, offset)) => write!(f, " ({name} + {offset:#x})"),
            None => Ok(()),
        }
    }
}

struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        sel4_sys::seL4_DebugPutString(text);
        Ok(())
    }
}

fn print(text: fmt::Arguments<'_>) {
    if sel4_sys::config::PRINTING {
        // The console takes everything.
        let _ = Console.write_fmt(text);
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("MON|ERROR: {info}\n"));
    // Its own fault has no handler: the monitor stops, everything else goes on.
    loop {
        sel4_sys::seL4_Yield();
    }
}
