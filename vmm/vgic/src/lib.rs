// SPDX-License-Identifier: BSD-2-Clause
//! GICv2 or GICv3 as a guest sees it: distributor and redistributor model, and list-register policy.
//!
//! The per-guest VMM owns one [`Vgic`]. It forwards the guest's accesses to the distributor ([`Vgic::mmio_read`],
//! [`Vgic::mmio_write`]) and to redistributors ([`Vgic::redistributor_read`], [`Vgic::redistributor_write`]), its writes to the
//! system registers that send interrupts ([`Vgic::send_sgi`]), the lines of its device models ([`Vgic::set_level`],
//! [`Vgic::pulse`]), virtual timer events ([`Vgic::pulse_ppi`]) and maintenance events
//! ([`Vgic::maintenance`]). The model answers through the [`ListRegisters`] trait, behind which the VMM makes the
//! kernel load a list register or wakes a vCPU that waits. The guest's CPU interface is the hardware's: GICV, or the ICC
//! registers.
//!
//! Both versions are one model: what an interrupt is, when it may be delivered, and by which list register. They differ in
//! [`Version`]'s registers and in SGIs, which in a GICv3 have no source.
//!
//! Specification: Arm IHI 0048B.b (GIC architecture, version 2.0) and IHI 0069H (versions 3 and 4), cited by register name. What
//! an implementation may choose is as in Arm's GIC-400, or GIC-500 without LPIs, which is also what QEMU's `virt` machine
//! shows: the identification registers, a GICv2's SGIs that are always enabled, 32 priorities (bits 7:3).
//!
//! # What is trusted
//!
//! Nothing that comes from the guest: offsets, widths, values and the order of accesses are arbitrary. Accesses that
//! the architecture does not define read as zero and are ignored; they are counted ([`Vgic::wild_accesses`]). Work per
//! call is bounded by the number of vCPUs, list registers and banks of 32 interrupts.
//!
//! # What the standard kernel interface cannot express
//!
//! seL4 lets a VMM load a list register and tells it when the interrupt in it has ended; it can neither be read
//! back nor withdrawn. (Bulkhead's kernel extension can: sources are told, and a guest that starts over leaves nothing
//! pending behind, [`Vgic::withdraw`].) Consequences, all visible to the guest only as timing that real hardware may show too:
//!
//! * A list register is never reused before its maintenance event. The last one is kept for an interrupt more urgent than
//!   all in the others; when that is taken too, even the most urgent waits for the next end of interrupt.
//! * An interrupt in a list register reads as pending and not active, until it ends. Clearing, disabling or
//!   retargeting it, or a level line that drops, has no effect on that one delivery.
//! * An edge that arrives while the interrupt is in a list register is kept and delivered afterwards, even when the
//!   hardware would have merged the two. (It cannot be known whether the guest has acknowledged the first.)
//! * The source CPU of a GICv2's SGI reads as 0 in `GICV_IAR`. The model keeps the right one, delivers one interrupt per
//!   source as the architecture wants, and passes the source to [`ListRegisters::inject`] for a kernel that can show it.
//! * An interrupt that the guest marks active by `GICD_ISACTIVER` is held back until `GICD_ICACTIVER`; ending it
//!   at the CPU interface is not seen.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod bank;
mod delivery;
mod intid;
mod model;
mod quiesce;
mod registers;
mod sgi;
#[cfg(test)]
mod tests;

pub use delivery::{Ended, InjectError, Injection, ListRegisters};
pub use intid::IntId;
pub use model::{Config, Error, MAX_LIST_REGISTERS, MAX_SPIS, MAX_VCPUS, Version, Vgic};
pub use registers::Width;
pub use sgi::SgiRegister;
