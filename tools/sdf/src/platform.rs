// SPDX-License-Identifier: BSD-2-Clause
//! What the checks have to know about the kernel and the machine below a system.
//!
//! Filled from an SDK's generated JSON files, whichever SDK that is, and made more exact by a board description.

use std::ops::Range;

/// Facts of one board in one kernel configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Board name, for messages.
    pub name: String,
    /// RAM that the kernel hands out (physical, ascending, disjoint).
    pub ram: Vec<Range<u64>>,
    /// Everything else that user level may map (physical, ascending, disjoint). The holes are the kernel's devices.
    pub device: Vec<Range<u64>>,
    /// Last byte of user virtual memory (`seL4_UserVSpaceTop`, inclusive).
    pub vspace_user_top: u64,
    /// The kernel runs virtual machines.
    pub hypervisor: bool,
    /// The kernel allows secure monitor calls.
    pub smc: bool,
    /// Cores that the kernel uses.
    pub cores: u32,
    /// Largest interrupt number.
    pub max_irq: u32,
    /// Interrupts that the kernel keeps for itself, each with what for.
    pub kernel_irqs: Vec<(u32, String)>,
    /// Least budget that the kernel accepts, microseconds (twice its worst-case execution time).
    pub min_budget_us: u64,
    /// Domains (`NUM_DOMAINS`).
    pub num_domains: u64,
    /// Entries of the domain schedule (`NUM_DOMAIN_SCHEDULES`).
    pub num_domain_schedules: u64,
}

impl Platform {
    /// Virtual address of the IPC buffer: the top page of user space.
    #[must_use]
    pub fn ipc_buffer(&self) -> u64 {
        self.vspace_user_top & !0xfff
    }

    /// First address above a protection domain's stack: below the IPC buffer and one guard page.
    #[must_use]
    pub fn stack_top(&self) -> u64 {
        self.ipc_buffer().saturating_sub(0x1000)
    }

    /// Exclusive upper limit for mappings in a protection domain with this stack.
    #[must_use]
    pub fn pd_map_limit(&self, stack_size: u64) -> u64 {
        self.stack_top().saturating_sub(stack_size)
    }

    /// Exclusive upper limit for mappings in a virtual machine.
    #[must_use]
    pub fn vm_map_limit(&self) -> u64 {
        self.vspace_user_top.saturating_add(1)
    }
}
