// SPDX-License-Identifier: BSD-2-Clause
//! The hardware debug interface of configuration `debug`: types, access directions and reasons (`seL4_BreakpointType`,
//! `seL4_BreakpointAccess`), and how many breakpoints there are.

/// Breakpoints on instructions: numbers 0 and up (Cortex-A53 and -A72).
pub const BREAKPOINTS: u64 = 6;
/// Watchpoints on data: numbers behind those of the breakpoints.
pub const WATCHPOINTS: u64 = 4;
/// Both.
pub const TOTAL: u64 = BREAKPOINTS + WATCHPOINTS;

/// Type and reason: data was accessed.
pub const DATA: u64 = 0;
/// Type and reason: an instruction was to be executed.
pub const INSTRUCTION: u64 = 1;
/// Reason: a step is done.
pub const SINGLE_STEP: u64 = 2;
/// Reason: a `brk` instruction.
pub const BREAK_REQUEST: u64 = 3;

/// Access: read.
pub const ON_READ: u64 = 0;
/// Access: write.
pub const ON_WRITE: u64 = 1;
/// Access: either.
pub const ON_READ_WRITE: u64 = 2;
