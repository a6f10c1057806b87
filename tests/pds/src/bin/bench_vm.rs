// SPDX-License-Identifier: BSD-2-Clause
//! Measures exits of a guest of few instructions: a read of an address where nothing is, answered without effect, with
//! the program counter advanced, and with a value; an HVC; a WFI; and the virtual timer's whole cycle (exit, injection,
//! end of interrupt, exit, acknowledgement).
//!
//! Symbols: `uart`, `guest_ram` (a page, which the guest sees at 0x4000_0000; besides it sees the GIC's virtual CPU
//! interface at 0x801_0000).
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::ptr::NonNull;

use sel4_microkit::{
    Child, Fault, Handler, Infallible, MessageInfo, UserContext, Vcpu, VcpuExit, exit_answer,
    memory_region_symbol, protection_domain,
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
    "0: ldr w20, [x0]",
    "b 0b",
    ".balign 16",
    // A timer that has always fired: VBAR_EL1, GICV_PMR, GICV_CTLR, the timer, interrupts.
    "add x1, x4, #0x800",
    "msr vbar_el1, x1",
    "mov x2, #0x08010000",
    "mov w3, #0xff",
    "str w3, [x2, #4]",
    "mov w3, #1",
    "str w3, [x2]",
    "msr cntv_cval_el0, xzr",
    "msr cntv_ctl_el0, x3",
    "isb",
    "msr daifclr, #2",
    "0: b 0b",
    // The vector of interrupts from the same level: GICV_IAR, GICV_EOIR.
    ".org guest_code + 0xa80",
    "ldr w3, [x2, #0xc]",
    "str w3, [x2, #0x10]",
    "eret",
    "guest_code_end:",
    ".previous",
);

unsafe extern "C" {
    static guest_code: u8;
    static guest_code_end: u8;
}

/// Bytes of the guest's page.
const GUEST_BYTES: usize = 4096;
/// The smallest cache line.
const LINE: usize = 16;

/// How an exit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// With an empty reply; the guest does the same again.
    Empty,
    /// With the program counter advanced.
    Advance,
    /// With a value in x1 and the program counter advanced.
    Value,
    /// As `Value`, in x20.
    ValueFar,
    /// As `Value`, with the kernel extension: told with registers, answered with registers.
    Told,
    /// The timer's interrupt is injected, and acknowledged when the guest has ended it.
    Timer,
}

/// What is measured one after the other: name, offset in the guest's code, answer.
const PHASES: &[(&str, u64, Answer)] = &[
    ("mmio_exit_empty", 0x00, Answer::Empty),
    ("mmio_exit_advance", 0x00, Answer::Advance),
    ("mmio_exit_value", 0x00, Answer::Value),
    ("hvc_exit_empty", 0x10, Answer::Empty),
    ("wfi_exit_empty", 0x20, Answer::Empty),
    ("mmio_exit_value_x20", 0x30, Answer::ValueFar),
    ("vtimer_cycle", 0x40, Answer::Timer),
    ("mmio_exit_told", 0x00, Answer::Told),
];

/// Registers up to x1 in transfer order: pc, sp, spsr, x0, x1.
const UP_TO_X1: usize = 5;
/// Registers up to x20.
const UP_TO_X20: usize = 26;
/// Registers up to x4.
const UP_TO_X4: usize = 8;
/// Interrupt number of the virtual timer.
const VIRTUAL_TIMER: u16 = 27;

struct Vmm {
    uart: Uart,
    vcpu: Vcpu,
    phase: usize,
    stopwatch: Stopwatch,
}

impl Vmm {
    fn answer(&self, answer: Answer, ip: u64) {
        match answer {
            Answer::Empty | Answer::Timer | Answer::Told => {}
            Answer::Advance => {
                self.vcpu.write_registers(false, &UserContext { pc: ip + 4, ..Default::default() }, 1);
            }
            Answer::Value => {
                let mut registers = self.vcpu.read_registers(UP_TO_X1);
                registers.pc += 4;
                registers.x1 = 0x1234_5678;
                self.vcpu.write_registers(false, &registers, UP_TO_X1);
            }
            Answer::ValueFar => {
                let mut registers = self.vcpu.read_registers(UP_TO_X20);
                registers.pc += 4;
                registers.x20 = 0x1234_5678;
                self.vcpu.write_registers(false, &registers, UP_TO_X20);
            }
        }
    }

    /// Ends a phase; `false` after the last.
    fn next_phase(&mut self, name: &str, ticks: u64) -> bool {
        Stopwatch::report(&mut self.uart, name, ROUNDS, ticks);
        self.phase += 1;
        self.stopwatch = Stopwatch::new();
        let next = PHASES.get(self.phase);
        match next.filter(|(_, _, answer)| *answer != Answer::Told || self.vcpu.tell_exits()) {
            Some((_, offset, _)) => {
                let mut registers = self.vcpu.read_registers(UP_TO_X4);
                registers.pc = GUEST_BASE + offset;
                registers.x4 = GUEST_BASE;
                registers.x0 = NOTHING;
                registers.spsr = EL1H_MASKED;
                self.vcpu.write_registers(false, &registers, UP_TO_X4);
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
        let fault = info.fault();
        if answer == Answer::Timer
            && let Fault::VgicMaintenance { .. } = fault
        {
            self.vcpu.ack_vppi(VIRTUAL_TIMER.into());
            return Ok(Some(MessageInfo::default()));
        }
        if let Some(ticks) = self.stopwatch.round() {
            return Ok(self.next_phase(name, ticks).then(MessageInfo::default));
        }
        match fault {
            Fault::VcpuExit(VcpuExit { ip, addr: NOTHING, .. }) => {
                return Ok(Some(exit_answer(ip + 4, 1, 0x1234_5678)));
            }
            Fault::VppiEvent { .. } if self.vcpu.inject_irq(VIRTUAL_TIMER, 0, 0, 0).is_ok() => {}
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
        for line in (0..GUEST_BYTES).step_by(LINE) {
            asm!(
                "dc cvac, {line}", "dsb ish", "ic ivau, {line}", "dsb ish", "isb",
                line = in(reg) ram.as_ptr().add(line),
                options(nostack, preserves_flags),
            );
        }
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
