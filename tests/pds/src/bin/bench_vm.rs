// SPDX-License-Identifier: BSD-2-Clause
//! Measures exits of a guest of four instructions: a read of an address where nothing is, answered without effect, with
//! the program counter advanced, and with a value; an HVC; a WFI.
//!
//! Symbols: `uart`, `guest_ram` (a page, which the guest sees at 0x4000_0000; it sees nothing else).
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::ptr::NonNull;

use sel4_microkit::{
    Child, Fault, Handler, Infallible, MessageInfo, UserContext, Vcpu, memory_region_symbol,
    protection_domain,
};
use test_pds::{ROUNDS, Stopwatch, Uart};

/// Where the guest sees its page.
const GUEST_BASE: u64 = 0x4000_0000;
/// An address where the guest has nothing.
const NOTHING: u64 = 0x5000_0000;
/// `SPSR`: EL1 with its own stack pointer, interrupts masked.
const EL1H_MASKED: u64 = 0x3c5;

global_asm!(
    ".section .rodata.guest, \"a\"",
    ".balign 16",
    "guest_code:",
    "0: ldr w1, [x0]",
    "b 0b",
    ".balign 16",
    "0: hvc #0",
    "b 0b",
    ".balign 16",
    "0: wfi",
    "b 0b",
    ".balign 16",
    "guest_code_end:",
    ".previous",
);

unsafe extern "C" {
    static guest_code: u8;
    static guest_code_end: u8;
}

/// How an exit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// With an empty reply; the guest does the same again.
    Empty,
    /// With the program counter advanced.
    Advance,
    /// With a value in x1 and the program counter advanced.
    Value,
}

/// What is measured one after the other: name, offset in the guest's code, answer.
const PHASES: &[(&str, u64, Answer)] = &[
    ("mmio_exit_empty", 0x00, Answer::Empty),
    ("mmio_exit_advance", 0x00, Answer::Advance),
    ("mmio_exit_value", 0x00, Answer::Value),
    ("hvc_exit_empty", 0x10, Answer::Empty),
    ("wfi_exit_empty", 0x20, Answer::Empty),
];

/// Registers up to x1 in transfer order: pc, sp, spsr, x0, x1.
const UP_TO_X1: usize = 5;

struct Vmm {
    uart: Uart,
    vcpu: Vcpu,
    phase: usize,
    stopwatch: Stopwatch,
}

impl Vmm {
    fn answer(&self, answer: Answer, ip: u64) {
        match answer {
            Answer::Empty => {}
            Answer::Advance => {
                self.vcpu.write_registers(false, &UserContext { pc: ip + 4, ..Default::default() }, 1);
            }
            Answer::Value => {
                let mut registers = self.vcpu.read_registers(UP_TO_X1);
                registers.pc += 4;
                registers.x1 = 0x1234_5678;
                self.vcpu.write_registers(false, &registers, UP_TO_X1);
            }
        }
    }

    /// Ends a phase; `false` after the last.
    fn next_phase(&mut self, name: &str, ticks: u64) -> bool {
        Stopwatch::report(&mut self.uart, name, ROUNDS, ticks);
        self.phase += 1;
        self.stopwatch = Stopwatch::new();
        match PHASES.get(self.phase) {
            Some((_, offset, _)) => {
                let registers = UserContext { pc: GUEST_BASE + offset, ..Default::default() };
                self.vcpu.write_registers(false, &registers, 1);
                true
            }
            None => {
                // The console cannot fail.
                let _ = writeln!(self.uart, "BENCH done\r");
                false
            }
        }
    }
}

impl Handler for Vmm {
    type Error = Infallible;

    fn fault(&mut self, _vcpu: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        let Some(&(name, _, answer)) = PHASES.get(self.phase) else { return Ok(None) };
        if let Some(ticks) = self.stopwatch.round() {
            return Ok(self.next_phase(name, ticks).then(MessageInfo::default));
        }
        match info.fault() {
            Fault::VmFault { ip, addr: NOTHING, .. } => self.answer(answer, ip),
            Fault::UnknownSyscall { .. } | Fault::VcpuFault { .. } => {}
            other => {
                // The console cannot fail.
                let _ = writeln!(self.uart, "BENCH failed: {other:x?}\r");
                return Ok(None);
            }
        }
        Ok(Some(MessageInfo::default()))
    }
}

/// Copies the guest's code into its memory and makes it visible to fetches.
fn load_guest(ram: NonNull<u8>) {
    // SAFETY: `ram` is a page of this PD that nothing else uses while the guest does not run; the code is smaller.
    // The cache instructions affect only caches, which the kernel lets user level maintain.
    unsafe {
        let (start, end) = (&raw const guest_code, &raw const guest_code_end);
        ram.as_ptr().copy_from_nonoverlapping(start, end.offset_from_unsigned(start));
        asm!(
            "dc cvac, {ram}", "dsb ish", "ic ivau, {ram}", "dsb ish", "isb",
            ram = in(reg) ram.as_ptr(),
            options(nostack, preserves_flags),
        );
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there, for this PD alone.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    load_guest(memory_region_symbol!(guest_ram: *mut u8));
    let vcpu = Vcpu::new(0);
    let registers = UserContext { pc: GUEST_BASE, spsr: EL1H_MASKED, x0: NOTHING, ..Default::default() };
    vcpu.write_registers(true, &registers, UP_TO_X1);
    Vmm { uart, vcpu, phase: 0, stopwatch: Stopwatch::new() }
}
