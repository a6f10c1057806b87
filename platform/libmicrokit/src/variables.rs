// SPDX-License-Identifier: BSD-2-Clause
//! Variables with C names: those that the microkit tool writes into the program's file, and those that the header's
//! functions and the event loop share. A PD has one thread, which alone touches them.

use core::cell::UnsafeCell;

use sel4_sys::{seL4_CPtr, seL4_IPCBuffer, seL4_MessageInfo, seL4_UserVSpaceTop};

/// Bytes of a PD's name.
pub const NAME_LENGTH: usize = 64;

/// A variable that C code reads and writes too.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: a PD has one thread and nothing interrupts it in its own address space.
unsafe impl<T> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    /// The value as it is now, whoever wrote it.
    pub fn get(&self) -> T {
        // SAFETY: the pointer is to an initialised variable, and the one thread is here.
        unsafe { self.0.get().read_volatile() }
    }

    /// Sets the value.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.0.get().write_volatile(value) }
    }
}

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$doc])*
        #[allow(non_upper_case_globals, reason = "names that the tool and the header know")]
        #[unsafe(no_mangle)]
        pub static $name: Shared<$type> = Shared(UnsafeCell::new($value));)*
    };
}

variables! {
    /// The PD's name.
    microkit_name: [u8; NAME_LENGTH] = [0; NAME_LENGTH];
    /// Whether the PD gives its scheduling context away after `init`.
    microkit_passive: bool = false;
    /// Channels with an interrupt, a bit each.
    microkit_irqs: u64 = 0;
    /// Channels whose other end may be notified.
    microkit_notifications: u64 = 0;
    /// Channels whose other end may be called.
    microkit_pps: u64 = 0;
    /// I/O ports; there are none on Arm.
    microkit_ioports: u64 = 0;
    /// Whether something is to be sent together with the next receive.
    microkit_have_signal: i8 = 0;
    /// Where to.
    microkit_signal_cap: seL4_CPtr = 0;
    /// What.
    microkit_signal_msg: seL4_MessageInfo = seL4_MessageInfo::new(0, 0, 0, 0);
    /// The IPC buffer: in the last page of the address space.
    __sel4_ipc_buffer: *mut seL4_IPCBuffer =
        core::ptr::with_exposed_provenance_mut((seL4_UserVSpaceTop & !0xfff) as usize);
}
