// SPDX-License-Identifier: BSD-2-Clause
//! A region in loom's model of memory, for the models of queues and links.

use core::sync::atomic::Ordering;
use std::collections::BTreeMap;
use std::sync::atomic;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, fence};

use crate::pages::Memory;

/// What a place of the region is to loom.
pub(crate) enum Place {
    /// Two words of the protocol: loom tries every value that a load may see.
    Words([AtomicU32; 2]),
    /// A double word of an entry: loom fails the model when an access races with another.
    Cell(UnsafeCell<u64>),
}

/// A region of double words, shared by clones.
#[derive(Clone)]
pub(crate) struct LoomPages(Arc<Region>);

struct Region {
    modelled: BTreeMap<usize, Place>,
    /// The other words: always the last value written.
    plain: Vec<atomic::AtomicU32>,
}

impl LoomPages {
    /// A region of `size` bytes of zeroes. Modelled are the double words at `words`, of two protocol words each, and the
    /// `entries`.
    pub(crate) fn new(size: usize, words: &[usize], entries: &[core::ops::Range<usize>]) -> Self {
        let words = words.iter().map(|&at| (at / 8, Place::Words([AtomicU32::new(0), AtomicU32::new(0)])));
        let cells = entries.iter().flat_map(|range| range.clone().step_by(8));
        let cells = cells.map(|at| (at / 8, Place::Cell(UnsafeCell::new(0))));
        let plain = (0..size / 4).map(|_| atomic::AtomicU32::new(0)).collect();
        Self(Arc::new(Region { modelled: words.chain(cells).collect(), plain }))
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        match self.0.modelled.get(&(offset / 8)) {
            Some(Place::Words(words)) => Some(&words[offset / 4 % 2]),
            Some(Place::Cell(_)) => panic!("{offset:#x} lies in an entry"),
            None => None,
        }
    }

    fn cell(&self, offset: usize) -> Option<&UnsafeCell<u64>> {
        match self.0.modelled.get(&(offset / 8)) {
            Some(Place::Cell(cell)) => Some(cell),
            Some(Place::Words(_)) => panic!("{offset:#x} is no entry"),
            None => None,
        }
    }
}

impl Memory for LoomPages {
    fn size(&self) -> usize {
        4 * self.0.plain.len()
    }

    fn load(&self, offset: usize, order: Ordering) -> u32 {
        match self.word(offset) {
            Some(word) => word.load(order),
            None => self.0.plain[offset / 4].load(order),
        }
    }

    fn store(&self, offset: usize, value: u32, order: Ordering) {
        match self.word(offset) {
            Some(word) => word.store(value, order),
            None => self.0.plain[offset / 4].store(value, order),
        }
    }

    fn load_half(&self, offset: usize, order: Ordering) -> u16 {
        // Halves get a word each, which is enough for the one layout that has halves at 0 and 2.
        self.load(2 * offset, order) as u16
    }

    fn store_half(&self, offset: usize, value: u16, order: Ordering) {
        self.store(2 * offset, value.into(), order);
    }

    #[allow(unsafe_code, reason = "loom checks the access")]
    fn read<const N: usize>(&self, offset: usize) -> [u64; N] {
        // SAFETY: loom fails the test if another access may be concurrent.
        core::array::from_fn(|index| {
            self.cell(offset + 8 * index).map_or(0, |cell| cell.with(|word| unsafe { *word }))
        })
    }

    #[allow(unsafe_code, reason = "loom checks the access")]
    fn write<const N: usize>(&self, offset: usize, words: [u64; N]) {
        for (index, value) in words.into_iter().enumerate() {
            if let Some(cell) = self.cell(offset + 8 * index) {
                // SAFETY: loom fails the test if another access may be concurrent.
                cell.with_mut(|word| unsafe { *word = value });
            }
        }
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}
