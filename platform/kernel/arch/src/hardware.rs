// SPDX-License-Identifier: BSD-2-Clause
//! The machine that the core runs on: [`Machine`] for this CPU. Each method is a line or two into the modules beside.

use core::arch::{asm, global_asm};

use kernel_abi::context::stored;
use kernel_abi::object::AddressSpace;
use kernel_abi::vcpu::VcpuReg;
use kernel_core::layout::{Tcb, Vcpu};
use kernel_core::machine::{CacheOp, ListRegisterActive, VirtualInterrupt};
use kernel_core::syscall::number;
use kernel_core::{Machine, PhysAddr};

use crate::board::{self, MEMORY};
#[cfg(feature = "debug")]
use crate::debug::DebugUnit;
use crate::fpu::Fpu;
use crate::gic::{Controller as _, Gic};
use crate::memory;
use crate::sysreg::{read, write};
use crate::vcpu::VcpuSwitch;
use crate::{console, paging, translation};

/// Ticks in a microsecond as a fraction in lowest terms.
const TICKS: u64 = board::TIMER_FREQUENCY / gcd(board::TIMER_FREQUENCY, MICROSECONDS);
const PER_MICROSECONDS: u64 = MICROSECONDS / gcd(board::TIMER_FREQUENCY, MICROSECONDS);
const MICROSECONDS: u64 = 1_000_000;

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// ISR_EL1: a physical interrupt (I) is pending.
const ISR_IRQ: u64 = 1 << 7;

/// This CPU.
#[derive(Debug)]
pub struct Hardware {
    /// Interrupt controller.
    pub gic: Gic,
    /// Virtual CPUs.
    pub vcpus: VcpuSwitch,
    /// FP registers.
    pub fpu: Fpu,
    /// Breakpoints and single steps.
    #[cfg(feature = "debug")]
    debug: DebugUnit,
    /// The thread whose registers the kernel's exit restores.
    current: Option<Tcb>,
}

impl Hardware {
    /// Takes over the devices; `paging::init` and `cpu::init` have run.
    pub fn new() -> Self {
        let gic = Gic::new();
        gic.set_masked(board::KERNEL_TIMER_IRQ, false);
        gic.set_masked(board::MAINTENANCE_IRQ, false);
        write!("vttbr_el2", translation::nothing());
        Self {
            gic,
            vcpus: VcpuSwitch::new(),
            fpu: Fpu::new(),
            #[cfg(feature = "debug")]
            debug: DebugUnit::new(),
            current: None,
        }
    }

    /// Address of the register area that the exit restores; `None` when there is nothing to run.
    #[inline(always)]
    pub fn exit_registers(&self) -> Option<u64> {
        self.current.map(registers_of)
    }
}

/// Address of the register area of a thread.
#[inline(always)]
pub fn registers_of(tcb: Tcb) -> u64 {
    memory::address(tcb.addr()) + Tcb::REGISTERS
}

impl Hardware {
    /// Translation, thread registers and FPU of `to`.
    #[inline(always)]
    fn run(&mut self, to: Tcb, space: u64) {
        write!("vttbr_el2", space);
        write!("tpidr_el0", to.reg(self, stored::TPIDR));
        write!("tpidrro_el0", to.reg(self, stored::TPIDRRO));
        self.fpu.switch(Some(to));
        self.current = Some(to);
    }
}

impl Machine for Hardware {
    const DEBUG: bool = cfg!(feature = "debug");
    const HW_DEBUG: bool = cfg!(feature = "debug");
    const BENCHMARK: bool = cfg!(feature = "benchmark");
    const EXTENSION: bool = cfg!(feature = "extension");
    const MAX_IRQ: u64 = board::MAX_IRQ;

    #[inline(always)]
    fn address_space(&self) -> AddressSpace {
        translation::SHAPE
    }

    #[inline(always)]
    fn load(&self, at: PhysAddr) -> u64 {
        memory::load(at)
    }

    #[inline(always)]
    fn store(&mut self, at: PhysAddr, value: u64) {
        memory::store(at, value);
    }

    #[inline(always)]
    fn load_at(&self, at: PhysAddr, offset: u64) -> u64 {
        memory::load_at(at, offset)
    }

    #[inline(always)]
    fn store_at(&mut self, at: PhysAddr, offset: u64, value: u64) {
        memory::store_at(at, offset, value);
    }

    fn zero(&mut self, at: PhysAddr, bytes: u64) {
        memory::zero(at, bytes);
    }

    fn is_ram(&self, at: PhysAddr, bytes: u64) -> bool {
        MEMORY.iter().any(|&(start, end)| at.0 >= start && at.0 < end && bytes <= end - at.0)
            && at.0 >= paging::image_end()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        read!("cntpct_el0")
    }

    #[inline(always)]
    fn set_deadline(&mut self, ticks: u64) {
        write!("cnthp_cval_el2", ticks);
    }

    #[inline(always)]
    fn us_to_ticks(&self, us: u64) -> u64 {
        us.saturating_mul(TICKS) / PER_MICROSECONDS
    }

    #[inline(always)]
    fn ticks_to_us(&self, ticks: u64) -> u64 {
        ticks / TICKS * PER_MICROSECONDS + ticks % TICKS * PER_MICROSECONDS / TICKS
    }

    #[inline(always)]
    fn wcet_ticks(&self) -> u64 {
        self.us_to_ticks(board::WCET_US)
    }

    #[inline(always)]
    fn max_period_us(&self) -> u64 {
        // Times far beyond any uptime, with room for a few to be added up.
        u64::MAX / TICKS / 8
    }

    #[inline(always)]
    fn cycles(&self) -> u64 {
        read!("pmccntr_el0")
    }

    fn flush_caches(&mut self) {
        #[cfg(feature = "benchmark")]
        memory::flush_caches();
    }

    fn irq_set_masked(&mut self, irq: u64, masked: bool) {
        self.gic.set_masked(irq, masked);
    }

    fn irq_set_trigger(&mut self, irq: u64, edge: bool) {
        self.gic.set_trigger(irq, edge);
    }

    fn irq_pending(&self) -> bool {
        read!("isr_el1") & ISR_IRQ != 0
    }

    fn is_sgi_target(&self, target: u64) -> bool {
        Gic::is_sgi_target(target)
    }

    fn send_sgi(&mut self, sgi: u64, target: u64) {
        self.gic.send_sgi(sgi, target);
    }

    #[inline(always)]
    fn set_vspace(&mut self, root: Option<(PhysAddr, u8)>) {
        write!("vttbr_el2", self.space_word(root));
    }

    fn space_word(&self, root: Option<(PhysAddr, u8)>) -> u64 {
        match root {
            Some((root, vmid)) => translation::vttbr(root, vmid),
            None => translation::nothing(),
        }
    }

    #[inline(always)]
    fn set_space(&mut self, space: u64) {
        write!("vttbr_el2", space);
    }

    #[inline(always)]
    fn is_plain(&self) -> bool {
        !self.vcpus.is_active()
    }

    #[inline(always)]
    fn switch_plain(&mut self, from: Tcb, to: Tcb, space: u64) {
        // EL0 cannot write the other one.
        from.set_reg(self, stored::TPIDR, read!("tpidr_el0"));
        self.run(to, space);
        #[cfg(feature = "debug")]
        {
            self.debug = self.debug.switch(Some(to), self);
        }
    }

    #[inline(always)]
    fn leave_vcpu(&mut self, from: Tcb, to: Tcb, space: u64) {
        from.set_reg(self, stored::TPIDR, read!("tpidr_el0"));
        from.set_reg(self, stored::TPIDRRO, read!("tpidrro_el0"));
        self.run(to, space);
        #[cfg(feature = "debug")]
        {
            self.debug = self.debug.switch(Some(to), self);
        }
        self.vcpus.deactivate();
    }

    #[inline(always)]
    fn can_enter_vcpu(&self, vcpu: Vcpu) -> bool {
        self.vcpus.can_enter(vcpu)
    }

    #[inline(always)]
    fn enter_vcpu(&mut self, from: Tcb, to: Tcb, vcpu: Vcpu, space: u64) {
        from.set_reg(self, stored::TPIDR, read!("tpidr_el0"));
        self.run(to, space);
        #[cfg(feature = "debug")]
        {
            self.debug = self.debug.switch(None, self);
        }
        self.vcpus.enter(vcpu);
    }

    fn tlb_invalidate_vmid(&mut self, vmid: u8) {
        translation::invalidate_vmid(vmid);
        self.vcpus.forget_vmid(vmid);
    }

    fn tlb_invalidate_page(&mut self, vmid: u8, vaddr: u64) {
        translation::invalidate_page(vmid, vaddr);
    }

    #[inline]
    fn publish_tables(&mut self) {
        translation::publish();
    }

    fn cache(&mut self, op: CacheOp, at: PhysAddr, bytes: u64) {
        memory::cache(op, at, bytes);
    }

    fn switch_thread(&mut self, to: Option<Tcb>, vcpu: Option<Vcpu>) {
        if self.current != to {
            if let Some(from) = self.current {
                from.set_reg(self, stored::TPIDR, read!("tpidr_el0"));
                from.set_reg(self, stored::TPIDRRO, read!("tpidrro_el0"));
            }
            if let Some(to) = to {
                write!("tpidr_el0", to.reg(self, stored::TPIDR));
                write!("tpidrro_el0", to.reg(self, stored::TPIDRRO));
            }
            self.current = to;
            self.fpu.switch(to);
            #[cfg(feature = "debug")]
            {
                self.debug = self.debug.switch(to.filter(|_| vcpu.is_none()), self);
            }
        }
        self.vcpus.switch(vcpu, self.gic);
    }

    fn fpu_release(&mut self, tcb: Tcb, discard: bool) {
        self.fpu.release(tcb, discard);
    }

    fn vcpu_init(&mut self, vcpu: Vcpu) {
        VcpuSwitch::init(vcpu);
    }

    fn vcpu_save(&mut self, vcpu: Vcpu, forget: bool) {
        self.vcpus.flush(vcpu, forget);
    }

    fn vcpu_read(&mut self, vcpu: Vcpu, reg: VcpuReg) -> u64 {
        self.vcpus.read(vcpu, reg)
    }

    fn vcpu_write(&mut self, vcpu: Vcpu, reg: VcpuReg, value: u64) {
        self.vcpus.write(vcpu, reg, value);
    }

    fn vcpu_list_registers(&self) -> u64 {
        self.vcpus.list_registers()
    }

    fn vcpu_inject(
        &mut self,
        vcpu: Vcpu,
        lr: u64,
        interrupt: VirtualInterrupt,
    ) -> Result<(), ListRegisterActive> {
        self.vcpus.inject(vcpu, lr, interrupt)
    }

    fn vcpu_list_register(&mut self, vcpu: Vcpu, lr: u64, withdraw: bool) -> (VirtualInterrupt, bool, bool) {
        self.vcpus.held(vcpu, lr, withdraw)
    }

    fn vcpu_read_more(&mut self, vcpu: Vcpu, index: u64) -> u64 {
        self.vcpus.read_more(vcpu, index)
    }

    fn vcpu_write_more(&mut self, vcpu: Vcpu, index: u64, value: u64) {
        self.vcpus.write_more(vcpu, index, value, self.gic);
    }

    fn vcpu_ack_vppi(&mut self, vcpu: Vcpu, irq: u64) -> bool {
        let is_vppi = irq == board::VIRTUAL_TIMER_IRQ;
        if is_vppi {
            self.vcpus.ack_vtimer(vcpu, self.gic);
        }
        is_vppi
    }

    fn smc(&mut self, args: [u64; 8]) -> [u64; 8] {
        let [mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6, mut x7] = args;
        // SAFETY: the holder of the SMC capability is trusted with the firmware. By the calling convention (Arm
        // DEN0028, 2.6) x0 to x17 may change.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                inout("x4") x4, inout("x5") x5, inout("x6") x6, inout("x7") x7,
                out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _,
                out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                options(nostack),
            );
        }
        [x0, x1, x2, x3, x4, x5, x6, x7]
    }

    fn debug_putc(&mut self, byte: u8) {
        console::put(byte);
    }

    fn halt(&mut self) -> ! {
        crate::stop()
    }
}

// Of the system calls that have a fast path, the numbers, positive.
global_asm!(
    include_str!("vectors.s"),
    CALL = const -number::CALL,
    REPLY_RECV = const -number::REPLY_RECV,
    SEND = const -number::SEND,
    NB_SEND = const -number::NB_SEND,
    RECV = const -number::RECV,
    NB_SEND_RECV = const -number::NB_SEND_RECV,
);
