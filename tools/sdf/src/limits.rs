// SPDX-License-Identifier: BSD-2-Clause
//! Fixed limits of the Microkit 2.3 system model, shared by the checks and by the tool.

/// Protection domains in a system, nested ones included.
pub const MAX_PDS: usize = 63;
/// vCPUs in a system: the monitor's name table holds no more.
pub const MAX_VCPUS: usize = 63;
/// Largest channel, interrupt, child and vCPU id.
pub const MAX_ID: u8 = 61;
/// Priority of the monitor; everything else stays below.
pub const MONITOR_PRIORITY: u64 = 255;
/// Name of the monitor, which no protection domain may take.
pub const MONITOR_NAME: &str = "monitor";
/// Bytes of a protection domain's or virtual machine's name that reach the image and the monitor.
pub const MAX_NAME_LEN: usize = 63;
/// Default budget, microseconds.
pub const DEFAULT_BUDGET_US: u64 = 1000;
/// Default stack, bytes.
pub const DEFAULT_STACK_SIZE: u64 = 0x2000;
/// Smallest stack, bytes.
pub const MIN_STACK_SIZE: u64 = 0x1000;
/// Largest stack, bytes.
pub const MAX_STACK_SIZE: u64 = 0x100_0000;
/// Slots of the root CNode (radix 6); slot 0 holds the system's own CNode.
pub const ROOT_CNODE_SLOTS: u64 = 64;
/// Symbols that the tool writes in every image, so that no setvar may.
pub const PATCHED_SYMBOLS: [&str; 6] = [
    "microkit_name",
    "microkit_passive",
    "microkit_irqs",
    "microkit_notifications",
    "microkit_pps",
    "microkit_ioports",
];
