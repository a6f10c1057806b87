// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of the kernel on a simulated machine, through its entries.

mod boot;
mod containers;
mod ipc;
mod time;
mod vcpu;
mod vspace;
mod world;
