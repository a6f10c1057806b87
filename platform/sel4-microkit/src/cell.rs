// SPDX-License-Identifier: BSD-2-Clause
//! A cell for a PD's global state: the log sink, the heap, a console ring that the log sink writes to.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that one closure at a time may change. Suitable for a `static`.
#[derive(Debug, Default)]
pub struct PdCell<T> {
    borrowed: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `try_with` hands the value to one closure at a time, whatever the thread, and it may be moved between
// threads because `T: Send`.
unsafe impl<T: Send> Sync for PdCell<T> {}

impl<T> PdCell<T> {
    /// A cell with `value` in it.
    pub const fn new(value: T) -> Self {
        Self { borrowed: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Calls `f` with the value; `None` when called from within such a closure already.
    pub fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.borrowed.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: the flag was clear, so no other reference exists until it is cleared below.
        let result = f(unsafe { &mut *self.value.get() });
        self.borrowed.store(false, Ordering::Release);
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_use_is_refused() {
        let cell = PdCell::new(1);
        let nested = cell.try_with(|value| {
            *value += 1;
            cell.try_with(|_| ())
        });
        assert_eq!(nested, Some(None));
        assert_eq!(cell.try_with(|value| *value), Some(2));
    }
}
