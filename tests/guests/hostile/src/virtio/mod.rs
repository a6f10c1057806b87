// SPDX-License-Identifier: BSD-2-Clause
//! Virtio devices (virtio 1.2, virtio-mmio version 2), as no driver uses them: every register of every slot, and every
//! virtqueue of the devices behind them.
//!
//! Whatever was done to a device, it says that it needs a reset or goes on as if nothing had been, and after a reset it
//! works. Only the device itself may suffer: that this guest goes on is shown here, that others do by others.

mod abuse;
mod device;
mod registers;
mod storm;

use crate::machine::Machine;
use crate::report::{check, skip};
use crate::{boot, println};
use device::{Device, Kind};

/// The first slot, and the distance of slots on the machine that QEMU calls `virt`.
const SLOTS: u64 = 0x0a00_0000;
const STRIDE: u64 = 0x200;
/// Slots that are looked at.
const COUNT: u64 = 8;
/// Memory that queues and buffers lie in, behind the image and the device tree.
const SPACE: u64 = 0x10_0000;

/// Runs all virtio tests.
pub fn run(machine: &Machine) {
    let memory = (boot::end_of_image() + 0x40_0000) & !0xffff;
    if memory + SPACE > machine.memory_end {
        skip("virtio.memory", "too little");
        return;
    }
    let mut found = 0;
    for slot in 0..COUNT {
        let base = SLOTS + STRIDE * slot;
        let Some(device) = Device::find(base, memory, machine.memory_end) else { continue };
        found += 1;
        println!("VIRTIO slot {slot} {}", device.kind.name());
        registers::run(&device);
        abuse::run(&device);
        storm::run(&device, machine.number("seed", 1) ^ slot << 32);
        check(device.kind.test("works_at_last"), device.works(), format_args!("no answer"));
        device.reset();
    }
    if found == 0 {
        skip("virtio", "no devices");
    }
}

impl Kind {
    /// A test's name: report lines have names that are known when this program is built.
    fn test(self, what: &'static str) -> &'static str {
        const TESTS: [&str; 10] = [
            "reads_of_every_size_everywhere",
            "writes_before_the_driver_is_ready",
            "works_after_wild_registers",
            "kicks_of_every_number",
            "abuses_stop_the_device",
            "works_after_each_abuse",
            "used_ring_abuse",
            "resets_while_at_work",
            "random_rings",
            "works_at_last",
        ];
        macro_rules! names {
            ($kind:literal) => {
                [
                    concat!("virtio.", $kind, ".reads_of_every_size_everywhere"),
                    concat!("virtio.", $kind, ".writes_before_the_driver_is_ready"),
                    concat!("virtio.", $kind, ".works_after_wild_registers"),
                    concat!("virtio.", $kind, ".kicks_of_every_number"),
                    concat!("virtio.", $kind, ".abuses_stop_the_device"),
                    concat!("virtio.", $kind, ".works_after_each_abuse"),
                    concat!("virtio.", $kind, ".used_ring_abuse"),
                    concat!("virtio.", $kind, ".resets_while_at_work"),
                    concat!("virtio.", $kind, ".random_rings"),
                    concat!("virtio.", $kind, ".works_at_last"),
                ]
            };
        }
        let names = match self {
            Self::Net => names!("net"),
            Self::Block => names!("block"),
            Self::Console => names!("console"),
            Self::Entropy => names!("entropy"),
        };
        let known = TESTS.iter().position(|test| *test == what);
        known.and_then(|at| names.get(at)).copied().unwrap_or(what)
    }
}
