// SPDX-License-Identifier: BSD-2-Clause
//! Debug system calls. In a configuration whose kernel lacks one, the function does nothing.

use crate::syscall::{sys_null, sys_word, syscall_id};
use crate::{config, seL4_CPtr, seL4_Word};

/// Prints one character on the kernel's console (kernels with printing).
#[inline]
pub fn seL4_DebugPutChar(character: u8) {
    if config::PRINTING {
        sys_word(syscall_id::DebugPutChar, character.into());
    }
}

/// Prints a string on the kernel's console (kernels with printing).
pub fn seL4_DebugPutString(text: &str) {
    if config::PRINTING {
        for byte in text.bytes() {
            seL4_DebugPutChar(byte);
        }
    }
}

/// Prints the scheduler's queues (kernels with printing).
pub fn seL4_DebugDumpScheduler() {
    if config::PRINTING {
        sys_null(syscall_id::DebugDumpScheduler);
    }
}

/// Halts the machine (debug builds).
pub fn seL4_DebugHalt() {
    if config::DEBUG_BUILD {
        sys_null(syscall_id::DebugHalt);
    }
}

/// The kernel's number for the type of a capability; 0 (null) where the kernel does not tell.
pub fn seL4_DebugCapIdentify(cap: seL4_CPtr) -> seL4_Word {
    if config::DEBUG_BUILD { sys_word(syscall_id::DebugCapIdentify, cap) } else { 0 }
}
