// SPDX-License-Identifier: BSD-2-Clause
//! A guest on a host of plain memory: what it gets for each exit, and what that costs. All of it with either back end:
//! seL4's standard interface, and the kernel extension, whose messages tell registers and whose answers set them.

#![allow(clippy::duplicate_mod, reason = "the same tests for either back end")]

#[path = "tests"]
mod standard {
    /// Whether exits are told with registers.
    pub const TELLS: bool = false;
    mod disk;
    mod fake;
    mod gicv3;
    mod life;
    mod network;
    mod serial;
    mod timer_deaths;
    mod traps;
    mod virtio;
    mod waiting;
}

#[path = "tests"]
mod extended {
    /// Whether exits are told with registers.
    pub const TELLS: bool = true;
    mod disk;
    mod fake;
    mod gicv3;
    mod life;
    mod network;
    mod serial;
    mod timer_deaths;
    mod traps;
    mod virtio;
    mod waiting;
}
