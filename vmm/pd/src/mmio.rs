// SPDX-License-Identifier: BSD-2-Clause
//! Loads and stores to emulated devices.

use crate::guest::Guest;
use crate::host::Host;
use crate::virtio::Accessed;
use vmm_arm::{Access, Width};
use vmm_fdt::machine::map;

const GICD_END: u64 = map::GICD + map::GICD_SIZE - 1;
const UART_END: u64 = map::UART + map::DEVICE_SIZE - 1;
const VIRTIO_END: u64 = map::VIRTIO + map::VIRTIO_SIZE * map::VIRTIO_SLOTS as u64 - 1;
const RTC_END: u64 = map::RTC + map::DEVICE_SIZE - 1;

impl<H: Host> Guest<H> {
    /// Performs an aligned access at intermediate physical `address`; a store is one of `value`.
    #[inline]
    pub(crate) fn mmio(&mut self, index: usize, address: u64, access: &Access, value: u64) -> Accessed {
        match address {
            map::VIRTIO..=VIRTIO_END => self.virtio(address, access, value),
            map::UART..=UART_END if access.width != Width::Double => {
                self.uart(address - map::UART, access, value)
            }
            map::GICD..=GICD_END => self.distributor(index, address - map::GICD, access, value),
            map::RTC..=RTC_END if access.width != Width::Double => {
                self.rtc(address - map::RTC, access, value)
            }
            map::GICR.. if address - map::GICR < self.machine.gic.redistributors_size() => {
                self.redistributor(address - map::GICR, access, value)
            }
            _ => Accessed::Nobody,
        }
    }

    #[inline]
    fn uart(&mut self, offset: u64, access: &Access, value: u64) -> Accessed {
        let accessed = if access.write {
            if is_word(offset) {
                self.machine.uart.write(offset, value as u32, self.host.console());
            }
            Accessed::Stored
        } else {
            part(offset, self.machine.uart.read(offset & !3))
        };
        self.receive_input();
        self.update_uart_line();
        accessed
    }

    fn rtc(&mut self, offset: u64, access: &Access, value: u64) -> Accessed {
        let now = self.host.wall_clock();
        let accessed = if access.write {
            if is_word(offset) {
                self.machine.rtc.write(offset, value as u32, now);
            }
            Accessed::Stored
        } else {
            part(offset, self.machine.rtc.read(offset & !3, now))
        };
        self.clock_changed();
        accessed
    }

    fn distributor(&mut self, index: usize, offset: u64, access: &Access, value: u64) -> Accessed {
        let width = gic_width(access);
        if access.write {
            self.with_gic(|gic, lines| gic.mmio_write(index, offset, width, value, lines));
            Accessed::Stored
        } else {
            Accessed::Loaded(self.machine.gic.mmio_read(index, offset, width))
        }
    }

    fn redistributor(&mut self, offset: u64, access: &Access, value: u64) -> Accessed {
        let width = gic_width(access);
        if access.write {
            self.with_gic(|gic, lines| gic.redistributor_write(offset, width, value, lines));
            Accessed::Stored
        } else {
            Accessed::Loaded(self.machine.gic.redistributor_read(offset, width))
        }
    }
}

const fn gic_width(access: &Access) -> vgic::Width {
    match access.width {
        Width::Byte => vgic::Width::Byte,
        Width::Half => vgic::Width::Half,
        Width::Word => vgic::Width::Word,
        Width::Double => vgic::Width::Double,
    }
}

/// Whether a store reaches a 32-bit register: one that leaves out the register's low byte is ignored.
const fn is_word(offset: u64) -> bool {
    offset.is_multiple_of(4)
}

/// Answers a load from a 32-bit register that holds `value`, or from a part of it.
fn part(offset: u64, value: u32) -> Accessed {
    Accessed::Loaded(u64::from(value) >> (8 * (offset & 3)))
}
