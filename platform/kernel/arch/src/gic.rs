// SPDX-License-Identifier: BSD-2-Clause
//! GICv2 distributor and CPU interface (Arm IHI 0048B): the physical interrupts.
//!
//! All interrupts have one priority and go to this CPU. With the Security Extensions present the kernel is Non-secure
//! and the loader or firmware has put its interrupts into group 1; without them group 0 is the one that
//! GICC_IAR delivers, so everything is put there.

use crate::board::MAX_IRQ;
use crate::memory::Registers;

const GICD_CTLR: u64 = 0x000;
const GICD_TYPER: u64 = 0x004;
const GICD_IGROUPR: u64 = 0x080;
const GICD_ISENABLER: u64 = 0x100;
const GICD_ICENABLER: u64 = 0x180;
const GICD_ICPENDR: u64 = 0x280;
const GICD_ICACTIVER: u64 = 0x380;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ITARGETSR: u64 = 0x800;
const GICD_ICFGR: u64 = 0xc00;
const GICD_SGIR: u64 = 0xf00;

const GICC_CTLR: u64 = 0x000;
const GICC_PMR: u64 = 0x004;
const GICC_BPR: u64 = 0x008;
const GICC_IAR: u64 = 0x00c;
const GICC_EOIR: u64 = 0x010;

/// GICD_TYPER: the Security Extensions are implemented.
const TYPER_SECURITY: u32 = 1 << 10;
/// GICC_IAR: the interrupt number.
const IAR_INTID: u32 = 0x3ff;
/// Interrupt numbers from here on are special (spurious and so on).
const FIRST_SPECIAL: u32 = 1020;
/// First interrupt number that is not private to a CPU.
const FIRST_SHARED: u64 = 32;
/// First interrupt number whose trigger can be configured.
const FIRST_CONFIGURABLE: u64 = 16;

/// The interrupt controller.
#[derive(Clone, Copy, Debug)]
pub struct Gic {
    distributor: Registers,
    cpu_interface: Registers,
}

/// An acknowledged interrupt, to be completed with [`Gic::complete`].
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged(u32);

impl Acknowledged {
    /// The interrupt number.
    pub fn irq(self) -> u64 {
        u64::from(self.0 & IAR_INTID)
    }
}

impl Gic {
    /// Brings the controller into a known state: everything masked, level-triggered, one priority.
    pub fn new(distributor: Registers, cpu_interface: Registers) -> Self {
        let gic = Self { distributor, cpu_interface };
        distributor.write(GICD_CTLR, 0);
        let lines = MAX_IRQ + 1;
        let own_groups = distributor.read(GICD_TYPER) & TYPER_SECURITY == 0;
        for word in 0..lines.div_ceil(32) {
            distributor.write(GICD_ICENABLER + 4 * word, u32::MAX);
            distributor.write(GICD_ICPENDR + 4 * word, u32::MAX);
            distributor.write(GICD_ICACTIVER + 4 * word, u32::MAX);
            if own_groups {
                distributor.write(GICD_IGROUPR + 4 * word, 0);
            }
        }
        for word in 0..lines.div_ceil(4) {
            distributor.write(GICD_IPRIORITYR + 4 * word, 0);
        }
        // The banked target registers of private interrupts tell which CPU this is.
        let mut own = 0;
        for word in 0..FIRST_SHARED / 4 {
            own |= distributor.read(GICD_ITARGETSR + 4 * word);
        }
        own |= own >> 16;
        own |= own >> 8;
        let own = (own & 0xff).max(1);
        for word in FIRST_SHARED / 4..lines.div_ceil(4) {
            distributor.write(GICD_ITARGETSR + 4 * word, own * 0x0101_0101);
        }
        for word in FIRST_CONFIGURABLE / 16..lines.div_ceil(16) {
            distributor.write(GICD_ICFGR + 4 * word, 0);
        }
        distributor.write(GICD_CTLR, 1);
        cpu_interface.write(GICC_PMR, 0xf0);
        cpu_interface.write(GICC_BPR, 0);
        // Finish what an earlier stage may have left active.
        while let Some(left) = gic.acknowledge() {
            gic.complete(left);
        }
        cpu_interface.write(GICC_CTLR, 1);
        gic
    }

    /// Masks or unmasks a line.
    pub fn set_masked(self, irq: u64, masked: bool) {
        let register = if masked { GICD_ICENABLER } else { GICD_ISENABLER };
        self.distributor.write(register + irq / 32 * 4, 1 << (irq % 32));
    }

    /// Makes a line edge or level triggered. Software-generated interrupts are left alone.
    pub fn set_trigger(self, irq: u64, edge: bool) {
        if irq < FIRST_CONFIGURABLE {
            return;
        }
        let register = GICD_ICFGR + irq / 16 * 4;
        let bit = 2 << (irq % 16 * 2);
        let old = self.distributor.read(register);
        self.distributor.write(register, if edge { old | bit } else { old & !bit });
    }

    /// Takes the most urgent waiting interrupt.
    #[inline]
    pub fn acknowledge(self) -> Option<Acknowledged> {
        let value = self.cpu_interface.read(GICC_IAR);
        (value & IAR_INTID < FIRST_SPECIAL).then_some(Acknowledged(value))
    }

    /// Ends the handling of an interrupt; it may come again if it is not masked.
    #[inline]
    pub fn complete(self, interrupt: Acknowledged) {
        self.cpu_interface.write(GICC_EOIR, interrupt.0);
    }

    /// Sends a software-generated interrupt to a set of CPUs.
    pub fn send_sgi(self, sgi: u64, targets: u64) {
        self.distributor.write(GICD_SGIR, ((targets & 0xff) << 16 | sgi & 0xf) as u32);
    }
}
