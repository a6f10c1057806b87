// SPDX-License-Identifier: BSD-2-Clause
//! A specification and an implementation in the same state, and the steps that both take.

use crate::hardware::Hardware;
use crate::{abstraction, compare, invariants};
use kernel_abi::context::stored;
use kernel_abi::ipc;
use kernel_core::hardware_debug::DebugEvent;
use kernel_core::layout::{Slot, Tcb};
use kernel_core::sim::SimMachine;
use kernel_core::{Kernel, Machine, PhysAddr};
use kernel_spec::cap::Cap;
use kernel_spec::fault::Fault;
use kernel_spec::state::tcb_slot;
use kernel_spec::{Event, Holder, Lookup, Obj, State};
use std::collections::BTreeSet;

/// What a user or the hardware does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Ticks that pass first.
    pub advance: u64,
    /// How the kernel is entered. Without a running thread, system calls and faults are timer interrupts.
    pub event: Event,
    /// x0 to x8 of the running thread, for system calls.
    pub regs: [u64; 9],
    /// Words that it writes into its IPC buffer first: offset in bytes, value.
    pub buffer: Vec<(u64, u64)>,
}

impl Step {
    /// Only time passes.
    pub fn timer(advance: u64) -> Self {
        Self { advance, event: Event::Timer, regs: [0; 9], buffer: vec![] }
    }

    /// A system call.
    pub fn syscall(number: kernel_abi::Syscall, regs: [u64; 9]) -> Self {
        Self { advance: 5, event: Event::Syscall(number as i64), regs, buffer: vec![] }
    }
}

/// Both sides.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The specification.
    pub spec: State,
    /// The implementation.
    pub core: Kernel<SimMachine>,
    /// The initial CNode and its radix.
    pub root: (Obj, u64),
    /// What the hardware may remember.
    pub hardware: Hardware,
}

impl Pair {
    /// Takes a step on both sides.
    ///
    /// # Errors
    /// The difference afterwards, or the broken invariant.
    pub fn step(&mut self, step: &Step) -> Result<(), String> {
        self.enter(step);
        let state = self.compared()?;
        self.hardware.check(&self.core, &state)
    }

    /// Takes a step on both sides without a look at the result.
    pub fn enter(&mut self, step: &Step) {
        self.core.m.clock = self.core.m.clock.saturating_add(step.advance);
        let now = self.core.m.clock;
        let event = match (self.spec.current, step.event) {
            (None, Event::Syscall(_) | Event::Fault(_) | Event::Step) => Event::Timer,
            (_, event) => event,
        };
        if let (Some(current), Event::Syscall(number)) = (self.spec.current, event) {
            let at = Tcb::at(PhysAddr(current.0)).expect("no thread at 0");
            let mut regs: Vec<(usize, u64)> = step.regs.iter().copied().enumerate().collect();
            regs[7].1 = number as u64;
            regs.push((stored::PC, self.spec.tcb(current).regs[stored::PC].wrapping_add(4)));
            for (index, value) in regs {
                self.spec.tcb_mut(current).regs[index] = value;
                at.set_reg(&mut self.core.m, index, value);
            }
            if let Some(buffer) = self.spec.buffer(current, true) {
                for &(offset, value) in &step.buffer {
                    self.write_memory(buffer + offset, value);
                }
            }
        }
        match event {
            Event::Syscall(number) => self.core.handle_syscall(number as u64),
            Event::Fault(fault) => self.core.handle_fault(core_fault(fault)),
            Event::Step => self.core.handle_debug(DebugEvent::Step),
            Event::Interrupt(irq) => self.core.handle_interrupt(Some(irq)),
            Event::Timer => self.core.handle_interrupt(None),
        }
        self.spec.event(now, event);
    }

    /// A user writes a word of its memory.
    pub fn write_memory(&mut self, at: u64, value: u64) {
        self.spec.set_word(at, value);
        self.core.m.store(PhysAddr(at), value);
    }

    /// Compares both sides and checks the implementation's invariants.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.compared().map(|_| ())
    }

    /// As [`check`](Self::check); returns the state that both sides have.
    fn compared(&self) -> Result<State, String> {
        let words = self.interesting_words();
        let mut roots: BTreeSet<Holder> = self.spec.caps.keys().map(|slot| slot.holder).collect();
        roots.insert(Holder::CNode(self.root.0, self.root.1));
        let mut core = abstraction::abstraction(&self.core, &self.spec.config, &roots, &words)
            .map_err(|e| format!("unreadable: {e}"))?;
        invariants::check(&self.core, &core)?;
        let entry = self.core.m.steps.get();
        self.core.check_invariants(entry).map_err(|what| format!("paranoid: {what}"))?;
        if let Some(root) = Slot::at(PhysAddr(self.root.0.0)) {
            self.core.check_everything(root, 1 << self.root.1).map_err(|what| format!("paranoid: {what}"))?;
        }
        let mut spec = self.spec.clone();
        spec.memory.retain(|at, _| words.contains(at));
        compare::normalise(&mut core);
        compare::normalise(&mut spec);
        if spec == core { Ok(core) } else { Err(compare::difference(&spec, &core)) }
    }

    /// Words of living frames of ordinary memory that are IPC buffers or were written.
    fn interesting_words(&self) -> BTreeSet<u64> {
        let mut words: BTreeSet<u64> = BTreeSet::new();
        let is_user_memory = |at: u64| {
            self.spec.caps.values().any(|cap| match *cap {
                Cap::Frame { obj, bits, device: false, .. } => at >= obj.0 && at - obj.0 < 1 << bits,
                _ => false,
            })
        };
        for &tcb in self.spec.tcbs.keys() {
            if let Some(Cap::Frame { obj, bits, device: false, .. }) =
                self.spec.tcb_cap(tcb, tcb_slot::BUFFER)
            {
                let at = obj.0 + (self.spec.tcb(tcb).buffer & ((1 << bits) - 1));
                words.extend((0..1 << (ipc::IPC_BUFFER_BITS - 3)).map(|i| at + 8 * i));
            }
        }
        words.extend(self.spec.memory.keys().copied().filter(|&at| is_user_memory(at)));
        words
    }
}

fn core_fault(fault: Fault) -> kernel_core::fault::Fault {
    use kernel_core::fault::Fault as F;
    match fault {
        Fault::Cap { address, receiving, why } => F::Cap {
            address,
            in_receive: receiving,
            lookup: match why {
                Lookup::InvalidRoot => kernel_core::Lookup::InvalidRoot,
                Lookup::MissingCapability { bits_left } => {
                    kernel_core::Lookup::MissingCapability { bits_left }
                }
                Lookup::DepthMismatch { bits_left, bits_found } => {
                    kernel_core::Lookup::DepthMismatch { bits_left, bits_found }
                }
                Lookup::GuardMismatch { bits_left, guard, guard_bits } => {
                    kernel_core::Lookup::GuardMismatch { bits_left, guard, guard_size: guard_bits }
                }
            },
        },
        Fault::UnknownSyscall { number } => F::UnknownSyscall { number },
        Fault::UserException { number, code } => F::UserException { number, code },
        Fault::Debug { reason, address, number } => F::Debug { reason, address, number },
        Fault::Timeout { badge } => F::Timeout { badge },
        Fault::Vm { address, prefetch, syndrome } => F::Vm { address, fsr: syndrome, prefetch },
        Fault::VgicMaintenance { index } => F::VgicMaintenance { index: Some(index) },
        Fault::Vcpu { syndrome } => F::Vcpu { syndrome },
        Fault::Vppi { irq } => F::VppiEvent { irq },
        Fault::Exit { address, syndrome } => F::Exit { address, syndrome },
    }
}
