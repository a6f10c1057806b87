// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of the kernel on a simulated machine, through its entries.

mod boot;
mod budget;
mod containers;
mod ipc;
mod queues;
mod time;
mod vcpu;
mod vspace;
mod world;
