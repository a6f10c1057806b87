// SPDX-License-Identifier: BSD-2-Clause
//! A guest on a host of plain memory: what it gets for each exit, and what that costs. All of it with either back end:
//! seL4's standard interface, and the kernel extension, whose messages tell registers and whose answers set them.

macro_rules! back_end {
    ($name:ident, $tells:literal) => {
        #[path = "tests"]
        mod $name {
            /// Whether exits are told with registers.
            pub const TELLS: bool = $tells;
            #[path = "disk.rs"]
            mod disk;
            #[path = "fake.rs"]
            mod fake;
            #[path = "life.rs"]
            mod life;
            #[path = "network.rs"]
            mod network;
            #[path = "serial.rs"]
            mod serial;
            #[path = "traps.rs"]
            mod traps;
            #[path = "virtio.rs"]
            mod virtio;
            #[path = "waiting.rs"]
            mod waiting;
        }
    };
}

back_end!(standard, false);
back_end!(extended, true);
