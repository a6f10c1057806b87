// SPDX-License-Identifier: BSD-2-Clause
//! From the first instruction to the event loop.

use core::arch::global_asm;

use sel4_sys::seL4_UserVSpaceTop;

// The stack ends two pages below the last one (IPC buffer and a guard page). It is set here and not taken from the kernel
// so that a PD that its parent starts again begins with an empty one.
global_asm!(
    ".section .text.start, \"ax\", @progbits",
    ".global _start",
    ".type _start, %function",
    "_start:",
    "ldr x0, ={stack}",
    "mov sp, x0",
    "mov x29, xzr",
    "mov x30, xzr",
    "b main",
    ".size _start, . - _start",
    stack = const (seL4_UserVSpaceTop & !0xfff) - 0x1000,
);

unsafe extern "C" {
    /// The program's own initialisation.
    fn init();
    /// Constructors, between two symbols of the linker script.
    static __init_array_start: [extern "C" fn(); 0];
    static __init_array_end: [extern "C" fn(); 0];
}

/// Runs constructors and `init`, then handles events for ever.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let mut constructor = (&raw const __init_array_start).cast::<extern "C" fn()>();
    let end = (&raw const __init_array_end).cast::<extern "C" fn()>();
    while constructor < end {
        // SAFETY: the linker script collects pointers to functions without arguments between the two symbols.
        unsafe {
            (*constructor)();
            constructor = constructor.add(1);
        }
    }
    // SAFETY: the program defines it so, as the header says.
    unsafe { init() };
    crate::events::run()
}
