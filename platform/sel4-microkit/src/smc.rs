// SPDX-License-Identifier: BSD-2-Clause
//! Secure monitor calls, for PDs with `smc="true"`.

pub use sel4_sys::seL4_ARM_SMCContext as SmcContext;

use crate::child::expect;
use crate::{ipc_buffer, slots};

/// Issues an SMC with x0 to x7 and gives x0 to x7 as the firmware leaves them.
///
/// # Panics
/// When the system description does not give this PD the right.
pub fn smc_call(arguments: &SmcContext) -> SmcContext {
    let mut results = SmcContext::default();
    expect(
        ipc_buffer::with(|buffer| buffer.seL4_ARM_SMC_Call(slots::SMC, arguments, &mut results)),
        "smc_call",
    );
    results
}
