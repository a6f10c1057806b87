// SPDX-License-Identifier: BSD-2-Clause
//! Lookups: whatever guard a CNode capability has and however many bits are asked for, both sides find the same slot, or fail in
//! the same way.

use kernel_abi::Invocation;
use kernel_core::PhysAddr;
use kernel_core::cap::Cap as CoreCap;
use kernel_core::layout::Slot as CoreSlot;
use kernel_refine::world::{self, busy, invoke, slot};
use kernel_spec::cap::Cap;
use kernel_spec::{Holder, Lookup, Obj};

/// What a lookup found: address of the slot and bits left, or why not.
type Found = Result<(u64, u64), Lookup>;

fn told(why: kernel_core::Lookup) -> Lookup {
    use kernel_core::Lookup as L;
    match why {
        L::InvalidRoot => Lookup::InvalidRoot,
        L::MissingCapability { bits_left } => Lookup::MissingCapability { bits_left },
        L::DepthMismatch { bits_left, bits_found } => Lookup::DepthMismatch { bits_left, bits_found },
        L::GuardMismatch { bits_left, guard, guard_size } => {
            Lookup::GuardMismatch { bits_left, guard, guard_bits: guard_size }
        }
    }
}

#[test]
fn lookups_with_all_guards_and_depths_are_the_same() {
    let mut pair = world::busy_system();
    // Inner CNodes with guards, in the initial one and in each other.
    let free = busy::FIRST_FREE;
    for (to, from, guard) in [(free, busy::CNODE, 1 << 6 | 3), (free + 1, busy::CNODE + 1, 2 << 6 | 4)] {
        let words = [to, 64, from, 64, 15, guard];
        pair.step(&invoke(slot::CNODE, Invocation::CNodeMint, &words, &[slot::CNODE])).expect("the same");
    }
    for (to, from) in [(0, free + 1), (1, busy::CNODE), (2, busy::ENDPOINT)] {
        let words = [to, 2, from, 64, 15];
        pair.step(&invoke(busy::CNODE, Invocation::CNodeCopy, &words, &[slot::CNODE])).expect("the same");
    }
    let mut counts = [0u64; 5];
    for (obj, radix) in nodes(&pair.spec) {
        for guard_bits in 0..=64 - radix {
            for guard in [0, 1, u64::MAX >> 1, 0x5555_5555_5555_5555] {
                let guard = if guard_bits == 0 { 0 } else { guard & (u64::MAX >> (64 - guard_bits)) };
                for depth in 0..=64u64 {
                    for index in [0, 1, busy::CNODE, busy::ENDPOINT, free, free + 1] {
                        // The address that the guard asks for, with the bits behind it in two ways.
                        let rest = depth.saturating_sub(guard_bits + radix);
                        let high =
                            if guard_bits == 0 { 0 } else { guard.checked_shl(radix as u32).unwrap_or(0) };
                        let first = high | index & ((1 << radix) - 1);
                        let address = first.checked_shl(rest as u32).unwrap_or(0);
                        for address in [address, address | 1 & !(u64::MAX << rest.min(1)), first, !address] {
                            let found = pair.spec.resolve(
                                Some(Cap::CNode { obj, radix, guard, guard_bits }),
                                address,
                                depth,
                            );
                            let spec: Found = found.map(|(slot, left)| {
                                let Holder::CNode(at, _) = slot.holder else { panic!("in a CNode") };
                                (at.0 + 32 * slot.index, left)
                            });
                            let at = CoreSlot::at(PhysAddr(obj.0)).expect("not 0");
                            let (radix, guard_size) = (radix as u8, guard_bits as u8);
                            let root = CoreCap::CNode { at, radix, guard, guard_size };
                            let core: Found = pair
                                .core
                                .resolve(root, address, depth)
                                .map(|(slot, left)| (slot.addr().0, left))
                                .map_err(told);
                            assert_eq!(core, spec, "{root:x?}, {address:#x}, {depth} bits");
                            counts[kind(&spec)] += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(counts.iter().all(|&count| count > 100), "too little was reached: {counts:?}");
}

fn nodes(state: &kernel_spec::State) -> Vec<(Obj, u64)> {
    let mut nodes: Vec<(Obj, u64)> = state
        .caps
        .values()
        .filter_map(|cap| match *cap {
            Cap::CNode { obj, radix, .. } => Some((obj, radix)),
            _ => None,
        })
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

fn kind(found: &Found) -> usize {
    match found {
        Ok((_, 0)) => 0,
        Ok(_) => 1,
        Err(Lookup::GuardMismatch { bits_left, guard_bits, .. }) if bits_left < guard_bits => 2,
        Err(Lookup::GuardMismatch { .. }) => 3,
        Err(_) => 4,
    }
}
