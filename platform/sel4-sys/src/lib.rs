// SPDX-License-Identifier: BSD-2-Clause
//! Raw seL4 bindings for AArch64 MCS kernels on stable Rust.
//!
//! Used by the PD runtime, the initialiser, the monitor and bare root tasks. Names and argument orders are those of the
//! seL4 reference manual (version 16), as in rust-sel4's `sel4-sys`: invocations and message-passing system calls are
//! methods of [`seL4_IPCBuffer`], because they read and write it. Invocation labels, object sizes and the top of the
//! address space come from the SDK named by `MICROKIT_SDK`, `MICROKIT_BOARD` and `MICROKIT_CONFIG` (see `build.rs`);
//! everything else here is the same for all configurations.
//!
//! On the host the crate compiles, so that its data types can be tested; a system call there panics.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "names of the seL4 manual")]

mod bootinfo;
mod context;
mod debug;
mod error;
mod fault;
mod invocation;
mod ipc_buffer;
mod message;
mod object;
mod syscall;
mod vcpu;

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

pub use bootinfo::{
    seL4_BootInfo, seL4_BootInfoHeader, seL4_BootInfoID, seL4_RootCNodeCapSlots, seL4_SlotRegion,
    seL4_UntypedDesc,
};
pub use context::{seL4_ARM_SMCContext, seL4_UserContext};
pub use debug::{
    seL4_DebugCapIdentify, seL4_DebugDumpScheduler, seL4_DebugHalt, seL4_DebugPutChar, seL4_DebugPutString,
};
pub use error::{Error, seL4_Error};
pub use fault::{Fault, LookupFailure, VcpuExit, fault_label};
pub use invocation::{
    seL4_ARM_Page_GetAddress_ret, seL4_ARM_VCPU_ReadRegs_ret, seL4_SchedContext_Consumed_ret,
    seL4_SchedContext_YieldTo_ret, seL4_TCB_ConfigureSingleStepping_ret, seL4_TCB_GetBreakpoint_ret,
    seL4_TCB_SetFlags_ret,
};
pub use ipc_buffer::seL4_IPCBuffer;
pub use message::{seL4_CNode_CapData, seL4_CapRights, seL4_MessageInfo};
pub use object::{
    seL4_ARM_VMAttributes, seL4_ObjectType, seL4_PageBits, seL4_SchedContextFlag, seL4_TCBFlag, seL4_WordBits,
};
pub use syscall::{
    FAST_MESSAGE_REGISTERS, Message, Registers, seL4_Signal, seL4_Yield, sys_nb_send_recv, sys_nb_send_wait,
    sys_recv, sys_send, sys_send_null, sys_send_recv, sys_wait, syscall_id,
};
pub use vcpu::{VcpuReg, seL4_VCPUReg};

/// A machine word.
pub type seL4_Word = u64;
/// A capability pointer: an address in the caller's CSpace.
pub type seL4_CPtr = seL4_Word;
/// 8-bit argument (depths, priorities of virtual interrupts).
pub type seL4_Uint8 = u8;
/// 16-bit argument.
pub type seL4_Uint16 = u16;
/// 32-bit argument.
pub type seL4_Uint32 = u32;
/// Microseconds.
pub type seL4_Time = u64;

macro_rules! capability_types {
    ($($name:ident $what:literal;)*) => {
        $(#[doc = concat!("Capability pointer to ", $what, ".")] pub type $name = seL4_CPtr;)*
    };
}

capability_types! {
    seL4_CNode "a CNode";
    seL4_Untyped "untyped memory";
    seL4_TCB "a thread control block";
    seL4_Endpoint "an endpoint";
    seL4_Notification "a notification";
    seL4_Reply "a reply object";
    seL4_IRQControl "interrupt control";
    seL4_IRQHandler "an interrupt handler";
    seL4_DomainSet "domain control";
    seL4_SchedContext "a scheduling context";
    seL4_SchedControl "the scheduling control of one core";
    seL4_ARM_Page "a frame";
    seL4_ARM_PageTable "a page table";
    seL4_ARM_VSpace "an address space";
    seL4_ARM_ASIDControl "ASID control";
    seL4_ARM_ASIDPool "an ASID pool";
    seL4_ARM_VCPU "a virtual CPU";
    seL4_ARM_SMC "the right to issue SMCs";
}
