// SPDX-License-Identifier: BSD-2-Clause
//! A guest on a host of plain memory: what it gets for each exit, and what that costs.

mod disk;
mod fake;
mod life;
mod network;
mod serial;
mod traps;
mod virtio;
mod waiting;
