// SPDX-License-Identifier: BSD-2-Clause
//! Why a vCPU stopped, and what follows.
//!
//! | exit | the guest gets |
//! |---|---|
//! | load or store to a device | the device's answer |
//! | the same, while the device's back end is not there or not done | is held, and tries again |
//! | the same without a decodable syndrome (ISV = 0), unaligned, or wider than any of the device's registers | synchronous External abort |
//! | load, store or instruction fetch where nothing is | synchronous External abort |
//! | cache maintenance by address where nothing is | nothing happens |
//! | HVC, SMC | PSCI and SMCCC; NOT_SUPPORTED for unknown functions |
//! | WFI | is held until an interrupt is pending |
//! | WFE | nothing happens |
//! | trapped system register | see [`vmm_arm::emulated`], of a GICv3 `interface.rs`; Undefined Instruction for unknown ones |
//! | anything else that traps | Undefined Instruction |
//! | an exception vector that cannot be fetched, an event that no guest can cause | stopped, with a report |

use crate::counters::Reason;
use crate::guest::{Guest, Life};
use crate::host::Host;
use crate::machine::Run;
use crate::trap::{Answer, Injected, Told, Trap};
use crate::vcpu::{REGISTERS, Vcpu};
use crate::virtio::{Accessed, Moment};
use vgic::{Ended, IntId, MAX_LIST_REGISTERS};
use vmm_arm::inject::FaultAddress;
use vmm_arm::{Cause, Class, DataAbort, Gpr, Outcome, Pstate, Syndrome, SysRegAccess, WaitKind};
use vmm_devices::pl011::regs;
use vmm_fdt::machine::map;

/// An exit, as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An access that stage 2 does not map.
    Memory {
        /// Address of the instruction.
        pc: u64,
        /// Intermediate physical address.
        address: u64,
        /// An instruction fetch.
        fetch: bool,
        /// ESR_EL2.
        syndrome: u64,
    },
    /// A trapped instruction: ESR_EL2.
    Trapped(u64),
    /// HVC; the address of the instruction.
    Hypercall(u64),
    /// An exception of unknown reason; the address of the instruction.
    Unknown(u64),
    /// The interrupt in this list register has ended (`None`: the kernel cannot tell which).
    Maintenance(Option<usize>),
    /// A private interrupt (INTID) of the vCPU's hardware.
    PrivateInterrupt(u64),
    /// Something else, by name. No guest should be able to cause it.
    Unexpected(&'static str),
}

/// Whether the vCPU goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It does.
    Resume,
    /// It does, with registers that the answer sets.
    Answer(Answer),
    /// It does not; it is started by a store of its registers when the time has come.
    Hold,
}

/// Length of HVC and SMC.
const CALL_BYTES: u64 = 4;

impl<H: Host> Guest<H> {
    /// Handles an exit of vCPU `index`. `registers` is memory to work in; what is in there is not used. `told`: registers
    /// that the exit's message told; then the reply may be an answer.
    #[inline]
    pub fn exit(
        &mut self,
        registers: &mut [u64; REGISTERS],
        index: usize,
        exit: Exit,
        told: Option<Told>,
    ) -> Reply {
        match self.life {
            Life::Running if self.is_running(index) => {}
            Life::Rebooting => return self.exit_while_rebooting(index, exit),
            _ => return Reply::Hold,
        }
        let vcpu = self.host.vcpu(index);
        self.exits.count(&exit);
        if self.unfinished != 0 {
            self.work_on();
        }
        match exit {
            Exit::Memory { pc, address, fetch: false, syndrome } => {
                self.data_abort(index, Trap::at(&vcpu, registers, pc, told), address, Syndrome::new(syndrome))
            }
            Exit::Memory { pc, address, .. } => {
                self.inject(index, Trap::at(&vcpu, registers, pc, told), |sctlr| Cause::InstructionAbort {
                    address: FaultAddress::from_ipa(address, sctlr),
                })
            }
            Exit::Trapped(syndrome) => {
                self.host_output();
                self.trapped(index, Trap::new(&vcpu, registers, told), Syndrome::new(syndrome))
            }
            Exit::Hypercall(pc) => self.call(index, Trap::at(&vcpu, registers, pc, told), CALL_BYTES),
            Exit::Unknown(pc) => {
                self.inject(index, Trap::at(&vcpu, registers, pc, told), |_| Cause::Undefined)
            }
            Exit::Maintenance(list_register) => {
                self.maintenance(index, list_register);
                Reply::Resume
            }
            Exit::PrivateInterrupt(intid) => {
                self.host_output();
                self.private_interrupt(index, intid);
                Reply::Resume
            }
            Exit::Unexpected(what) => self.crash(index, what),
        }
    }

    /// A load or store of vCPU `index` whose exit told the state at the instruction and `value`, the register that it
    /// names. Returns what that register is after the instruction, one of A64. `None`: nothing was done,
    /// [`exit`](Self::exit) has to.
    #[inline(never)]
    pub fn access(
        &mut self,
        index: usize,
        address: u64,
        syndrome: Syndrome,
        pstate: Pstate,
        value: u64,
    ) -> Option<u64> {
        if syndrome.class() != Class::DataAbort || !pstate.is_kept_by_skip() || !self.is_running(index) {
            return None;
        }
        let access = DataAbort::new(syndrome).access()?;
        // What guests poll, and ask for before each byte.
        const FLAGS: u64 = map::UART + regs::FR;
        if address == FLAGS && access.is_plain_load() && self.unfinished == 0 && !self.input_waits {
            self.exits.count_reason(Reason::UartRead);
            return Some(self.machine.uart.read_flags().into());
        }
        self.access_device(index, address, syndrome, value)
    }

    #[inline(never)]
    fn access_device(&mut self, index: usize, address: u64, syndrome: Syndrome, value: u64) -> Option<u64> {
        let access = DataAbort::new(syndrome).access()?;
        if self.unfinished != 0 {
            self.work_on();
        }
        if !access.width.aligned(address) {
            return None;
        }
        let after = match self.mmio(index, address, &access, access.stored(value)) {
            Accessed::Loaded(found) => access.loaded(found),
            Accessed::Stored => value,
            Accessed::Nobody | Accessed::Later => return None,
        };
        self.exits.count(&Exit::Memory { pc: 0, address, fetch: false, syndrome: syndrome.bits().into() });
        Some(after)
    }

    fn data_abort(
        &mut self,
        index: usize,
        mut trap: Trap<'_, H::Vcpu>,
        address: u64,
        syndrome: Syndrome,
    ) -> Reply {
        let abort = DataAbort::new(syndrome);
        let accessed = match abort.access() {
            Some(access) if access.width.aligned(address) => {
                let value = if access.write { access.stored(trap.gpr(access.register)) } else { 0 };
                let accessed = self.mmio(index, address, &access, value);
                if let Accessed::Loaded(value) = accessed {
                    trap.set_gpr(access.register, access.loaded(value));
                }
                accessed
            }
            _ if abort.is_cache_maintenance() => Accessed::Stored,
            _ => Accessed::Nobody,
        };
        match accessed {
            Accessed::Loaded(_) | Accessed::Stored => {
                trap.advance(syndrome.instruction_bytes());
                trap.resume()
            }
            Accessed::Later => self.try_again(index, trap),
            Accessed::Nobody => self.inject(index, trap, |sctlr| Cause::DataAbort {
                write: abort.is_write(),
                cache_maintenance: abort.is_cache_maintenance(),
                address: FaultAddress::from_ipa(address, sctlr),
            }),
        }
    }

    fn trapped(&mut self, index: usize, mut trap: Trap<'_, H::Vcpu>, syndrome: Syndrome) -> Reply {
        match syndrome.class() {
            Class::Wait => {
                trap.advance(syndrome.instruction_bytes());
                match syndrome.wait_kind() {
                    WaitKind::Interrupt => self.wait(index, trap),
                    WaitKind::Event => trap.resume(),
                }
            }
            Class::Smc64 => self.call(index, trap, CALL_BYTES),
            Class::SysReg => self.system_register(index, trap, syndrome),
            _ => self.inject(index, trap, |_| Cause::Undefined),
        }
    }

    fn system_register(&mut self, index: usize, mut trap: Trap<'_, H::Vcpu>, syndrome: Syndrome) -> Reply {
        let access = SysRegAccess::new(syndrome);
        // Asking for the value first fetches all that is needed at once.
        let value = trap.gpr(access.register);
        if self.interrupt_register(index, access, value, &mut trap) {
            trap.advance(syndrome.instruction_bytes());
            return trap.resume();
        }
        let (pstate, now) = (trap.pstate(), self.host.now());
        let Some(cpu) = self.machine.cpus.get_mut(index) else { return Reply::Hold };
        match cpu.system.access(access, value, now, pstate) {
            Outcome::Read(value) => trap.set_gpr(access.register, value),
            Outcome::Written => {}
            Outcome::TimerWritten => self.physical_timer_changed(index),
            Outcome::Undefined => return self.inject(index, trap, |_| Cause::Undefined),
            Outcome::TrapToEl1 => return self.inject(index, trap, |_| Cause::Trap(syndrome)),
        }
        trap.advance(syndrome.instruction_bytes());
        trap.resume()
    }

    fn inject(
        &mut self,
        index: usize,
        mut trap: Trap<'_, H::Vcpu>,
        cause: impl FnOnce(u64) -> Cause,
    ) -> Reply {
        match trap.inject(cause) {
            Injected::AtVector => trap.resume(),
            Injected::Hopeless => self.crash(index, "its exception vector cannot be executed"),
        }
    }

    /// WFI: goes on at once when something is pending, else holds the vCPU. There is no gap in between: whatever makes
    /// an interrupt pending later is a message that this PD has yet to receive.
    pub(crate) fn wait(&mut self, index: usize, trap: Trap<'_, H::Vcpu>) -> Reply {
        self.look_after(Moment::Waits);
        let deadline = self.virtual_timer_deadline(index);
        if self.machine.gic.has_pending(index)
            || deadline.is_some_and(|deadline| deadline <= self.host.now())
            // A device has more to do than one event allows: it goes on at the next exit.
            || self.unfinished != 0
        {
            return trap.resume();
        }
        let pc = trap.hold();
        if let Some(cpu) = self.machine.cpus.get_mut(index) {
            cpu.run = Run::Held { pc, deadline };
        }
        self.arm_timeout();
        Reply::Hold
    }

    pub(crate) fn maintenance(&mut self, index: usize, list_register: Option<usize>) {
        let ended = self.with_gic(|gic, lines| gic.maintenance(index, list_register, lines));
        match ended {
            Ok(Some(ended)) => self.ended(index, ended),
            Ok(None) => {}
            // Nothing is lost by it: the interrupt that ended keeps its list register.
            Err(error) => log::debug!("vCPU {index}: {error}"),
        }
    }

    fn ended(&mut self, index: usize, ended: Ended) {
        if ended.irq == IntId::VTIMER {
            if let Some(cpu) = self.machine.cpus.get_mut(index) {
                cpu.timer_reported = false;
            }
            self.host.vcpu(index).rearm_virtual_timer();
        }
    }

    /// Takes interrupts that are only pending out of the list registers of a vCPU, if the kernel can.
    pub(crate) fn withdraw(&mut self, index: usize) {
        for list_register in 0..MAX_LIST_REGISTERS {
            let withdrawn = self.with_gic(|gic, lines| gic.withdraw(index, list_register, lines));
            if let Some(ended) = withdrawn {
                self.ended(index, ended);
            }
        }
    }

    pub(crate) fn private_interrupt(&mut self, index: usize, intid: u64) {
        self.look_after(Moment::Ticks);
        if intid != u64::from(IntId::VTIMER.number()) {
            log::debug!("vCPU {index}: private interrupt {intid} is not for guests");
            return;
        }
        if let Some(cpu) = self.machine.cpus.get_mut(index) {
            cpu.timer_reported = true;
        }
        // The vCPU exists, and this is a PPI.
        let _ = self.with_gic(|gic, lines| gic.pulse_ppi(index, IntId::VTIMER, lines));
    }

    /// HVC or SMC of `bytes` length: PSCI and SMCCC.
    fn call(&mut self, index: usize, mut trap: Trap<'_, H::Vcpu>, bytes: u64) -> Reply {
        let third = trap.gpr(Gpr::new(3));
        let call = vmm_psci::Call {
            function: trap.gpr(Gpr::new(0)),
            arguments: [trap.gpr(Gpr::new(1)), trap.gpr(Gpr::new(2)), third],
        };
        trap.advance(bytes);
        self.power_call(index, trap, &call)
    }
}
