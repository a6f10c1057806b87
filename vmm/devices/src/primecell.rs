// SPDX-License-Identifier: BSD-2-Clause
//! Identification registers of a PrimeCell: eight bytes, one a word, at the end of its page.

/// First of the eight identification registers.
const FIRST: u64 = 0xfe0;

/// The register at `offset` of a device whose identification bytes are `id`: PeriphID0 to 3, PCellID0 to 3.
pub(crate) fn identification(id: &[u8; 8], offset: u64) -> u32 {
    offset
        .checked_sub(FIRST)
        .and_then(|distance| id.get((distance / 4) as usize))
        .map_or(0, |&byte| byte.into())
}
