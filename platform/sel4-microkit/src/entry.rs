// SPDX-License-Identifier: BSD-2-Clause
//! From `_start` to the event loop.
//!
//! `_start` itself is made by [`declare_protection_domain`](crate::declare_protection_domain) in the PD's own crate. It sets the
//! stack pointer although the initialiser has done so too: a PD that its parent restarts begins there with whatever
//! stack pointer it had. Then `.data` and `.bss` are made what they were at the first start ([`crate::restart`]).

use core::cell::UnsafeCell;

use crate::{Handler, panicking, printing, restart};

/// Where Microkit puts the stack: below the guard page that is below the IPC buffer.
pub const DEFAULT_STACK_TOP: usize = ((sel4_sys::seL4_UserVSpaceTop & !0xfff) - 0x1000) as usize;

/// A stack in the PD's own image, for `stack_size`.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Stack<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: the program only takes the address; the stack's owner is the CPU's stack pointer.
unsafe impl<const SIZE: usize> Sync for Stack<SIZE> {}

impl<const SIZE: usize> Stack<SIZE> {
    /// An empty stack.
    ///
    /// # Panics
    /// When `SIZE` is not a multiple of 16 (the architecture's stack alignment).
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        assert!(SIZE.is_multiple_of(16), "stack_size must be a multiple of 16");
        Self(UnsafeCell::new([0; SIZE]))
    }
}

/// Runs the PD: initialisation function, then the event loop.
#[inline(always)]
pub fn run_main<T: Handler>(init: impl FnOnce() -> T) -> ! {
    restart::begin();
    printing::init();
    match init().run() {
        Ok(never) => match never {},
        Err(error) => ended(&error),
    }
}

#[cold]
#[inline(never)]
fn ended(error: &dyn core::fmt::Display) -> ! {
    panicking::abort_with(format_args!("ended with error: {error}"))
}

/// Declares a protection domain; [`protection_domain`](crate::protection_domain) expands to this.
#[macro_export]
macro_rules! declare_protection_domain {
    { init = $init:expr $(,)? } => {
        $crate::declare_protection_domain! {
            @entry $init, "={stack}", stack = const $crate::_private::DEFAULT_STACK_TOP
        }
    };
    { init = $init:expr, stack_size = $stack_size:expr $(,)? } => {
        #[doc(hidden)]
        #[unsafe(link_section = ".bss.sel4_microkit_stack")]
        static __sel4_microkit_stack: $crate::_private::Stack<{ $stack_size }> = $crate::_private::Stack::new();
        $crate::declare_protection_domain! {
            @entry $init, "={stack} + {size}", stack = sym __sel4_microkit_stack, size = const $stack_size
        }
    };
    { init = $init:expr, $(stack_size = $stack_size:expr,)? heap_size = $heap_size:expr $(,)? } => {
        $crate::declare_heap!($heap_size);
        $crate::declare_protection_domain! { init = $init, $(stack_size = $stack_size)? }
    };
    { @entry $init:expr, $stack:literal, $($operand:tt)* } => {
        #[doc(hidden)]
        extern "C" fn __sel4_microkit_main() -> ! {
            $crate::_private::run_main($init)
        }

        #[doc(hidden)]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".text._start")]
        extern "C" fn _start() -> ! {
            ::core::arch::naked_asm!(
                "b 2f",
                "b {refuse}", // `REFUSE`
                ::core::concat!("2: ldr x9, ", $stack),
                "mov sp, x9",
                "mov x29, xzr",
                "mov x30, xzr",
                "b {main}",
                $($operand)*,
                main = sym __sel4_microkit_main,
                refuse = sym $crate::_private::refuse,
            )
        }
    };
}
