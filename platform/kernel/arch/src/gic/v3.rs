// SPDX-License-Identifier: BSD-2-Clause
//! GICv3: distributor and redistributor in memory, CPU interface and virtual interface control as system registers (Arm
//! IHI 0069H).
//!
//! Affinity routing is on; all interrupts are Non-secure group 1 and routed to this CPU, whose redistributor is the first
//! one.

use super::{
    Controller, FIRST_CONFIGURABLE, FIRST_SHARED, FIRST_SPECIAL, STATE_WORDS, VirtualInterface, priorities,
};
use crate::board::{self, MAX_IRQ};
use crate::memory::Registers;
use crate::paging::device_page;
use crate::sysreg::{isb, read, write};
use kernel_core::machine::VirtualInterrupt;

/// Byte offset of the distributor's routing registers, two pages of them.
const ROUTING: u64 = 0x6000;
/// Byte offset of the redistributor's second frame (private interrupts).
const SGI_FRAME: u64 = 0x1_0000;
/// Its pages that are used: distributor, its routing registers, the redistributor's two frames.
pub const PAGES: [u64; 5] = [
    board::GICD,
    board::GICD + ROUTING,
    board::GICD + ROUTING + 0x1000,
    board::GICR,
    board::GICR + SGI_FRAME,
];

const GICD_CTLR: u64 = 0x000;
const GICD_IGROUPR: u64 = 0x080;
const GICD_ISENABLER: u64 = 0x100;
const GICD_ICENABLER: u64 = 0x180;
const GICD_ICPENDR: u64 = 0x280;
const GICD_ICACTIVER: u64 = 0x380;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ICFGR: u64 = 0xc00;
const GICR_WAKER: u64 = 0x014;

/// GICD_CTLR: writes are under way (31), affinity routing (4), group 1 (1).
const CTLR_WRITE_PENDING: u32 = 1 << 31;
const CTLR_AFFINITY: u32 = 1 << 4;
const CTLR_GROUP1: u32 = 1 << 1;
/// GICR_WAKER: the CPU sleeps; the redistributor does.
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 1 << 2;
/// Reads of a status register until a device is given up on.
const PATIENCE: u32 = 1_000_000;
/// ICC_SRE: system register access (0), no bypass (1, 2). EL2's has another bit, Enable (3), clear here: a guest's access to its
/// own traps. It is not switched, and where it can be written a guest could take the interface away from the next one.
const SRE: u64 = 0b111;
/// MPIDR_EL1: affinity levels 3 and 2 to 0.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// The interrupt controller.
#[derive(Clone, Copy, Debug)]
pub struct Gic {
    distributor: Registers,
    private: Registers,
}

/// An acknowledged interrupt, to be completed with [`Controller::complete`].
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged(u64);

impl Acknowledged {
    /// The interrupt number.
    pub fn irq(self) -> u64 {
        self.0
    }
}

/// Waits until a register's bits are clear, or for long enough.
fn wait_clear(registers: Registers, offset: u64, bits: u32) {
    for _ in 0..PATIENCE {
        if registers.read(offset) & bits == 0 {
            return;
        }
    }
}

impl Gic {
    /// The frame with the registers of a line: those of private interrupts are the redistributor's, at the same offsets.
    #[inline(always)]
    fn frame(self, irq: u64) -> Registers {
        if irq < FIRST_SHARED { self.private } else { self.distributor }
    }

    fn route_to_this_cpu(lines: u64) {
        let affinity = read!("mpidr_el1") & AFFINITY;
        // SAFETY: `paging::init` has mapped `PAGES` as device memory, in this order.
        let pages = unsafe { [Registers::new(device_page(1)), Registers::new(device_page(2))] };
        for irq in FIRST_SHARED..lines {
            let offset = 8 * irq;
            let page = pages[usize::from(offset >= 0x1000)];
            page.write(offset, affinity as u32);
            page.write(offset + 4, (affinity >> 32) as u32);
        }
    }
}

impl Controller for Gic {
    fn new() -> Self {
        // SAFETY: `paging::init` has mapped `PAGES` as device memory, in this order.
        let (distributor, redistributor, private) = unsafe {
            (Registers::new(device_page(0)), Registers::new(device_page(3)), Registers::new(device_page(4)))
        };
        let gic = Self { distributor, private };
        distributor.write(GICD_CTLR, 0);
        wait_clear(distributor, GICD_CTLR, CTLR_WRITE_PENDING);
        distributor.write(GICD_CTLR, CTLR_AFFINITY);
        wait_clear(distributor, GICD_CTLR, CTLR_WRITE_PENDING);
        redistributor.write(GICR_WAKER, redistributor.read(GICR_WAKER) & !WAKER_SLEEP);
        wait_clear(redistributor, GICR_WAKER, WAKER_ASLEEP);

        let lines = MAX_IRQ + 1;
        for word in 0..lines.div_ceil(32) {
            let frame = gic.frame(32 * word);
            frame.write(GICD_ICENABLER + 4 * word, u32::MAX);
            frame.write(GICD_ICPENDR + 4 * word, u32::MAX);
            frame.write(GICD_ICACTIVER + 4 * word, u32::MAX);
            frame.write(GICD_IGROUPR + 4 * word, u32::MAX);
        }
        for word in 0..lines.div_ceil(4) {
            gic.frame(4 * word).write(GICD_IPRIORITYR + 4 * word, priorities(4 * word));
        }
        for word in FIRST_CONFIGURABLE / 16..lines.div_ceil(16) {
            gic.frame(16 * word).write(GICD_ICFGR + 4 * word, 0);
        }
        Self::route_to_this_cpu(lines);
        distributor.write(GICD_CTLR, CTLR_AFFINITY | CTLR_GROUP1);
        wait_clear(distributor, GICD_CTLR, CTLR_WRITE_PENDING);

        write!("icc_sre_el2", SRE);
        isb();
        write!("icc_sre_el1", SRE);
        isb();
        write!("icc_pmr_el1", 0xf0);
        write!("icc_bpr1_el1", 0);
        // One write ends and deactivates an interrupt.
        write!("icc_ctlr_el1", 0);
        write!("icc_igrpen1_el1", 1);
        isb();
        // Finish what an earlier stage may have left active.
        while let Some(left) = gic.acknowledge() {
            gic.complete(left);
        }
        gic
    }

    #[inline(always)]
    fn set_masked(self, irq: u64, masked: bool) {
        let register = if masked { GICD_ICENABLER } else { GICD_ISENABLER };
        self.frame(irq).write(register + irq / 32 * 4, 1 << (irq % 32));
    }

    fn set_trigger(self, irq: u64, edge: bool) {
        if irq < FIRST_CONFIGURABLE {
            return;
        }
        let (frame, register) = (self.frame(irq), GICD_ICFGR + irq / 16 * 4);
        let bit = 2 << (irq % 16 * 2);
        let old = frame.read(register);
        frame.write(register, if edge { old | bit } else { old & !bit });
    }

    #[inline(always)]
    fn acknowledge(self) -> Option<Acknowledged> {
        let irq = read!("icc_iar1_el1") & 0xff_ffff;
        (irq < FIRST_SPECIAL).then_some(Acknowledged(irq))
    }

    #[inline(always)]
    fn complete(self, interrupt: Acknowledged) {
        write!("icc_eoir1_el1", interrupt.0);
        isb();
    }

    /// An affinity: levels 3 to 0, a byte each. A list of targets holds sixteen values of level 0.
    fn is_sgi_target(target: u64) -> bool {
        target <= u64::from(u32::MAX) && target & 0xff < 16
    }

    fn send_sgi(self, sgi: u64, target: u64) {
        let level = |n: u64| target >> (8 * n) & 0xff;
        let value =
            level(3) << 48 | level(2) << 32 | (sgi & 0xf) << 24 | level(1) << 16 | 1 << (level(0) & 0xf);
        write!("icc_sgi1r_el1", value);
        isb();
    }
}

/// ICH_HCR_EL2: the virtual interface works.
const HCR_ENABLE: u64 = 1;

/// List register fields.
mod lr {
    pub const EOI_MAINTENANCE: u64 = 1 << 41;
    /// Of the five bits that every implementation has; the lower three are not.
    pub const PRIORITY_SHIFT: u64 = 48 + 3;
    pub const GROUP_SHIFT: u64 = 60;
    pub const PENDING: u64 = 1 << 62;
    pub const ACTIVE: u64 = 1 << 63;
}

/// The virtual interface: system registers.
#[derive(Clone, Copy, Debug)]
pub struct VirtualGic;

macro_rules! list_registers {
    ($($number:literal => $name:literal;)*) => {
        fn read_list_register(index: u64) -> u64 {
            match index {
                $($number => read!($name),)*
                _ => 0,
            }
        }

        fn write_list_register(index: u64, value: u64) {
            match index {
                $($number => write!($name, value),)*
                _ => {}
            }
        }
    };
}

list_registers! {
    0 => "ich_lr0_el2";
    1 => "ich_lr1_el2";
    2 => "ich_lr2_el2";
    3 => "ich_lr3_el2";
    4 => "ich_lr4_el2";
    5 => "ich_lr5_el2";
    6 => "ich_lr6_el2";
    7 => "ich_lr7_el2";
    8 => "ich_lr8_el2";
    9 => "ich_lr9_el2";
    10 => "ich_lr10_el2";
    11 => "ich_lr11_el2";
    12 => "ich_lr12_el2";
    13 => "ich_lr13_el2";
    14 => "ich_lr14_el2";
    15 => "ich_lr15_el2";
}

impl VirtualInterface for VirtualGic {
    fn new() -> Self {
        write!("ich_hcr_el2", 0);
        write!("ich_vmcr_el2", 0);
        Self
    }

    fn list_registers(self) -> u64 {
        (read!("ich_vtr_el2") & 0xf) + 1
    }

    #[inline(always)]
    fn set_enabled(self, enabled: bool) {
        write!("ich_hcr_el2", if enabled { HCR_ENABLE } else { 0 });
    }

    fn ended(self) -> u64 {
        read!("ich_eisr_el2")
    }

    fn list_register(self, index: u64) -> u64 {
        read_list_register(index)
    }

    fn set_list_register(self, index: u64, value: u64) {
        write_list_register(index, value);
    }

    /// One register of active priorities for each group: implementations with more than five bits of priority have more,
    /// for priorities that cannot be injected.
    fn state(self) -> [u64; STATE_WORDS] {
        [read!("ich_vmcr_el2"), read!("ich_ap0r0_el2"), read!("ich_ap1r0_el2")]
    }

    fn set_state(self, [vmcr, group0, group1]: [u64; STATE_WORDS]) {
        write!("ich_vmcr_el2", vmcr);
        write!("ich_ap0r0_el2", group0);
        write!("ich_ap1r0_el2", group1);
    }

    /// A GICv3 does not say which CPU sent an interrupt.
    fn pending(interrupt: VirtualInterrupt) -> u64 {
        interrupt.number & 0xffff_ffff
            | lr::EOI_MAINTENANCE
            | (interrupt.priority & 0x1f) << lr::PRIORITY_SHIFT
            | (interrupt.group & 1) << lr::GROUP_SHIFT
            | lr::PENDING
    }

    fn interrupt(list_register: u64) -> VirtualInterrupt {
        VirtualInterrupt {
            number: list_register & 0xffff_ffff,
            priority: list_register >> lr::PRIORITY_SHIFT & 0x1f,
            group: list_register >> lr::GROUP_SHIFT & 1,
            source: 0,
        }
    }

    fn is_pending(list_register: u64) -> bool {
        list_register & lr::PENDING != 0
    }

    fn is_active(list_register: u64) -> bool {
        list_register & lr::ACTIVE != 0
    }
}
