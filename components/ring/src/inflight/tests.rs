// SPDX-License-Identifier: BSD-2-Clause
//! Tables against models that are right by construction.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn ids_end_exactly_once() {
    let mut table = InFlight::<&str, 2>::new();
    let first = table.insert("a").unwrap();
    let second = table.insert("b").unwrap();
    assert_eq!(table.insert("c"), Err("c"));
    assert_eq!(table.remove(first), Ok("a"));
    assert_eq!(table.remove(first), Err(NotOutstanding { id: first }));
    let third = table.insert("c").unwrap();
    assert_eq!(third as u32, first as u32, "the same slot");
    assert_eq!(table.get(first), None, "and another id");
    assert_eq!(table.get_mut(first), None);
    assert_eq!((table.get(third), table.current(third as u32)), (Some(&"c"), Some(third)));
    for id in [0, 2, u64::MAX, second + (1 << 32), 1 << 63] {
        assert_eq!(table.remove(id), Err(NotOutstanding { id }));
    }
    assert_eq!(table.iter().map(|(_, value)| *value).collect::<Vec<_>>(), ["b", "c"]);
    table.clear();
    assert!(table.is_empty() && table.remove(second).is_err() && table.current(0).is_none());
}

#[test]
fn walk_by_ids_follows_the_order_of_issue() {
    let mut table = InFlight::<u8, 4>::new();
    let ids: Vec<u64> = (0..4).map(|value| table.insert(value).unwrap()).collect();
    table.remove(ids[1]).unwrap();
    let newest = table.insert(9).unwrap();
    assert_eq!(table.oldest(), Some(ids[0]));
    assert_eq!(table.after(ids[0]), Some(ids[2]));
    assert_eq!(table.after(ids[3]), Some(newest));
    assert_eq!((table.after(newest), table.after(ids[1])), (None, None));
}

#[test]
fn buffers_are_taken_once_and_come_back_once() {
    let mut buffers = Buffers::<2>::new(70 * 2048 + 100, 2048);
    assert_eq!(buffers.count(), 70);
    for index in 0..70 {
        assert_eq!(buffers.take(), Some(index * 2048));
    }
    assert_eq!(buffers.take(), None);
    assert_eq!(buffers.unmark(65 * 2048 + 7), Ok(()), "anywhere in the buffer");
    assert_eq!(buffers.unmark(65 * 2048), Err(NotOutstanding { id: 65 * 2048 }));
    assert_eq!(buffers.mark(65 * 2048), Ok(()));
    for offset in [65 * 2048, 70 * 2048, u64::MAX] {
        assert!(buffers.mark(offset).is_err());
    }
    assert_eq!(buffers.outstanding(), 70);
    buffers.clear();
    assert_eq!((buffers.outstanding(), buffers.take()), (0, Some(0)));
    assert_eq!(Buffers::<1>::new(1 << 30, 4096).count(), 64, "no more than the table has room for");
    assert_eq!(Buffers::<1>::new(0, 4096).take(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 100 }))]

    /// Against a list in order of issue; ids come from the table, from its past, and out of the blue.
    #[test]
    fn table_is_an_ordered_map(steps in prop::collection::vec((0u8..4, any::<u16>(), any::<u64>()), 0..80)) {
        let mut table = InFlight::<u64, 8>::new();
        let (mut model, mut past) = (Vec::<(u64, u64)>::new(), Vec::new());
        for (kind, choice, value) in steps {
            let choice = usize::from(choice);
            match kind {
                0 | 1 => match table.insert(value) {
                    Ok(id) => {
                        prop_assert!(id != 0 && !past.contains(&id));
                        model.push((id, value));
                        past.push(id);
                    }
                    Err(_) => prop_assert_eq!(model.len(), 8),
                },
                2 if !model.is_empty() => {
                    let (id, value) = model.remove(choice % model.len());
                    prop_assert_eq!(table.remove(id), Ok(value));
                }
                _ => {
                    let id = past.get(choice % past.len().max(1)).copied().unwrap_or(value);
                    if !model.iter().any(|entry| entry.0 == id) {
                        prop_assert!(table.get(id).is_none() && table.remove(id).is_err());
                    }
                    prop_assert!(past.contains(&value) || table.remove(value).is_err());
                }
            }
            prop_assert_eq!((table.len(), table.is_full()), (model.len(), model.len() == 8));
            let found: Vec<_> = table.iter().map(|(id, value)| (id, *value)).collect();
            prop_assert_eq!(&found, &model);
        }
    }

    #[test]
    fn buffer_table_is_a_set(steps in prop::collection::vec((0u8..3, 0u64..110), 0..120)) {
        let mut buffers = Buffers::<2>::new(100 << 12, 1 << 12);
        let mut model = BTreeSet::new();
        for (kind, index) in steps {
            match kind {
                0 => {
                    let lowest = (0..100).find(|index| !model.contains(index));
                    prop_assert_eq!(buffers.take(), lowest.map(|index| index << 12));
                    model.extend(lowest);
                }
                1 => prop_assert_eq!(buffers.mark(index << 12).is_ok(), index < 100 && model.insert(index)),
                _ => prop_assert_eq!(buffers.unmark(index << 12).is_ok(), model.remove(&index)),
            }
            prop_assert_eq!(buffers.outstanding() as usize, model.len());
        }
    }
}
