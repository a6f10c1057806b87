// SPDX-License-Identifier: BSD-2-Clause
//! Printing on the kernel's console; silent in kernels without one.

use core::fmt;

struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        sel4_sys::seL4_DebugPutString(text);
        Ok(())
    }
}

/// Prints.
pub fn print(text: fmt::Arguments<'_>) {
    if sel4_sys::config::PRINTING {
        // The console takes everything.
        let _ = fmt::Write::write_fmt(&mut Console, text);
    }
}
