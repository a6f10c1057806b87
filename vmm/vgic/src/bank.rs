// SPDX-License-Identifier: BSD-2-Clause
//! The state of 32 consecutive interrupts, one bit (or byte) each, as the distributor's registers group them.

use crate::intid::IntId;
use crate::model::Version;
use serde::{Deserialize, Serialize};

/// Implemented bits of a priority: list registers hold five at least (IHI 0048B.b, GICH_LRn; IHI 0069H, ICH_VTR_EL2.PRIbits).
pub(crate) const PRIORITY_MASK: u8 = 0xf8;

/// No CPU interface ever signals an interrupt of this priority.
pub(crate) const LOWEST_PRIORITY: u8 = PRIORITY_MASK;

/// 32 interrupts. Bit n of each word belongs to interrupt n of the bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bank {
    /// Group 1 (else group 0).
    pub group: u32,
    /// Forwarded to CPU interfaces.
    pub enabled: u32,
    /// Edge triggered (else level sensitive).
    pub edge: u32,
    /// Pending by an edge, by software, or (SGI) by at least one source.
    pub latch: u32,
    /// Pending by an event that comes once and that software cannot clear: see [`crate::Vgic::pulse_ppi`].
    pub event: u32,
    /// The device's line is asserted.
    pub line: u32,
    /// Marked active by the guest through the distributor.
    pub active: u32,
    /// In a list register: pending or active there, which cannot be known.
    pub in_list: u32,
    /// Priority, 0 highest; bits 7:3.
    pub priority: [u8; 32],
    /// Target vCPUs, one bit each (shared banks only).
    pub targets: [u8; 32],
    /// GICD_IROUTER of a GICv3 as it was written, of which the targets follow.
    pub routes: [u32; 32],
}

impl Bank {
    /// All disabled, level sensitive, priority 0, group 0, without target; of a GICv3, routed to the first vCPU.
    pub const fn shared(version: Version) -> Self {
        Self {
            group: 0,
            enabled: 0,
            edge: 0,
            latch: 0,
            event: 0,
            line: 0,
            active: 0,
            in_list: 0,
            priority: [0; 32],
            targets: match version {
                Version::V2 => [0; 32],
                Version::V3 => [1; 32],
            },
            routes: [0; 32],
        }
    }

    /// A vCPU's private interrupts: SGIs always edge triggered, and of a GICv2 always enabled.
    pub const fn private(version: Version) -> Self {
        let enabled = match version {
            Version::V2 => Self::SGIS,
            Version::V3 => 0,
        };
        Self { enabled, edge: Self::SGIS, ..Self::shared(version) }
    }

    /// The SGIs in the private bank.
    pub const SGIS: u32 = 0xffff;

    /// Back to the reset state. Lines and events are the devices' and list registers the kernel's, so they stay.
    pub fn reset(&mut self, to: Self) {
        *self = Self { line: self.line, event: self.event, in_list: self.in_list, ..to };
    }

    /// Pending outside list registers: latched, an event, or a level-sensitive line that is asserted.
    pub const fn pending(&self) -> u32 {
        self.latch | self.event | (self.line & !self.edge)
    }

    /// Interrupts that may go to a list register now, if their group is among `groups` (bit 0: group 0, bit 1: group 1).
    pub const fn deliverable(&self, groups: u32) -> u32 {
        let group0 = if groups & 1 != 0 { !self.group } else { 0 };
        let group1 = if groups & 2 != 0 { self.group } else { 0 };
        self.pending() & self.enabled & !self.active & !self.in_list & (group0 | group1)
    }

    /// Follows a device's line; a rising edge of an edge-triggered interrupt is latched.
    pub fn set_line(&mut self, irq: IntId, asserted: bool) {
        let bit = irq.bit();
        if asserted {
            self.latch |= bit & self.edge & !self.line;
            self.line |= bit;
        } else {
            self.line &= !bit;
        }
    }

    /// The priority of an interrupt (the bank's slot number is below 32).
    pub fn priority_of(&self, slot: usize) -> u8 {
        self.priority.get(slot).copied().unwrap_or(0)
    }

    /// The lowest-numbered target of an interrupt, as a vCPU index.
    pub fn first_target(&self, slot: usize) -> Option<usize> {
        let targets = self.targets.get(slot).copied().unwrap_or(0);
        if targets == 0 { None } else { Some(targets.trailing_zeros() as usize) }
    }
}
