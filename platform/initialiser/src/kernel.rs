// SPDX-License-Identifier: BSD-2-Clause
//! Invocations, with errors that say what was being done.

use sel4_sys::seL4_RootCNodeCapSlots::{seL4_CapInitThreadCNode, seL4_CapInitThreadTCB};
use sel4_sys::{Error, seL4_CPtr, seL4_CapRights, seL4_Error, seL4_IPCBuffer, seL4_UserVSpaceTop};

use system_spec::record::CacheCare;

use crate::error::Refused;

/// Bits of a slot number in the initialiser's own CSpace.
pub const OWN_DEPTH: u8 = 64;

/// The way to the kernel: the IPC buffer of the only thread.
pub struct Kernel {
    buffer: &'static mut seL4_IPCBuffer,
}

impl Kernel {
    /// Takes the IPC buffer.
    pub const fn new(buffer: &'static mut seL4_IPCBuffer) -> Self {
        Self { buffer }
    }

    /// Makes one invocation.
    ///
    /// # Errors
    /// When the kernel refuses it: `operation` on `subject`.
    #[inline]
    pub fn invoke(
        &mut self,
        operation: &'static str,
        subject: u64,
        call: impl FnOnce(&mut seL4_IPCBuffer) -> seL4_Error::Type,
    ) -> Result<(), Refused> {
        Error::check(call(self.buffer)).map_err(|error| {
            let [detail, ..] = self.buffer.fast_registers();
            Refused { operation, subject, error, detail }
        })
    }

    /// Copies a capability into an empty slot of another CNode, with fewer rights, badged or guarded by `data`.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn mint(
        &mut self,
        (cnode, index, depth): (seL4_CPtr, u64, u8),
        source: seL4_CPtr,
        rights: seL4_CapRights,
        data: u64,
    ) -> Result<(), Refused> {
        let own = seL4_CapInitThreadCNode;
        self.invoke("copying a capability", source, |buffer| {
            if data == 0 {
                buffer.seL4_CNode_Copy(cnode, index, depth, own, source, OWN_DEPTH, rights)
            } else {
                buffer.seL4_CNode_Mint(cnode, index, depth, own, source, OWN_DEPTH, rights, data)
            }
        })
    }

    /// Copies a capability into an empty slot of the own CNode.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn mint_own(
        &mut self,
        slot: seL4_CPtr,
        source: seL4_CPtr,
        rights: seL4_CapRights,
        data: u64,
    ) -> Result<(), Refused> {
        self.mint((seL4_CapInitThreadCNode, slot, OWN_DEPTH), source, rights, data)
    }

    /// Takes care of the cache lines of bytes `start..end` of a mapped frame.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn care(&mut self, care: CacheCare, frame: seL4_CPtr, start: u64, end: u64) -> Result<(), Refused> {
        match care {
            CacheCare::None => Ok(()),
            CacheCare::Unify => self.invoke("making a frame executable", frame, |buffer| {
                buffer.seL4_ARM_Page_Unify_Instruction(frame, start, end)
            }),
            CacheCare::Clean => self.invoke("writing a frame to memory", frame, |buffer| {
                buffer.seL4_ARM_Page_Clean_Data(frame, start, end)
            }),
        }
    }

    /// Stops this thread for good.
    pub fn stop(&mut self) -> ! {
        loop {
            self.buffer.seL4_TCB_Suspend(seL4_CapInitThreadTCB);
        }
    }

    /// Stops this thread when no kernel handle is at hand.
    pub fn stop_now() -> ! {
        // Suspending takes no argument from the buffer; any will do.
        let mut buffer = seL4_IPCBuffer {
            tag: 0,
            msg: [0; _],
            userData: 0,
            caps_or_badges: [0; 3],
            receiveCNode: 0,
            receiveIndex: 0,
            receiveDepth: 0,
        };
        loop {
            buffer.seL4_TCB_Suspend(seL4_CapInitThreadTCB);
        }
    }
}

// The window for filling frames lies in the low part of the address space.
const _: () = assert!(seL4_UserVSpaceTop > 1 << 38);
