// SPDX-License-Identifier: BSD-2-Clause
//! Descriptors.

use super::*;

fn rights(read: bool, write: bool) -> FrameRights {
    FrameRights { read, write }
}

#[test]
fn descriptors_say_what_was_asked_for() {
    let at = PhysAddr(0x7020_0000);
    let rw = page_descriptor(at, FrameSize::Large, rights(true, true), Attributes::DEFAULT);
    assert_eq!(rw, 0x7020_0000 | 1 << 10 | 3 << 8 | 3 << 6 | 0xf << 2 | 1);
    let ro = page_descriptor(at, FrameSize::Small, rights(true, false), Attributes(4));
    assert_eq!(ro, 1 << 54 | 0x7020_0000 | 1 << 10 | 3 << 8 | 1 << 6 | 3);
    let none = page_descriptor(at, FrameSize::Small, rights(false, true), Attributes::DEFAULT);
    assert_eq!(none & (descriptor::READ | descriptor::WRITE), 0);
}
