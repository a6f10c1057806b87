// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the allocator: every plan is replayed on a model of the kernel's untypeds, which knows only that an untyped
//! is handed out from its start upwards in aligned pieces.

use super::*;
use proptest::prelude::*;

const BASE: u64 = 0x6000_0000;

fn ram(paddr: u64, size_bits: u8) -> Untyped {
    Untyped { paddr, size_bits, device: false }
}

fn device(paddr: u64, size_bits: u8) -> Untyped {
    Untyped { paddr, size_bits, device: true }
}

fn group(size_bits: u8, count: u32) -> Group {
    Group { object_type: 0, user_size: 0, size_bits, count, paddr: None }
}

fn fixed(size_bits: u8, count: u32, paddr: u64) -> Group {
    Group { paddr: Some(paddr), ..group(size_bits, count) }
}

/// The kernel's side of a retype.
struct Kernel {
    untypeds: std::vec::Vec<(Untyped, u64)>,
    objects: std::vec::Vec<(u64, u8)>,
}

impl Kernel {
    fn new(untypeds: &[Untyped]) -> Self {
        Self { untypeds: untypeds.iter().map(|u| (*u, u.paddr)).collect(), objects: vec![] }
    }

    fn retype(&mut self, piece: usize, size_bits: u8, count: u32) -> u64 {
        let (untyped, next) = &mut self.untypeds[piece];
        let start = next.next_multiple_of(1 << size_bits);
        *next = start + (u64::from(count) << size_bits);
        assert!(*next <= untyped.end(), "piece {piece} is used past its end");
        start
    }

    fn step(&mut self, step: Step) -> Result<(), ()> {
        match step {
            Step::Create { piece, group, object, count, paddr } => {
                assert!(count > 0 && count <= FAN_OUT);
                assert_eq!(object as usize, self.objects.len());
                assert_eq!(self.retype(piece, group.size_bits, count), paddr);
                for n in 0..count {
                    self.objects.push((paddr + (u64::from(n) << group.size_bits), group.size_bits));
                }
            }
            Step::Split { piece, size_bits, paddr } => {
                let device = self.untypeds[piece].0.device;
                assert_eq!(self.retype(piece, size_bits, 1), paddr);
                self.untypeds.push((Untyped { paddr, size_bits, device }, paddr));
            }
        }
        Ok(())
    }
}

fn run(untypeds: &[Untyped], groups: &[Group]) -> Result<std::vec::Vec<(u64, u8)>, PlanError<()>> {
    let mut kernel = Kernel::new(untypeds);
    plan(untypeds.iter().copied(), groups.iter().map(|g| Ok(*g)), |step| kernel.step(step))?;
    Ok(kernel.objects)
}

#[test]
fn objects_fill_the_lowest_memory_first() {
    let objects = run(&[ram(BASE + 0x2000, 13), ram(BASE, 13)], &[group(12, 3)]).unwrap();
    assert_eq!(objects, [(BASE, 12), (BASE + 0x1000, 12), (BASE + 0x2000, 12)]);
}

#[test]
fn fixed_object_lies_at_its_address_and_the_gap_is_used() {
    let objects = run(&[ram(BASE, 14)], &[fixed(12, 1, BASE + 0x2000), group(13, 1), group(12, 1)]).unwrap();
    assert_eq!(objects, [(BASE + 0x2000, 12), (BASE, 13), (BASE + 0x3000, 12)]);
}

#[test]
fn fixed_run_may_span_untypeds() {
    let objects = run(&[ram(BASE, 12), ram(BASE + 0x1000, 12)], &[fixed(12, 2, BASE)]).unwrap();
    assert_eq!(objects, [(BASE, 12), (BASE + 0x1000, 12)]);
}

#[test]
fn fixed_object_across_two_untypeds_is_refused() {
    let untypeds = [ram(0x20_0000, 20), ram(0x30_0000, 20)];
    assert_eq!(
        run(&untypeds, &[fixed(21, 1, 0x20_0000)]),
        Err(PlanError::FixedAddress { object: 0, paddr: 0x20_0000 })
    );
}

#[test]
fn fixed_object_outside_every_untyped_is_refused() {
    assert_eq!(
        run(&[ram(BASE, 13)], &[fixed(12, 3, BASE)]),
        Err(PlanError::FixedAddress { object: 2, paddr: BASE + 0x2000 })
    );
}

#[test]
fn misaligned_fixed_object_is_refused() {
    let result = run(&[ram(0x20_0000, 21)], &[fixed(13, 1, 0x20_1000)]);
    assert!(matches!(result, Err(PlanError::FixedAddress { .. })), "{result:?}");
}

#[test]
fn device_memory_is_only_for_fixed_objects() {
    let untypeds = [device(0x900_0000, 24), ram(BASE, 12)];
    let objects = run(&untypeds, &[fixed(12, 1, 0x901_0000), group(12, 1)]).unwrap();
    assert_eq!(objects, [(0x901_0000, 12), (BASE, 12)]);
    let error = run(&untypeds, &[group(12, 2)]);
    assert_eq!(error, Err(PlanError::OutOfMemory { object: 1, size_bits: 12, missing: 1 }));
}

#[test]
fn groups_out_of_order_are_refused() {
    assert_eq!(run(&[ram(BASE, 20)], &[group(12, 1), group(13, 1)]), Err(PlanError::Order(1)));
    assert_eq!(run(&[ram(BASE, 20)], &[group(12, 1), fixed(12, 1, BASE)]), Err(PlanError::Order(1)));
    let overlapping = [fixed(12, 2, BASE), fixed(12, 1, BASE + 0x1000)];
    assert_eq!(run(&[ram(BASE, 20)], &overlapping), Err(PlanError::Order(2)));
}

#[test]
fn large_runs_are_made_in_portions() {
    let mut portions = vec![];
    plan([ram(BASE, 22)], [Ok(group(12, 600))], |step| {
        if let Step::Create { count, .. } = step {
            portions.push(count);
        }
        Ok::<_, ()>(())
    })
    .unwrap();
    assert_eq!(portions, [256, 256, 88]);
}

#[test]
fn failing_step_ends_the_plan() {
    let result = plan([ram(BASE, 22)], [Ok(group(12, 600))], |_| Err("no"));
    assert_eq!(result, Err(PlanError::Step("no")));
}

/// Disjoint aligned blocks in the first 16 MiB above BASE.
fn untypeds() -> impl Strategy<Value = std::vec::Vec<Untyped>> {
    proptest::collection::vec((12u8..=20, 0u64..3), 1..20).prop_map(|shapes| {
        let mut next = BASE;
        let mut untypeds = vec![];
        for (size_bits, gap) in shapes {
            let paddr = (next + gap * 0x1000).next_multiple_of(1 << size_bits);
            untypeds.push(ram(paddr, size_bits));
            next = paddr + (1 << size_bits);
        }
        untypeds
    })
}

/// Groups by descending size.
fn groups() -> impl Strategy<Value = std::vec::Vec<Group>> {
    proptest::collection::vec((4u8..=16, 1u32..300), 1..12).prop_map(|mut shapes| {
        shapes.sort_unstable_by_key(|shape| core::cmp::Reverse(shape.0));
        shapes.into_iter().map(|(size_bits, count)| group(size_bits, count)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn allocation_is_complete_and_wastes_nothing(
        untypeds in untypeds(),
        groups in groups(),
        pins in proptest::collection::btree_set(0u64..0x1000, 0..6),
    ) {
        let mut all: std::vec::Vec<Group> = pins.iter().map(|page| fixed(12, 1, BASE + page * 0x1000))
            .filter(|g| untypeds.iter().any(|u| (u.paddr..u.end()).contains(&g.paddr.unwrap())))
            .collect();
        let pinned = all.len();
        all.extend(&groups);
        let total: u64 = untypeds.iter().map(|u| 1u64 << u.size_bits).sum();
        match run(&untypeds, &all) {
            Ok(mut objects) => {
                let count: u32 = all.iter().map(|g| g.count).sum();
                prop_assert_eq!(objects.len(), count as usize);
                for (object, group) in objects.iter().zip(&all[..pinned]) {
                    prop_assert_eq!(Some(object.0), group.paddr);
                }
                objects.sort_unstable();
                for pair in objects.windows(2) {
                    prop_assert!(pair[0].0 + (1 << pair[0].1) <= pair[1].0, "objects overlap");
                }
            }
            Err(PlanError::OutOfMemory { object, size_bits, .. }) => {
                // Whatever is still free is in blocks smaller than the object that did not fit.
                let used: u64 = sizes(&all).take(object as usize).map(|bits| 1u64 << bits).sum();
                prop_assert!(used + largest_waste(&untypeds, size_bits, pinned) >= total, "{} of {}", used, total);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn same_input_gives_the_same_plan(untypeds in untypeds(), groups in groups()) {
        prop_assert_eq!(run(&untypeds, &groups), run(&untypeds, &groups));
    }
}

fn sizes(groups: &[Group]) -> impl Iterator<Item = u8> {
    groups.iter().flat_map(|g| std::iter::repeat_n(g.size_bits, g.count as usize))
}

/// Memory in blocks too small for an object of `size_bits`, at most: small untypeds, and less than one object's size for
/// each split block around a pinned page (two halves for every size below).
fn largest_waste(untypeds: &[Untyped], size_bits: u8, pinned: usize) -> u64 {
    let small: u64 = untypeds.iter().filter(|u| u.size_bits < size_bits).map(|u| 1u64 << u.size_bits).sum();
    small + pinned as u64 * (2 << size_bits)
}
