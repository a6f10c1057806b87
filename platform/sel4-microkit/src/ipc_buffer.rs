// SPDX-License-Identifier: BSD-2-Clause
//! Where the PD's IPC buffer is: the last page of its address space. Nothing outside this crate gets a reference into
//! it, so the short-lived ones made here never overlap.

use sel4_sys::seL4_IPCBuffer;

/// The IPC buffer's address.
#[cfg(target_os = "none")]
pub(crate) const ADDRESS: usize = (sel4_sys::seL4_UserVSpaceTop & !0xfff) as usize;

/// The IPC buffer.
#[cfg(target_os = "none")]
#[inline(always)]
fn pointer() -> *mut seL4_IPCBuffer {
    core::ptr::with_exposed_provenance_mut(ADDRESS)
}

/// Stands in for the IPC buffer in host tests, one for each thread.
#[cfg(test)]
fn pointer() -> *mut seL4_IPCBuffer {
    use std::cell::UnsafeCell;
    std::thread_local! {
        static BUFFER: UnsafeCell<seL4_IPCBuffer> = const {
            UnsafeCell::new(seL4_IPCBuffer {
                tag: 0,
                msg: [0; 120],
                userData: 0,
                caps_or_badges: [0; 3],
                receiveCNode: 0,
                receiveIndex: 0,
                receiveDepth: 0,
            })
        };
    }
    BUFFER.with(UnsafeCell::get)
}

/// A host build outside this crate's tests has no IPC buffer.
#[cfg(not(any(target_os = "none", test)))]
fn pointer() -> *mut seL4_IPCBuffer {
    panic!("a host build has no IPC buffer")
}

/// Calls `f` with the IPC buffer. `f` must be code of this crate that does not call back into a PD's code or into this
/// function.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&mut seL4_IPCBuffer) -> R) -> R {
    // SAFETY: the page is mapped for as long as the PD runs, the PD has one thread, and by the rule above no other
    // reference exists while `f` runs. Every bit pattern is valid.
    f(unsafe { &mut *pointer() })
}
