// SPDX-License-Identifier: BSD-2-Clause
//! What the VMM needs of a vCPU. Implemented by the PD for each interface that a kernel offers.

use vgic::{InjectError, Injection};
use vmm_arm::Gpr;

/// General registers of a vCPU in transfer order (seL4's user context).
pub const REGISTERS: usize = 36;

/// Positions in the transfer order.
pub mod position {
    use vmm_arm::Gpr;

    /// PC.
    pub const PC: usize = 0;
    /// SP_EL0.
    pub const SP: usize = 1;
    /// PSTATE in SPSR format.
    pub const PSTATE: usize = 2;
    /// X0; X1 to X8 follow.
    pub const X0: usize = 3;

    /// Position of a general-purpose register; `None` for XZR. The order is: pc sp spsr x0..x8 x16..x18 x29 x30
    /// x9..x15 x19..x28, then TPIDR_EL0 and TPIDRRO_EL0.
    pub const fn of(register: Gpr) -> Option<usize> {
        match register.index() {
            Some(n @ 0..=8) => Some(X0 + n),
            Some(n @ 9..=15) => Some(n + 8),
            Some(n @ 16..=18) => Some(n - 4),
            Some(n @ 19..=28) => Some(n + 5),
            Some(n) => Some(n - 14),
            None => None,
        }
    }
}

/// System registers of a vCPU that the kernel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the architecture's names")]
pub enum SystemRegister {
    Sctlr,
    Cpacr,
    Ttbr0,
    Ttbr1,
    Tcr,
    Mair,
    Amair,
    ContextId,
    Actlr,
    Afsr0,
    Afsr1,
    Esr,
    Far,
    Par,
    Vbar,
    TpidrEl1,
    Vmpidr,
    SpEl1,
    Elr,
    Spsr,
    CntvCtl,
    CntvCval,
    CntvOff,
    CntkCtl,
}

impl SystemRegister {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Sctlr,
        Self::Cpacr,
        Self::Ttbr0,
        Self::Ttbr1,
        Self::Tcr,
        Self::Mair,
        Self::Amair,
        Self::ContextId,
        Self::Actlr,
        Self::Afsr0,
        Self::Afsr1,
        Self::Esr,
        Self::Far,
        Self::Par,
        Self::Vbar,
        Self::TpidrEl1,
        Self::Vmpidr,
        Self::SpEl1,
        Self::Elr,
        Self::Spsr,
        Self::CntvCtl,
        Self::CntvCval,
        Self::CntvOff,
        Self::CntkCtl,
    ];

    /// `first` and those behind it in [`ALL`](Self::ALL).
    #[inline]
    pub fn starting_at(first: Self) -> impl Iterator<Item = &'static Self> {
        Self::ALL.iter().skip(first as usize)
    }
}

/// Whether a vCPU runs after its registers were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It stays as it is: in its exit, or stopped.
    Stay,
    /// It runs.
    Run,
}

/// A handle on one vCPU.
pub trait Vcpu {
    /// Loads the first `count` registers in transfer order.
    fn load(&self, registers: &mut [u64; REGISTERS], count: usize);

    /// Stores the first `count` registers in transfer order.
    fn store(&self, registers: &[u64; REGISTERS], count: usize, then: Then);

    /// Reads a system register.
    fn read(&self, register: SystemRegister) -> u64;

    /// Writes a system register.
    fn write(&self, register: SystemRegister, value: u64);

    /// Reads `N` system registers, from `first` on in the order of [`SystemRegister::ALL`]. (One by one, here; a kernel may
    /// have something better.)
    #[inline]
    fn read_from<const N: usize>(&self, first: SystemRegister) -> [u64; N] {
        let mut values = [0; N];
        for (value, &register) in values.iter_mut().zip(SystemRegister::starting_at(first)) {
            *value = self.read(register);
        }
        values
    }

    /// Writes `N` system registers, from `first` on in that order.
    fn write_from<const N: usize>(&self, first: SystemRegister, values: &[u64; N]) {
        for (value, &register) in values.iter().zip(SystemRegister::starting_at(first)) {
            self.write(register, *value);
        }
    }

    /// Takes an interrupt that is pending, and not active, out of a list register. `false`: it was not, or the kernel
    /// cannot.
    fn withdraw(&self, list_register: u8) -> bool {
        let _ = list_register;
        false
    }

    /// Puts an interrupt into a list register.
    ///
    /// # Errors
    /// See [`InjectError`].
    fn inject(&self, injection: &Injection) -> Result<(), InjectError>;

    /// Lets the virtual timer report its next event.
    fn rearm_virtual_timer(&self);

    /// Stops it, whatever it does.
    fn stop(&self);
}

/// Value of `register` among `registers`; XZR is zero.
pub fn general(registers: &[u64; REGISTERS], register: Gpr) -> u64 {
    position::of(register).and_then(|at| registers.get(at)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_has_its_own_place() {
        let mut places: Vec<_> = (0..31).filter_map(|n| position::of(Gpr::new(n))).collect();
        assert_eq!(places[..9], [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(places[16..19], [12, 13, 14], "x16 to x18");
        assert_eq!(places[29..31], [15, 16], "x29 and x30");
        assert_eq!((places[9], places[15], places[19], places[28]), (17, 23, 24, 33));
        places.sort_unstable();
        assert_eq!(places, (3..34).collect::<Vec<_>>());
        assert_eq!(position::of(Gpr::XZR), None);
    }
}
