// SPDX-License-Identifier: BSD-2-Clause
//! From pending interrupts to list registers, and back at the end of an interrupt.
//!
//! The highest priority goes first, among equals the lowest number, among an SGI's sources the lowest vCPU. The last free
//! list register is kept for an interrupt more urgent than all that the others hold: since none can be withdrawn,
//! interrupts that the guest masks at its CPU interface (where the model cannot see it) would otherwise keep out those
//! that it lets through. So after every event nothing is deliverable to a vCPU, or its list registers are taken but
//! one, or all.

use crate::bank::LOWEST_PRIORITY;
use crate::intid::IntId;
use crate::model::{Error, MAX_LIST_REGISTERS, Vcpu, VcpuSet, Version, Vgic};
use serde::{Deserialize, Serialize};

/// One interrupt on its way into a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// List register, below [`crate::Config::list_registers`].
    pub list_register: u8,
    /// Interrupt number.
    pub irq: IntId,
    /// Priority as list registers hold it: 0 (highest) to 31.
    pub priority: u8,
    /// Interrupt group, 0 or 1.
    pub group: u8,
    /// Requesting vCPU of an SGI, 0 for others. seL4's interface has no place for it, Bulkhead's kernel extension has.
    pub source: u8,
}

/// Why a list register was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// It holds an active interrupt (the kernel's `DeleteFirst`). It is left alone until its maintenance event.
    #[error("the list register holds an active interrupt")]
    Busy,
    /// The machine has fewer (the kernel's `RangeError`). It is not used again.
    #[error("there is no such list register")]
    Absent,
    /// Anything else. The interrupt stays pending and the next event for this vCPU tries again.
    #[error("the kernel refused")]
    Refused,
}

/// The model's hands: the VMM implements this on top of its vCPU capabilities.
pub trait ListRegisters {
    /// Loads a list register of `vcpu` with a pending interrupt and a request for a maintenance event at its end.
    ///
    /// # Errors
    /// See [`InjectError`]; the interrupt then counts as still pending.
    fn inject(&mut self, vcpu: usize, injection: Injection) -> Result<(), InjectError>;

    /// Takes an interrupt that is pending, and not active, out of a list register of `vcpu`: no maintenance event will come
    /// of it. `false`: it was not, or cannot be done.
    fn withdraw(&mut self, vcpu: usize, list_register: u8) -> bool {
        let _ = (vcpu, list_register);
        false
    }

    /// Something was injected into `vcpu`: if it is held in a wait for interrupts, let it run. Once per event and vCPU.
    fn kick(&mut self, vcpu: usize);
}

/// The end of an interrupt, from [`Vgic::maintenance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which one. For [`IntId::VTIMER`] the caller has to acknowledge the kernel's VPPI, which unmasks the timer.
    pub irq: IntId,
}

/// What the model knows of a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// May be loaded.
    Free,
    /// Loaded, and its maintenance event has not come.
    Holds {
        irq: IntId,
        /// As it was loaded, 0 to 31.
        priority: u8,
    },
    /// The kernel found an active interrupt in it that this model did not put there.
    Busy,
    /// The machine does not have it.
    Absent,
}

impl Vcpu {
    /// The list register among the first `count` to load with an interrupt of `priority` (0 to 31), if it may be loaded.
    fn list_register_for(&self, count: usize, priority: u8) -> Option<usize> {
        let slots = || self.slots.iter().take(count);
        let free = slots().filter(|slot| **slot == Slot::Free).count();
        let mut held = slots().filter_map(Slot::priority);
        // One that is alone is not kept: then nothing is held.
        if free == 1 && held.any(|held| held <= priority) {
            return None;
        }
        slots().position(|slot| *slot == Slot::Free)
    }
}

impl Slot {
    const fn priority(&self) -> Option<u8> {
        match self {
            Self::Holds { priority, .. } => Some(*priority),
            _ => None,
        }
    }
}

impl Vgic {
    /// A maintenance event: the interrupt in `list_register` of `vcpu` has ended (`None`: the kernel could not tell which,
    /// so nothing is freed). Delivers what waited for a list register. Returns which interrupt ended.
    ///
    /// # Errors
    /// [`Error::NoSuchVcpu`]; [`Error::SpuriousMaintenance`] when that list register was not in use or is unknown.
    pub fn maintenance(
        &mut self,
        vcpu: usize,
        list_register: Option<usize>,
        out: &mut impl ListRegisters,
    ) -> Result<Option<Ended>, Error> {
        self.check_vcpu(vcpu)?;
        let slot = list_register
            .and_then(|lr| self.vcpus.get_mut(vcpu)?.slots.get_mut(lr))
            .ok_or(Error::SpuriousMaintenance)?;
        let ended = match *slot {
            Slot::Holds { irq, .. } => {
                *slot = Slot::Free;
                if let Some(bank) = self.bank_mut(vcpu, irq.bank()) {
                    bank.in_list &= !irq.bit();
                }
                Some(Ended { irq })
            }
            Slot::Busy => {
                *slot = Slot::Free;
                None
            }
            Slot::Free | Slot::Absent => return Err(Error::SpuriousMaintenance),
        };
        // A shared interrupt that pended again meanwhile may by now be another vCPU's.
        let concerned = match ended {
            Some(Ended { irq }) if irq.is_spi() => VcpuSet::ALL,
            _ => VcpuSet::one(vcpu),
        };
        self.deliver(concerned, out);
        Ok(ended)
    }

    /// Takes what is in `list_register` of `vcpu` out, if the guest has not taken it yet and the kernel can: as if it had
    /// ended. What it is is lost; so this is for a guest that starts over.
    pub fn withdraw(
        &mut self,
        vcpu: usize,
        list_register: usize,
        out: &mut impl ListRegisters,
    ) -> Option<Ended> {
        let slot = self.vcpus.get_mut(vcpu)?.slots.get_mut(list_register)?;
        let Slot::Holds { irq, .. } = *slot else { return None };
        if !out.withdraw(vcpu, u8::try_from(list_register).ok()?) {
            return None;
        }
        *slot = Slot::Free;
        if let Some(bank) = self.bank_mut(vcpu, irq.bank()) {
            bank.in_list &= !irq.bit();
        }
        Some(Ended { irq })
    }

    /// Whether a vCPU in a wait for interrupts has to run: an interrupt is in one of its list registers (perhaps pending
    /// there) or is deliverable to it.
    pub fn has_pending(&self, vcpu: usize) -> bool {
        self.held(vcpu).next().is_some() || self.best_deliverable(vcpu).is_some()
    }

    /// The interrupts in list registers of `vcpu`. They survive [`Vgic::reset`]: before a rebooted guest starts, each has
    /// to end; [`Version::quiesce`] does that.
    pub fn held(&self, vcpu: usize) -> impl Iterator<Item = IntId> + '_ {
        self.vcpus.get(vcpu).into_iter().flat_map(|cpu| cpu.slots.iter()).filter_map(|slot| match slot {
            Slot::Holds { irq, .. } => Some(*irq),
            _ => None,
        })
    }

    /// Fills free list registers of the vCPUs in `concerned` with what is deliverable, best first.
    pub(crate) fn deliver(&mut self, concerned: VcpuSet, out: &mut impl ListRegisters) {
        let concerned = concerned.intersection(self.config_vcpus());
        for vcpu in concerned.iter() {
            let mut injected = false;
            // Every turn takes one list register out of the free ones, or leaves.
            for _ in 0..MAX_LIST_REGISTERS {
                let Some((lr, injection)) = self.next_injection(vcpu) else { break };
                let result = out.inject(vcpu, injection);
                let slot = match result {
                    Ok(()) => {
                        self.moved_to_list(vcpu, &injection);
                        injected = true;
                        Slot::Holds { irq: injection.irq, priority: injection.priority }
                    }
                    Err(InjectError::Busy) => Slot::Busy,
                    Err(InjectError::Absent) => Slot::Absent,
                    Err(InjectError::Refused) => break,
                };
                if let Some(place) = self.vcpus.get_mut(vcpu).and_then(|cpu| cpu.slots.get_mut(lr)) {
                    *place = slot;
                }
            }
            if injected {
                out.kick(vcpu);
            }
        }
    }

    /// What goes where next, if anything.
    fn next_injection(&self, vcpu: usize) -> Option<(usize, Injection)> {
        let cpu = self.vcpus.get(vcpu)?;
        let count = usize::from(self.config.list_registers);
        // With nothing free there is no need to look for the most urgent.
        if !cpu.slots.iter().take(count).any(|slot| *slot == Slot::Free) {
            return None;
        }
        let irq = self.best_deliverable(vcpu)?;
        let bank = self.bank(vcpu, irq.bank())?;
        let priority = bank.priority_of(irq.slot()).wrapping_shr(3);
        let lr = cpu.list_register_for(count, priority)?;
        let sources = cpu.sgi_sources.get(usize::from(irq.number())).copied().unwrap_or(0);
        let injection = Injection {
            list_register: u8::try_from(lr).ok()?,
            irq,
            priority,
            group: u8::from(bank.group & irq.bit() != 0),
            source: if sources == 0 { 0 } else { sources.trailing_zeros() as u8 },
        };
        Some((lr, injection))
    }

    /// The deliverable interrupt of highest priority (lowest number among equals) for `vcpu`.
    fn best_deliverable(&self, vcpu: usize) -> Option<IntId> {
        let mut best: Option<(u8, IntId)> = None;
        for index in 0..self.bank_count() {
            let bank = self.bank(vcpu, index)?;
            let mut ready = bank.deliverable(self.ctlr);
            while ready != 0 {
                let slot = ready.trailing_zeros();
                ready &= ready.wrapping_sub(1);
                let slot_index = slot as usize;
                if index != 0 && self.target_of(bank.first_target(slot_index)) != Some(vcpu) {
                    continue;
                }
                let priority = bank.priority_of(slot_index);
                // The mask register's highest value still masks it (GICC_PMR, ICC_PMR_EL1), so that it would stay for ever.
                if priority == LOWEST_PRIORITY {
                    continue;
                }
                if best.is_none_or(|(highest, _)| priority < highest) {
                    best = IntId::at(index, slot).map(|irq| (priority, irq));
                }
            }
        }
        best.map(|(_, irq)| irq)
    }

    /// With one vCPU the target registers of a GICv2 read as zero and all goes to it (IHI 0048B.b, GICD_ITARGETSRn).
    #[inline]
    pub(crate) fn target_of(&self, first_target: Option<usize>) -> Option<usize> {
        if self.config.vcpus == 1 && self.config.version == Version::V2 { Some(0) } else { first_target }
    }

    /// Latch and event, or one source of an SGI, have become an entry of a list register.
    fn moved_to_list(&mut self, vcpu: usize, injection: &Injection) {
        let irq = injection.irq;
        let mut more_sources = false;
        if irq.is_sgi()
            && let Some(sources) =
                self.vcpus.get_mut(vcpu).and_then(|cpu| cpu.sgi_sources.get_mut(usize::from(irq.number())))
        {
            *sources &= sources.wrapping_sub(1);
            more_sources = *sources != 0;
        }
        if let Some(bank) = self.bank_mut(vcpu, irq.bank()) {
            bank.in_list |= irq.bit();
            bank.event &= !irq.bit();
            if !more_sources {
                bank.latch &= !irq.bit();
            }
        }
    }
}
