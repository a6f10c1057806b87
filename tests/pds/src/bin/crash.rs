// SPDX-License-Identifier: BSD-2-Clause
//! Faults, in the way that its name in the system description says: `crash_null`, `crash_write`, `crash_jump`,
//! `crash_stack`, `crash_undefined`, `crash_syscall`, `crash_capability`, `crash_panic`, `crash_channel`,
//! `crash_error` (when notified); by a register of the physical timer: `read_ctl`, `read_cval`, `read_tval`, `write_ctl`,
//! `write_cval`, `write_tval`.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt;

use sel4_microkit::{Channel, ChannelSet, Handler, pd_name, protection_domain, sel4_sys, set_mr};
use test_pds as _;

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken as told")
    }
}

struct Crash;

impl Handler for Crash {
    type Error = Broken;

    /// Only `crash_error` has a channel.
    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Broken> {
        Err(Broken)
    }
}

/// Uses up the stack.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    core::hint::black_box(&mut frame);
    recurse(depth + 1) + frame[0]
}

/// A capability pointer that leads nowhere: its bits do not match the guard of the CNode that Microkit makes.
const NOWHERE: u64 = 1 << 20;

#[protection_domain]
fn init() -> impl Handler {
    match pd_name().unwrap_or("") {
        // SAFETY: not safe at all: these PDs are there to fault. Each touches only memory of its own or none.
        "crash_null" => unsafe {
            core::ptr::without_provenance::<u64>(0x8).read_volatile();
        },
        // SAFETY: as above.
        "crash_write" => unsafe {
            core::ptr::with_exposed_provenance_mut::<u32>(0x20_0000).write_volatile(0);
        },
        // SAFETY: as above.
        "crash_jump" => unsafe { asm!("br {}", in(reg) 0x1000_u64, options(noreturn)) },
        // SAFETY: as above.
        "crash_undefined" => unsafe { asm!("udf #1", options(noreturn)) },
        // SAFETY: as above. No system call has a positive number.
        "crash_syscall" => unsafe { asm!("svc #0", in("x7") 0x1234_u64, clobber_abi("C")) },
        "crash_stack" => set_mr(0, recurse(0)),
        "crash_capability" => {
            let info = sel4_sys::seL4_MessageInfo::new(0, 0, 0, 0);
            sel4_sys::sys_send_recv(sel4_sys::syscall_id::Call, NOWHERE, info, [0; 4], 0);
        }
        "crash_panic" => panic!("as told"),
        "crash_channel" => Channel::new(61).notify(),
        // SAFETY: where these do not fault they change nothing but a timer that stays off (Arm DDI 0487, D19.12).
        "read_ctl" => unsafe { asm!("mrs {}, cntp_ctl_el0", out(reg) _) },
        // SAFETY: as above.
        "read_cval" => unsafe { asm!("mrs {}, cntp_cval_el0", out(reg) _) },
        // SAFETY: as above.
        "read_tval" => unsafe { asm!("mrs {}, cntp_tval_el0", out(reg) _) },
        // SAFETY: as above.
        "write_ctl" => unsafe { asm!("msr cntp_ctl_el0, xzr") },
        // SAFETY: as above.
        "write_cval" => unsafe { asm!("msr cntp_cval_el0, xzr") },
        // SAFETY: as above.
        "write_tval" => unsafe { asm!("msr cntp_tval_el0, xzr") },
        _ => {}
    }
    Crash
}
