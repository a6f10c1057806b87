// SPDX-License-Identifier: BSD-2-Clause
//! Text on the kernel's debug console; nothing where the kernel does not print.

use core::ffi::{CStr, c_char, c_int};

use sel4_sys::seL4_DebugPutChar;

/// Prints text.
pub fn text(text: &str) {
    text.bytes().for_each(seL4_DebugPutChar);
}

/// Prints bytes up to the first zero.
pub fn puts(bytes: &[u8]) {
    bytes.iter().take_while(|byte| **byte != 0).copied().for_each(seL4_DebugPutChar);
}

/// Prints a number in decimal.
fn number(mut number: u32) {
    let mut digits = [0; 10];
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    digits.iter().skip(first).copied().for_each(seL4_DebugPutChar);
}

/// `microkit_dbg_putc`.
#[unsafe(no_mangle)]
extern "C" fn microkit_dbg_putc(character: c_int) {
    seL4_DebugPutChar(character as u8);
}

/// `microkit_dbg_puts`.
///
/// # Safety
/// `string` ends with a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn microkit_dbg_puts(string: *const c_char) {
    // SAFETY: the caller's promise.
    puts(unsafe { CStr::from_ptr(string) }.to_bytes());
}

/// `microkit_dbg_put8`.
#[unsafe(no_mangle)]
extern "C" fn microkit_dbg_put8(value: u8) {
    number(value.into());
}

/// `microkit_dbg_put32`.
#[unsafe(no_mangle)]
extern "C" fn microkit_dbg_put32(value: u32) {
    number(value);
}

/// Where a failed assertion of the seL4 headers ends.
///
/// # Safety
/// All three strings end with a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn __assert_fail(
    condition: *const c_char,
    file: *const c_char,
    line: c_int,
    function: *const c_char,
) -> ! {
    text("assertion failed: ");
    // SAFETY: the caller's promise, also below.
    unsafe { microkit_dbg_puts(condition) };
    text(" at ");
    // SAFETY: as above.
    unsafe { microkit_dbg_puts(file) };
    text(":");
    number(line.unsigned_abs());
    text(" in ");
    // SAFETY: as above.
    unsafe { microkit_dbg_puts(function) };
    text("\n");
    crate::crash(0)
}
