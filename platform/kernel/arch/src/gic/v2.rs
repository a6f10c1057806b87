// SPDX-License-Identifier: BSD-2-Clause
//! GICv2: distributor, CPU interface, virtual interface control (Arm IHI 0048B).
//!
//! With the Security Extensions present the kernel is Non-secure
//! and the loader or firmware has put its interrupts into group 1; without them group 0 is the one that
//! GICC_IAR delivers, so everything is put there.

use super::{
    Controller, FIRST_CONFIGURABLE, FIRST_SHARED, FIRST_SPECIAL, STATE_WORDS, VirtualInterface, priorities,
};
use crate::board::{self, MAX_IRQ};
use crate::memory::Registers;
use crate::paging::device_page;
use kernel_core::machine::VirtualInterrupt;

/// Its pages: distributor, CPU interface, virtual interface control.
pub const PAGES: [u64; 3] = [board::GICD, board::GICC, board::GICH];

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
const GICH_HCR: u64 = 0x000;
const GICH_VTR: u64 = 0x004;
const GICH_VMCR: u64 = 0x008;
const GICH_EISR0: u64 = 0x020;
const GICH_APR: u64 = 0x0f0;
const GICH_LR0: u64 = 0x100;
/// GICH_HCR: the virtual interface works.
const HCR_ENABLE: u32 = 1;

/// List register fields.
mod lr {
    pub const NUMBER_MASK: u32 = 0x3ff;
    /// Of an interrupt that no hardware stands behind: the CPU that sent it.
    pub const SOURCE_SHIFT: u32 = 10;
    pub const SOURCE_MASK: u32 = 7;
    pub const EOI_MAINTENANCE: u32 = 1 << 19;
    pub const PRIORITY_SHIFT: u32 = 23;
    pub const PRIORITY_MASK: u32 = 0x1f;
    pub const PENDING: u32 = 1 << 28;
    pub const ACTIVE: u32 = 1 << 29;
    pub const GROUP_SHIFT: u32 = 30;
}

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

impl Controller for Gic {
    fn new() -> Self {
        // SAFETY: `paging::init` has mapped `PAGES` as device memory, in this order.
        let (distributor, cpu_interface) =
            unsafe { (Registers::new(device_page(0)), Registers::new(device_page(1))) };
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
            distributor.write(GICD_IPRIORITYR + 4 * word, priorities(4 * word));
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

    #[inline(always)]
    fn set_masked(self, irq: u64, masked: bool) {
        let register = if masked { GICD_ICENABLER } else { GICD_ISENABLER };
        self.distributor.write(register + irq / 32 * 4, 1 << (irq % 32));
    }

    fn set_trigger(self, irq: u64, edge: bool) {
        if irq < FIRST_CONFIGURABLE {
            return;
        }
        let register = GICD_ICFGR + irq / 16 * 4;
        let bit = 2 << (irq % 16 * 2);
        let old = self.distributor.read(register);
        self.distributor.write(register, if edge { old | bit } else { old & !bit });
    }

    #[inline(always)]
    fn acknowledge(self) -> Option<Acknowledged> {
        let value = self.cpu_interface.read(GICC_IAR);
        (u64::from(value & IAR_INTID) < FIRST_SPECIAL).then_some(Acknowledged(value))
    }

    #[inline(always)]
    fn complete(self, interrupt: Acknowledged) {
        self.cpu_interface.write(GICC_EOIR, interrupt.0);
    }

    /// GICD_SGIR.CPUTargetList has eight bits.
    fn is_sgi_target(target: u64) -> bool {
        target < 8
    }

    fn send_sgi(self, sgi: u64, target: u64) {
        self.distributor.write(GICD_SGIR, (1 << (target & 7) << 16 | sgi & 0xf) as u32);
    }
}

/// The virtual interface.
#[derive(Clone, Copy, Debug)]
pub struct VirtualGic {
    gich: Registers,
    list_registers: u64,
}

impl VirtualInterface for VirtualGic {
    fn new() -> Self {
        // SAFETY: as in `Gic::new`.
        let gich = unsafe { Registers::new(device_page(2)) };
        gich.write(GICH_HCR, 0);
        Self { gich, list_registers: u64::from(gich.read(GICH_VTR) & 0x3f) + 1 }
    }

    fn list_registers(self) -> u64 {
        self.list_registers
    }

    #[inline(always)]
    fn set_enabled(self, enabled: bool) {
        self.gich.write(GICH_HCR, if enabled { HCR_ENABLE } else { 0 });
    }

    fn ended(self) -> u64 {
        u64::from(self.gich.read(GICH_EISR0)) | u64::from(self.gich.read(GICH_EISR0 + 4)) << 32
    }

    #[inline(always)]
    fn list_register(self, index: u64) -> u64 {
        self.gich.read(GICH_LR0 + 4 * index).into()
    }

    #[inline(always)]
    fn set_list_register(self, index: u64, value: u64) {
        self.gich.write(GICH_LR0 + 4 * index, value as u32);
    }

    fn state(self) -> [u64; STATE_WORDS] {
        [self.gich.read(GICH_VMCR).into(), self.gich.read(GICH_APR).into(), 0]
    }

    fn set_state(self, [vmcr, apr, _]: [u64; STATE_WORDS]) {
        self.gich.write(GICH_VMCR, vmcr as u32);
        self.gich.write(GICH_APR, apr as u32);
    }

    #[inline(always)]
    fn pending(interrupt: VirtualInterrupt) -> u64 {
        let VirtualInterrupt { number, priority, group, source } = interrupt;
        let value = number as u32 & lr::NUMBER_MASK
            | (source as u32 & lr::SOURCE_MASK) << lr::SOURCE_SHIFT
            | lr::EOI_MAINTENANCE
            | (priority as u32 & lr::PRIORITY_MASK) << lr::PRIORITY_SHIFT
            | lr::PENDING
            | (group as u32 & 1) << lr::GROUP_SHIFT;
        value.into()
    }

    fn interrupt(list_register: u64) -> VirtualInterrupt {
        let field = |shift: u32, mask: u32| u64::from(list_register as u32 >> shift & mask);
        VirtualInterrupt {
            number: field(0, lr::NUMBER_MASK),
            priority: field(lr::PRIORITY_SHIFT, lr::PRIORITY_MASK),
            group: field(lr::GROUP_SHIFT, 1),
            source: field(lr::SOURCE_SHIFT, lr::SOURCE_MASK),
        }
    }

    fn is_pending(list_register: u64) -> bool {
        list_register as u32 & lr::PENDING != 0
    }

    #[inline(always)]
    fn is_active(list_register: u64) -> bool {
        list_register as u32 & lr::ACTIVE != 0
    }
}
