// SPDX-License-Identifier: BSD-2-Clause
//! The device tree of a guest's machine: QEMU's `virt`, without what the guest does not have.

use crate::writer::{Full, Writer};
use core::ops::Range;
use vgic::Version;

/// Guest physical addresses and interrupts of the machine: those of QEMU's `virt`, with a GICv2 or a GICv3.
pub mod map {
    /// First byte of RAM.
    pub const RAM: u64 = 0x4000_0000;
    /// GIC distributor.
    pub const GICD: u64 = 0x0800_0000;
    /// Bytes of the distributor's window, as QEMU describes it; a GICv2's registers fill the first page.
    pub const GICD_SIZE: u64 = 0x1_0000;
    /// GICv2 CPU interface.
    pub const GICC: u64 = 0x0801_0000;
    /// Bytes of the CPU interface.
    pub const GICC_SIZE: u64 = 0x2000;
    /// GICv3 redistributors, one for each vCPU.
    pub const GICR: u64 = 0x080a_0000;
    /// PL011.
    pub const UART: u64 = 0x0900_0000;
    /// PL031.
    pub const RTC: u64 = 0x0901_0000;
    /// Bytes of each of these devices.
    pub const DEVICE_SIZE: u64 = 0x1000;
    /// First virtio-mmio slot; the others follow.
    pub const VIRTIO: u64 = 0x0a00_0000;
    /// Bytes of a virtio-mmio slot.
    pub const VIRTIO_SIZE: u64 = 0x200;
    /// Number of virtio-mmio slots.
    pub const VIRTIO_SLOTS: u32 = 32;
    /// Interrupt of the first virtio-mmio slot, as the GIC counts (SPI 16); the others follow.
    pub const VIRTIO_INTID: u32 = 48;
    /// Interrupt of the PL011, as the GIC counts (SPI 1).
    pub const UART_INTID: u32 = 33;
    /// Interrupt of the PL031 (SPI 2).
    pub const RTC_INTID: u32 = 34;
    /// Interrupt of the virtual timer (PPI 11).
    pub const VIRTUAL_TIMER_INTID: u32 = 27;
    /// Interrupt of the EL1 physical timer (PPI 14).
    pub const PHYSICAL_TIMER_INTID: u32 = 30;
}

/// What the tree describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine<'a> {
    /// Bytes of RAM at [`map::RAM`].
    pub memory_size: u64,
    /// vCPUs, at most 8.
    pub vcpus: u32,
    /// Interrupt controller.
    pub gic: Version,
    /// `compatible` of the processor, for example `arm,cortex-a53`.
    pub cpu: &'a str,
    /// Kernel command line.
    pub bootargs: &'a str,
    /// Guest physical addresses of the initramfs.
    pub initrd: Option<Range<u64>>,
    /// Bit k: virtio-mmio slot k has a device.
    pub virtio: u32,
}

const MAX_VCPUS: u32 = vgic::MAX_VCPUS as u32;
const GIC_PHANDLE: u32 = 1;
const CLOCK_PHANDLE: u32 = 2;
/// Interrupt types of the GIC binding.
const SPI: u32 = 0;
const PPI: u32 = 1;
/// Interrupt flags of the GIC binding: rising edge; level sensitive, active high or (by convention for timers) low.
const EDGE_RISING: u32 = 1;
const LEVEL_HIGH: u32 = 4;
const LEVEL_LOW: u32 = 8;

impl Machine<'_> {
    /// Writes the tree into `memory` and returns its size in bytes.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn write(&self, memory: &mut [u8]) -> Result<usize, Full> {
        let mut writer = Writer::new(memory);
        writer.node("", |root| {
            root.cells("interrupt-parent", &[GIC_PHANDLE]);
            root.strings("model", &["linux,dummy-virt"]);
            root.strings("compatible", &["linux,dummy-virt"]);
            root.cells("#address-cells", &[2]);
            root.cells("#size-cells", &[2]);
            self.chosen(root);
            root.node_at("memory", map::RAM, |node| {
                node.strings("device_type", &["memory"]);
                node.wide("reg", &[map::RAM, self.memory_size]);
            });
            self.cpus(root);
            psci(root);
            self.timer(root);
            self.gic(root);
            clock(root);
            uart(root);
            rtc(root);
            self.virtio(root);
        });
        writer.finish()
    }

    fn chosen(&self, root: &mut Writer<'_>) {
        root.node("chosen", |node| {
            if let Some(initrd) = &self.initrd {
                node.wide("linux,initrd-start", &[initrd.start]);
                node.wide("linux,initrd-end", &[initrd.end]);
            }
            node.strings("bootargs", &[self.bootargs]);
            node.strings("stdout-path", &["/pl011@9000000"]);
        });
    }

    fn cpus(&self, root: &mut Writer<'_>) {
        root.node("cpus", |cpus| {
            cpus.cells("#address-cells", &[1]);
            cpus.cells("#size-cells", &[0]);
            for cpu in 0..self.vcpus.min(8) {
                cpus.node_at("cpu", cpu.into(), |node| {
                    node.strings("device_type", &["cpu"]);
                    node.strings("compatible", &[self.cpu]);
                    node.cells("reg", &[cpu]);
                    node.strings("enable-method", &["psci"]);
                });
            }
        });
    }

    fn timer(&self, root: &mut Writer<'_>) {
        // PPI flags of a GICv2 carry the vCPUs in bits 15:8. Secure, non-secure physical, virtual, hypervisor.
        let vcpus = match self.gic {
            Version::V2 => (1 << self.vcpus.min(MAX_VCPUS)) - 1,
            Version::V3 => 0,
        };
        let flags = vcpus << 8 | LEVEL_LOW;
        root.node("timer", |node| {
            node.strings("compatible", &["arm,armv8-timer", "arm,armv7-timer"]);
            node.empty("always-on");
            node.cells("interrupts", &[PPI, 13, flags, PPI, 14, flags, PPI, 11, flags, PPI, 10, flags]);
        });
    }

    fn gic(&self, root: &mut Writer<'_>) {
        root.node_at("intc", map::GICD, |node| {
            node.cells("phandle", &[GIC_PHANDLE]);
            node.empty("interrupt-controller");
            node.cells("#interrupt-cells", &[3]);
            match self.gic {
                Version::V2 => {
                    node.strings("compatible", &["arm,cortex-a15-gic"]);
                    node.wide("reg", &[map::GICD, map::GICD_SIZE, map::GICC, map::GICC_SIZE]);
                }
                Version::V3 => {
                    let size = Version::V3.redistributor_size() * u64::from(self.vcpus.min(MAX_VCPUS));
                    node.strings("compatible", &["arm,gic-v3"]);
                    node.cells("#redistributor-regions", &[1]);
                    node.wide("reg", &[map::GICD, map::GICD_SIZE, map::GICR, size]);
                }
            }
        });
    }

    fn virtio(&self, root: &mut Writer<'_>) {
        for slot in (0..map::VIRTIO_SLOTS).filter(|slot| self.virtio & 1 << slot != 0) {
            let address = map::VIRTIO + map::VIRTIO_SIZE * u64::from(slot);
            root.node_at("virtio_mmio", address, |node| {
                node.strings("compatible", &["virtio,mmio"]);
                node.wide("reg", &[address, map::VIRTIO_SIZE]);
                node.cells("interrupts", &[SPI, map::VIRTIO_INTID - 32 + slot, EDGE_RISING]);
                node.empty("dma-coherent");
            });
        }
    }
}

/// PSCI by `smc`: on a kernel that takes a guest's HVC for a system call, only SMC is exact.
fn psci(root: &mut Writer<'_>) {
    root.node("psci", |node| {
        node.strings("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
        node.strings("method", &["smc"]);
    });
}

fn clock(root: &mut Writer<'_>) {
    root.node("apb-pclk", |node| {
        node.strings("compatible", &["fixed-clock"]);
        node.cells("phandle", &[CLOCK_PHANDLE]);
        node.strings("clock-output-names", &["clk24mhz"]);
        node.cells("clock-frequency", &[24_000_000]);
        node.cells("#clock-cells", &[0]);
    });
}

fn uart(root: &mut Writer<'_>) {
    root.node_at("pl011", map::UART, |node| {
        node.strings("compatible", &["arm,pl011", "arm,primecell"]);
        node.wide("reg", &[map::UART, map::DEVICE_SIZE]);
        node.cells("interrupts", &[SPI, map::UART_INTID - 32, LEVEL_HIGH]);
        node.cells("clocks", &[CLOCK_PHANDLE, CLOCK_PHANDLE]);
        node.strings("clock-names", &["uartclk", "apb_pclk"]);
    });
}

fn rtc(root: &mut Writer<'_>) {
    root.node_at("pl031", map::RTC, |node| {
        node.strings("compatible", &["arm,pl031", "arm,primecell"]);
        node.wide("reg", &[map::RTC, map::DEVICE_SIZE]);
        node.cells("interrupts", &[SPI, map::RTC_INTID - 32, LEVEL_HIGH]);
        node.cells("clocks", &[CLOCK_PHANDLE]);
        node.strings("clock-names", &["apb_pclk"]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::fdt::{Fdt, FdtNode};
    use dtoolkit::{Node, Property};

    fn machine() -> Machine<'static> {
        Machine {
            memory_size: 512 << 20,
            vcpus: 2,
            gic: Version::V2,
            cpu: "arm,cortex-a53",
            bootargs: "console=ttyAMA0 quiet",
            initrd: Some(0x4221_0000..0x4232_2345),
            virtio: 0,
        }
    }

    fn cells(node: &FdtNode<'_>, name: &str) -> Vec<u32> {
        let value = node.property(name).unwrap_or_else(|| panic!("no {name}")).value().to_vec();
        value.chunks(4).map(|cell| u32::from_be_bytes(cell.try_into().expect("whole cells"))).collect()
    }

    fn with_tree(machine: &Machine<'_>, check: impl FnOnce(FdtNode<'_>)) {
        let mut memory = vec![0xff; 0x1_0000];
        let size = machine.write(&mut memory).expect("fits");
        let fdt = Fdt::new(&memory[..size]).expect("valid");
        check(fdt.root());
    }

    #[test]
    fn describes_what_the_guest_has() {
        with_tree(&machine(), |root| {
            let children: Vec<_> = root.children().map(|node| node.name().to_owned()).collect();
            assert_eq!(
                children,
                [
                    "chosen",
                    "memory@40000000",
                    "cpus",
                    "psci",
                    "timer",
                    "intc@8000000",
                    "apb-pclk",
                    "pl011@9000000",
                    "pl031@9010000"
                ]
            );
            let memory = root.child("memory@40000000").expect("memory");
            assert_eq!(cells(&memory, "reg"), [0, 0x4000_0000, 0, 0x2000_0000]);
            let psci = root.child("psci").expect("psci");
            assert_eq!(psci.property("method").expect("method").value_as::<&str>(), Ok("smc"));
            let gic = root.child("intc@8000000").expect("gic");
            assert_eq!(cells(&gic, "reg"), [0, 0x800_0000, 0, 0x1_0000, 0, 0x801_0000, 0, 0x2000]);
            let uart = root.child("pl011@9000000").expect("uart");
            assert_eq!(cells(&uart, "interrupts"), [0, 1, 4]);
            let timer = root.child("timer").expect("timer");
            assert_eq!(cells(&timer, "interrupts")[6..9], [1, 11, 0x308]);
        });
    }

    #[test]
    fn a_gicv3_has_a_redistributor_for_each_vcpu() {
        with_tree(&Machine { gic: Version::V3, ..machine() }, |root| {
            let gic = root.child("intc@8000000").expect("gic");
            assert_eq!(gic.property("compatible").expect("compatible").value_as::<&str>(), Ok("arm,gic-v3"));
            assert_eq!(cells(&gic, "reg"), [0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x4_0000]);
            let timer = root.child("timer").expect("timer");
            assert_eq!(cells(&timer, "interrupts")[6..9], [1, 11, 8], "no vCPUs in the flags");
        });
    }

    #[test]
    fn every_vcpu_is_started_by_psci() {
        with_tree(&machine(), |root| {
            let cpus = root.child("cpus").expect("cpus");
            assert_eq!(cpus.children().count(), 2);
            for (number, cpu) in (0u32..).zip(cpus.children()) {
                assert_eq!(cells(&cpu, "reg"), [number]);
                assert_eq!(cpu.property("enable-method").expect("method").value_as::<&str>(), Ok("psci"));
            }
        });
    }

    #[test]
    fn chosen_tells_command_line_and_initramfs() {
        with_tree(&machine(), |root| {
            let chosen = root.child("chosen").expect("chosen");
            assert_eq!(
                chosen.property("bootargs").expect("bootargs").value_as::<&str>(),
                Ok("console=ttyAMA0 quiet")
            );
            assert_eq!(cells(&chosen, "linux,initrd-start"), [0, 0x4221_0000]);
            assert_eq!(cells(&chosen, "linux,initrd-end"), [0, 0x4232_2345]);
        });
        with_tree(&Machine { initrd: None, ..machine() }, |root| {
            assert!(root.child("chosen").expect("chosen").property("linux,initrd-start").is_none());
        });
    }

    #[test]
    fn virtio_slots_are_where_qemu_has_them() {
        with_tree(&Machine { virtio: 1 << 0 | 1 << 3 | 1 << 31, ..machine() }, |root| {
            let slots: Vec<_> = root.children().filter(|node| node.name().starts_with("virtio")).collect();
            let names: Vec<_> = slots.iter().map(|node| node.name().to_owned()).collect();
            assert_eq!(names, ["virtio_mmio@a000000", "virtio_mmio@a000600", "virtio_mmio@a003e00"]);
            assert_eq!(cells(&slots[1], "reg"), [0, 0x0a00_0600, 0, 0x200]);
            assert_eq!(cells(&slots[1], "interrupts"), [0, 19, 1]);
            assert!(slots[1].property("dma-coherent").is_some());
        });
    }

    #[test]
    fn phandles_resolve() {
        with_tree(&machine(), |root| {
            let clock = cells(&root.child("apb-pclk").expect("clock"), "phandle");
            let gic = cells(&root.child("intc@8000000").expect("gic"), "phandle");
            assert_eq!(cells(&root, "interrupt-parent"), gic);
            assert_eq!(cells(&root.child("pl031@9010000").expect("rtc"), "clocks"), clock);
            assert_ne!(clock, gic);
        });
    }

    #[test]
    fn a_command_line_that_does_not_fit_is_refused() {
        let long = "x".repeat(0x1_0000);
        assert_eq!(Machine { bootargs: &long, ..machine() }.write(&mut vec![0; 0x1_0000]), Err(Full));
    }

    #[test]
    fn impossible_numbers_of_vcpus_do_not_panic() {
        with_tree(&Machine { vcpus: u32::MAX, ..machine() }, |root| {
            assert_eq!(root.child("cpus").expect("cpus").children().count(), 8);
        });
    }
}
