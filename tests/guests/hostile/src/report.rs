// SPDX-License-Identifier: BSD-2-Clause
//! One line a test, and the count at the end.

use crate::println;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

static OK: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);
static SKIPPED: AtomicU32 = AtomicU32::new(0);

fn count(counter: &AtomicU32) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Reports test `name`, with `details` if it did not hold.
pub fn check(name: &str, holds: bool, details: fmt::Arguments<'_>) {
    if holds {
        count(&OK);
        println!("TEST {name} ok");
    } else {
        count(&FAILED);
        println!("TEST {name} FAIL {details}");
    }
}

/// Reports test `name`, which wants one of `wanted`.
pub fn check_value(name: &str, value: u64, wanted: &[u64]) {
    check(name, wanted.contains(&value), format_args!("{value:#x}, want one of {wanted:x?}"));
}

/// Reports that test `name` says nothing here.
pub fn skip(name: &str, reason: &str) {
    count(&SKIPPED);
    println!("TEST {name} skip {reason}");
}

/// The last line.
pub fn done() {
    let (ok, failed, skipped) = (OK.load(Relaxed), FAILED.load(Relaxed), SKIPPED.load(Relaxed));
    println!("HOSTILE DONE {ok} ok, {failed} failed, {skipped} skipped");
}
