// SPDX-License-Identifier: BSD-2-Clause
//! Invocations: `Call` on an object's capability with the method as label. One file for each family of objects.
//!
//! Every method gives `seL4_Error::Type`, or a struct with that and the results; use [`crate::Error::check`] to turn
//! the code into a `Result`. After an error the details are in the buffer's message registers.

mod cspace;
mod irq;
mod memory;
mod sched;
mod tcb;
mod vcpu;

pub use memory::seL4_ARM_Page_GetAddress_ret;
pub use sched::{seL4_SchedContext_Consumed_ret, seL4_SchedContext_YieldTo_ret};
pub use tcb::{seL4_TCB_ConfigureSingleStepping_ret, seL4_TCB_GetBreakpoint_ret, seL4_TCB_SetFlags_ret};
pub use vcpu::seL4_ARM_VCPU_ReadRegs_ret;

use crate::syscall::{Registers, sys_send_recv, syscall_id};
use crate::{seL4_CPtr, seL4_Error, seL4_IPCBuffer, seL4_MessageInfo, seL4_Word};

impl seL4_IPCBuffer {
    /// Calls method `label` of `service`. The first four arguments travel in registers and are not written to the
    /// buffer; the same holds for the results, except that an error leaves its details there.
    #[inline(always)]
    pub(crate) fn invoke<const ARGUMENTS: usize, const CAPS: usize>(
        &mut self,
        service: seL4_CPtr,
        label: u32,
        arguments: [seL4_Word; ARGUMENTS],
        caps: [seL4_CPtr; CAPS],
    ) -> (seL4_Error::Type, Registers) {
        const { assert!(ARGUMENTS <= seL4_MessageInfo::MAX_LENGTH && CAPS <= 3) };
        let mut mrs = [0; 4];
        for (index, argument) in arguments.into_iter().enumerate() {
            match mrs.get_mut(index) {
                Some(register) => *register = argument,
                None => self.msg[index] = argument,
            }
        }
        self.caps_or_badges[..CAPS].copy_from_slice(&caps);
        self.call_method(service, label, mrs, ARGUMENTS, CAPS)
    }

    /// The call itself; arguments from the fifth on and capabilities are in the buffer already.
    #[inline(always)]
    pub(crate) fn call_method(
        &mut self,
        service: seL4_CPtr,
        label: u32,
        mrs: Registers,
        arguments: usize,
        caps: usize,
    ) -> (seL4_Error::Type, Registers) {
        let info = seL4_MessageInfo::new(label.into(), 0, caps as seL4_Word, arguments as seL4_Word);
        let message = sys_send_recv(syscall_id::Call, service, info, mrs, 0);
        // The label of an answer is an error number; anything wider is not from an object.
        let error = u32::try_from(message.info.get_label()).unwrap_or(u32::MAX);
        if error != seL4_Error::seL4_NoError {
            self.set_fast_registers(message.mrs);
        }
        (error, message.mrs)
    }
}
