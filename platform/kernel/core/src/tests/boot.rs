// SPDX-License-Identifier: BSD-2-Clause
//! Boot: the root task finds what seL4's boot protocol promises and what the `microkit` tool predicts.

use crate::PhysAddr;
use crate::boot::{BootError, BootLayout, Range};
use crate::cap::Cap;
use crate::cspace::slot_of;
use crate::kernel::Kernel;
use crate::layout::{Slot, State, TcbSlot};
use crate::machine::Machine;
use crate::sim::SimMachine;
use kernel_abi::bootinfo::{self, slot};
use kernel_abi::context::stored;
use kernel_abi::object::AddressSpace;
use std::vec::Vec;
use system_spec::Untyped;
use system_spec::boot as predicted;

const BASE: u64 = 0x6000_0000;
const BYTES: u64 = 24 << 20;
const USER_VADDR: u64 = 0x1f_f000;
const ENTRY: u64 = 0x20_0040;
const DEVICES: [Range; 2] =
    [Range { start: 0x800_0000, end: 0x800_1000 }, Range { start: 0x803_0000, end: 0x803_1000 }];

fn range(start: u64, end: u64) -> Range {
    Range { start, end }
}

fn boot(kernel_end: u64, image: Range) -> (Kernel<SimMachine>, Result<(), BootError>) {
    boot_on(AddressSpace::BITS_40, &[range(BASE, BASE + BYTES)], kernel_end, image)
}

fn boot_on(
    shape: AddressSpace,
    ram: &[Range],
    kernel_end: u64,
    image: Range,
) -> (Kernel<SimMachine>, Result<(), BootError>) {
    let mut kernel = SimMachine::kernel(BASE, BYTES);
    kernel.m.address_space = shape;
    let result = kernel.boot(&layout(shape, ram, kernel_end, image));
    (kernel, result)
}

fn layout(shape: AddressSpace, ram: &[Range], kernel_end: u64, image: Range) -> BootLayout<'_> {
    BootLayout {
        ram,
        kernel_devices: &DEVICES,
        device_top: shape.top() + 1,
        kernel: range(BASE, kernel_end),
        boot: range(BASE, BASE + 0x1000),
        user_image: image,
        user_vaddr: USER_VADDR,
        user_entry: ENTRY,
        device_tree: Range::default(),
        kernel_irqs: &[26],
    }
}

/// What [`predicted::untypeds`] says for the same layout.
fn prediction(kernel_end: u64, image: Range) -> Vec<Untyped> {
    predicted::untypeds(&predicted::BootLayout {
        ram: core::slice::from_ref(&(BASE..BASE + BYTES)),
        device: &[0..0x800_0000, 0x800_1000..0x803_0000, 0x803_1000..BASE, BASE + BYTES..1 << 40],
        kernel: BASE..kernel_end,
        boot: BASE..BASE + 0x1000,
        user_image: image.start..image.end,
        user_vaddr: USER_VADDR,
        sizes: predicted::RootSizes {
            cnode_bits: 22,
            tcb_bits: kernel_abi::object::TCB_BITS_HW_DEBUG as u8,
            vspace_bits: 13,
            table_levels: 2,
        },
    })
    .unwrap()
    .into_iter()
    .collect()
}

fn root(kernel: &Kernel<SimMachine>, index: u64) -> Cap {
    let Cap::CNode { at, .. } = kernel.current.slot(TcbSlot::CSpace).cap(&kernel.m) else {
        panic!("no root CNode")
    };
    slot_of(at, index).cap(&kernel.m)
}

struct Info {
    at: PhysAddr,
}

impl Info {
    fn of(kernel: &Kernel<SimMachine>) -> Self {
        let Cap::Frame { at, .. } = root(kernel, slot::BOOTINFO_FRAME) else { panic!("no BootInfo") };
        Self { at }
    }
    fn word(&self, kernel: &Kernel<SimMachine>, offset: u64) -> u64 {
        kernel.m.load(self.at.add(offset))
    }
    fn range(&self, kernel: &Kernel<SimMachine>, offset: u64) -> core::ops::Range<u64> {
        self.word(kernel, offset)..self.word(kernel, offset + 8)
    }
    fn untypeds(&self, kernel: &Kernel<SimMachine>) -> Vec<Untyped> {
        let range = self.range(kernel, bootinfo::UNTYPED);
        (0..range.end - range.start)
            .map(|i| {
                let entry = bootinfo::UNTYPED_LIST + 16 * i;
                let word = self.word(kernel, entry + 8);
                let untyped = Untyped {
                    paddr: self.word(kernel, entry),
                    size_bits: word as u8,
                    device: word >> 8 & 0xff != 0,
                };
                let Cap::Untyped { at, bits, device, used: 0, .. } = root(kernel, range.start + i) else {
                    panic!("untyped {i} is something else")
                };
                assert_eq!((at.0, bits, device), (untyped.paddr, untyped.size_bits, untyped.device));
                untyped
            })
            .collect()
    }
}

#[test]
fn untypeds_are_those_that_the_tool_predicts() {
    let layouts = [
        (BASE + 0x2_f000, range(BASE + 0x2_f000, BASE + 0x4_7000)),
        (BASE + 0x2_2000, range(BASE + 0x10_0000, BASE + 0x10_1000)),
        (BASE + 0x2_1000, range(BASE + 0x30_0000, BASE + 0x75_3000)),
        // The image takes the top: the objects go below it.
        (BASE + 0x2_1000, range(BASE + BYTES - 0x40_0000, BASE + BYTES)),
    ];
    let tried = if cfg!(miri) { 1 } else { layouts.len() };
    for (kernel_end, image) in layouts.into_iter().take(tried) {
        let (kernel, result) = boot(kernel_end, image);
        assert_eq!(result, Ok(()));
        assert_eq!(Info::of(&kernel).untypeds(&kernel), prediction(kernel_end, image));
    }
}

#[test]
fn the_root_task_runs_with_its_image_mapped() {
    let image = range(BASE + 0x2_f000, BASE + 0x4_7000);
    let (kernel, result) = boot(BASE + 0x2_f000, image);
    assert_eq!(result, Ok(()));
    let tcb = kernel.current;
    let info = Info::of(&kernel);
    let (ipc_buffer, boot_info) = (USER_VADDR + 0x1_8000, USER_VADDR + 0x1_9000);
    assert_eq!(tcb.state(&kernel.m), State::Running);
    assert_eq!(tcb.reg(&kernel.m, stored::PC), ENTRY);
    assert_eq!(tcb.reg(&kernel.m, stored::X0), boot_info);
    assert_eq!((tcb.priority(&kernel.m), tcb.max_priority(&kernel.m)), (255, 255));
    assert_eq!(info.word(&kernel, bootinfo::IPC_BUFFER), ipc_buffer);
    assert_eq!(info.word(&kernel, bootinfo::NUM_NODES), 1);
    assert_eq!(info.word(&kernel, bootinfo::INIT_CNODE_SIZE_BITS), 17);

    let Cap::VSpace { at: vspace, asid: Some(1) } = root(&kernel, slot::VSPACE) else { panic!("no VSpace") };
    let mapped = |vaddr: u64| kernel.walk(vspace, vaddr).address().0;
    let frames = info.range(&kernel, bootinfo::USER_IMAGE_FRAMES);
    assert_eq!(frames.end - frames.start, 0x18);
    for (page, index) in frames.enumerate() {
        let offset = 0x1000 * page as u64;
        assert_eq!(mapped(USER_VADDR + offset), image.start + offset);
        assert!(matches!(root(&kernel, index), Cap::Frame { at, .. } if at.0 == image.start + offset));
    }
    assert_eq!(mapped(boot_info), info.at.0);
    assert_eq!(kernel.ipc_buffer(tcb, true), Some(PhysAddr(mapped(ipc_buffer))));
    assert_eq!(kernel.walk(vspace, boot_info + 0x1000).descriptor, 0);
    // One table of level 2, and of level 3 one on either side of 2 MiB.
    let paging = info.range(&kernel, bootinfo::USER_IMAGE_PAGING);
    assert_eq!(paging, slot::FIRST_DYNAMIC..slot::FIRST_DYNAMIC + 3);
    let control = info.range(&kernel, bootinfo::SCHED_CONTROL);
    assert_eq!(control, paging.end..paging.end + 1);
    assert_eq!(root(&kernel, control.start), Cap::SchedControl { core: 0 });
    let empty = info.range(&kernel, bootinfo::EMPTY);
    assert_eq!(empty.end, 1 << 17);
    assert_eq!(root(&kernel, empty.start), Cap::Null);
    assert_ne!(root(&kernel, empty.start - 1), Cap::Null);
}

#[test]
fn a_device_tree_is_in_extra_boot_information() {
    let image = range(BASE + 0x2_f000, BASE + 0x4_7000);
    // Not a whole number of pages, and not on a page of its own.
    let tree = range(BASE + 0x4_8010, BASE + 0x4_b028);
    let ram = [range(BASE, BASE + BYTES)];
    let given =
        BootLayout { device_tree: tree, ..layout(AddressSpace::BITS_40, &ram, BASE + 0x2_f000, image) };
    let mut kernel = SimMachine::kernel(BASE, BYTES);
    for at in (tree.start..tree.end).step_by(8) {
        kernel.m.store_word(PhysAddr(at), at ^ 0xd00d_feed);
    }
    assert_eq!(kernel.boot(&given), Ok(()));
    let info = Info::of(&kernel);
    let bytes = bootinfo::CHUNK_HEADER + tree.end - tree.start;
    assert_eq!(info.word(&kernel, bootinfo::EXTRA_LEN), bytes);
    // A power of two of pages, mapped behind BootInfo; their capabilities are where it says.
    let frames = info.range(&kernel, bootinfo::EXTRA_BI_PAGES);
    assert_eq!((frames.start, frames.end), (slot::FIRST_DYNAMIC + 3, slot::FIRST_DYNAMIC + 7));
    assert_eq!(info.range(&kernel, bootinfo::SCHED_CONTROL).start, frames.end);
    let Cap::VSpace { at: vspace, .. } = root(&kernel, slot::VSPACE) else { panic!("no VSpace") };
    let extra = kernel.current.reg(&kernel.m, stored::X0) + 0x1000;
    let word = |offset: u64| {
        let page = kernel.walk(vspace, extra + offset).address();
        kernel.m.load(page.add(offset % 0x1000))
    };
    for (page, index) in frames.enumerate() {
        let at = kernel.walk(vspace, extra + 0x1000 * page as u64).address();
        assert!(matches!(root(&kernel, index), Cap::Frame { at: frame, .. } if frame == at));
    }
    assert_eq!((word(0), word(8)), (bootinfo::CHUNK_FDT, bytes));
    for at in (tree.start..tree.end).step_by(8) {
        assert_eq!(word(bootinfo::CHUNK_HEADER + at - tree.start), at ^ 0xd00d_feed);
    }
    // Nobody gets the memory where the loader left it.
    for untyped in info.untypeds(&kernel) {
        assert!(
            untyped.paddr >= BASE + 0x4_c000 || untyped.paddr + (1 << untyped.size_bits) <= BASE + 0x4_8000
        );
    }
}

#[test]
fn a_device_tree_that_is_not_in_free_memory_is_refused() {
    let image = range(BASE + 0x2_f000, BASE + 0x4_7000);
    let ram = [range(BASE, BASE + BYTES)];
    let refused = |device_tree| {
        let layout =
            BootLayout { device_tree, ..layout(AddressSpace::BITS_40, &ram, BASE + 0x2_f000, image) };
        SimMachine::kernel(BASE, BYTES).boot(&layout)
    };
    for tree in [
        range(BASE + BYTES, BASE + BYTES + 0x1000),
        range(BASE + 0x1000, BASE + 0x2000),
        range(image.start, image.start + 8),
        range(BASE + 0x4_8004, BASE + 0x4_9000),
        range(BASE + BYTES - 0x1000, BASE + BYTES + 8),
    ] {
        assert_eq!(refused(tree), Err(BootError::BadDeviceTree), "{tree:x?}");
    }
    // There is no room for it in the address space.
    for end in [1 << 40, u64::MAX] {
        assert_eq!(refused(range(BASE + 0x4_8000, end)), Err(BootError::BadImage));
    }
}

/// The memory of a board whose RAM has a hole and goes on behind it, with 44-bit addresses.
#[test]
fn memory_with_a_hole_and_four_levels_is_what_the_tool_predicts() {
    const HOLE: Range = Range { start: BASE + 0x80_0000, end: BASE + 0xa0_0000 };
    let image = range(BASE + 0x3_0000, BASE + 0x4_8000);
    let ram = [range(BASE, HOLE.start), range(HOLE.end, BASE + BYTES)];
    let (kernel, result) = boot_on(AddressSpace::BITS_44, &ram, BASE + 0x2_f000, image);
    assert_eq!(result, Ok(()));
    let predicted: Vec<Untyped> = predicted::untypeds(&predicted::BootLayout {
        ram: &ram.map(|part| part.start..part.end),
        device: &[
            0..0x800_0000,
            0x800_1000..0x803_0000,
            0x803_1000..BASE,
            HOLE.start..HOLE.end,
            BASE + BYTES..1 << 44,
        ],
        kernel: BASE..BASE + 0x2_f000,
        boot: BASE..BASE + 0x1000,
        user_image: image.start..image.end,
        user_vaddr: USER_VADDR,
        sizes: predicted::RootSizes {
            cnode_bits: 22,
            tcb_bits: kernel_abi::object::TCB_BITS_HW_DEBUG as u8,
            vspace_bits: 12,
            table_levels: 3,
        },
    })
    .unwrap()
    .into_iter()
    .collect();
    let untypeds = Info::of(&kernel).untypeds(&kernel);
    assert_eq!(untypeds, predicted);
    let in_hole = untypeds.iter().find(|untyped| untyped.paddr == HOLE.start).unwrap();
    assert!(in_hole.device && in_hole.size_bits == 21, "{in_hole:x?}");
    // The root task is mapped through one more level.
    let info = Info::of(&kernel);
    let paging = info.range(&kernel, bootinfo::USER_IMAGE_PAGING);
    assert_eq!(paging.end - paging.start, 4);
    let Cap::VSpace { at, .. } = root(&kernel, slot::VSPACE) else { panic!("no VSpace") };
    assert_eq!(kernel.walk(at, USER_VADDR).address().0, image.start);
}

#[test]
fn fixed_slots_hold_what_the_protocol_says() {
    let (kernel, _) = boot(BASE + 0x2_f000, range(BASE + 0x2_f000, BASE + 0x3_0000));
    assert_eq!(root(&kernel, 0), Cap::Null);
    assert_eq!(root(&kernel, slot::TCB), Cap::Thread { at: kernel.current });
    assert!(matches!(root(&kernel, slot::CNODE), Cap::CNode { radix: 17, guard: 0, guard_size: 47, .. }));
    assert_eq!(root(&kernel, slot::IRQ_CONTROL), Cap::IrqControl);
    assert_eq!(root(&kernel, slot::ASID_CONTROL), Cap::AsidControl);
    assert!(matches!(root(&kernel, slot::ASID_POOL), Cap::AsidPool { base: 0, .. }));
    assert_eq!(root(&kernel, slot::DOMAIN), Cap::Domain);
    assert_eq!(
        root(&kernel, slot::SCHED_CONTEXT),
        Cap::SchedContext { at: kernel.current.sched_context(&kernel.m).unwrap(), bits: 7 }
    );
    assert_eq!(root(&kernel, slot::SMC), Cap::Smc { badge: 0 });
    for absent in [7, 8, 12, 13] {
        assert_eq!(root(&kernel, absent), Cap::Null);
    }
    // A pointer of the thread that is the CNode's: both ways of finding a slot agree.
    let own = kernel.lookup_slot(kernel.current, slot::TCB).unwrap();
    assert_eq!(own.cap(&kernel.m), root(&kernel, slot::TCB));
    assert_ne!(Slot::at(own.addr()), None);
}

#[test]
fn an_image_that_is_not_in_memory_is_refused() {
    for image in [
        range(BASE + BYTES, BASE + BYTES + 0x1000),
        range(BASE + 0x2_f800, BASE + 0x3_0000),
        range(BASE + 0x4_0000, BASE + 0x3_0000),
    ] {
        assert_eq!(boot(BASE + 0x2_f000, image).1, Err(BootError::BadImage));
    }
}
