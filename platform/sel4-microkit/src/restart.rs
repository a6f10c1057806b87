// SPDX-License-Identifier: BSD-2-Clause
//! Starting a PD again as if it were new.
//!
//! A parent restarts a child by setting its program counter, which leaves the child's memory as the fault left it. So
//! the first start copies `.data`, and each later one puts the copy back and clears `.bss`. The copy is checked before
//! it is used: a PD that has scribbled over it says so and stops for good ([`DAMAGED`]). Code, constants and the patched
//! symbols are read-only and need no copy; shared memory and device state are the program's own business.
//!
//! Whoever called the PD when it died still waits on its reply object. It gets the answer [`RESTARTED`] when the new
//! start is ready to receive ([`Handler::run`](crate::Handler)), and may call again.

#[cfg(any(target_os = "none", test))]
mod image;

use core::sync::atomic::{AtomicU64, Ordering};

use crate::MessageLabel;
#[cfg(target_os = "none")]
use image::{Damaged, Image, Record};

/// Where every image that is linked with `microkit.ld` begins, and `_start` with it: for [`Child::restart`](crate::Child::restart).
pub const ENTRY: usize = 0x20_0000;

/// Label of the answer to a call during which the called PD was restarted. The request may or may not have been
/// carried out. The largest label there is; no protocol uses it for anything else.
pub const RESTARTED: MessageLabel = (1 << 52) - 1;

/// Where a PD begins that has been given up, for [`Child::restart`](crate::Child::restart): it refuses every call with
/// [`GIVEN_UP`], so that its clients do not wait for ever, and leaves its vCPUs and children stopped when they fault. That
/// needs none of its memory but its code, which is read-only.
pub const REFUSE: usize = ENTRY + 4;

/// Label of the answer of a PD that crashed too often: nobody serves this channel any more.
pub const GIVEN_UP: MessageLabel = RESTARTED - 1;

/// The PD cannot be restarted: what it would need for that is damaged. It then makes a system call of this number, which
/// does not exist, so that its parent gets an `UnknownSyscall` fault that says so.
pub const DAMAGED: u64 = 0x6461_6d61_6765_6421;

/// How often the PD has been started; 0 until [`begin`].
static STARTS: AtomicU64 = AtomicU64::new(0);

/// Whether this PD has been restarted: what it shares with others was in use before.
pub fn restarted() -> bool {
    starts() > 1
}

/// How often this PD has been started, this time included.
pub fn starts() -> u64 {
    STARTS.load(Ordering::Relaxed)
}

/// The first thing a PD does.
#[cfg(target_os = "none")]
#[inline(never)]
pub(crate) fn begin() {
    match image().start() {
        Ok(starts) => STARTS.store(starts, Ordering::Relaxed),
        Err(Damaged) => give_up(),
    }
}

#[cfg(not(target_os = "none"))]
pub(crate) fn begin() {}

/// What a PD at [`REFUSE`] does, in registers alone.
#[cfg(target_os = "none")]
#[unsafe(naked)]
pub extern "C" fn refuse() -> ! {
    use sel4_sys::{seL4_MessageInfo, syscall_id};
    core::arch::naked_asm!(
        // Answers, the first time to whoever was being served when the PD died.
        "1: ldr x1, ={refused}",
        "mov x0, #{input}",
        "mov x6, #{reply}",
        "mov x7, #{reply_recv}",
        "svc #0",
        // A call has its bit in the badge. Notifications are nothing, and receiving again stops who has faulted.
        "2: tbnz x0, #63, 1b",
        "mov x0, #{input}",
        "mov x6, #{reply}",
        "mov x7, #{recv}",
        "svc #0",
        "b 2b",
        refused = const seL4_MessageInfo::new(GIVEN_UP, 0, 0, 0).into_word(),
        input = const crate::slots::INPUT,
        reply = const crate::slots::REPLY,
        reply_recv = const syscall_id::ReplyRecv,
        recv = const syscall_id::Recv,
    )
}

/// This program's image.
#[cfg(target_os = "none")]
fn image() -> Image<'static> {
    use core::ptr::addr_of_mut;
    // Made by `microkit.ld`.
    unsafe extern "C" {
        static mut __sel4_microkit_data: u8;
        static mut __sel4_microkit_data_end: u8;
        static mut __sel4_microkit_bss: u8;
        static mut __sel4_microkit_bss_end: u8;
        static mut __sel4_microkit_copy: u8;
        static mut __sel4_microkit_record: Record;
    }
    /// The bytes of a section.
    ///
    /// # Safety
    /// Writable memory of the program from `from` to `to` that nothing else uses meanwhile.
    unsafe fn section(from: *mut u8, to: *mut u8) -> &'static mut [u8] {
        let from = core::hint::black_box(from);
        // SAFETY: by this function's contract.
        unsafe { core::slice::from_raw_parts_mut(from, to.addr() - from.addr()) }
    }
    // SAFETY: the linker script puts the sections one after the other into the writable segment, the copy as large as
    // `.data` and the record aligned. This is the first code that runs: no static is in use, and the stack is in none of
    // the sections.
    unsafe {
        let data = section(addr_of_mut!(__sel4_microkit_data), addr_of_mut!(__sel4_microkit_data_end));
        let copy = addr_of_mut!(__sel4_microkit_copy);
        Image {
            bss: section(addr_of_mut!(__sel4_microkit_bss), addr_of_mut!(__sel4_microkit_bss_end)),
            copy: section(copy, copy.wrapping_add(data.len())),
            record: &mut *core::hint::black_box(addr_of_mut!(__sel4_microkit_record)),
            data,
        }
    }
}

/// Says that the PD cannot be restarted, and faults with [`DAMAGED`].
#[cfg(target_os = "none")]
#[cold]
fn give_up() -> ! {
    crate::printing::debug_print(format_args!("the copy of .data is damaged: this PD cannot be restarted\n"));
    loop {
        // SAFETY: there is no such system call: the kernel reports a fault, and the parent does not resume it.
        unsafe { core::arch::asm!("svc #0", in("x7") DAMAGED, options(nomem, nostack)) }
    }
}
