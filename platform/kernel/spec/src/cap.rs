// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities: what they say, and what may be made of them (manual 3.1).

use crate::state::{Config, Holder, Obj};
use kernel_abi::{CapRights, object};

/// Access that a frame capability gives. Without read there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRights {
    /// May be mapped readable.
    pub read: bool,
    /// May be mapped writable.
    pub write: bool,
}

impl FrameRights {
    /// The rights that both have.
    pub fn masked(self, rights: u64) -> Self {
        Self {
            read: self.read && rights & CapRights::READ != 0,
            write: self.write && rights & CapRights::WRITE != 0,
        }
        .normal()
    }
    /// Frames are never write-only: without read there is no access.
    pub fn normal(self) -> Self {
        Self { read: self.read, write: self.read && self.write }
    }
}

/// Where a frame or page table is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address space.
    pub asid: u64,
    /// Address in it.
    pub vaddr: u64,
}

/// A capability. `obj` is the object it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the manual's words")]
pub enum Cap {
    Untyped {
        base: Obj,
        bits: u64,
        device: bool,
        used: u64,
    },
    Endpoint {
        obj: Obj,
        badge: u64,
        rights: u64,
    },
    Notification {
        obj: Obj,
        badge: u64,
        rights: u64,
    },
    Reply {
        obj: Obj,
        can_grant: bool,
    },
    CNode {
        obj: Obj,
        radix: u64,
        guard: u64,
        guard_bits: u64,
    },
    Tcb {
        obj: Obj,
    },
    SchedContext {
        obj: Obj,
        bits: u64,
    },
    SchedControl,
    IrqControl,
    IrqHandler {
        irq: u64,
    },
    SgiSignal {
        sgi: u64,
        target: u64,
    },
    Domain,
    Frame {
        obj: Obj,
        bits: u64,
        rights: FrameRights,
        device: bool,
        mapping: Option<Mapping>,
    },
    PageTable {
        obj: Obj,
        mapping: Option<Mapping>,
    },
    VSpace {
        obj: Obj,
        asid: Option<u64>,
    },
    AsidControl,
    AsidPool {
        obj: Obj,
        base: u64,
    },
    Vcpu {
        obj: Obj,
    },
    Smc {
        badge: u64,
    },
    /// What is left of a CNode or thread that is being destroyed: slots below `left` may still be full.
    Zombie {
        holder: Holder,
        left: u64,
    },
}

const ENDPOINT_RIGHTS: u64 = 15;
const NOTIFICATION_RIGHTS: u64 = CapRights::READ | CapRights::WRITE;

impl Cap {
    /// Start and log2 size of the memory that the named object occupies.
    pub fn memory(self, config: &Config) -> Option<(Obj, u64)> {
        Some(match self {
            Self::Untyped { base, bits, .. } => (base, bits),
            Self::Endpoint { obj, .. } => (obj, object::ENDPOINT_BITS),
            Self::Notification { obj, .. } => (obj, object::NOTIFICATION_BITS),
            Self::Reply { obj, .. } => (obj, object::REPLY_BITS),
            Self::CNode { obj, radix, .. } => (obj, radix + object::SLOT_BITS),
            Self::Tcb { obj } => (obj, config.tcb_bits),
            Self::SchedContext { obj, bits } | Self::Frame { obj, bits, .. } => (obj, bits),
            Self::PageTable { obj, .. } => (obj, object::PAGE_TABLE_BITS),
            Self::VSpace { obj, .. } => (obj, config.address_space.root_bits()),
            Self::AsidPool { obj, .. } => (obj, object::ASID_POOL_BITS),
            Self::Vcpu { obj } => (obj, object::VCPU_BITS),
            Self::Zombie { holder: Holder::CNode(obj, radix), .. } => (obj, radix + object::SLOT_BITS),
            Self::Zombie { holder: Holder::Tcb(obj), .. } => (obj, config.tcb_bits),
            _ => return None,
        })
    }

    /// Whether both name the same object. Untyped memory and dying containers are never "the same": each such
    /// capability stands for itself.
    pub fn same_object(self, other: Self) -> bool {
        match (self, other) {
            (Self::Endpoint { obj: a, .. }, Self::Endpoint { obj: b, .. })
            | (Self::Notification { obj: a, .. }, Self::Notification { obj: b, .. })
            | (Self::Reply { obj: a, .. }, Self::Reply { obj: b, .. })
            | (Self::CNode { obj: a, .. }, Self::CNode { obj: b, .. })
            | (Self::Tcb { obj: a }, Self::Tcb { obj: b })
            | (Self::SchedContext { obj: a, .. }, Self::SchedContext { obj: b, .. })
            | (Self::Frame { obj: a, .. }, Self::Frame { obj: b, .. })
            | (Self::PageTable { obj: a, .. }, Self::PageTable { obj: b, .. })
            | (Self::VSpace { obj: a, .. }, Self::VSpace { obj: b, .. })
            | (Self::AsidPool { obj: a, .. }, Self::AsidPool { obj: b, .. })
            | (Self::Vcpu { obj: a }, Self::Vcpu { obj: b }) => a == b,
            (Self::IrqHandler { irq: a }, Self::IrqHandler { irq: b }) => a == b,
            (a @ Self::SgiSignal { .. }, b @ Self::SgiSignal { .. }) => a == b,
            (Self::SchedControl, Self::SchedControl)
            | (Self::Domain, Self::Domain)
            | (Self::AsidControl, Self::AsidControl)
            | (Self::Smc { .. }, Self::Smc { .. }) => true,
            _ => false,
        }
    }

    /// Whether `child` is within what `self` names: the condition for being its child in the derivation tree.
    pub fn covers(self, child: Self, config: &Config) -> bool {
        match (self, child) {
            (Self::Untyped { base, bits, .. }, _) => child.memory(config).is_some_and(|(at, size)| {
                at.0 >= base.0 && at.0 + ((1 << size) - 1) <= base.0 + ((1 << bits) - 1)
            }),
            (Self::IrqControl, Self::IrqHandler { .. } | Self::SgiSignal { .. } | Self::IrqControl) => true,
            _ => self.same_object(child),
        }
    }

    /// With no more than `rights` (manual 3.1.4): greater wishes are silently cut.
    pub fn with_rights(self, rights: u64) -> Self {
        match self {
            Self::Endpoint { obj, badge, rights: have } => {
                Self::Endpoint { obj, badge, rights: have & rights & ENDPOINT_RIGHTS }
            }
            Self::Notification { obj, badge, rights: have } => {
                Self::Notification { obj, badge, rights: have & rights & NOTIFICATION_RIGHTS }
            }
            Self::Reply { obj, can_grant } => {
                Self::Reply { obj, can_grant: can_grant && rights & CapRights::GRANT != 0 }
            }
            Self::Frame { obj, bits, rights: have, device, mapping } => {
                Self::Frame { obj, bits, rights: have.masked(rights), device, mapping }
            }
            other => other,
        }
    }

    /// With the badge or guard that `data` says (manual 3.1.2 Mint, Mutate, Rotate; B.4 of the layout). `None`: not
    /// possible. `keep`: the capability is moved, so its badge may not change. Capabilities without badge and
    /// guard are not affected.
    pub fn with_data(self, keep: bool, data: u64) -> Option<Self> {
        match self {
            Self::Endpoint { obj, badge: 0, rights } if !keep => {
                Some(Self::Endpoint { obj, badge: data, rights })
            }
            Self::Notification { obj, badge: 0, rights } if !keep => {
                Some(Self::Notification { obj, badge: data, rights })
            }
            Self::Smc { badge: 0 } if !keep => Some(Self::Smc { badge: data }),
            Self::Endpoint { .. } | Self::Notification { .. } | Self::Smc { .. } => None,
            Self::CNode { obj, radix, .. } => {
                let guard_bits = data & 63;
                if guard_bits + radix > 64 {
                    return None;
                }
                let guard = data >> 6 & ((1 << guard_bits) - 1);
                Some(Self::CNode { obj, radix, guard, guard_bits })
            }
            other => Some(other),
        }
    }

    /// Whether a copy of `self` made from `source` is an original of its own: it can be revoked, and what is
    /// copied from it becomes its child (manual 3.1.5, figure and text on badging).
    pub fn is_original_after(self, source: Self) -> bool {
        match (self, source) {
            (Self::Endpoint { badge: a, .. }, Self::Endpoint { badge: b, .. })
            | (Self::Notification { badge: a, .. }, Self::Notification { badge: b, .. })
            | (Self::Smc { badge: a }, Self::Smc { badge: b }) => a != b,
            (Self::IrqHandler { .. } | Self::SgiSignal { .. }, Self::IrqControl) => true,
            (Self::Untyped { .. }, _) => true,
            _ => false,
        }
    }
}
