// SPDX-License-Identifier: BSD-2-Clause
//! The global allocator of a PD that asks for a heap.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use linked_list_allocator::Heap;

use crate::PdCell;

/// A heap of `SIZE` bytes in the PD's own image. An allocation that does not fit gives null, which Rust turns into a
/// panic.
pub struct StaticHeap<const SIZE: usize> {
    memory: UnsafeCell<MaybeUninit<[u8; SIZE]>>,
    allocator: PdCell<Option<Heap>>,
}

// SAFETY: the memory is only touched through the allocator, which hands out disjoint pieces and is itself guarded.
unsafe impl<const SIZE: usize> Sync for StaticHeap<SIZE> {}

impl<const SIZE: usize> StaticHeap<SIZE> {
    /// A heap with nothing allocated.
    #[allow(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self { memory: UnsafeCell::new(MaybeUninit::uninit()), allocator: PdCell::new(None) }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Heap) -> R) -> Option<R> {
        self.allocator.try_with(|heap| {
            f(heap.get_or_insert_with(|| {
                // SAFETY: the memory is ours alone, lives as long as the static, and this runs once.
                unsafe { Heap::new(self.memory.get().cast(), SIZE) }
            }))
        })
    }
}

// SAFETY: blocks come from `Heap`, which keeps them disjoint, sized and aligned as asked.
unsafe impl<const SIZE: usize> GlobalAlloc for StaticHeap<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.with(|heap| heap.allocate_first_fit(layout).ok()).flatten();
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller passes a block of this allocator with its layout.
            self.with(|heap| unsafe { heap.deallocate(pointer, layout) });
        }
    }
}

/// Declares the global allocator with a static heap of the given size.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_heap {
    ($size:expr) => {
        #[global_allocator]
        static __sel4_microkit_heap: $crate::_private::StaticHeap<{ $size }> =
            $crate::_private::StaticHeap::new();
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_can_be_allocated_again_and_exhaustion_gives_null() {
        let heap: StaticHeap<4096> = StaticHeap::new();
        let layout = Layout::from_size_align(3000, 16).unwrap();
        // SAFETY: the layout is not empty, and the block is freed once with it.
        unsafe {
            let block = heap.alloc(layout);
            assert!(!block.is_null());
            assert!(heap.alloc(layout).is_null());
            heap.dealloc(block, layout);
            assert_eq!(heap.alloc(layout), block);
        }
    }
}
