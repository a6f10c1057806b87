// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces through their invocations.

use super::world::{ROOT, UNTYPED, World};
use crate::PhysAddr;
use crate::cap::Cap;
use crate::layout::TcbSlot;
use crate::machine::CacheOp;
use kernel_abi::error as code;
use kernel_abi::object::AddressSpace;
use kernel_abi::{Invocation as I, ObjectType as O};

/// Slots of what [`world`] makes.
struct Space {
    world: World,
    asid_control: u64,
    pool: u64,
    vspace: u64,
}

const READ_WRITE: u64 = 3;
const READ_ONLY: u64 = 2;
const DEFAULT: u64 = 3;
/// 1 GiB: a table's reach below the root.
const GIB: u64 = 1 << 30;
const LARGE: u64 = 1 << 21;

/// An untyped of one page, for an ASID pool.
fn pool_untyped(world: &mut World) -> u64 {
    world.make(O::Untyped, 12)
}

/// A world with an address space that has an ASID.
fn space() -> Space {
    space_of(AddressSpace::BITS_40)
}

fn space_of(shape: AddressSpace) -> Space {
    let (mut world, _) = World::new();
    world.kernel.m.address_space = shape;
    let asid_control = world.free();
    let slot = world.slot(asid_control);
    world.kernel.insert_root(Cap::AsidControl, slot);
    let (untyped, pool) = (pool_untyped(&mut world), world.free());
    let made = world.invoke(asid_control, I::ArmAsidControlMakePool, &[pool, 64], &[untyped, ROOT]);
    assert_eq!(made.0, code::NONE);
    let vspace = world.make(O::VSpace, 0);
    assert_eq!(world.invoke(pool, I::ArmAsidPoolAssign, &[], &[vspace]).0, code::NONE);
    Space { world, asid_control, pool, vspace }
}

impl Space {
    fn map_table(&mut self, vaddr: u64) -> (u64, u64) {
        let table = self.world.make(O::PageTable, 0);
        (table, self.world.invoke(table, I::ArmPageTableMap, &[vaddr, DEFAULT], &[self.vspace]).0)
    }

    fn map(&mut self, frame: u64, vaddr: u64, rights: u64) -> u64 {
        self.world.invoke(frame, I::ArmPageMap, &[vaddr, rights, DEFAULT], &[self.vspace]).0
    }

    fn root(&self) -> PhysAddr {
        let Cap::VSpace { at, .. } = self.world.cap(self.vspace) else { panic!("no VSpace") };
        at
    }

    fn frame(&self, index: u64) -> PhysAddr {
        let Cap::Frame { at, .. } = self.world.cap(index) else { panic!("no frame") };
        at
    }

    /// The descriptor that translates `vaddr`, with log2 of its reach.
    fn descriptor(&self, vaddr: u64) -> (u64, u64) {
        let walk = self.world.kernel.walk(self.root(), vaddr);
        (walk.descriptor, walk.bits)
    }

    /// Makes the current thread run in the address space, so that its translations have a VMID.
    fn enter(&mut self) -> u8 {
        let current = self.world.kernel.current;
        let cap = self.world.cap(self.vspace);
        current.slot(TcbSlot::VSpace).set_cap(&mut self.world.kernel.m, cap);
        self.world.kernel.load_vspace(current);
        let (root, vmid) = self.world.kernel.m.vspace.expect("a translation");
        assert_eq!(root, self.root());
        vmid
    }
}

#[test]
fn a_small_page_is_mapped_through_two_tables() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    assert_eq!(s.map(frame, 0x20_3000, READ_WRITE), code::FAILED_LOOKUP);
    assert_eq!(s.map_table(0x20_3000).1, code::NONE);
    assert_eq!(s.map(frame, 0x20_3000, READ_WRITE), code::FAILED_LOOKUP);
    assert_eq!(s.map_table(0x20_3000).1, code::NONE);
    assert_eq!(s.map_table(0x20_3000).1, code::DELETE_FIRST);
    assert_eq!(s.map(frame, 0x20_3000, READ_WRITE), code::NONE);
    let (descriptor, bits) = s.descriptor(0x20_3000);
    assert_eq!(bits, 12);
    assert_eq!(descriptor, s.frame(frame).0 | 0x7ff);
    let (_, address) = s.world.invoke(frame, I::ArmPageGetAddress, &[], &[]);
    assert_eq!(address, s.frame(frame).0);
}

#[test]
fn the_root_is_indexed_by_ten_bits() {
    let mut s = space();
    assert_eq!(s.map_table(1023 * GIB).1, code::NONE);
    assert_eq!(s.map_table(511 * GIB).1, code::NONE);
    let entry = |index: u64| crate::Machine::load(&s.world.kernel.m, s.root().add(index * 8));
    assert_ne!(entry(1023), 0);
    assert_ne!(entry(511), 0);
    assert_eq!(entry(0), 0);
}

#[test]
fn with_44_bit_addresses_a_small_page_is_mapped_through_three_tables() {
    let mut s = space_of(AddressSpace::BITS_44);
    // The last page that there is, and one in the middle.
    for vaddr in [(1 << 44) - 0x1000, 0x8_1234_5000] {
        let frame = s.world.make(O::SmallPage, 0);
        for _ in 0..3 {
            assert_eq!(s.map(frame, vaddr, READ_WRITE), code::FAILED_LOOKUP);
            assert_eq!(s.map_table(vaddr).1, code::NONE);
        }
        assert_eq!(s.map_table(vaddr).1, code::DELETE_FIRST);
        assert_eq!(s.map(frame, vaddr, READ_WRITE), code::NONE);
        assert_eq!(s.descriptor(vaddr), (s.frame(frame).0 | 0x7ff, 12));
        let entry = crate::Machine::load(&s.world.kernel.m, s.root().add((vaddr >> 39) * 8));
        assert_eq!(entry & 3, 3, "a table");
    }
    let frame = s.world.make(O::SmallPage, 0);
    assert_eq!(s.map(frame, 1 << 44, READ_WRITE), code::INVALID_ARGUMENT);
    // Unmapping finds its way through all levels.
    s.map(frame, 0x8_1234_6000, READ_WRITE);
    let vmid = s.enter();
    assert_eq!(s.world.invoke(frame, I::ArmPageUnmap, &[], &[]).0, code::NONE);
    assert_eq!(s.descriptor(0x8_1234_6000).0, 0);
    assert_eq!(s.world.kernel.m.invalidated, [(vmid, Some(0x8_1234_6000))]);
}

#[test]
fn with_44_bit_addresses_a_root_is_one_page() {
    let mut s = space_of(AddressSpace::BITS_44);
    let page = s.world.make(O::Untyped, 12);
    let target = s.world.free();
    let words = [O::VSpace as u64, 0, 0, 0, target, 1];
    assert_eq!(s.world.invoke(page, I::UntypedRetype, &words, &[ROOT]).0, code::NONE);
    assert_eq!(s.world.invoke(page, I::UntypedRetype, &words, &[ROOT]).0, code::DELETE_FIRST);
    // It was made from the page: with the untyped's children it goes.
    assert_eq!(s.world.invoke(ROOT, I::CNodeRevoke, &[page, 64], &[]).0, code::NONE);
    assert_eq!(s.world.cap(target), Cap::Null);
}

#[test]
fn large_pages_are_blocks_and_keep_the_least_rights() {
    let mut s = space();
    s.map_table(0);
    let frame = s.world.make(O::LargePage, 0);
    assert_eq!(s.map(frame, 3 * LARGE + 0x1000, READ_WRITE), code::ALIGNMENT_ERROR);
    assert_eq!(s.map(frame, 3 * LARGE, READ_ONLY), code::NONE);
    let (descriptor, bits) = s.descriptor(3 * LARGE);
    assert_eq!(bits, 21);
    assert_eq!(descriptor & 3, 1);
    assert_eq!(descriptor >> 6 & 3, 1);
    // The same capability again, at the same place: other rights. At another place: refused.
    assert_eq!(s.map(frame, 3 * LARGE, READ_WRITE), code::NONE);
    assert_eq!(s.descriptor(3 * LARGE).0 >> 6 & 3, 3);
    assert_eq!(s.map(frame, 4 * LARGE, READ_WRITE), code::INVALID_ARGUMENT);
}

#[test]
fn addresses_above_the_user_top_are_refused() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    assert_eq!(s.map(frame, 1 << 40, READ_WRITE), code::INVALID_ARGUMENT);
    assert_eq!(s.map(frame, !0xfff, READ_WRITE), code::INVALID_ARGUMENT);
    assert_eq!(s.map_table(1 << 40).1, code::INVALID_ARGUMENT);
}

#[test]
fn unmapping_and_deletion_take_the_translation_away() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    s.map_table(0);
    s.map_table(0);
    s.map(frame, 0x5000, READ_WRITE);
    let vmid = s.enter();
    assert_eq!(s.world.invoke(frame, I::ArmPageUnmap, &[], &[]).0, code::NONE);
    assert_eq!(s.descriptor(0x5000).0, 0);
    assert_eq!(s.world.kernel.m.invalidated, [(vmid, Some(0x5000))]);
    assert!(matches!(s.world.cap(frame), Cap::Frame { mapping: None, .. }));

    s.map(frame, 0x6000, READ_WRITE);
    let slot = s.world.slot(frame);
    s.world.kernel.delete(slot).unwrap();
    assert_eq!(s.descriptor(0x6000).0, 0);
    assert_eq!(s.world.kernel.m.invalidated.last(), Some(&(vmid, Some(0x6000))));
}

#[test]
fn a_copy_of_a_frame_is_mapped_for_itself() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    s.map_table(0);
    s.map_table(0);
    s.map(frame, 0x5000, READ_WRITE);
    let copy = s.world.free();
    let words = [copy, 64, frame, 64, READ_WRITE];
    assert_eq!(s.world.invoke(ROOT, I::CNodeCopy, &words, &[ROOT]).0, code::NONE);
    assert_eq!(s.map(copy, 0x7000, READ_WRITE), code::NONE);
    s.world.invoke(frame, I::ArmPageUnmap, &[], &[]);
    assert_eq!(s.descriptor(0x5000).0, 0);
    assert_ne!(s.descriptor(0x7000).0, 0);
}

#[test]
fn a_table_is_unmapped_with_what_it_held() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    s.map_table(0);
    let (table, _) = s.map_table(0);
    s.map(frame, 0x5000, READ_WRITE);
    let vmid = s.enter();
    assert_eq!(s.world.invoke(table, I::ArmPageTableUnmap, &[], &[]).0, code::NONE);
    assert_eq!(s.descriptor(0x5000), (0, 21));
    assert_eq!(s.world.kernel.m.invalidated, [(vmid, None)]);
    // The frame believes that it is mapped; unmapping it touches nothing.
    assert_eq!(s.world.invoke(frame, I::ArmPageUnmap, &[], &[]).0, code::NONE);
}

#[test]
fn a_thread_that_loses_its_address_space_while_it_runs_is_left_without() {
    let mut s = space();
    let current = s.world.kernel.current;
    let (from, own) = (s.world.slot(s.vspace), current.slot(TcbSlot::VSpace));
    s.world.kernel.delete(own).unwrap();
    let cap = from.cap(&s.world.kernel.m);
    s.world.kernel.insert_derived(cap, from, own);
    s.world.kernel.reload(current);
    s.world.kernel.activate();
    assert_eq!(s.world.kernel.m.vspace.map(|(root, _)| root), Some(s.root()));
    s.world.kernel.revoke(from).unwrap();
    s.world.kernel.activate();
    assert_eq!(own.cap(&s.world.kernel.m), Cap::Null);
    assert_eq!(s.world.kernel.m.vspace, None);
}

#[test]
fn deleting_an_address_space_leaves_nothing_in_the_hardware() {
    let mut s = space();
    let vmid = s.enter();
    s.world.kernel.loaded = Some(s.world.kernel.current);
    // The thread's own copy of the capability goes first.
    let current = s.world.kernel.current;
    current.slot(TcbSlot::VSpace).set_cap(&mut s.world.kernel.m, Cap::Null);
    let slot = s.world.slot(s.vspace);
    s.world.kernel.delete(slot).unwrap();
    assert_eq!(s.world.kernel.m.vspace, None);
    assert_eq!(s.world.kernel.m.invalidated, [(vmid, None)]);
}

#[test]
fn deleting_a_pool_invalidates_the_address_spaces_in_it() {
    let mut s = space();
    s.enter();
    let frame = s.world.make(O::SmallPage, 0);
    let slot = s.world.slot(s.pool);
    s.world.kernel.delete(slot).unwrap();
    assert_eq!(s.map(frame, 0x5000, READ_WRITE), code::FAILED_LOOKUP);
}

#[test]
fn more_address_spaces_than_hardware_identifiers_take_turns() {
    let mut s = space();
    let mut last = None;
    for _ in 0..300 {
        s.vspace = s.world.make(O::VSpace, 0);
        assert_eq!(s.world.invoke(s.pool, I::ArmAsidPoolAssign, &[], &[s.vspace]).0, code::NONE);
        let vmid = s.enter();
        assert_ne!(vmid, 0);
        assert_ne!(Some(vmid), last);
        last = Some(vmid);
    }
    // 255 were free; each of the others was taken from somebody, and forgotten first.
    assert_eq!(s.world.kernel.m.invalidated.len(), 300 - 255);
}

#[test]
fn pools_need_a_page_of_untyped_memory() {
    let mut s = space();
    let (index, words) = (s.world.free(), 64);
    let make = |s: &mut Space, untyped| {
        s.world.invoke(s.asid_control, I::ArmAsidControlMakePool, &[index, words], &[untyped, ROOT]).0
    };
    assert_eq!(make(&mut s, UNTYPED), code::INVALID_CAPABILITY);
    let untyped = pool_untyped(&mut s.world);
    assert_eq!(make(&mut s, untyped), code::NONE);
    assert!(matches!(s.world.cap(index), Cap::AsidPool { base: 512, .. }));
    let again = s.world.free();
    let refused = s.world.invoke(s.asid_control, I::ArmAsidControlMakePool, &[again, 64], &[untyped, ROOT]).0;
    assert_eq!(refused, code::REVOKE_FIRST);
    assert_eq!(s.world.invoke(index, I::ArmAsidPoolAssign, &[], &[s.vspace]).0, code::INVALID_CAPABILITY);
}

#[test]
fn cache_maintenance_stays_inside_the_mapping() {
    let mut s = space();
    let frame = s.world.make(O::SmallPage, 0);
    let clean = |s: &mut Space, start, end| s.world.invoke(frame, I::ArmPageCleanData, &[start, end], &[]).0;
    assert_eq!(clean(&mut s, 0, 64), code::ILLEGAL_OPERATION);
    s.map_table(0);
    s.map_table(0);
    s.map(frame, 0x5000, READ_WRITE);
    assert_eq!(clean(&mut s, 64, 64), code::INVALID_ARGUMENT);
    assert_eq!(clean(&mut s, 0, 4097), code::INVALID_ARGUMENT);
    assert_eq!(clean(&mut s, 64, 128), code::NONE);
    let at = s.frame(frame).0;
    assert_eq!(s.world.kernel.m.cache_ops, [(CacheOp::Clean, at + 64, 64)]);

    let unify = |s: &mut Space, start, end| {
        s.world.invoke(s.vspace, I::ArmVSpaceUnifyInstruction, &[start, end], &[]).0
    };
    assert_eq!(unify(&mut s, 0x5ff0, 0x6010), code::RANGE_ERROR);
    assert_eq!(unify(&mut s, 0x7000, 0x7010), code::NONE);
    assert_eq!(s.world.kernel.m.cache_ops.len(), 1);
    assert_eq!(unify(&mut s, 0x5ff0, 0x6000), code::NONE);
    assert_eq!(s.world.kernel.m.cache_ops[1], (CacheOp::Unify, at + 0xff0, 16));
}
