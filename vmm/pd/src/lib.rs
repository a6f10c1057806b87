// SPDX-License-Identifier: BSD-2-Clause
//! One guest's virtual machine, without the kernel under it.
//!
//! A [`Guest`] turns the exits of vCPUs ([`Exit`]) and the events of the outside (time-outs, console, disk, network) into changes of
//! its [`Machine`] and of the vCPUs, which it reaches through the [`Host`] and [`Vcpu`] traits. The PD in `main.rs`
//! implements them on seL4's standard interface; host tests implement them on plain memory.
//!
//! Everything in an exit is decided by the guest. It gets what the architecture says ([`exit`] lists it); if there is
//! no such thing it is stopped alone, with a report ([`crash`]).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot;
pub mod config;
pub mod counters;
pub mod crash;
pub mod device;
pub mod exit;
pub mod guest;
pub mod host;
mod interface;
pub mod machine;
mod mmio;
mod power;
#[cfg(test)]
mod tests;
mod time;
pub mod trap;
pub mod vcpu;
pub mod virtio;

pub use boot::{BootError, Images};
pub use config::Config;
pub use exit::{Exit, Reply};
pub use guest::{Guest, Life};
pub use host::{Console, Host};
pub use machine::Machine;
pub use trap::{Answer, Told, Trap};
pub use vcpu::{REGISTERS, SystemRegister, Vcpu};
pub use virtio::{Links, Slot};
