// SPDX-License-Identifier: BSD-2-Clause
//! Boot: from what the loader left in memory to a running root task.
//!
//! The root task can observe all of this through its BootInfo, and the `microkit` tool predicts it; `boot` in
//! `platform/initialiser/spec` is the prediction, and has to be kept equal to it.
//!
//! 1. RAM is free, except the kernel image, the root task's image and the device tree.
//! 2. The root task's objects are taken in one block from the top of the last free range that has room for it, its start
//!    aligned to the largest of them: CNode, VSpace, ASID pool, IPC buffer, BootInfo, page tables, the device tree's
//!    chunk, TCB, scheduling context.
//! 3. Slots: the fixed ones, then page tables, frames of the chunk, scheduling control, frames of the image, untypeds.
//! 4. Untypeds: device memory, the kernel's boot code, free memory; each ascending, cut into naturally aligned powers of
//!    two as large as possible from the start on.

mod ranges;
#[cfg(test)]
mod tests;

use crate::PhysAddr;
use crate::cap::{Cap, FrameRights, FrameSize, Mapping};
use crate::cspace::slot_of;
use crate::kernel::{IrqState, Kernel};
use crate::layout::{SchedContext, Slot, State, Tcb, TcbSlot};
use crate::machine::Machine;
use crate::sched::Action;
use crate::sched_context::Configuration;
use crate::vspace::Attributes;
use kernel_abi::bootinfo::{self, slot};
use kernel_abi::context::stored;
use kernel_abi::object::{self as size, AddressSpace};
use kernel_abi::{NUM_PRIORITIES, ROOT_CNODE_SIZE_BITS};
pub use ranges::Range;
use ranges::Ranges;

const PAGE: u64 = 1 << size::SMALL_PAGE_BITS;
/// ASID of the root task.
const ROOT_ASID: u16 = 1;

/// What the machine tells about itself and the loader's hand-over. Addresses are physical unless they say otherwise;
/// ranges are page-aligned.
#[derive(Clone, Copy, Debug)]
pub struct BootLayout<'a> {
    /// RAM, ascending.
    pub ram: &'a [Range],
    /// Device pages that the kernel keeps, ascending.
    pub kernel_devices: &'a [Range],
    /// First address that is no device memory any more.
    pub device_top: u64,
    /// The kernel image.
    pub kernel: Range,
    /// Its part that is free after boot.
    pub boot: Range,
    /// The root task's image.
    pub user_image: Range,
    /// Virtual address of its start.
    pub user_vaddr: u64,
    /// Where it starts to run.
    pub user_entry: u64,
    /// The device tree that the loader passes on, of any number of bytes; empty without one. It stays where it is, too.
    pub device_tree: Range,
    /// Interrupts that are the kernel's.
    pub kernel_irqs: &'a [u64],
}

/// Why the root task cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// More pieces of memory than there is room for.
    TooManyRanges,
    /// The root task's objects fit nowhere.
    NoRoom {
        /// Bytes wanted.
        bytes: u64,
    },
    /// The root task's image is not where one can be.
    BadImage,
    /// The device tree is not where one can be.
    BadDeviceTree,
    /// The root CNode is too small for what has to be in it.
    CNodeFull,
}

/// Where the root task's objects are.
struct Objects {
    cnode: Slot,
    vspace: PhysAddr,
    asid_pool: PhysAddr,
    ipc_buffer: PhysAddr,
    bootinfo: PhysAddr,
    tables: PhysAddr,
    extra: PhysAddr,
    tcb: Tcb,
    sc: SchedContext,
}

/// Virtual addresses of the root task.
struct UserAddresses {
    image: u64,
    ipc_buffer: u64,
    bootinfo: u64,
    /// Extra boot information: a power of two of pages, or nothing.
    extra: u64,
    end: u64,
}

/// Hands out root CNode slots in order.
struct Slots {
    cnode: Slot,
    next: u64,
}

impl Slots {
    fn put<M: Machine>(&mut self, kernel: &mut Kernel<M>, cap: Cap) -> Result<Slot, BootError> {
        if self.next >= 1 << ROOT_CNODE_SIZE_BITS {
            return Err(BootError::CNodeFull);
        }
        let slot = slot_of(self.cnode, self.next);
        kernel.insert_root(cap, slot);
        self.next += 1;
        Ok(slot)
    }
}

/// log2 of what a page table of each level translates, from the root's entries downwards.
fn levels(space: AddressSpace) -> impl DoubleEndedIterator<Item = u64> {
    (1..=space.table_levels).rev().map(|level| size::SMALL_PAGE_BITS + level * size::PAGE_TABLE_INDEX_BITS)
}

/// Number of page tables that map `start..end`.
fn page_tables(space: AddressSpace, start: u64, end: u64) -> u64 {
    levels(space).map(|covers| end.div_ceil(1 << covers) - (start >> covers)).sum()
}

impl<M: Machine> Kernel<M> {
    /// Makes the root task and everything it starts with, and chooses it to run.
    ///
    /// # Errors
    /// When the memory cannot hold it.
    pub fn boot(&mut self, layout: &BootLayout<'_>) -> Result<(), BootError> {
        let image = layout.user_image;
        let space = self.m.address_space();
        let user = user_addresses(layout, space.top()).ok_or(BootError::BadImage)?;
        let mut free = Ranges::new(layout.ram)?;
        if !free.contains(image) {
            return Err(BootError::BadImage);
        }
        free.remove(layout.kernel)?;
        free.remove(image)?;
        let tree = layout.device_tree;
        if !tree.is_empty() {
            if !tree.start.is_multiple_of(8) || !free.contains(tree.pages()) {
                return Err(BootError::BadDeviceTree);
            }
            free.remove(tree.pages())?;
        }

        let tables = page_tables(space, user.image, user.end);
        let bytes = (1 << (ROOT_CNODE_SIZE_BITS + size::SLOT_BITS))
            + (1 << space.root_bits())
            + (1 << size::ASID_POOL_BITS)
            + 2 * PAGE
            + (tables << size::PAGE_TABLE_BITS)
            + (user.end - user.extra)
            + (1 << Self::TCB_BITS)
            + (1 << size::MIN_SCHED_CONTEXT_BITS);
        let align = (ROOT_CNODE_SIZE_BITS + size::SLOT_BITS).max(space.root_bits());
        let start = free.last_fit(bytes, align).ok_or(BootError::NoRoom { bytes })?;
        free.remove(Range { start, end: start + bytes })?;
        self.m.zero(PhysAddr(start), bytes);
        let objects = place_objects(start, space, tables, user.end - user.extra, Self::TCB_BITS)
            .ok_or(BootError::NoRoom { bytes })?;

        for &irq in layout.kernel_irqs {
            if let Some(state) = self.irq_state.get_mut(irq as usize) {
                *state = IrqState::Reserved;
            }
        }
        self.fixed_slots(&objects, &user)?;
        #[cfg(any(test, feature = "sim", feature = "paranoid"))]
        {
            self.root = Some(objects.cnode);
        }
        let mut slots = Slots { cnode: objects.cnode, next: slot::FIRST_DYNAMIC };
        let info = objects.bootinfo;
        let note = |kernel: &mut Self, field: u64, start: u64, end: u64| {
            kernel.m.store(info.add(field), start);
            kernel.m.store(info.add(field + 8), end);
        };

        let first = slots.next;
        self.map_tables(&mut slots, &objects, &user, tables)?;
        note(self, bootinfo::USER_IMAGE_PAGING, first, slots.next);
        let first = slots.next;
        if user.extra != user.end {
            let extra = Range { start: objects.extra.0, end: objects.extra.0 + (user.end - user.extra) };
            self.map_frames(&mut slots, &objects, extra, user.extra)?;
            let bytes = self.write_device_tree(objects.extra, tree);
            self.m.store(info.add(bootinfo::EXTRA_LEN), bytes);
        }
        note(self, bootinfo::EXTRA_BI_PAGES, first, slots.next);
        let first = slots.next;
        slots.put(self, Cap::SchedControl { core: 0 })?;
        note(self, bootinfo::SCHED_CONTROL, first, slots.next);
        let first = slots.next;
        self.map_frames(&mut slots, &objects, image, user.image)?;
        note(self, bootinfo::USER_IMAGE_FRAMES, first, slots.next);
        let first = slots.next;
        self.untypeds(&mut slots, info, layout, &free)?;
        note(self, bootinfo::UNTYPED, first, slots.next);
        note(self, bootinfo::EMPTY, slots.next, 1 << ROOT_CNODE_SIZE_BITS);
        self.m.store(info.add(bootinfo::NUM_NODES), 1);
        self.m.store(info.add(bootinfo::IPC_BUFFER), user.ipc_buffer);
        self.m.store(info.add(bootinfo::INIT_CNODE_SIZE_BITS), ROOT_CNODE_SIZE_BITS);

        self.start_root_task(&objects, &user, layout.user_entry);
        Ok(())
    }

    fn fixed_slots(&mut self, objects: &Objects, user: &UserAddresses) -> Result<(), BootError> {
        let frame = |at: PhysAddr, vaddr: u64| Cap::Frame {
            at,
            size: FrameSize::Small,
            rights: FrameRights { read: true, write: true },
            device: false,
            mapping: Some(Mapping { asid: ROOT_ASID, vaddr }),
        };
        let cnode = Cap::CNode {
            at: objects.cnode,
            radix: ROOT_CNODE_SIZE_BITS as u8,
            guard: 0,
            guard_size: (u64::BITS as u64 - ROOT_CNODE_SIZE_BITS) as u8,
        };
        let vspace = Cap::VSpace { at: objects.vspace, asid: Some(ROOT_ASID) };
        let ipc_buffer = frame(objects.ipc_buffer, user.ipc_buffer);
        for (index, cap) in [
            (slot::TCB, Cap::Thread { at: objects.tcb }),
            (slot::CNODE, cnode),
            (slot::VSPACE, vspace),
            (slot::IRQ_CONTROL, Cap::IrqControl),
            (slot::ASID_CONTROL, Cap::AsidControl),
            (slot::ASID_POOL, Cap::AsidPool { at: objects.asid_pool, base: 0 }),
            (slot::BOOTINFO_FRAME, frame(objects.bootinfo, user.bootinfo)),
            (slot::IPC_BUFFER, ipc_buffer),
            (slot::DOMAIN, Cap::Domain),
            (
                slot::SCHED_CONTEXT,
                Cap::SchedContext { at: objects.sc, bits: size::MIN_SCHED_CONTEXT_BITS as u8 },
            ),
            (slot::SMC, Cap::Smc { badge: 0 }),
        ] {
            self.insert_root(cap, slot_of(objects.cnode, index));
        }
        for (from, to, cap) in [
            (slot::CNODE, TcbSlot::CSpace, cnode),
            (slot::VSPACE, TcbSlot::VSpace, vspace),
            (slot::IPC_BUFFER, TcbSlot::IpcBuffer, ipc_buffer),
        ] {
            self.insert_derived(cap, slot_of(objects.cnode, from), objects.tcb.slot(to));
        }
        Ok(())
    }

    /// Maps all page tables that the root task's addresses need, and IPC buffer and BootInfo.
    fn map_tables(
        &mut self,
        slots: &mut Slots,
        objects: &Objects,
        user: &UserAddresses,
        tables: u64,
    ) -> Result<(), BootError> {
        self.asids.set_pool(0, Some(objects.asid_pool));
        if self.assign_asid(0, objects.asid_pool, objects.vspace) != Some(ROOT_ASID) {
            return Err(BootError::BadImage);
        }
        let mut next = objects.tables;
        for covers in levels(self.m.address_space()) {
            for index in (user.image >> covers)..user.end.div_ceil(1 << covers) {
                let vaddr = index << covers;
                let walk = self.walk(objects.vspace, vaddr);
                self.write_table(walk, next);
                slots.put(
                    self,
                    Cap::PageTable { at: next, mapping: Some(Mapping { asid: ROOT_ASID, vaddr }) },
                )?;
                next = next.add(1 << size::PAGE_TABLE_BITS);
            }
        }
        debug_assert_eq!(next, objects.tables.add(tables << size::PAGE_TABLE_BITS));
        self.map_page(objects.vspace, objects.ipc_buffer, user.ipc_buffer);
        self.map_page(objects.vspace, objects.bootinfo, user.bootinfo);
        Ok(())
    }

    fn map_page(&mut self, root: PhysAddr, at: PhysAddr, vaddr: u64) -> Mapping {
        let mapping = Mapping { asid: ROOT_ASID, vaddr };
        let walk = self.walk(root, vaddr);
        let rights = FrameRights { read: true, write: true };
        self.write_page(walk, mapping, (at, FrameSize::Small), rights, Attributes::DEFAULT);
        mapping
    }

    /// The device tree's chunk of boot information, with its header; returns its bytes.
    fn write_device_tree(&mut self, chunk: PhysAddr, tree: Range) -> u64 {
        let bytes = bootinfo::CHUNK_HEADER + (tree.end - tree.start);
        self.m.store(chunk, bootinfo::CHUNK_FDT);
        self.m.store(chunk.add(8), bytes);
        for at in (tree.start..tree.end).step_by(8) {
            let word = self.m.load(PhysAddr(at));
            self.m.store(chunk.add(bootinfo::CHUNK_HEADER + at - tree.start), word);
        }
        bytes
    }

    /// Maps pages from `vaddr` on, and puts their capabilities into the next slots.
    fn map_frames(
        &mut self,
        slots: &mut Slots,
        objects: &Objects,
        pages: Range,
        vaddr: u64,
    ) -> Result<(), BootError> {
        for offset in (0..pages.end - pages.start).step_by(PAGE as usize) {
            let at = PhysAddr(pages.start + offset);
            let mapping = self.map_page(objects.vspace, at, vaddr + offset);
            slots.put(
                self,
                Cap::Frame {
                    at,
                    size: FrameSize::Small,
                    rights: FrameRights { read: true, write: true },
                    device: false,
                    mapping: Some(mapping),
                },
            )?;
        }
        Ok(())
    }

    fn untypeds(
        &mut self,
        slots: &mut Slots,
        info: PhysAddr,
        layout: &BootLayout<'_>,
        free: &Ranges,
    ) -> Result<(), BootError> {
        let mut reported = 0;
        let mut report = |kernel: &mut Self, range: Range, device: bool| -> Result<(), BootError> {
            for (at, bits) in range.powers_of_two() {
                if bits < size::MIN_UNTYPED_BITS || reported == bootinfo::MAX_UNTYPED as u64 {
                    continue;
                }
                let (at, bits) = (PhysAddr(at), bits as u8);
                slots.put(kernel, Cap::Untyped { at, bits, device, used: 0, zeroing: false })?;
                let entry = info.add(bootinfo::UNTYPED_LIST + 16 * reported);
                kernel.m.store(entry, at.0);
                kernel.m.store(entry.add(8), u64::from(bits) | u64::from(device) << 8);
                reported += 1;
            }
            Ok(())
        };
        // Device memory is everything below the top that is neither RAM nor the kernel's.
        let mut devices = Ranges::new(&[Range { start: 0, end: layout.device_top }])?;
        for &taken in layout.ram.iter().chain(layout.kernel_devices) {
            devices.remove(taken)?;
        }
        for range in devices.iter() {
            report(self, range, true)?;
        }
        report(self, layout.boot, false)?;
        for range in free.iter() {
            report(self, range, false)?;
        }
        Ok(())
    }

    fn start_root_task(&mut self, objects: &Objects, user: &UserAddresses, entry: u64) {
        let (tcb, sc) = (objects.tcb, objects.sc);
        let most = NUM_PRIORITIES as u64 - 1;
        self.init_thread(tcb);
        tcb.set_priority(&mut self.m, most);
        tcb.set_max_priority(&mut self.m, most);
        tcb.set_ipc_buffer(&mut self.m, user.ipc_buffer);
        tcb.set_reg(&mut self.m, stored::X0, user.bootinfo);
        self.set_user_pc(tcb, entry);
        let slice = self.m.us_to_ticks(kernel_abi::BOOT_THREAD_TIME_SLICE_MS * 1000);
        self.configure(sc, &Configuration::round_robin(slice));
        self.bind_sc_to_tcb(sc, tcb);
        tcb.set_state(&mut self.m, State::Running);
        self.action = Action::SwitchTo(tcb);
        self.leave();
    }
}

/// Virtual addresses: the image, one page of IPC buffer, one of BootInfo, extra boot information.
fn user_addresses(layout: &BootLayout<'_>, top: u64) -> Option<UserAddresses> {
    let image = layout.user_image;
    let aligned = image.start.is_multiple_of(PAGE)
        && image.end.is_multiple_of(PAGE)
        && layout.user_vaddr.is_multiple_of(PAGE);
    let ipc_buffer = layout.user_vaddr.checked_add(image.end.checked_sub(image.start)?)?;
    let bootinfo = ipc_buffer.checked_add(PAGE)?;
    let extra = bootinfo.checked_add(PAGE)?;
    let tree = layout.device_tree;
    let end = if tree.is_empty() {
        extra
    } else {
        let bytes = (tree.end - tree.start).checked_add(bootinfo::CHUNK_HEADER)?;
        extra.checked_add(bytes.checked_next_power_of_two()?.max(PAGE))?
    };
    let user = UserAddresses { image: layout.user_vaddr, ipc_buffer, bootinfo, extra, end };
    (aligned && end <= top).then_some(user)
}

/// Lays the objects out from `start`, largest first, so that each is aligned to its size.
fn place_objects(start: u64, space: AddressSpace, tables: u64, extra: u64, tcb_bits: u64) -> Option<Objects> {
    let mut next = start;
    let mut take = |bytes: u64| {
        let at = PhysAddr(next);
        next += bytes;
        at
    };
    let cnode = take(1 << (ROOT_CNODE_SIZE_BITS + size::SLOT_BITS));
    Some(Objects {
        cnode: Slot::at(cnode)?,
        vspace: take(1 << space.root_bits()),
        asid_pool: take(1 << size::ASID_POOL_BITS),
        ipc_buffer: take(PAGE),
        bootinfo: take(PAGE),
        tables: take(tables << size::PAGE_TABLE_BITS),
        extra: take(extra),
        tcb: Tcb::at(take(1 << tcb_bits))?,
        sc: SchedContext::at(take(1 << size::MIN_SCHED_CONTEXT_BITS))?,
    })
}
