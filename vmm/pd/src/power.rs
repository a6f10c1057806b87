// SPDX-License-Identifier: BSD-2-Clause
//! Power: start, PSCI calls, reboot, power-off.

use crate::counters::Counters;
use crate::exit::{Exit, Reply};
use crate::guest::{Guest, Life};
use crate::host::{Console, Host, Memory};
use crate::machine::Run;
use crate::trap::Trap;
use crate::vcpu::{REGISTERS, SystemRegister, Then, Vcpu, position};
use vmm_arm::{Gpr, Pstate};
use vmm_fdt::machine::map;
use vmm_psci::{Action, Call};

/// SCTLR_EL1 after reset: RES1 bits of ARMv8.0, all else off.
const SCTLR_RESET: u64 = 0x30d0_0800;
/// MPIDR_EL1: bit 31 is RES1; affinity 0 is the vCPU's number.
const MPIDR: u64 = 1 << 31;
/// X0 to X2 of the code that empties list registers ([`vgic::Version::quiesce`]).
const QUIESCE_ARGUMENTS: [u64; 3] = [0, 0, map::GICC];
/// Bytes of memory that are scrubbed without a pause.
const SCRUB_STEP: u64 = 2 << 20;
/// X0.
const X0: Gpr = Gpr::new(0);

impl<H: Host> Guest<H> {
    /// Starts the guest from its images. `memory` says what is in its memory so far.
    pub fn start(&mut self, memory: Memory) {
        let start = match self.host.load(memory) {
            Ok(start) => start,
            Err(error) => {
                self.life = Life::Ended;
                log::error!("guest stopped: {error}");
                return self.host_output();
            }
        };
        self.life = Life::Running;
        self.recovering = false;
        // What was asked for while it was being scrubbed.
        self.timeout = None;
        self.unfinished = 0;
        self.retrying = 0;
        self.late = 0;
        (self.quiet, self.kicked) = (false, false);
        self.late_until = None;
        self.input_waits = self.host.console().has_input();
        self.connect();
        self.power_on(0, start.entry, &[start.device_tree]);
    }

    /// Lets vCPU `index` run at `entry` with `arguments` in X0 and following, everything else as after reset.
    fn power_on(&mut self, index: usize, entry: u64, arguments: &[u64]) {
        let vcpu = self.host.vcpu(index);
        let values = SystemRegister::ALL.map(|register| match register {
            SystemRegister::Sctlr => SCTLR_RESET,
            SystemRegister::Vmpidr => MPIDR | index as u64,
            _ => 0,
        });
        vcpu.write_from(SystemRegister::Sctlr, &values);
        if let Some(cpu) = self.machine.cpus.get_mut(index) {
            cpu.run = Run::Running;
        }
        let mut registers = [0; REGISTERS];
        registers[position::PC] = entry;
        registers[position::PSTATE] = Pstate::EL1_MASKED.bits();
        for (register, argument) in registers.iter_mut().skip(position::X0).zip(arguments) {
            *register = *argument;
        }
        vcpu.store(&registers, REGISTERS, Then::Run);
    }

    /// A call that went through PSCI's hands; the PC is already behind the instruction.
    pub(crate) fn power_call(&mut self, index: usize, mut trap: Trap<'_, H::Vcpu>, call: &Call) -> Reply {
        match self.machine.psci.call(index, call) {
            Action::Return(value) => self.answer(trap, value),
            Action::CpuOn(start) => {
                self.power_on(start.vcpu, start.entry, &[start.context]);
                self.answer(trap, 0)
            }
            Action::CpuOff => self.power_off(index),
            Action::Standby => {
                trap.set_gpr(X0, 0);
                self.wait(index, trap)
            }
            Action::SystemOff => {
                self.end();
                log::info!("{}", self.exits);
                log::info!("guest powered off");
                self.host_output();
                Reply::Hold
            }
            Action::SystemReset => {
                self.reboot();
                Reply::Hold
            }
        }
    }

    fn answer(&mut self, mut trap: Trap<'_, H::Vcpu>, value: u64) -> Reply {
        trap.set_gpr(X0, value);
        trap.resume()
    }

    /// CPU_OFF. The exit is not answered; CPU_ON starts the vCPU anew.
    fn power_off(&mut self, index: usize) -> Reply {
        self.host.vcpu(index).stop();
        if let Some(cpu) = self.machine.cpus.get_mut(index) {
            cpu.run = Run::Off;
        }
        self.arm_timeout();
        if self.machine.psci.all_off() {
            self.end();
            log::error!("guest stopped: it has turned off all its vCPUs");
            self.host_output();
        }
        Reply::Hold
    }

    /// SYSTEM_RESET. List registers first: what is pending in them is withdrawn, if the kernel can; all else can only be
    /// ended by the vCPU itself, see [`vgic::Version::quiesce`].
    fn reboot(&mut self) {
        self.stop_all();
        log::info!("{}", self.exits);
        log::info!("guest reboots");
        self.exits = Counters::new();
        self.life = Life::Rebooting;
        self.machine.reset();
        self.unfinished = 0;
        self.retrying = 0;
        self.late = 0;
        (self.quiet, self.kicked) = (false, false);
        self.late_until = None;
        self.reset_devices();
        self.update_lines();
        self.arm_timeout();
        self.host.place(self.machine.gic.config().version.quiesce());
        for index in 0..self.machine.vcpus() {
            self.withdraw(index);
            if self.machine.gic.held(index).next().is_some() {
                self.power_on(index, map::RAM, &QUIESCE_ARGUMENTS);
            }
        }
        self.reboot_when_quiet();
    }

    /// An exit of a vCPU that empties its list registers; that it waits says that it is done.
    pub(crate) fn exit_while_rebooting(&mut self, index: usize, exit: Exit) -> Reply {
        match exit {
            Exit::Maintenance(list_register) => self.maintenance(index, list_register),
            Exit::PrivateInterrupt(intid) => self.private_interrupt(index, intid),
            _ => {
                self.host.vcpu(index).stop();
                if let Some(cpu) = self.machine.cpus.get_mut(index) {
                    cpu.run = Run::Off;
                }
                self.reboot_when_quiet();
                return Reply::Hold;
            }
        }
        Reply::Resume
    }

    /// Starts over when no vCPU is busy any more and no device uses the guest's memory, which is scrubbed then.
    pub(crate) fn reboot_when_quiet(&mut self) {
        if self.machine.cpus.iter().all(|cpu| cpu.run == Run::Off) && self.devices_are_quiet() {
            self.scrub();
        }
    }

    /// Scrubs a step of the memory; the next one follows when others, a watchdog for one, have had their turn.
    fn scrub(&mut self) {
        if !self.host.scrub(self.scrubbed, SCRUB_STEP) {
            self.scrubbed = 0;
            return self.start(Memory::Used);
        }
        self.scrubbed += SCRUB_STEP;
        let now = self.host.now();
        self.timeout = Some(now);
        self.host.set_timeout(Some(now));
    }

    /// Starts the guest anew after a crash of this PD, which has left it as it was: vCPUs running, requests at the disk,
    /// interrupts in list registers. Nothing is known of any of it.
    pub fn recover(&mut self) {
        log::warn!("restarted: the guest starts anew");
        self.stop_all();
        self.life = Life::Rebooting;
        self.recovering = true;
        self.host.place(self.machine.gic.config().version.quiesce());
        for index in 0..self.machine.vcpus() {
            // The kernel may wait for the end of an event of the timer that nobody knows of.
            self.host.vcpu(index).rearm_virtual_timer();
            self.power_on(index, map::RAM, &QUIESCE_ARGUMENTS);
        }
        self.connect();
    }

    /// Brings all devices' interrupt lines to the interrupt controller.
    fn update_lines(&mut self) {
        self.update_uart_line();
        self.clock_changed();
        for index in 0..self.machine.vcpus() {
            self.update_physical_timer_line(index);
        }
    }
}
