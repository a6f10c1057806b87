// SPDX-License-Identifier: BSD-2-Clause
//! The virtual CPUs of the PD's virtual machine.

use sel4_sys::{Error, VcpuReg, seL4_CPtr, seL4_Error, seL4_UserContext};

use crate::child::{expect, restart};
use crate::{MessageInfo, ipc_buffer, set_mr, slots};

/// Thread flag of the kernel extension: exits are told with registers (`docs/kernel-extension.md`).
const EXITS: u64 = 1 << 63;
/// Whether the kernel extension reaches list registers and state of a virtual CPU.
const HAS_STATE: bool = !matches!(sel4_sys::config::BULKHEAD_EXTENSION, 0 | 1);
/// What a list register's contents say (kernel extension).
const PENDING: u64 = 1 << 40;
const ACTIVE: u64 = 1 << 41;

/// The reply to a [`Fault::VcpuExit`](crate::Fault::VcpuExit): the guest goes on at `pc`, with the general register `number`
/// (0 to 30; none, for any other) set to `value`. Nothing may be sent between this and the reply.
#[inline(always)]
pub fn exit_answer(pc: u64, number: u64, value: u64) -> MessageInfo {
    set_mr(0, pc);
    set_mr(1, number);
    set_mr(2, value);
    MessageInfo::new(0, 3)
}

/// A virtual CPU of this PD's virtual machine.
#[derive(Debug, Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Vcpu {
    index: usize,
}

impl Vcpu {
    /// The vCPU that the system description gives id `index`.
    ///
    /// # Panics
    /// When `index` is not below 64.
    pub const fn new(index: usize) -> Self {
        assert!(index < slots::TABLE_SIZE);
        Self { index }
    }

    /// The vCPU's id.
    pub const fn index(&self) -> usize {
        self.index
    }

    #[doc(hidden)]
    pub const fn tcb(&self) -> seL4_CPtr {
        slots::VCPU_TCB_BASE + self.index as seL4_CPtr
    }

    #[doc(hidden)]
    pub const fn vcpu(&self) -> seL4_CPtr {
        slots::VCPU_BASE + self.index as seL4_CPtr
    }

    /// Lets the vCPU run from address `entry`; its other registers stay as they are.
    ///
    /// # Panics
    /// When there is no such vCPU. The same holds for all methods without a `Result`.
    pub fn restart(&self, entry: u64) {
        restart(self.tcb(), entry);
    }

    /// Stops the vCPU.
    pub fn stop(&self) {
        expect(ipc_buffer::with(|buffer| buffer.seL4_TCB_Suspend(self.tcb())), "stop");
    }

    /// Lets the vCPU run on.
    pub fn resume(&self) {
        expect(ipc_buffer::with(|buffer| buffer.seL4_TCB_Resume(self.tcb())), "resume");
    }

    /// Puts interrupt `irq` (0..=1023) with `priority` (0..=31) and `group` (0 or 1) into list register `lr`.
    ///
    /// # Errors
    /// `DeleteFirst` when the list register holds an active interrupt, `RangeError` when a value is out of range.
    #[inline]
    pub fn inject_irq(&self, irq: u16, priority: u8, group: u8, lr: u8) -> Result<(), Error> {
        let vcpu = self.vcpu();
        Error::check(ipc_buffer::with(|buffer| {
            buffer.seL4_ARM_VCPU_InjectIRQ(vcpu, irq, priority, group, lr)
        }))
    }

    /// As [`inject_irq`](Self::inject_irq) of a software-generated interrupt (below 16) that CPU `source` (0..=7) has sent.
    /// The guest is told the source if the kernel can.
    ///
    /// # Errors
    /// The same.
    pub fn inject_irq_from(
        &self,
        irq: u16,
        priority: u8,
        group: u8,
        lr: u8,
        source: u8,
    ) -> Result<(), Error> {
        if !HAS_STATE {
            return self.inject_irq(irq, priority, group, lr);
        }
        let vcpu = self.vcpu();
        Error::check(ipc_buffer::with(|buffer| {
            buffer.bulkhead_VCPU_Inject(vcpu, irq, priority, group, lr, source)
        }))
    }

    /// Takes the interrupt out of list register `lr`, if it is pending and not active, and the kernel can. Returns whether
    /// it did; its end will not be reported.
    pub fn withdraw_irq(&self, lr: u8) -> bool {
        if !HAS_STATE {
            return false;
        }
        let vcpu = self.vcpu();
        let held = ipc_buffer::with(|buffer| buffer.bulkhead_VCPU_ListRegister(vcpu, lr, true));
        held.error == seL4_Error::seL4_NoError && held.value & (PENDING | ACTIVE) == PENDING
    }

    /// Lets private interrupt `irq` (INTID) be reported again.
    #[inline]
    pub fn ack_vppi(&self, irq: u64) {
        expect(ipc_buffer::with(|buffer| buffer.seL4_ARM_VCPU_AckVPPI(self.vcpu(), irq)), "ack_vppi");
    }

    /// Lets memory faults and trapped instructions be told as [`Fault::VcpuExit`](crate::Fault::VcpuExit), which can be
    /// answered with registers ([`exit_answer`]). Returns whether the kernel can.
    pub fn tell_exits(&self) -> bool {
        if sel4_sys::config::BULKHEAD_EXTENSION == 0 {
            return false;
        }
        let result = ipc_buffer::with(|buffer| buffer.seL4_TCB_SetFlags(self.tcb(), 0, EXITS));
        result.error == seL4_Error::seL4_NoError && result.flags & EXITS != 0
    }

    /// Reads a system register.
    #[inline]
    pub fn read_reg(&self, register: VcpuReg) -> u64 {
        let result = ipc_buffer::with(|buffer| buffer.seL4_ARM_VCPU_ReadRegs(self.vcpu(), register.into()));
        expect(result.error, "read_reg");
        result.value
    }

    /// Writes a system register.
    #[inline]
    pub fn write_reg(&self, register: VcpuReg, value: u64) {
        let code =
            ipc_buffer::with(|buffer| buffer.seL4_ARM_VCPU_WriteRegs(self.vcpu(), register.into(), value));
        expect(code, "write_reg");
    }

    /// Reads `N` system registers, from `first` on in the order of their numbers, in one call. `None`: the kernel cannot.
    #[inline]
    pub fn read_regs<const N: usize>(&self, first: VcpuReg) -> Option<[u64; N]> {
        if !HAS_STATE {
            return None;
        }
        let mut values = [0; N];
        let number = first.into();
        let code =
            ipc_buffer::with(|buffer| buffer.bulkhead_VCPU_ReadState(self.vcpu(), number, &mut values));
        (code == seL4_Error::seL4_NoError).then_some(values)
    }

    /// Writes system registers, from `first` on in the order of their numbers, in one call. Returns whether the kernel
    /// can.
    pub fn write_regs<const N: usize>(&self, first: VcpuReg, values: &[u64; N]) -> bool {
        let number = first.into();
        HAS_STATE
            && ipc_buffer::with(|buffer| buffer.bulkhead_VCPU_WriteState(self.vcpu(), number, values))
                == seL4_Error::seL4_NoError
    }

    /// Reads the first `count` (at most 36) general registers in the order of [`seL4_UserContext`]; the rest are 0.
    #[inline]
    pub fn read_registers(&self, count: usize) -> seL4_UserContext {
        let mut registers = seL4_UserContext::default();
        self.read_registers_into(count, &mut registers);
        registers
    }

    /// As [`Vcpu::read_registers`], into `registers`, of which the rest stays as it is.
    #[inline]
    pub fn read_registers_into(&self, count: usize, registers: &mut seL4_UserContext) {
        let count = count.min(seL4_UserContext::LEN) as u64;
        let code =
            ipc_buffer::with(|buffer| buffer.seL4_TCB_ReadRegisters(self.tcb(), false, 0, count, registers));
        expect(code, "read_registers");
    }

    /// Writes the first `count` (at most 36) general registers in the order of [`seL4_UserContext`], and lets the
    /// vCPU run if `resume`.
    #[inline]
    pub fn write_registers(&self, resume: bool, registers: &seL4_UserContext, count: usize) {
        let count = count.min(seL4_UserContext::LEN) as u64;
        let code = ipc_buffer::with(|buffer| {
            buffer.seL4_TCB_WriteRegisters(self.tcb(), resume, 0, count, registers)
        });
        expect(code, "write_registers");
    }
}
