// SPDX-License-Identifier: BSD-2-Clause
//! Physical addresses.

/// A physical address. Kernel objects are named by the physical address of their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// The address `bytes` further up (wraps; callers stay inside one object).
    #[inline]
    pub const fn add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}
