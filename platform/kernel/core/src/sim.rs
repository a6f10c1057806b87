// SPDX-License-Identifier: BSD-2-Clause
//! A simulated machine for host tests: a piece of physical memory, a clock that the test moves, and a record of what
//! the kernel did to interrupts, translations and virtual CPUs.
//!
//! An access outside the memory, or one that is not aligned, panics: in a test that is the finding.

extern crate std;

use crate::addr::PhysAddr;
use crate::kernel::{Kernel, KernelMemory};
use crate::layout::{Tcb, Vcpu};
use crate::machine::{CacheOp, ListRegisterActive, Machine, VirtualInterrupt};
use kernel_abi::object::AddressSpace;
use kernel_abi::vcpu::VcpuReg;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

/// Ticks in a microsecond.
pub const TICKS_PER_US: u64 = 10;
/// Bytes of a cache line.
const LINE: u64 = 64;
/// List registers of a simulated virtual CPU.
pub const LIST_REGISTERS: u64 = 4;
/// Greatest interrupt number.
pub const MAX_IRQ: u64 = 63;
/// It has the hardware debug interface: labels and thread sizes are those of configuration `debug`.
pub const HW_DEBUG: bool = true;

/// A simulated machine.
#[derive(Clone, Debug)]
pub struct SimMachine {
    base: u64,
    words: Vec<u64>,
    /// Shape of address spaces; to be changed before there are any.
    pub address_space: AddressSpace,
    /// The clock, in ticks.
    pub clock: u64,
    /// Deadline asked for.
    pub deadline: u64,
    /// Whether a hardware interrupt waits.
    pub pending: bool,
    /// Interrupts that are masked.
    pub masked: BTreeSet<u64>,
    /// Interrupts configured as edge triggered.
    pub edge: BTreeSet<u64>,
    /// Software-generated interrupts sent: number and target.
    pub sgis: Vec<(u64, u64)>,
    /// Virtual CPU that runs.
    pub running: Option<Vcpu>,
    /// Current translation.
    pub vspace: Option<(PhysAddr, u8)>,
    /// Invalidations: VMID and, if it was one page, its address.
    pub invalidated: Vec<(u8, Option<u64>)>,
    /// Cache operations.
    pub cache_ops: Vec<(CacheOp, u64, u64)>,
    /// Registers of virtual CPUs, and what follows them in their state.
    pub vcpu_regs: BTreeMap<(Vcpu, u64), u64>,
    /// Interrupts in list registers of virtual CPUs, all pending.
    pub list_registers: BTreeMap<(Vcpu, u64), VirtualInterrupt>,
    /// What was printed.
    pub output: Vec<u8>,
    /// Accesses to memory so far; zeroing and cache maintenance count one for each line.
    pub steps: Cell<u64>,
}

impl SimMachine {
    /// A machine with `bytes` of zeroed memory from `base` (multiples of 4 KiB).
    pub fn new(base: u64, bytes: u64) -> Self {
        Self {
            base,
            words: vec![0; (bytes / 8) as usize],
            address_space: AddressSpace::BITS_40,
            clock: 0,
            deadline: u64::MAX,
            pending: false,
            masked: (0..=MAX_IRQ).collect(),
            edge: BTreeSet::new(),
            sgis: Vec::new(),
            running: None,
            vspace: None,
            invalidated: Vec::new(),
            cache_ops: Vec::new(),
            vcpu_regs: BTreeMap::new(),
            list_registers: BTreeMap::new(),
            output: Vec::new(),
            steps: Cell::new(0),
        }
    }

    /// A kernel on such a machine. Its own memory is the first 128 KiB.
    pub fn kernel(base: u64, bytes: u64) -> Kernel<Self> {
        let memory = KernelMemory {
            idle_tcb: PhysAddr(base + 0x1000),
            idle_sched_context: PhysAddr(base + 0x2000),
            irq_slots: PhysAddr(base + 0x3000),
            parked_queues: PhysAddr(base + 0x1_0000),
        };
        Kernel::new(Self::new(base, bytes), memory).expect("a base above 0")
    }

    /// Writes a word, as a user would into its own memory.
    pub fn store_word(&mut self, at: PhysAddr, value: u64) {
        self.store(at, value);
    }

    fn count(&self, steps: u64) {
        self.steps.set(self.steps.get() + steps);
    }

    fn index(&self, at: PhysAddr) -> usize {
        assert!(at.0.is_multiple_of(8), "unaligned access at {:#x}", at.0);
        let index = at.0.checked_sub(self.base).map(|offset| (offset / 8) as usize);
        index
            .filter(|&i| i < self.words.len())
            .unwrap_or_else(|| panic!("access outside memory at {:#x}", at.0))
    }
}

impl Machine for SimMachine {
    const DEBUG: bool = true;
    const HW_DEBUG: bool = HW_DEBUG;
    const BENCHMARK: bool = true;
    const EXTENSION: bool = true;
    const MAX_IRQ: u64 = MAX_IRQ;

    fn address_space(&self) -> AddressSpace {
        self.address_space
    }
    fn load(&self, at: PhysAddr) -> u64 {
        self.count(1);
        self.words[self.index(at)]
    }
    fn store(&mut self, at: PhysAddr, value: u64) {
        self.count(1);
        let index = self.index(at);
        self.words[index] = value;
    }
    fn zero(&mut self, at: PhysAddr, bytes: u64) {
        assert!(at.0.is_multiple_of(16) && bytes.is_multiple_of(16));
        self.count(bytes.div_ceil(LINE));
        let first = self.index(at);
        // A copy is one step for Miri, where filling is one a word.
        let zeros = vec![0; (bytes / 8) as usize];
        self.words[first..first + zeros.len()].copy_from_slice(&zeros);
    }
    fn is_ram(&self, at: PhysAddr, bytes: u64) -> bool {
        let size = 8 * self.words.len() as u64;
        at.0.checked_sub(self.base).is_some_and(|offset| offset <= size && bytes <= size - offset)
    }
    fn cycles(&self) -> u64 {
        self.steps.get()
    }
    fn flush_caches(&mut self) {}
    fn now(&self) -> u64 {
        self.clock
    }
    fn set_deadline(&mut self, ticks: u64) {
        self.deadline = ticks;
    }
    fn us_to_ticks(&self, us: u64) -> u64 {
        us.saturating_mul(TICKS_PER_US)
    }
    fn ticks_to_us(&self, ticks: u64) -> u64 {
        ticks / TICKS_PER_US
    }
    fn wcet_ticks(&self) -> u64 {
        10 * TICKS_PER_US
    }
    fn max_period_us(&self) -> u64 {
        60 * 60 * 1_000_000
    }
    fn irq_set_masked(&mut self, irq: u64, masked: bool) {
        if masked {
            self.masked.insert(irq);
        } else {
            self.masked.remove(&irq);
        }
    }
    fn irq_set_trigger(&mut self, irq: u64, edge: bool) {
        if edge {
            self.edge.insert(irq);
        } else {
            self.edge.remove(&irq);
        }
    }
    fn irq_pending(&self) -> bool {
        self.pending
    }
    fn is_sgi_target(&self, target: u64) -> bool {
        target < 8
    }
    fn send_sgi(&mut self, sgi: u64, target: u64) {
        self.sgis.push((sgi, target));
    }
    fn set_vspace(&mut self, root: Option<(PhysAddr, u8)>) {
        self.vspace = root;
    }
    fn tlb_invalidate_vmid(&mut self, vmid: u8) {
        self.invalidated.push((vmid, None));
    }
    fn tlb_invalidate_page(&mut self, vmid: u8, vaddr: u64) {
        self.invalidated.push((vmid, Some(vaddr)));
    }
    fn publish_tables(&mut self) {}
    fn cache(&mut self, op: CacheOp, at: PhysAddr, bytes: u64) {
        self.count(bytes.div_ceil(LINE));
        self.cache_ops.push((op, at.0, bytes));
    }
    fn switch_thread(&mut self, _to: Option<Tcb>, vcpu: Option<Vcpu>) {
        self.running = vcpu;
    }
    fn space_word(&self, root: Option<(PhysAddr, u8)>) -> u64 {
        root.map_or(0, |(root, vmid)| root.0 | u64::from(vmid) << 48)
    }
    fn set_space(&mut self, space: u64) {
        self.vspace = (space != 0).then_some((PhysAddr(space & ((1 << 48) - 1)), (space >> 48) as u8));
    }
    fn is_plain(&self) -> bool {
        self.running.is_none()
    }
    fn switch_plain(&mut self, _from: Tcb, to: Tcb, space: u64) {
        assert!(to.vcpu(self).is_none());
        // Here, unlike on hardware, threads with a virtual CPU make system calls too.
        self.running = None;
        self.set_space(space);
    }
    fn leave_vcpu(&mut self, from: Tcb, to: Tcb, space: u64) {
        assert!(self.running.is_some() && self.running == from.vcpu(self) && to.vcpu(self).is_none());
        self.running = None;
        self.set_space(space);
    }
    fn can_enter_vcpu(&self, _vcpu: Vcpu) -> bool {
        true
    }
    fn enter_vcpu(&mut self, _from: Tcb, to: Tcb, vcpu: Vcpu, space: u64) {
        assert!(to.vcpu(self) == Some(vcpu));
        self.running = Some(vcpu);
        self.set_space(space);
    }
    fn fpu_release(&mut self, _tcb: Tcb, _discard: bool) {}
    fn vcpu_init(&mut self, vcpu: Vcpu) {
        self.vcpu_regs.retain(|(v, _), _| *v != vcpu);
        self.list_registers.retain(|(v, _), _| *v != vcpu);
    }
    fn vcpu_save(&mut self, _vcpu: Vcpu, _forget: bool) {}
    fn vcpu_read(&mut self, vcpu: Vcpu, reg: VcpuReg) -> u64 {
        self.vcpu_regs.get(&(vcpu, reg as u64)).copied().unwrap_or(0)
    }
    fn vcpu_write(&mut self, vcpu: Vcpu, reg: VcpuReg, value: u64) {
        self.vcpu_regs.insert((vcpu, reg as u64), value);
    }
    fn vcpu_list_registers(&self) -> u64 {
        LIST_REGISTERS
    }
    fn vcpu_inject(
        &mut self,
        vcpu: Vcpu,
        lr: u64,
        interrupt: VirtualInterrupt,
    ) -> Result<(), ListRegisterActive> {
        self.list_registers.insert((vcpu, lr), interrupt);
        Ok(())
    }
    fn vcpu_list_register(&mut self, vcpu: Vcpu, lr: u64, withdraw: bool) -> (VirtualInterrupt, bool, bool) {
        // No guest runs, so nothing becomes active.
        let held = self.list_registers.get(&(vcpu, lr)).copied();
        if withdraw {
            self.list_registers.remove(&(vcpu, lr));
        }
        (held.unwrap_or_default(), held.is_some(), false)
    }
    fn vcpu_read_more(&mut self, vcpu: Vcpu, index: u64) -> u64 {
        self.vcpu_regs.get(&(vcpu, index)).copied().unwrap_or(0)
    }
    fn vcpu_write_more(&mut self, vcpu: Vcpu, index: u64, value: u64) {
        self.vcpu_regs.insert((vcpu, index), value);
    }
    fn vcpu_ack_vppi(&mut self, _vcpu: Vcpu, irq: u64) -> bool {
        irq == 27
    }
    fn smc(&mut self, args: [u64; 8]) -> [u64; 8] {
        args
    }
    fn debug_putc(&mut self, byte: u8) {
        self.output.push(byte);
    }
    fn halt(&mut self) -> ! {
        panic!("the kernel halted the machine")
    }
}
