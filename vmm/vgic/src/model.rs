// SPDX-License-Identifier: BSD-2-Clause
//! The state of one guest's interrupt controller, and the events that devices, timers and the machine bring to it.

use crate::bank::Bank;
use crate::delivery::{ListRegisters, Slot};
use crate::intid::IntId;
use serde::{Deserialize, Serialize};

/// Which architecture a guest's interrupt controller has: that of the machine, whose CPU interface the guest uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// GICv2: the CPU interface is in memory.
    #[default]
    V2,
    /// GICv3: the CPU interface is in system registers, private interrupts are in redistributors.
    V3,
}

/// vCPUs of a guest at most: a GICv2 target field has eight bits.
pub const MAX_VCPUS: usize = 8;
/// Shared peripheral interrupts at most, as on QEMU's `virt`.
pub const MAX_SPIS: u16 = 256;
/// List registers of a vCPU at most that the model manages.
pub const MAX_LIST_REGISTERS: usize = 16;

const SPI_BANKS: usize = (MAX_SPIS / IntId::PER_BANK) as usize;

/// What is fixed for the life of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Architecture.
    pub version: Version,
    /// Number of vCPUs, 1 to [`MAX_VCPUS`].
    pub vcpus: u8,
    /// List registers of the machine, 1 to [`MAX_LIST_REGISTERS`]. More than it really has does no harm: the first
    /// refusal takes one out of use.
    pub list_registers: u8,
    /// Shared peripheral interrupts, a multiple of 32 up to [`MAX_SPIS`].
    pub spis: u16,
}

/// A call that this model cannot serve. None of these is the guest's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// [`Config`] outside its limits.
    #[error("impossible interrupt controller configuration")]
    BadConfig,
    /// No vCPU of that index.
    #[error("no vCPU {0}")]
    NoSuchVcpu(usize),
    /// The guest has no such interrupt, or it is not of the kind that the call is for.
    #[error("interrupt {0:?} does not exist or is of another kind")]
    NoSuchInterrupt(IntId),
    /// A maintenance event for a list register that is not in use, or without a list register.
    #[error("maintenance event that belongs to no list register in use")]
    SpuriousMaintenance,
}

/// One vCPU's private interrupts and list registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vcpu {
    pub private: Bank,
    /// For each SGI the vCPUs that have requested it, one bit each.
    pub sgi_sources: [u8; 16],
    pub slots: [Slot; MAX_LIST_REGISTERS],
    /// GICR_WAKER.ProcessorSleep.
    pub asleep: bool,
}

/// A set of vCPUs: those whose deliverable interrupts may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VcpuSet(u8);

impl VcpuSet {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0xff);

    pub const fn one(vcpu: usize) -> Self {
        Self(if vcpu < MAX_VCPUS { 1u8.wrapping_shl(vcpu as u32) } else { 0 })
    }

    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_VCPUS).filter(move |vcpu| self.0 & Self::one(*vcpu).0 != 0)
    }
}

/// One guest's interrupt controller: a plain value that can be saved and restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vgic {
    pub(crate) config: Config,
    /// GICD_CTLR: bit 0 forwards group 0, bit 1 group 1.
    pub(crate) ctlr: u32,
    pub(crate) vcpus: [Vcpu; MAX_VCPUS],
    pub(crate) shared: [Bank; SPI_BANKS],
    pub(crate) wild: u64,
}

impl Vgic {
    /// An interrupt controller after reset.
    ///
    /// # Errors
    /// [`Error::BadConfig`] outside the limits that [`Config`] names.
    pub fn new(config: Config) -> Result<Self, Error> {
        let fits = (1..=MAX_VCPUS).contains(&usize::from(config.vcpus))
            && (1..=MAX_LIST_REGISTERS).contains(&usize::from(config.list_registers))
            && config.spis <= MAX_SPIS
            && config.spis.is_multiple_of(IntId::PER_BANK);
        if !fits {
            return Err(Error::BadConfig);
        }
        let vcpu = Vcpu {
            private: Bank::private(config.version),
            sgi_sources: [0; 16],
            slots: [Slot::Free; MAX_LIST_REGISTERS],
            asleep: true,
        };
        Ok(Self {
            config,
            ctlr: 0,
            vcpus: core::array::from_fn(|_| vcpu.clone()),
            shared: core::array::from_fn(|_| Bank::shared(config.version)),
            wild: 0,
        })
    }

    /// What the controller was made with.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// How many accesses so far the architecture does not define (read as zero, ignored).
    pub const fn wild_accesses(&self) -> u64 {
        self.wild
    }

    /// A guest reboot: all registers as after power-on. Lines keep their devices' level, events stay pending, list registers
    /// that are in use stay so until their maintenance event (see [`Vgic::held`], [`Version::quiesce`]).
    pub fn reset(&mut self) {
        self.ctlr = 0;
        self.wild = 0;
        for vcpu in &mut self.vcpus {
            vcpu.private.reset(Bank::private(self.config.version));
            vcpu.sgi_sources = [0; 16];
            vcpu.asleep = true;
        }
        for bank in &mut self.shared {
            bank.reset(Bank::shared(self.config.version));
        }
    }

    /// A device's line to a shared interrupt. Level sensitive: pending as long as asserted. Edge triggered: pending from
    /// the rising edge until delivered.
    ///
    /// # Errors
    /// [`Error::NoSuchInterrupt`] when it is not a shared interrupt of this guest.
    pub fn set_level(
        &mut self,
        irq: IntId,
        asserted: bool,
        out: &mut impl ListRegisters,
    ) -> Result<(), Error> {
        let bank = self.spi_bank(irq)?;
        bank.set_line(irq, asserted);
        self.deliver_shared(irq, out);
        Ok(())
    }

    /// One event of a shared interrupt, delivered once whatever its trigger mode.
    ///
    /// # Errors
    /// [`Error::NoSuchInterrupt`] when it is not a shared interrupt of this guest.
    pub fn pulse(&mut self, irq: IntId, out: &mut impl ListRegisters) -> Result<(), Error> {
        let bank = self.spi_bank(irq)?;
        bank.latch |= irq.bit();
        self.deliver_shared(irq, out);
        Ok(())
    }

    /// A line to a private interrupt of `vcpu`, as [`Vgic::set_level`].
    ///
    /// # Errors
    /// [`Error::NoSuchVcpu`], or [`Error::NoSuchInterrupt`] when it is not a PPI.
    pub fn set_ppi(
        &mut self,
        vcpu: usize,
        irq: IntId,
        asserted: bool,
        out: &mut impl ListRegisters,
    ) -> Result<(), Error> {
        self.ppi_bank(vcpu, irq)?.set_line(irq, asserted);
        self.deliver(VcpuSet::one(vcpu), out);
        Ok(())
    }

    /// One event of a private interrupt of `vcpu`, delivered once whatever its trigger mode. This is what a VPPI event of
    /// the kernel is: the timer stays masked until acknowledged after [`Vgic::maintenance`] has reported the end, and
    /// comes again if it still asserts. So that this end is sure to come, the guest cannot clear such an event: it stays
    /// pending until delivered, [`Vgic::reset`] or not.
    ///
    /// # Errors
    /// [`Error::NoSuchVcpu`], or [`Error::NoSuchInterrupt`] when it is not a PPI.
    pub fn pulse_ppi(&mut self, vcpu: usize, irq: IntId, out: &mut impl ListRegisters) -> Result<(), Error> {
        self.ppi_bank(vcpu, irq)?.event |= irq.bit();
        self.deliver(VcpuSet::one(vcpu), out);
        Ok(())
    }

    fn deliver_shared(&mut self, irq: IntId, out: &mut impl ListRegisters) {
        let target = self.bank(0, irq.bank()).and_then(|bank| self.target_of(bank.first_target(irq.slot())));
        self.deliver(target.map_or(VcpuSet::NONE, VcpuSet::one), out);
    }

    fn spi_bank(&mut self, irq: IntId) -> Result<&mut Bank, Error> {
        if !irq.is_spi() {
            return Err(Error::NoSuchInterrupt(irq));
        }
        self.bank_mut(0, irq.bank()).ok_or(Error::NoSuchInterrupt(irq))
    }

    fn ppi_bank(&mut self, vcpu: usize, irq: IntId) -> Result<&mut Bank, Error> {
        self.check_vcpu(vcpu)?;
        if !irq.is_ppi() {
            return Err(Error::NoSuchInterrupt(irq));
        }
        self.bank_mut(vcpu, 0).ok_or(Error::NoSuchVcpu(vcpu))
    }

    pub(crate) const fn check_vcpu(&self, vcpu: usize) -> Result<(), Error> {
        if vcpu < self.config.vcpus as usize { Ok(()) } else { Err(Error::NoSuchVcpu(vcpu)) }
    }

    /// The guest's vCPUs.
    pub(crate) const fn config_vcpus(&self) -> VcpuSet {
        VcpuSet::from_bits(match self.config.vcpus {
            n if n as usize >= MAX_VCPUS => 0xff,
            n => 1u8.wrapping_shl(n as u32).wrapping_sub(1),
        })
    }

    /// The vCPU whose affinity (levels 2, 1, 0) this is, or nobody: levels 2 and 1 are 0, level 0 is its number.
    pub(crate) fn vcpu_at(&self, affinity: u32) -> VcpuSet {
        VcpuSet::one(affinity as usize).intersection(self.config_vcpus())
    }

    /// Banks that this guest has, the private one included.
    pub(crate) fn bank_count(&self) -> usize {
        usize::from(self.config.spis / IntId::PER_BANK).min(SPI_BANKS).saturating_add(1)
    }

    /// Bank 0 is private to `vcpu`, the others are shared. `None` beyond what this guest has.
    pub(crate) fn bank(&self, vcpu: usize, index: usize) -> Option<&Bank> {
        match index.checked_sub(1) {
            None => self.vcpus.get(vcpu).map(|cpu| &cpu.private),
            Some(_) if index >= self.bank_count() => None,
            Some(shared) => self.shared.get(shared),
        }
    }

    /// As [`Vgic::bank`], to change it.
    pub(crate) fn bank_mut(&mut self, vcpu: usize, index: usize) -> Option<&mut Bank> {
        match index.checked_sub(1) {
            None => self.vcpus.get_mut(vcpu).map(|cpu| &mut cpu.private),
            Some(_) if index >= self.bank_count() => None,
            Some(shared) => self.shared.get_mut(shared),
        }
    }
}
