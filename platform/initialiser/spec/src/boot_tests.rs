// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the prediction.

#![allow(clippy::single_range_in_vec_init, reason = "lists of memory regions, some of them with one entry")]

use super::*;
use proptest::prelude::*;

const SIZES: RootSizes = RootSizes { cnode_bits: 22, tcb_bits: 11, vspace_bits: 13, table_levels: 2 };
const RAM: [Range<u64>; 1] = [0x6000_0000..0xc000_0000];

fn layout<'a>(ram: &'a [Range<u64>], device: &'a [Range<u64>]) -> BootLayout<'a> {
    BootLayout {
        ram,
        device,
        kernel: 0x6000_0000..0x6004_0000,
        boot: 0x6000_0000..0x6000_1000,
        user_image: 0x7000_a000..0x7002_0000,
        user_vaddr: 0x20_0000,
        sizes: SIZES,
    }
}

fn bytes(untypeds: &[Untyped]) -> u64 {
    untypeds.iter().map(|u| 1u64 << u.size_bits).sum()
}

#[test]
fn device_memory_comes_first_then_boot_code_then_free_memory_ascending() {
    let untypeds = untypeds(&layout(&RAM, &[0x900_0000..0x900_3000])).unwrap();
    let device = |paddr, size_bits| Untyped { paddr, size_bits, device: true };
    let ram = |paddr, size_bits| Untyped { paddr, size_bits, device: false };
    assert_eq!(
        untypeds[..5],
        [
            device(0x900_0000, 13),
            device(0x900_2000, 12),
            ram(0x6000_0000, 12),
            ram(0x6004_0000, 18),
            ram(0x6008_0000, 19)
        ]
    );
    assert!(untypeds[3..].windows(2).all(|pair| pair[0].end() <= pair[1].paddr));
}

#[test]
fn root_objects_are_taken_from_the_top_on_their_alignment() {
    let untypeds = untypeds(&layout(&RAM, &[])).unwrap();
    // 4 MiB CNode, and less than 64 KiB of other objects: the last 4 MiB boundary with room is 8 MiB below the end.
    let size = SIZES.total(0x20_0000..0x21_8000);
    assert_eq!(size, (4 << 20) + 0x800 + 2 * 0x1000 + 0x1000 + 0x2000 + 0x80 + 2 * 0x1000);
    let gap = 0xbf80_0000..0xbf80_0000 + size;
    assert!(untypeds.iter().all(|u| u.end() <= gap.start || u.paddr >= gap.end));
    assert_eq!(untypeds.iter().map(Untyped::end).max(), Some(0xc000_0000));
}

#[test]
fn image_across_table_boundaries_needs_more_tables() {
    assert_eq!(page_tables(0x20_0000..0x20_1000, 2), 2);
    assert_eq!(page_tables(0x20_0000..0x40_1000, 2), 3);
    assert_eq!(page_tables(0x3fff_f000..0x4000_1000, 2), 4);
    assert_eq!(page_tables(0x20_0000..0x20_1000, 3), 3);
}

#[test]
fn no_room_for_root_objects_is_an_error() {
    let ram = [0x6000_0000..0x6040_0000];
    assert!(matches!(untypeds(&layout(&ram, &[])), Err(BootError::RootObjects(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_free_byte_is_reported_once(
        start in (0x6004_0000u64..0xb000_0000).prop_map(|a| a & !0xfff),
        pages in 1u64..0x8000,
    ) {
        let user_image = start..start + (pages << 12);
        let layout = BootLayout { user_image: user_image.clone(), ..layout(&RAM, &[]) };
        let untypeds = untypeds(&layout).unwrap();
        let user = 0x20_0000..0x20_0000 + (pages << 12) + 0x2000;
        let used = 0x3_f000 + (pages << 12) + SIZES.total(user);
        // Crumbs below 16 bytes are lost; all sizes here are multiples of 128.
        prop_assert_eq!(bytes(&untypeds), 0x6000_0000 - used);
        for untyped in &untypeds {
            prop_assert_eq!(untyped.paddr % (1 << untyped.size_bits), 0);
            prop_assert!(untyped.end() <= user_image.start || untyped.paddr >= user_image.end);
        }
    }
}
