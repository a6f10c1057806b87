// SPDX-License-Identifier: BSD-2-Clause
//! What ties the guest's virtual machine to this PD: symbols, memory, console rings, timer, and the vCPUs by the
//! kernel's standard interface.

pub mod bytes;
pub mod console;
pub mod host;
pub mod links;
pub mod marks;
pub mod memory;
pub mod ram;
pub mod symbols;
pub mod vcpu;
