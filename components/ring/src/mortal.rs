// SPDX-License-Identifier: BSD-2-Clause
//! For tests: shared memory whose writer dies at a chosen store.
//!
//! Between two stores nobody else sees any difference, so a program that is killed in front of each of its stores in turn has been
//! killed at every point.

extern crate std;

use core::cell::Cell;
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::panic::{self, AssertUnwindSafe};

use crate::pages::{LocalPages, Memory};

std::thread_local! {
    /// Stores until the next one kills, if one is to.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a death unwinds with.
struct Death;

/// Comes before each store, here and to a device's registers. Does not return where death is due.
pub fn before_store() {
    match LEFT.get() {
        // Without the message of a panic.
        Some(0) => panic::resume_unwind(Box::new(Death)),
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

/// Runs a part of a program, which dies in front of its store number `after`. Gives how many stores were left to that; `None`:
/// it is dead.
pub fn run(after: usize, program: impl FnOnce()) -> Option<usize> {
    LEFT.set(Some(after));
    let result = panic::catch_unwind(AssertUnwindSafe(program));
    let left = LEFT.take();
    match result {
        Ok(()) => left,
        Err(cause) if cause.is::<Death>() => None,
        Err(cause) => panic::resume_unwind(cause),
    }
}

/// Up to two deaths of a program: in front of its store number `point`, and of so many stores later in its next life.
#[derive(Debug, Clone, Copy)]
pub struct Deaths {
    due: [Option<usize>; 2],
    died: bool,
}

impl Deaths {
    /// Both are still to come.
    #[must_use]
    pub const fn new(point: usize, again: Option<usize>) -> Self {
        Self { due: [Some(point), again], died: false }
    }

    /// Lets the program do something. When it dies, `begin` is its next life, which may be as short.
    pub fn act<B>(&mut self, bench: &mut B, program: impl FnOnce(&mut B), begin: impl Fn(&mut B)) {
        let Some(after) = self.due[0] else { return program(bench) };
        self.due[0] = run(after, || program(bench));
        while self.due[0].is_none() {
            self.died = true;
            self.due = [self.due[1], None];
            let Some(after) = self.due[0] else { return begin(bench) };
            self.due[0] = run(after, || begin(bench));
        }
    }

    /// Whether there was a death at all: otherwise the program has fewer stores.
    #[must_use]
    pub const fn died(&self) -> bool {
        self.died
    }
}

/// [`LocalPages`] whose stores may kill.
#[derive(Debug, Default)]
pub struct MortalPages<const WORDS: usize>(LocalPages<WORDS>);

impl<const WORDS: usize> MortalPages<WORDS> {
    /// A region of zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self(LocalPages::new())
    }
}

impl<const WORDS: usize> Memory for &MortalPages<WORDS> {
    fn size(&self) -> usize {
        (&self.0).size()
    }

    fn load(&self, offset: usize, order: Ordering) -> u32 {
        (&self.0).load(offset, order)
    }

    fn store(&self, offset: usize, value: u32, order: Ordering) {
        before_store();
        (&self.0).store(offset, value, order);
    }

    fn load_half(&self, offset: usize, order: Ordering) -> u16 {
        (&self.0).load_half(offset, order)
    }

    fn store_half(&self, offset: usize, value: u16, order: Ordering) {
        before_store();
        (&self.0).store_half(offset, value, order);
    }

    fn read<const N: usize>(&self, offset: usize) -> [u64; N] {
        (&self.0).read(offset)
    }

    fn write<const N: usize>(&self, offset: usize, words: [u64; N]) {
        for (index, word) in words.into_iter().enumerate() {
            before_store();
            (&self.0).write(offset + 8 * index, [word]);
        }
    }

    fn fence(&self) {
        (&self.0).fence();
    }
}
