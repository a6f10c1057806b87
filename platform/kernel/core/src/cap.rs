// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities: what they say, and how they are kept in the two words of a slot.
//!
//! Word 0 holds the type in bits 63:59 and, for most, the object's physical address in bits 47:0 (objects are
//! aligned, so low bits are free for small fields). Word 1 holds badge, guard or mapping.

use crate::addr::PhysAddr;
use crate::layout::{Endpoint, Notification, Reply, SchedContext, Slot, Tcb, Vcpu};
use crate::machine::Machine;
use kernel_abi::object as size;

/// Size of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameSize {
    /// 4 KiB.
    Small = 0,
    /// 2 MiB.
    Large = 1,
    /// 1 GiB.
    Huge = 2,
}

impl FrameSize {
    /// log2 of the bytes.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Small => size::SMALL_PAGE_BITS,
            Self::Large => size::LARGE_PAGE_BITS,
            Self::Huge => size::HUGE_PAGE_BITS,
        }
    }
}

/// Access to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRights {
    /// Readable. A frame that is not readable is mapped for nobody.
    pub read: bool,
    /// Writable.
    pub write: bool,
}

/// Where a frame or table is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address space identifier; never 0.
    pub asid: u16,
    /// Virtual address, below 2^48.
    pub vaddr: u64,
}

/// What a dying CNode or thread leaves in the slot of its last capability until its own slots are empty
/// ([`crate::delete`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zombie {
    /// First of its slots.
    pub at: Slot,
    /// log2 of its slots, or `None` for a thread.
    pub radix: Option<u8>,
    /// Slots from the first that may still hold something.
    pub remaining: u64,
}

/// A capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// Empty.
    Null,
    /// Memory to make objects of.
    Untyped {
        /// First byte.
        at: PhysAddr,
        /// log2 of the size.
        bits: u8,
        /// Device memory: never touched by the kernel, only frames and untypeds can be made.
        device: bool,
        /// Bytes from the start that are used up.
        used: u64,
        /// A retype of it was stopped while it zeroed; how far it was is noted in the first unused bytes
        /// ([`untyped`](crate::untyped)).
        zeroing: bool,
    },
    /// Endpoint.
    Endpoint {
        /// Object.
        at: Endpoint,
        /// Badge.
        badge: u64,
        /// Rights ([`kernel_abi::CapRights`]).
        rights: u64,
    },
    /// Notification.
    Notification {
        /// Object.
        at: Notification,
        /// Badge.
        badge: u64,
        /// Rights; Read and Write count.
        rights: u64,
    },
    /// Reply object.
    Reply {
        /// Object.
        at: Reply,
        /// Whether a reply through it may carry capabilities.
        can_grant: bool,
    },
    /// CNode.
    CNode {
        /// First slot.
        at: Slot,
        /// log2 of the slots.
        radix: u8,
        /// Guard, right-aligned.
        guard: u64,
        /// Bits of the guard.
        guard_size: u8,
    },
    /// Thread.
    Thread {
        /// Object.
        at: Tcb,
    },
    /// Scheduling context.
    SchedContext {
        /// Object.
        at: SchedContext,
        /// log2 of the size.
        bits: u8,
    },
    /// The right to give scheduling contexts time on a core.
    SchedControl {
        /// Core.
        core: u64,
    },
    /// The right to make interrupt handlers.
    IrqControl,
    /// An interrupt.
    IrqHandler {
        /// Number.
        irq: u64,
    },
    /// The right to send one software-generated interrupt.
    SgiSignal {
        /// Number, 0 to 15.
        sgi: u64,
        /// Target CPU.
        target: u64,
    },
    /// The right to set domains.
    Domain,
    /// A dying CNode or thread.
    Zombie(Zombie),
    /// Frame.
    Frame {
        /// First byte.
        at: PhysAddr,
        /// Size.
        size: FrameSize,
        /// Access that mappings may have.
        rights: FrameRights,
        /// Device memory.
        device: bool,
        /// Where this capability mapped it.
        mapping: Option<Mapping>,
    },
    /// Translation table below the top.
    PageTable {
        /// Object.
        at: PhysAddr,
        /// Where it is mapped.
        mapping: Option<Mapping>,
    },
    /// Top-level translation table.
    VSpace {
        /// Object.
        at: PhysAddr,
        /// Its address space identifier once assigned.
        asid: Option<u16>,
    },
    /// The right to make ASID pools.
    AsidControl,
    /// ASID pool.
    AsidPool {
        /// Object.
        at: PhysAddr,
        /// First ASID of the pool.
        base: u16,
    },
    /// Virtual CPU.
    Vcpu {
        /// Object.
        at: Vcpu,
    },
    /// The right to call the firmware.
    Smc {
        /// Badge: 0, or the only function identifier allowed.
        badge: u64,
    },
}

/// Type tags in bits 63:59 of word 0.
pub mod tag {
    #![allow(missing_docs, reason = "named after the variants of Cap")]
    pub const NULL: u64 = 0;
    pub const UNTYPED: u64 = 1;
    pub const ENDPOINT: u64 = 2;
    pub const NOTIFICATION: u64 = 3;
    pub const REPLY: u64 = 4;
    pub const CNODE: u64 = 5;
    pub const THREAD: u64 = 6;
    pub const SCHED_CONTEXT: u64 = 7;
    pub const SCHED_CONTROL: u64 = 8;
    pub const IRQ_CONTROL: u64 = 9;
    pub const IRQ_HANDLER: u64 = 10;
    pub const SGI_SIGNAL: u64 = 11;
    pub const DOMAIN: u64 = 12;
    pub const ZOMBIE: u64 = 13;
    pub const FRAME: u64 = 16;
    pub const PAGE_TABLE: u64 = 17;
    pub const VSPACE: u64 = 18;
    pub const ASID_CONTROL: u64 = 19;
    pub const ASID_POOL: u64 = 20;
    pub const VCPU: u64 = 21;
    pub const SMC: u64 = 22;
}

/// Shift of the tag in word 0.
pub const TAG_SHIFT: u64 = 59;
/// Bits of an address in word 0.
pub const ADDR_MASK: u64 = (1 << 48) - 1;
/// Shift of the first small field above the address.
pub const FIELD_SHIFT: u64 = 48;

/// Word 0 of a CNode capability, read field by field: for lookups, which need nothing else decoded.
#[derive(Clone, Copy, Debug)]
pub struct CNodeWord(u64);

impl CNodeWord {
    /// `word0` if it is a CNode capability's.
    #[inline(always)]
    pub const fn of(word0: u64) -> Option<Self> {
        if word0 >> TAG_SHIFT == tag::CNODE { Some(Self(word0)) } else { None }
    }
    /// First slot.
    #[inline(always)]
    pub const fn at(self) -> PhysAddr {
        PhysAddr(self.0 & ADDR_MASK & !GUARD_SIZE)
    }
    /// log2 of the slots.
    #[inline(always)]
    pub const fn radix(self) -> u64 {
        field(self.0, 0, 6)
    }
    /// Bits of the guard.
    #[inline(always)]
    pub const fn guard_size(self) -> u64 {
        self.0 & GUARD_SIZE
    }
}

/// Capabilities of the hot paths, read from a slot without decoding what else it could be.
impl Slot {
    #[inline(always)]
    fn word0_of<M: Machine>(self, m: &M, tag: u64) -> Option<u64> {
        let word0 = self.word0(m);
        (word0 >> TAG_SHIFT == tag).then_some(word0)
    }
    /// Endpoint, badge and rights.
    #[inline(always)]
    pub fn endpoint<M: Machine>(self, m: &M) -> Option<(Endpoint, u64, u64)> {
        let word0 = self.word0_of(m, tag::ENDPOINT)?;
        Some((Endpoint::at(PhysAddr(word0 & ADDR_MASK))?, self.word1(m), field(word0, 0, 4)))
    }
    /// Notification, badge and rights.
    #[inline(always)]
    pub fn notification<M: Machine>(self, m: &M) -> Option<(Notification, u64, u64)> {
        let word0 = self.word0_of(m, tag::NOTIFICATION)?;
        Some((Notification::at(PhysAddr(word0 & ADDR_MASK))?, self.word1(m), field(word0, 0, 4)))
    }
    /// Reply object, and whether it may grant.
    #[inline(always)]
    pub fn reply<M: Machine>(self, m: &M) -> Option<(Reply, bool)> {
        let word0 = self.word0_of(m, tag::REPLY)?;
        Some((Reply::at(PhysAddr(word0 & ADDR_MASK))?, field(word0, 0, 1) != 0))
    }
    /// A frame of memory (no device) that is readable: first byte, log2 of its size, whether it is writable.
    #[inline(always)]
    pub fn memory_frame<M: Machine>(self, m: &M) -> Option<(PhysAddr, u64, bool)> {
        let word0 = self.word0_of(m, tag::FRAME)?;
        let bits = match field(word0, 0, 2) {
            0 => size::SMALL_PAGE_BITS,
            1 => size::LARGE_PAGE_BITS,
            _ => size::HUGE_PAGE_BITS,
        };
        let (read, write, device) = (field(word0, 2, 1), field(word0, 3, 1), field(word0, 4, 1));
        (read != 0 && device == 0).then_some((PhysAddr(word0 & ADDR_MASK), bits, write != 0))
    }
}

/// The low bits of a CNode capability's word 0 are the guard's size: a CNode has two slots at least, so that 64 bytes
/// is its least alignment.
const GUARD_SIZE: u64 = 63;

#[inline(always)]
const fn field(word0: u64, shift: u64, bits: u64) -> u64 {
    word0 >> (FIELD_SHIFT + shift) & ((1 << bits) - 1)
}

fn encode_mapping(mapping: Option<Mapping>) -> u64 {
    mapping.map_or(0, |m| u64::from(m.asid) << 48 | m.vaddr & ADDR_MASK)
}

fn decode_mapping(word: u64) -> Option<Mapping> {
    let asid = (word >> 48) as u16;
    (asid != 0).then_some(Mapping { asid, vaddr: word & ADDR_MASK })
}

/// Sizes of objects that depend on the configuration, as log2 of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A TCB.
    pub tcb: u64,
    /// The root of an address space.
    pub vspace: u64,
}

/// The words of a capability to an object.
#[derive(Clone, Copy, Debug)]
pub struct CapWords(pub [u64; 2]);

impl CapWords {
    /// The same capability to the object that lies so many bytes behind: all name their object by its address, which is in
    /// the first word as it is.
    pub const fn of_object_behind(self, bytes: u64) -> Self {
        let [address, more] = self.0;
        Self([address + bytes, more])
    }
}

impl Cap {
    /// The number that `seL4_DebugCapIdentify` tells for the type; libraries know some (seL4_libs, `sel4debug/debug.h`).
    pub const fn type_number(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Frame { .. } => 1,
            Self::Untyped { .. } => 2,
            Self::PageTable { .. } => 3,
            Self::Endpoint { .. } => 4,
            Self::Notification { .. } => 6,
            Self::Reply { .. } => 8,
            Self::VSpace { .. } => 9,
            Self::CNode { .. } => 10,
            Self::AsidControl => 11,
            Self::Thread { .. } => 12,
            Self::AsidPool { .. } => 13,
            Self::IrqControl => 14,
            Self::Vcpu { .. } => 15,
            Self::IrqHandler { .. } => 16,
            Self::Zombie(_) => 18,
            Self::Domain => 20,
            Self::SchedContext { .. } => 22,
            Self::SchedControl { .. } => 24,
            Self::Smc { .. } => 25,
            Self::SgiSignal { .. } => 27,
        }
    }

    /// The two words.
    #[inline]
    pub fn encode(self) -> [u64; 2] {
        let w = |tag: u64, low: u64| tag << TAG_SHIFT | low;
        match self {
            Self::Null => [0, 0],
            Self::Untyped { at, bits, device, used, zeroing } => [
                w(
                    tag::UNTYPED,
                    at.0 | u64::from(bits) << FIELD_SHIFT
                        | u64::from(device) << (FIELD_SHIFT + 6)
                        | u64::from(zeroing) << (FIELD_SHIFT + 7),
                ),
                used,
            ],
            Self::Endpoint { at, badge, rights } => {
                [w(tag::ENDPOINT, at.addr().0 | rights << FIELD_SHIFT), badge]
            }
            Self::Notification { at, badge, rights } => {
                [w(tag::NOTIFICATION, at.addr().0 | rights << FIELD_SHIFT), badge]
            }
            Self::Reply { at, can_grant } => {
                [w(tag::REPLY, at.addr().0 | u64::from(can_grant) << FIELD_SHIFT), 0]
            }
            Self::CNode { at, radix, guard, guard_size } => [
                w(
                    tag::CNODE,
                    at.addr().0 | u64::from(guard_size) & GUARD_SIZE | u64::from(radix) << FIELD_SHIFT,
                ),
                guard,
            ],
            Self::Thread { at } => [w(tag::THREAD, at.addr().0), 0],
            Self::SchedContext { at, bits } => {
                [w(tag::SCHED_CONTEXT, at.addr().0 | u64::from(bits) << FIELD_SHIFT), 0]
            }
            Self::SchedControl { core } => [w(tag::SCHED_CONTROL, 0), core],
            Self::IrqControl => [w(tag::IRQ_CONTROL, 0), 0],
            Self::IrqHandler { irq } => [w(tag::IRQ_HANDLER, 0), irq],
            Self::SgiSignal { sgi, target } => [w(tag::SGI_SIGNAL, sgi), target],
            Self::Domain => [w(tag::DOMAIN, 0), 0],
            Self::Zombie(z) => [
                w(tag::ZOMBIE, z.at.addr().0 | u64::from(z.radix.is_none()) << (FIELD_SHIFT + 1)),
                z.remaining | u64::from(z.radix.unwrap_or(0)) << 56,
            ],
            Self::Frame { at, size, rights, device, mapping } => [
                w(
                    tag::FRAME,
                    at.0 | (size as u64) << FIELD_SHIFT
                        | u64::from(rights.read) << (FIELD_SHIFT + 2)
                        | u64::from(rights.write) << (FIELD_SHIFT + 3)
                        | u64::from(device) << (FIELD_SHIFT + 4),
                ),
                encode_mapping(mapping),
            ],
            Self::PageTable { at, mapping } => [w(tag::PAGE_TABLE, at.0), encode_mapping(mapping)],
            Self::VSpace { at, asid } => [w(tag::VSPACE, at.0), u64::from(asid.unwrap_or(0))],
            Self::AsidControl => [w(tag::ASID_CONTROL, 0), 0],
            Self::AsidPool { at, base } => [w(tag::ASID_POOL, at.0), u64::from(base)],
            Self::Vcpu { at } => [w(tag::VCPU, at.addr().0), 0],
            Self::Smc { badge } => [w(tag::SMC, 0), badge],
        }
    }

    /// The capability in two words. Words that no capability encodes to are read as empty.
    #[inline]
    pub fn decode(words: [u64; 2]) -> Self {
        Self::try_decode(words).unwrap_or(Self::Null)
    }

    #[inline]
    fn try_decode([w0, w1]: [u64; 2]) -> Option<Self> {
        let at = PhysAddr(w0 & ADDR_MASK);
        Some(match w0 >> TAG_SHIFT {
            tag::UNTYPED => Self::Untyped {
                at,
                bits: field(w0, 0, 6) as u8,
                device: field(w0, 6, 1) != 0,
                used: w1,
                zeroing: field(w0, 7, 1) != 0,
            },
            tag::ENDPOINT => Self::Endpoint { at: Endpoint::at(at)?, badge: w1, rights: field(w0, 0, 4) },
            tag::NOTIFICATION => {
                Self::Notification { at: Notification::at(at)?, badge: w1, rights: field(w0, 0, 4) }
            }
            tag::REPLY => Self::Reply { at: Reply::at(at)?, can_grant: field(w0, 0, 1) != 0 },
            tag::CNODE => {
                let node = CNodeWord::of(w0)?;
                let (radix, guard_size) = (node.radix() as u8, node.guard_size() as u8);
                Self::CNode { at: Slot::at(node.at())?, radix, guard: w1, guard_size }
            }
            tag::THREAD => Self::Thread { at: Tcb::at(at)? },
            tag::SCHED_CONTEXT => {
                Self::SchedContext { at: SchedContext::at(at)?, bits: field(w0, 0, 6) as u8 }
            }
            tag::SCHED_CONTROL => Self::SchedControl { core: w1 },
            tag::IRQ_CONTROL => Self::IrqControl,
            tag::IRQ_HANDLER => Self::IrqHandler { irq: w1 },
            tag::SGI_SIGNAL => Self::SgiSignal { sgi: at.0, target: w1 },
            tag::DOMAIN => Self::Domain,
            tag::ZOMBIE => Self::Zombie(Zombie {
                at: Slot::at(at)?,
                radix: (field(w0, 1, 1) == 0).then_some((w1 >> 56) as u8),
                remaining: w1 & ((1 << 56) - 1),
            }),
            tag::FRAME => Self::Frame {
                at,
                size: match field(w0, 0, 2) {
                    0 => FrameSize::Small,
                    1 => FrameSize::Large,
                    _ => FrameSize::Huge,
                },
                rights: FrameRights { read: field(w0, 2, 1) != 0, write: field(w0, 3, 1) != 0 },
                device: field(w0, 4, 1) != 0,
                mapping: decode_mapping(w1),
            },
            tag::PAGE_TABLE => Self::PageTable { at, mapping: decode_mapping(w1) },
            tag::VSPACE => Self::VSpace { at, asid: (w1 != 0).then_some(w1 as u16) },
            tag::ASID_CONTROL => Self::AsidControl,
            tag::ASID_POOL => Self::AsidPool { at, base: w1 as u16 },
            tag::VCPU => Self::Vcpu { at: Vcpu::at(at)? },
            tag::SMC => Self::Smc { badge: w1 },
            _ => return None,
        })
    }

    /// Physical memory of the object behind it: first byte and log2 of the size.
    pub fn memory(self, sizes: Sizes) -> Option<(PhysAddr, u64)> {
        Some(match self {
            Self::Untyped { at, bits, .. } => (at, u64::from(bits)),
            Self::Endpoint { at, .. } => (at.addr(), size::ENDPOINT_BITS),
            Self::Notification { at, .. } => (at.addr(), size::NOTIFICATION_BITS),
            Self::Reply { at, .. } => (at.addr(), size::REPLY_BITS),
            Self::CNode { at, radix, .. } => (at.addr(), u64::from(radix) + size::SLOT_BITS),
            Self::Thread { at } => (at.addr(), sizes.tcb),
            Self::SchedContext { at, bits } => (at.addr(), u64::from(bits)),
            Self::Zombie(z) => (z.at.addr(), z.radix.map_or(sizes.tcb, |r| u64::from(r) + size::SLOT_BITS)),
            Self::Frame { at, size, .. } => (at, size.bits()),
            Self::PageTable { at, .. } => (at, size::PAGE_TABLE_BITS),
            Self::VSpace { at, .. } => (at, sizes.vspace),
            Self::AsidPool { at, .. } => (at, size::ASID_POOL_BITS),
            Self::Vcpu { at } => (at.addr(), size::VCPU_BITS),
            Self::Null
            | Self::SchedControl { .. }
            | Self::IrqControl
            | Self::IrqHandler { .. }
            | Self::SgiSignal { .. }
            | Self::Domain
            | Self::AsidControl
            | Self::Smc { .. } => return None,
        })
    }

    /// Whether `other` names the same object, whatever badge, rights or mapping either has.
    pub fn same_object(self, other: Self) -> bool {
        match (self, other) {
            (Self::Endpoint { at: a, .. }, Self::Endpoint { at: b, .. }) => a == b,
            (Self::Notification { at: a, .. }, Self::Notification { at: b, .. }) => a == b,
            (Self::Reply { at: a, .. }, Self::Reply { at: b, .. }) => a == b,
            (Self::CNode { at: a, .. }, Self::CNode { at: b, .. }) => a == b,
            (Self::Thread { at: a }, Self::Thread { at: b }) => a == b,
            (Self::SchedContext { at: a, .. }, Self::SchedContext { at: b, .. }) => a == b,
            (Self::SchedControl { core: a }, Self::SchedControl { core: b }) => a == b,
            (Self::IrqHandler { irq: a }, Self::IrqHandler { irq: b }) => a == b,
            (Self::SgiSignal { sgi: a, target: s }, Self::SgiSignal { sgi: b, target: t }) => {
                a == b && s == t
            }
            (Self::Frame { at: a, size: s, .. }, Self::Frame { at: b, size: t, .. }) => a == b && s == t,
            (Self::PageTable { at: a, .. }, Self::PageTable { at: b, .. }) => a == b,
            (Self::VSpace { at: a, .. }, Self::VSpace { at: b, .. }) => a == b,
            (Self::AsidPool { at: a, .. }, Self::AsidPool { at: b, .. }) => a == b,
            (Self::Vcpu { at: a }, Self::Vcpu { at: b }) => a == b,
            (Self::Domain, Self::Domain)
            | (Self::AsidControl, Self::AsidControl)
            | (Self::IrqControl, Self::IrqControl) => true,
            _ => false,
        }
    }

    /// Whether what `other` names lies in what `self` names: the same object, an object in untyped memory, a handler
    /// under interrupt control.
    pub fn covers(self, other: Self, sizes: Sizes) -> bool {
        match (self, other) {
            (Self::Untyped { at, bits, .. }, _) => other.memory(sizes).is_some_and(|(b, b_bits)| {
                b.0 >= at.0
                    && b.0 - at.0 < (1u64 << bits)
                    && (1u64 << b_bits) <= (1u64 << bits) - (b.0 - at.0)
            }),
            (Self::IrqControl, Self::IrqHandler { .. } | Self::SgiSignal { .. }) => true,
            (Self::Smc { .. }, Self::Smc { .. }) => true,
            _ => self.same_object(other),
        }
    }

    /// The badge, of those that have one.
    pub fn badge(self) -> Option<u64> {
        match self {
            Self::Endpoint { badge, .. } | Self::Notification { badge, .. } | Self::Smc { badge } => {
                Some(badge)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back_is_the_same_capability() {
        let slot = Slot::at(PhysAddr(0x1234_5000)).unwrap();
        let all = [
            Cap::Null,
            Cap::Untyped { at: PhysAddr(0x6000_0010), bits: 47, device: true, used: 1 << 46, zeroing: false },
            Cap::Untyped { at: PhysAddr(0x6000_0000), bits: 30, device: false, used: 0, zeroing: true },
            Cap::Endpoint { at: Endpoint::at(PhysAddr(0x7ff0)).unwrap(), badge: u64::MAX, rights: 15 },
            Cap::Notification { at: Notification::at(PhysAddr(0x7fc0)).unwrap(), badge: 3, rights: 2 },
            Cap::Reply { at: Reply::at(PhysAddr(0x7fe0)).unwrap(), can_grant: true },
            Cap::CNode { at: slot, radix: 17, guard: 0x123, guard_size: 47 },
            Cap::CNode { at: slot, radix: 1, guard: 0, guard_size: 63 },
            Cap::Thread { at: Tcb::at(PhysAddr(0x800)).unwrap() },
            Cap::SchedContext { at: SchedContext::at(PhysAddr(0x80)).unwrap(), bits: 12 },
            Cap::SchedControl { core: 0 },
            Cap::IrqControl,
            Cap::IrqHandler { irq: 33 },
            Cap::SgiSignal { sgi: 15, target: 7 },
            Cap::Domain,
            Cap::Zombie(Zombie { at: slot, radix: Some(29), remaining: 1 << 29 }),
            Cap::Zombie(Zombie { at: slot, radix: None, remaining: 5 }),
            Cap::Frame {
                at: PhysAddr(0xff_ffff_f000),
                size: FrameSize::Huge,
                rights: FrameRights { read: true, write: false },
                device: true,
                mapping: Some(Mapping { asid: 0xffff, vaddr: 0xff_ffff_f000 }),
            },
            Cap::PageTable { at: PhysAddr(0x3000), mapping: None },
            Cap::VSpace { at: PhysAddr(0x4000), asid: Some(1) },
            Cap::AsidControl,
            Cap::AsidPool { at: PhysAddr(0x5000), base: 0xfe00 },
            Cap::Vcpu { at: Vcpu::at(PhysAddr(0x6000)).unwrap() },
            Cap::Smc { badge: 0x8400_0000 },
        ];
        for cap in all {
            assert_eq!(Cap::decode(cap.encode()), cap);
        }
    }

    #[test]
    fn untyped_covers_what_lies_wholly_inside() {
        let ut = |bits| Cap::Untyped { at: PhysAddr(0x10000), bits, device: false, used: 0, zeroing: false };
        let (larger, ut) = (ut(13), ut(12));
        let frame = |at| Cap::PageTable { at: PhysAddr(at), mapping: None };
        let sizes = Sizes { tcb: 11, vspace: 13 };
        assert!(ut.covers(frame(0x10000), sizes));
        assert!(!ut.covers(frame(0x11000), sizes));
        assert!(!ut.covers(frame(0xf000), sizes));
        assert!(!ut.covers(larger, sizes));
        assert!(!ut.covers(Cap::IrqControl, sizes));
        let space = Cap::VSpace { at: PhysAddr(0x10000), asid: None };
        assert!(!ut.covers(space, sizes));
        assert!(ut.covers(space, Sizes { vspace: 12, ..sizes }));
    }
}
