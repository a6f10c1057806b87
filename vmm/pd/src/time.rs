// SPDX-License-Identifier: BSD-2-Clause
//! Time-outs: of held vCPUs' virtual timers, of emulated physical timers, of the clock's alarm.
//!
//! A vCPU that runs gets its virtual timer's events from the kernel. One that is held does not, so the PD asks the timer
//! driver for the earliest of all deadlines. It is asked again only when an earlier one comes: a time-out that nobody needs
//! any more costs less than taking it back, as it is rare and most deadlines move on before they are reached.

use crate::guest::{Guest, Life};
use crate::host::Host;
use crate::machine::Run;
use crate::vcpu::{SystemRegister, Vcpu};
use vgic::IntId;
use vmm_fdt::machine::map;

/// PPI of the EL1 physical timer.
const PHYSICAL_TIMER: Option<IntId> = IntId::new(map::PHYSICAL_TIMER_INTID as u16);

impl<H: Host> Guest<H> {
    /// The deadline that the host was asked for has been reached (or an earlier one that has been replaced since).
    pub fn timeout(&mut self) {
        if self.life == Life::Rebooting {
            return self.reboot_when_quiet();
        }
        let now = self.host.now();
        // Also when it is too early: the timer driver may have been restarted and have forgotten it, so it is asked again.
        self.timeout = None;
        self.deliver_in_time(now);
        for index in 0..self.machine.vcpus() {
            if let Some(Run::Held { deadline: Some(deadline), .. }) =
                self.machine.cpus.get(index).map(|cpu| cpu.run)
                && deadline <= now
            {
                // Its virtual timer fires as soon as it runs.
                self.wake(index);
            }
            self.update_physical_timer_line(index);
        }
        self.clock_changed();
        self.arm_timeout();
        self.host_output();
    }

    /// The physical count at which the virtual timer of a vCPU in an exit will raise its interrupt, if it will.
    pub(crate) fn virtual_timer_deadline(&self, index: usize) -> Option<u64> {
        const ENABLE: u64 = 1 << 0;
        const IMASK: u64 = 1 << 1;
        if self.machine.cpus.get(index)?.timer_reported {
            return None;
        }
        let vcpu = self.host.vcpu(index);
        let [control, compare_value] = vcpu.read_from(SystemRegister::CntvCtl);
        // CNTVOFF is zero: see `power_on`. A compare value beyond the end of time is never reached.
        (control & (ENABLE | IMASK) == ENABLE).then_some(compare_value)
    }

    /// A guest has written to its physical timer.
    pub(crate) fn physical_timer_changed(&mut self, index: usize) {
        self.update_physical_timer_line(index);
        self.arm_timeout();
    }

    pub(crate) fn update_physical_timer_line(&mut self, index: usize) {
        let now = self.host.now();
        let (Some(cpu), Some(irq)) = (self.machine.cpus.get_mut(index), PHYSICAL_TIMER) else { return };
        let asserted = cpu.system.timer.asserted(now);
        if asserted != cpu.physical_timer_line {
            cpu.physical_timer_line = asserted;
            // The vCPU exists, and this is a PPI.
            let _ = self.with_gic(|gic, lines| gic.set_ppi(index, irq, asserted, lines));
        }
    }

    /// The clock was accessed, or time has passed.
    pub(crate) fn clock_changed(&mut self) {
        let now = self.host.wall_clock();
        self.machine.rtc.tick(now);
        let asserted = self.machine.rtc.asserted();
        if asserted != self.machine.rtc_line {
            self.machine.rtc_line = asserted;
            self.set_level(map::RTC_INTID, asserted);
        }
        if self.machine.rtc.deadline(now).is_some() {
            self.arm_timeout();
        }
    }

    /// Asks the host for the earliest deadline, if it would not come back by then.
    pub(crate) fn arm_timeout(&mut self) {
        let wanted = match self.life {
            Life::Running => {
                self.earliest_deadline().filter(|&earliest| self.timeout.is_none_or(|asked| earliest < asked))
            }
            _ if self.timeout.is_some() => None,
            _ => return,
        };
        if wanted.is_some() || self.life != Life::Running {
            self.timeout = wanted;
            self.host.set_timeout(wanted);
        }
    }

    fn earliest_deadline(&self) -> Option<u64> {
        let cpus = self.machine.cpus.iter().take(self.machine.vcpus());
        let timers = cpus.flat_map(|cpu| {
            let held = match cpu.run {
                Run::Held { deadline, .. } => deadline,
                _ => None,
            };
            // A line that is up already stays so until the guest does something about it.
            let physical = if cpu.physical_timer_line { None } else { cpu.system.timer.deadline() };
            [held, physical]
        });
        let wall_clock = self.host.wall_clock();
        let alarm = self.machine.rtc.deadline(wall_clock).map(|seconds| {
            // A second late at most: the start of the second is not known.
            let ticks = u64::from(seconds).saturating_add(1).saturating_mul(self.host.frequency_hz());
            self.host.now().saturating_add(ticks)
        });
        timers.chain([alarm, self.late_until]).flatten().min()
    }
}
