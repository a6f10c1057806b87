// SPDX-License-Identifier: BSD-2-Clause
//! The header behind the loader in a system image, written by the `microkit` tool.
//!
//! Layout, all fields 64-bit little endian, directly behind the loader's one segment (a whole number of pages):
//! magic, size (bytes from the header's start to the image's end), kernel entry (virtual), user image start and end
//! (physical), physical minus virtual offset of the user image, user entry (virtual), number of regions; then the
//! regions, each load address (physical), size, offset and type (1: data; 2: data that is the device
//! tree for the kernel). Offsets count from the end of the region list.

/// First word of the header.
const MAGIC: u64 = 0x5e14_dead_14de_5ead;
/// Type of a region that holds data to be copied to its load address.
const REGION_DATA: u64 = 1;
/// The same, and the kernel is told where it is.
const REGION_DEVICE_TREE: u64 = 2;
/// Words of the header and of one region.
const HEADER_WORDS: usize = 8;
const REGION_WORDS: usize = 4;
/// Most regions: kernel, and segments of the user image. Bounds the loop over a damaged header.
const MAX_REGIONS: u64 = 64;

/// What the header says.
#[derive(Clone, Copy)]
pub struct Header {
    address: usize,
    /// Virtual address where the kernel starts.
    pub kernel_entry: u64,
    /// Physical start of the root task's image.
    pub user_start: u64,
    /// Its physical end.
    pub user_end: u64,
    /// Physical minus virtual address of the root task's image, modulo 2^64.
    pub user_offset: u64,
    /// Virtual address where the root task starts.
    pub user_entry: u64,
    regions: u64,
}

/// One thing to copy.
#[derive(Clone, Copy)]
pub struct Region {
    /// Physical address where it belongs.
    pub load_address: u64,
    /// Bytes.
    pub size: u64,
    /// Where it is in the image.
    pub source: usize,
    /// Whether it is the device tree.
    pub is_device_tree: bool,
}

impl Header {
    /// Reads the header at `address`; `None` when there is none.
    ///
    /// # Safety
    /// `address` is 8-byte aligned and in readable memory, header and region list behind it too.
    pub unsafe fn read(address: usize) -> Option<Self> {
        let word = |index: usize| {
            // SAFETY: the caller vouches for the header's words.
            unsafe { (address as *const u64).add(index).read() }
        };
        let header = Self {
            address,
            kernel_entry: word(2),
            user_start: word(3),
            user_end: word(4),
            user_offset: word(5),
            user_entry: word(6),
            regions: word(7),
        };
        (word(0) == MAGIC && header.regions <= MAX_REGIONS).then_some(header)
    }

    /// The data regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        let list = self.address + HEADER_WORDS * 8;
        let data = list + self.regions as usize * REGION_WORDS * 8;
        (0..self.regions as usize).filter_map(move |index| {
            let word = |field: usize| {
                // SAFETY: `read` has seen a whole header, its creator vouched for the region list.
                unsafe { (list as *const u64).add(index * REGION_WORDS + field).read() }
            };
            let kind = word(3);
            let region = Region {
                load_address: word(0),
                size: word(1),
                source: data + word(2) as usize,
                is_device_tree: kind == REGION_DEVICE_TREE,
            };
            [REGION_DATA, REGION_DEVICE_TREE].contains(&kind).then_some(region)
        })
    }
}
