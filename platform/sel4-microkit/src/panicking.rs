// SPDX-License-Identifier: BSD-2-Clause
//! What happens when a PD panics: it says so (kernel console and log sink), then executes an undefined instruction, so
//! that its parent or the monitor gets a fault.

use core::fmt;
use core::panic::{PanicInfo, UnwindSafe};

use crate::{PdCell, printing};

/// Called with every panic, before the PD faults.
pub type PanicHook = &'static (dyn Fn(&PanicInfo<'_>) + Send + Sync);

static HOOK: PdCell<Option<PanicHook>> = PdCell::new(None);

/// Replaces what is printed at a panic.
pub fn set_hook(hook: PanicHook) {
    // Cannot be in use: no closure below calls into user code.
    let _ = HOOK.try_with(|current| *current = Some(hook));
}

/// Calls `f`. A panic does not unwind here, it ends the PD, so the result is always `Ok`.
///
/// # Errors
/// Never; the type is that of the interface this function belongs to.
pub fn catch_unwind<R>(f: impl FnOnce() -> R + UnwindSafe) -> Result<R, Infallible> {
    Ok(f())
}

use core::convert::Infallible;

/// Prints `message` as an error of this PD, then faults.
pub(crate) fn abort_with(message: fmt::Arguments<'_>) -> ! {
    printing::emergency(message);
    abort()
}

/// Faults: `udf` raises a user exception, whose report shows this address.
#[cfg(target_arch = "aarch64")]
#[cold]
#[inline(never)]
fn abort() -> ! {
    // SAFETY: the instruction traps and is not returned from.
    unsafe { core::arch::asm!("udf #0", options(noreturn, nomem, nostack)) }
}

#[cfg(not(target_arch = "aarch64"))]
fn abort() -> ! {
    panic!("abort")
}

#[cfg(all(target_os = "none", not(test)))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match HOOK.try_with(|hook| *hook).flatten() {
        Some(hook) => {
            hook(info);
            abort()
        }
        None => abort_with(format_args!("{info}")),
    }
}
