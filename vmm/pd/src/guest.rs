// SPDX-License-Identifier: BSD-2-Clause
//! A guest: its machine, its life, and the events that reach it from outside.

use crate::counters::Counters;
use crate::crash::Report;
use crate::exit::Reply;
use crate::host::{Console, Host};
use crate::machine::{Machine, Run};
use crate::vcpu::{REGISTERS, Then, Vcpu, position};
use crate::virtio::Links;
use vgic::{InjectError, Injection, IntId, ListRegisters, Vgic};
use vmm_fdt::machine::map;

/// Whether the guest exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs, or waits.
    Running,
    /// Its vCPUs are emptying their list registers before it starts over.
    Rebooting,
    /// It has turned itself off, or was stopped.
    Ended,
}

/// One guest.
pub struct Guest<H: Host> {
    pub(crate) host: H,
    pub(crate) machine: Machine,
    pub(crate) life: Life,
    /// The deadline that the host was asked for last and that has not passed.
    pub(crate) timeout: Option<u64>,
    /// Console input was there when it was last looked at.
    pub(crate) input_waits: bool,
    /// Exits since the start.
    pub(crate) exits: Counters,
    /// What the virtio devices are connected to.
    pub(crate) links: Links<H>,
    /// Slots whose devices had more to do than one event allows.
    pub(crate) unfinished: u32,
    /// vCPUs that wait to try an access to a device again, a bit each.
    pub(crate) retrying: u32,
    /// Bytes of the guest's memory that were scrubbed so far, before a reboot.
    pub(crate) scrubbed: u64,
    /// Slots whose interrupt waits for others to come.
    pub(crate) late: u32,
    /// The guest is asked not to kick for packets, which are looked for by `late_until`.
    pub(crate) quiet: bool,
    /// The guest has kicked for a packet, and has not waited since.
    pub(crate) kicked: bool,
    /// Physical count until which interrupts and packets may wait.
    pub(crate) late_until: Option<u64>,
    /// How often lately the guest has waited before that: the next moment is longer by as many powers of two.
    pub(crate) trust: u8,
    /// This PD was restarted, and requests of its former life may still be at the disk.
    pub(crate) recovering: bool,
}

impl<H: Host> Guest<H> {
    /// A guest that is not started yet, see [`Guest::start`] and [`Guest::recover`].
    pub fn new(host: H, machine: Machine, links: Links<H>) -> Self {
        let mut this = Self {
            host,
            machine,
            life: Life::Ended,
            timeout: None,
            input_waits: false,
            exits: Counters::new(),
            links,
            unfinished: 0,
            retrying: 0,
            scrubbed: 0,
            late: 0,
            quiet: false,
            kicked: false,
            late_until: None,
            trust: 0,
            recovering: false,
        };
        this.make_devices();
        this
    }

    /// Whether it runs.
    pub const fn life(&self) -> Life {
        self.life
    }

    /// How often its vCPUs stopped, by reason, since it was started or rebooted.
    pub const fn exits(&self) -> &Counters {
        &self.exits
    }

    /// Its machine's state.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The host.
    pub const fn host(&self) -> &H {
        &self.host
    }

    /// The host.
    pub const fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// The console has room again, or input, or both.
    pub fn console(&mut self) {
        if self.machine.uart.pending_output() > 0 {
            self.machine.uart.drain(self.host.console());
        }
        self.input_waits = self.host.console().has_input();
        self.receive_input();
        self.update_uart_line();
        self.host_output();
    }

    /// Stops the guest alone and reports why.
    pub(crate) fn crash(&mut self, index: usize, reason: &str) -> Reply {
        self.host_output();
        log::error!("{}", Report::new(&self.host.vcpu(index), index, reason));
        self.end();
        log::info!("{}", self.exits);
        log::error!("guest stopped: {reason}");
        self.host_output();
        Reply::Hold
    }

    /// Nothing of the guest runs any more.
    pub(crate) fn end(&mut self) {
        self.stop_all();
        self.life = Life::Ended;
        self.arm_timeout();
    }

    pub(crate) fn stop_all(&mut self) {
        for index in 0..self.machine.vcpus() {
            self.host.vcpu(index).stop();
            if let Some(cpu) = self.machine.cpus.get_mut(index) {
                cpu.run = Run::Off;
            }
        }
    }

    pub(crate) fn is_running(&self, index: usize) -> bool {
        self.life == Life::Running && self.machine.cpus.get(index).is_some_and(|cpu| cpu.run == Run::Running)
    }

    /// Shows output that was put but not signalled: whatever the guest does next, it may take its time.
    #[inline]
    pub(crate) fn host_output(&mut self) {
        self.host.console().flush();
    }

    /// Moves input to the UART as far as the guest takes it.
    #[inline(always)]
    pub(crate) fn receive_input(&mut self) {
        if self.input_waits && self.machine.uart.room() > 0 {
            self.move_input();
        }
    }

    fn move_input(&mut self) {
        let mut buffer = [0; 16];
        while self.input_waits {
            let room = self.machine.uart.room().min(buffer.len());
            let Some(space) = buffer.get_mut(..room) else { return };
            if space.is_empty() {
                return;
            }
            let count = self.host.console().read(space);
            if count == 0 {
                self.input_waits = false;
            }
            if let Some(input) = buffer.get(..count) {
                self.machine.uart.receive(input);
            }
        }
    }

    /// Brings the UART's interrupt line to the interrupt controller.
    #[inline]
    pub(crate) fn update_uart_line(&mut self) {
        let asserted = self.machine.uart.asserted();
        if asserted != self.machine.uart_line {
            self.machine.uart_line = asserted;
            self.set_level(map::UART_INTID, asserted);
        }
    }

    pub(crate) fn set_level(&mut self, intid: u32, asserted: bool) {
        if let Some(irq) = u16::try_from(intid).ok().and_then(IntId::new) {
            // The machine has this interrupt.
            let _ = self.with_gic(|gic, lines| gic.set_level(irq, asserted, lines));
        }
    }

    /// Lets the interrupt controller act, then lets vCPUs go on that it gave an interrupt to.
    pub(crate) fn with_gic<T>(&mut self, act: impl FnOnce(&mut Vgic, &mut Lines<'_, H>) -> T) -> T {
        let mut lines = Lines { host: &self.host, kicked: 0 };
        let result = act(&mut self.machine.gic, &mut lines);
        let kicked = lines.kicked;
        if kicked != 0 {
            for index in 0..self.machine.vcpus() {
                if kicked & 1 << index != 0 {
                    self.wake(index);
                }
            }
        }
        result
    }

    /// Lets a held vCPU go on; others are left alone.
    pub(crate) fn wake(&mut self, index: usize) {
        let Some(cpu) = self.machine.cpus.get_mut(index) else { return };
        if let Run::Held { pc, .. } = cpu.run {
            cpu.run = Run::Running;
            let mut registers = [0; REGISTERS];
            registers[position::PC] = pc;
            self.host.vcpu(index).store(&registers, 1, Then::Run);
        }
    }
}

/// What the interrupt controller reaches: the list registers of the vCPUs.
pub(crate) struct Lines<'a, H> {
    host: &'a H,
    kicked: u32,
}

impl<H: Host> ListRegisters for Lines<'_, H> {
    fn inject(&mut self, vcpu: usize, injection: Injection) -> Result<(), InjectError> {
        self.host.vcpu(vcpu).inject(&injection)
    }

    fn withdraw(&mut self, vcpu: usize, list_register: u8) -> bool {
        self.host.vcpu(vcpu).withdraw(list_register)
    }

    fn kick(&mut self, vcpu: usize) {
        self.kicked |= 1u32.checked_shl(vcpu as u32).unwrap_or(0);
    }
}
