// SPDX-License-Identifier: BSD-2-Clause
//! The state of a guest's machine outside its memory and the registers that the kernel keeps: one value, serialisable.

use crate::virtio::Devices;
use serde::{Deserialize, Serialize};
use vgic::{Config as VgicConfig, Version, Vgic};
use vmm_arm::SystemRegisters;
use vmm_devices::{Pl011, Pl031};
use vmm_fdt::machine::map;
use vmm_psci::{MAX_VCPUS, Psci};

/// Shared interrupts of the machine: enough for its devices and virtio slots.
const SPIS: u16 = 64;
/// List registers to begin with; the model finds out if there are fewer.
const LIST_REGISTERS: u8 = 4;

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// Off: waits for CPU_ON.
    Off,
    /// Runs, or is in an exit.
    Running,
    /// Waits for an interrupt, not running.
    Held {
        /// Where it goes on.
        pc: u64,
        /// Physical count at which its virtual timer is due.
        deadline: Option<u64>,
    },
}

/// One vCPU's part of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// What it does.
    pub run: Run,
    /// Registers that trap.
    pub system: SystemRegisters,
    /// The kernel has reported a virtual timer event, and the guest has not ended that interrupt: no further event comes.
    pub timer_reported: bool,
    /// Level of the physical timer's interrupt as the interrupt controller knows it.
    pub physical_timer_line: bool,
}

impl Cpu {
    const fn new() -> Self {
        Self {
            run: Run::Off,
            system: SystemRegisters::new(),
            timer_reported: false,
            physical_timer_line: false,
        }
    }

    /// Back to off, as after power-on. What the kernel and the interrupt controller have been told remains.
    fn reset(&mut self) {
        self.run = Run::Off;
        self.system = SystemRegisters::new();
    }
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Interrupt controller.
    pub gic: Vgic,
    /// Power states.
    pub psci: Psci,
    /// PL011.
    pub uart: Pl011,
    /// Level of its interrupt as the interrupt controller knows it.
    pub uart_line: bool,
    /// PL031.
    pub rtc: Pl031,
    /// Level of its interrupt as the interrupt controller knows it.
    pub rtc_line: bool,
    /// Virtio devices.
    pub devices: Devices,
    /// vCPUs; as many are used as [`Psci::count`] says.
    pub cpus: [Cpu; MAX_VCPUS],
}

impl Machine {
    /// A machine after power-on with `vcpus` vCPUs (cut to what is possible), a GIC of this version, which has to be the
    /// board's, and `memory_size` bytes of RAM.
    ///
    /// # Errors
    /// The interrupt controller refuses such a machine.
    pub fn new(vcpus: usize, gic: Version, memory_size: u64) -> Result<Self, vgic::Error> {
        let psci = Psci::new(vcpus, map::RAM..map::RAM.saturating_add(memory_size));
        let vcpus = psci.count() as u8;
        let config = VgicConfig { version: gic, vcpus, list_registers: LIST_REGISTERS, spis: SPIS };
        Ok(Self {
            gic: Vgic::new(config)?,
            psci,
            uart: Pl011::new(),
            uart_line: false,
            rtc: Pl031::new(),
            rtc_line: false,
            devices: Devices::default(),
            cpus: [const { Cpu::new() }; MAX_VCPUS],
        })
    }

    /// As after power-on, except for what only the kernel can take back: interrupts in list registers. The caller has to
    /// reset the virtio devices, which may have to wait, and to bring the interrupt lines up to date. The clock, like one
    /// with a battery, goes on.
    pub fn reset(&mut self) {
        self.gic.reset();
        self.psci.reset();
        self.uart = Pl011::new();
        for cpu in &mut self.cpus {
            cpu.reset();
        }
    }

    /// Number of vCPUs.
    pub const fn vcpus(&self) -> usize {
        self.psci.count()
    }
}
