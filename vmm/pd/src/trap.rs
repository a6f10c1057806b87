// SPDX-License-Identifier: BSD-2-Clause
//! The registers of a vCPU in its exit: fetched as far as needed, written back as far as changed.
//!
//! Both are prefixes of the transfer order, because that is what the kernel transfers, and every register costs. When the
//! exit's message told the registers that matter ([`Told`]), and the answer can say all that changed ([`Answer`]),
//! nothing is transferred beside them.

use crate::exit::Reply;
use crate::vcpu::{REGISTERS, SystemRegister, Then, Vcpu, position};
use vmm_arm::{Cause, EntryContext, ExceptionEntry, Gpr, Pstate};

/// What an exit's message told (kernel extension).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Address of the instruction.
    pub pc: u64,
    /// State at the instruction.
    pub pstate: u64,
    /// A general-purpose register.
    pub register: Gpr,
    /// Its value.
    pub value: u64,
}

/// What the answer to such a message sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where the guest goes on.
    pub pc: u64,
    /// A general-purpose register and its new value.
    pub register: Option<(Gpr, u64)>,
}

/// One exit's registers.
pub struct Trap<'a, V> {
    vcpu: &'a V,
    registers: &'a mut [u64; REGISTERS],
    /// The first so many are known. (Bytes: the compiler would keep two words in a vector register, whose use costs the
    /// kernel a switch of the floating-point unit.)
    known: u8,
    /// The first so many have to be written back.
    changed: u8,
    told: Option<Told>,
    /// A register that has to be written back, beside those.
    set: Option<(Gpr, u64)>,
}

/// Whether an exception could be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The guest continues at its vector.
    AtVector,
    /// The exception came from fetching the vector itself: it can only repeat.
    Hopeless,
}

impl<'a, V: Vcpu> Trap<'a, V> {
    /// An exit of which no more is known than its message told. `registers` is where its registers will be; what is in
    /// there is not used.
    #[inline]
    pub const fn new(vcpu: &'a V, registers: &'a mut [u64; REGISTERS], told: Option<Told>) -> Self {
        let known = match told {
            Some(Told { pc, .. }) => {
                registers[position::PC] = pc;
                1
            }
            None => 0,
        };
        Self { vcpu, registers, known, changed: 0, told, set: None }
    }

    /// An exit whose message told the PC.
    #[inline]
    pub const fn at(vcpu: &'a V, registers: &'a mut [u64; REGISTERS], pc: u64, told: Option<Told>) -> Self {
        registers[position::PC] = pc;
        Self { vcpu, registers, known: 1, changed: 0, told, set: None }
    }

    /// Address of the instruction.
    pub fn pc(&mut self) -> u64 {
        self.word(position::PC)
    }

    /// State at the instruction.
    pub fn pstate(&mut self) -> Pstate {
        match self.told {
            // Of the state nothing was changed.
            Some(told) if usize::from(self.changed) <= position::PSTATE => Pstate::new(told.pstate),
            _ => Pstate::new(self.word(position::PSTATE)),
        }
    }

    /// A general-purpose register.
    pub fn gpr(&mut self, register: Gpr) -> u64 {
        match (self.set, self.told) {
            (Some((set, value)), _) if set == register => value,
            (_, Some(told)) if told.register == register && self.changed <= 1 => told.value,
            _ => position::of(register).map_or(0, |at| self.word(at)),
        }
    }

    /// Changes a general-purpose register.
    pub fn set_gpr(&mut self, register: Gpr, value: u64) {
        let Some(at) = position::of(register) else { return };
        if self.told.is_some() && self.set.is_none_or(|(set, _)| set == register) {
            self.set = Some((register, value));
        } else {
            self.set_word(at, value);
        }
    }

    /// Goes on after the instruction, which is `bytes` long.
    pub fn advance(&mut self, bytes: u64) {
        let pstate = self.pstate();
        let after = pstate.after_instruction();
        self.set_word(position::PC, self.registers[position::PC].wrapping_add(bytes));
        if after != pstate {
            self.set_word(position::PSTATE, after.bits());
        }
    }

    /// Makes the guest take an exception at this instruction. `cause` is told SCTLR_EL1.
    pub fn inject(&mut self, cause: impl FnOnce(u64) -> Cause) -> Injected {
        let sctlr = self.vcpu.read(SystemRegister::Sctlr);
        let context = EntryContext {
            pstate: self.pstate(),
            pc: self.pc(),
            sctlr,
            vbar: self.vcpu.read(SystemRegister::Vbar),
        };
        let cause = cause(sctlr);
        let entry = ExceptionEntry::new(&context, cause);
        if matches!(cause, Cause::InstructionAbort { .. }) && entry.pc == context.pc {
            return Injected::Hopeless;
        }
        self.vcpu.write(SystemRegister::Elr, entry.elr);
        self.vcpu.write(SystemRegister::Spsr, entry.spsr);
        self.vcpu.write(SystemRegister::Esr, entry.esr);
        if let Some(far) = entry.far {
            self.vcpu.write(SystemRegister::Far, far);
        }
        self.set_word(position::PC, entry.pc);
        self.set_word(position::PSTATE, entry.pstate.bits());
        Injected::AtVector
    }

    /// Lets the guest go on with what changed.
    #[inline]
    pub fn resume(self) -> Reply {
        if self.told.is_some() && self.changed <= 1 {
            return Reply::Answer(Answer { pc: self.registers[position::PC], register: self.set });
        }
        self.commit();
        Reply::Resume
    }

    /// Writes back what changed. The vCPU stays in its exit.
    pub fn commit(mut self) {
        if let Some((register, value)) = self.set
            && let Some(at) = position::of(register)
        {
            self.set_word(at, value);
        }
        if self.changed > 0 {
            self.fetch(self.changed.into());
            self.vcpu.store(self.registers, self.changed.into(), Then::Stay);
        }
    }

    /// Gives up the exit of a vCPU that does not go on now, and returns the PC where it will. Other changes are written
    /// back.
    pub fn hold(mut self) -> u64 {
        let pc = self.pc();
        if self.changed > 1 || self.set.is_some() {
            self.commit();
        }
        pc
    }

    fn word(&mut self, at: usize) -> u64 {
        self.fetch(at + 1);
        self.registers.get(at).copied().unwrap_or(0)
    }

    fn set_word(&mut self, at: usize, value: u64) {
        self.fetch(at);
        if let Some(word) = self.registers.get_mut(at) {
            *word = value;
        }
        // Positions are below 36.
        let count = at as u8 + 1;
        self.known = self.known.max(count);
        self.changed = self.changed.max(count);
    }

    /// Makes the first `count` registers known, without losing changes.
    #[inline]
    fn fetch(&mut self, count: usize) {
        if count > self.known.into() {
            self.fetch_more(count);
        }
    }

    fn fetch_more(&mut self, count: usize) {
        if self.changed == 0 {
            self.vcpu.load(self.registers, count);
        } else {
            let mut fetched = [0; REGISTERS];
            self.vcpu.load(&mut fetched, count);
            for (register, value) in
                self.registers.iter_mut().zip(fetched).take(count).skip(self.known.into())
            {
                *register = value;
            }
        }
        self.known = count as u8;
    }
}
