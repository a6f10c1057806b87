// SPDX-License-Identifier: BSD-2-Clause
//! What the core needs from the machine below it: memory, time, interrupts, translation, context switch.
//!
//! Implemented by the hardware in `platform/kernel/arch` and by simulated machines in host tests. Every method is
//! small and does one thing; policy stays above.

use crate::addr::PhysAddr;
use crate::layout::{Tcb, Vcpu};
use kernel_abi::object::AddressSpace;
use kernel_abi::vcpu::VcpuReg;

/// A cache maintenance operation by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOp {
    /// Write dirty lines back (to the point of coherency).
    Clean,
    /// Throw lines away.
    Invalidate,
    /// Both.
    CleanInvalidate,
    /// Make written instructions visible: clean to the point of unification, invalidate instruction cache.
    Unify,
}

/// What a vCPU register-like operation cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRegisterActive;

/// What a list register is loaded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualInterrupt {
    /// Number.
    pub number: u64,
    /// Priority, 0 (highest) to 31.
    pub priority: u64,
    /// Group, 0 or 1.
    pub group: u64,
    /// The CPU that sent it, of a software-generated one on a GIC that says so; else 0.
    pub source: u64,
}

/// The machine under the kernel. Physical addresses given to it always lie in memory the kernel owns or has handed
/// out; the core checks before it calls.
pub trait Machine {
    /// Whether debug system calls and printing exist (configuration `debug`).
    const DEBUG: bool;
    /// Whether labels and TCB size are those of the hardware debug interface (configuration `debug`).
    const HW_DEBUG: bool;
    /// Whether utilisation is tracked (configuration `benchmark`).
    const BENCHMARK: bool;
    /// Whether there is the kernel extension ([`kernel_abi::extension`]).
    const EXTENSION: bool;
    /// The greatest interrupt number that a user may ask a handler for.
    const MAX_IRQ: u64;

    /// Shape of the address spaces of PDs and guests; never changes.
    fn address_space(&self) -> AddressSpace;

    /// Reads the word at `at` (8-byte aligned).
    fn load(&self, at: PhysAddr) -> u64;
    /// Writes the word at `at` (8-byte aligned).
    fn store(&mut self, at: PhysAddr, value: u64);
    /// Reads the word `offset` bytes into the object at `at`: as [`load`](Self::load), with the two told apart so that
    /// the offset can become part of the instruction.
    #[inline(always)]
    fn load_at(&self, at: PhysAddr, offset: u64) -> u64 {
        self.load(at.add(offset))
    }
    /// Writes the word `offset` bytes into the object at `at`.
    #[inline(always)]
    fn store_at(&mut self, at: PhysAddr, offset: u64, value: u64) {
        self.store(at.add(offset), value);
    }
    /// Zeroes `bytes` bytes from `at` (both multiples of 16).
    fn zero(&mut self, at: PhysAddr, bytes: u64);

    /// Whether `bytes` bytes from `at` are RAM that the kernel can reach.
    fn is_ram(&self, at: PhysAddr, bytes: u64) -> bool;

    /// Current time in ticks; never goes back.
    fn now(&self) -> u64;
    /// Asks for [`Kernel::handle_interrupt`](crate::Kernel::handle_interrupt) at or soon after `ticks`.
    fn set_deadline(&mut self, ticks: u64);
    /// Ticks in `us` microseconds; saturates.
    fn us_to_ticks(&self, us: u64) -> u64;
    /// Whole microseconds in `ticks`.
    fn ticks_to_us(&self, ticks: u64) -> u64;
    /// The kernel's worst-case entry time in ticks: deadlines closer than this are treated as reached, and the
    /// least budget is twice this.
    fn wcet_ticks(&self) -> u64;
    /// The longest period or budget accepted, in microseconds.
    fn max_period_us(&self) -> u64;

    /// The cycle counter (configuration `benchmark`).
    fn cycles(&self) -> u64;
    /// Cleans and invalidates all caches of this CPU (configuration `benchmark`).
    fn flush_caches(&mut self);

    /// Masks or unmasks an interrupt line.
    fn irq_set_masked(&mut self, irq: u64, masked: bool);
    /// Configures a line as edge or level triggered.
    fn irq_set_trigger(&mut self, irq: u64, edge: bool);
    /// Whether a hardware interrupt waits (asked at preemption points).
    fn irq_pending(&self) -> bool;
    /// Whether the interrupt controller could send a software-generated interrupt to `target`, whether or not there is
    /// such a CPU: a number below 8 (GICv2), or an affinity (GICv3).
    fn is_sgi_target(&self, target: u64) -> bool;
    /// Sends a software-generated interrupt to the CPU `target`.
    fn send_sgi(&mut self, sgi: u64, target: u64);

    /// Makes `root` with VMID `vmid` the current user translation; `None`: nothing is mapped.
    fn set_vspace(&mut self, root: Option<(PhysAddr, u8)>);
    /// Forgets all translations of a VMID.
    fn tlb_invalidate_vmid(&mut self, vmid: u8);
    /// Forgets the translation of one address of a VMID.
    fn tlb_invalidate_page(&mut self, vmid: u8, vaddr: u64);
    /// Makes table entries written before visible to the table walker.
    fn publish_tables(&mut self);
    /// Cache maintenance over a physical range (whole lines are taken).
    fn cache(&mut self, op: CacheOp, at: PhysAddr, bytes: u64);

    /// The registers and translation of `to` become the ones that the kernel's exit restores. `vcpu` is the virtual
    /// CPU bound to it. Called only when the thread changes; `None` is the idle thread.
    fn switch_thread(&mut self, to: Option<Tcb>, vcpu: Option<Vcpu>);
    /// A translation in one word, for [`switch_plain`](Self::switch_plain).
    fn space_word(&self, root: Option<(PhysAddr, u8)>) -> u64;
    /// As [`set_vspace`](Self::set_vspace), by the word.
    fn set_space(&mut self, space: u64);
    /// Whether the thread that is loaded has no virtual CPU.
    fn is_plain(&self) -> bool;
    /// [`set_vspace`](Self::set_vspace) and [`switch_thread`](Self::switch_thread) in one, while
    /// [`is_plain`](Self::is_plain), from the thread that is loaded to another without a virtual CPU.
    fn switch_plain(&mut self, from: Tcb, to: Tcb, space: u64);
    /// As [`switch_plain`](Self::switch_plain) from a thread whose virtual CPU runs.
    fn leave_vcpu(&mut self, from: Tcb, to: Tcb, space: u64);
    /// Whether [`enter_vcpu`](Self::enter_vcpu) can be used: `vcpu` is the one that ran last, and little has to be moved.
    fn can_enter_vcpu(&self, vcpu: Vcpu) -> bool;
    /// As [`switch_plain`](Self::switch_plain) to a thread with a virtual CPU, while
    /// [`can_enter_vcpu`](Self::can_enter_vcpu).
    fn enter_vcpu(&mut self, from: Tcb, to: Tcb, vcpu: Vcpu, space: u64);
    /// The thread's FPU registers, if they are in the hardware, go to its TCB (`discard`: are dropped).
    fn fpu_release(&mut self, tcb: Tcb, discard: bool);

    /// Prepares a fresh, zeroed virtual CPU object.
    fn vcpu_init(&mut self, vcpu: Vcpu);
    /// Brings everything of `vcpu` that is in the hardware back to its object (before it is read, rebound or
    /// destroyed). With `forget`, the hardware no longer holds it.
    fn vcpu_save(&mut self, vcpu: Vcpu, forget: bool);
    /// Reads a register of a virtual CPU, wherever it lives.
    fn vcpu_read(&mut self, vcpu: Vcpu, reg: VcpuReg) -> u64;
    /// Writes a register of a virtual CPU, wherever it lives.
    fn vcpu_write(&mut self, vcpu: Vcpu, reg: VcpuReg, value: u64);
    /// Number of list registers.
    fn vcpu_list_registers(&self) -> u64;
    /// Puts a virtual interrupt into list register `lr`, end-of-interrupt maintenance requested.
    /// Refused while the list register holds an active interrupt.
    fn vcpu_inject(
        &mut self,
        vcpu: Vcpu,
        lr: u64,
        interrupt: VirtualInterrupt,
    ) -> Result<(), ListRegisterActive>;
    /// What list register `lr` holds, and whether it is pending and active. With `withdraw`, one that is only pending is
    /// taken out.
    fn vcpu_list_register(&mut self, vcpu: Vcpu, lr: u64, withdraw: bool) -> (VirtualInterrupt, bool, bool);
    /// Reads word `index` of a virtual CPU's state behind its registers ([`kernel_abi::extension::vcpu`]).
    fn vcpu_read_more(&mut self, vcpu: Vcpu, index: u64) -> u64;
    /// Writes such a word.
    fn vcpu_write_more(&mut self, vcpu: Vcpu, index: u64, value: u64);
    /// Unmasks the virtual private interrupt `irq` of `vcpu` again. Returns whether it is one.
    fn vcpu_ack_vppi(&mut self, vcpu: Vcpu, irq: u64) -> bool;

    /// A call to the firmware.
    fn smc(&mut self, args: [u64; 8]) -> [u64; 8];
    /// Prints a character on the debug console (nothing in release).
    fn debug_putc(&mut self, byte: u8);
    /// Stops the machine for good (debug halt).
    fn halt(&mut self) -> !;
}
