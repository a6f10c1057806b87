// SPDX-License-Identifier: BSD-2-Clause
//! Cutting memory into untypeds.

use super::ranges::{Range, Ranges};

fn range(start: u64, end: u64) -> Range {
    Range { start, end }
}

#[test]
fn powers_of_two_are_aligned_and_cover_the_range() {
    for r in [range(0, 0x800_0000), range(0x800_1000, 0x801_0000), range(0x6003_7000, 0x7fff_f080)] {
        let mut next = r.start;
        for (at, bits) in r.powers_of_two() {
            assert_eq!(at, next);
            assert_eq!(at % (1 << bits), 0);
            next = at + (1 << bits);
        }
        assert_eq!(next, r.end);
    }
}

#[test]
fn powers_of_two_stop_at_the_greatest_untyped() {
    let sizes: Vec<u64> = range(0, 1 << 48).powers_of_two().map(|(_, bits)| bits).collect();
    assert_eq!(sizes, [47, 47]);
}

#[test]
fn removing_from_the_middle_leaves_both_ends() {
    let mut set = Ranges::new(&[range(0x1000, 0x9000)]).unwrap();
    set.remove(range(0x3000, 0x4000)).unwrap();
    set.remove(range(0x8000, 0xa000)).unwrap();
    assert_eq!(set.iter().collect::<Vec<_>>(), [range(0x1000, 0x3000), range(0x4000, 0x8000)]);
    assert!(set.contains(range(0x4000, 0x8000)));
    assert!(!set.contains(range(0x2000, 0x5000)));
}

#[test]
fn a_block_is_taken_from_the_top_of_the_last_range_that_has_room() {
    let set = Ranges::new(&[range(0, 0x10_0000), range(0x20_0000, 0x20_1000)]).unwrap();
    assert_eq!(set.last_fit(0x1800, 12), Some(0xf_e000));
    assert_eq!(set.last_fit(0x1000, 12), Some(0x20_0000));
    assert_eq!(set.last_fit(0x20_0000, 12), None);
}
