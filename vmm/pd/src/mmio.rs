// SPDX-License-Identifier: BSD-2-Clause
//! Loads and stores to emulated devices.

use crate::guest::Guest;
use crate::host::Host;
use crate::trap::Trap;
use crate::vcpu::Vcpu;
use crate::virtio::Accessed;
use vmm_arm::{Access, Width};
use vmm_fdt::machine::map;

const GICD_END: u64 = map::GICD + map::GICD_SIZE - 1;
const UART_END: u64 = map::UART + map::DEVICE_SIZE - 1;
const VIRTIO_END: u64 = map::VIRTIO + map::VIRTIO_SIZE * map::VIRTIO_SLOTS as u64 - 1;
const RTC_END: u64 = map::RTC + map::DEVICE_SIZE - 1;

impl<H: Host> Guest<H> {
    /// Performs an aligned access at intermediate physical `address`.
    #[inline]
    pub(crate) fn mmio(
        &mut self,
        index: usize,
        address: u64,
        access: &Access,
        trap: &mut Trap<'_, H::Vcpu>,
    ) -> Accessed {
        match address {
            map::VIRTIO..=VIRTIO_END => return self.virtio(address, access, trap),
            map::UART..=UART_END if access.width != Width::Double => {
                self.uart(address - map::UART, access, trap)
            }
            map::GICD..=GICD_END => self.distributor(index, address - map::GICD, access, trap),
            map::RTC..=RTC_END if access.width != Width::Double => self.rtc(address - map::RTC, access, trap),
            _ => return Accessed::Nobody,
        }
        Accessed::Done
    }

    #[inline]
    fn uart(&mut self, offset: u64, access: &Access, trap: &mut Trap<'_, H::Vcpu>) {
        if access.write {
            if let Some(value) = word_written(offset, access, trap) {
                self.machine.uart.write(offset, value, self.host.console());
            }
        } else {
            let value = self.machine.uart.read(offset & !3);
            load(offset, value, access, trap);
        }
        self.receive_input();
        self.update_uart_line();
    }

    fn rtc(&mut self, offset: u64, access: &Access, trap: &mut Trap<'_, H::Vcpu>) {
        let now = self.host.wall_clock();
        if access.write {
            if let Some(value) = word_written(offset, access, trap) {
                self.machine.rtc.write(offset, value, now);
            }
        } else {
            let value = self.machine.rtc.read(offset & !3, now);
            load(offset, value, access, trap);
        }
        self.clock_changed();
    }

    fn distributor(&mut self, index: usize, offset: u64, access: &Access, trap: &mut Trap<'_, H::Vcpu>) {
        let width = match access.width {
            Width::Byte => vgic::Width::Byte,
            Width::Half => vgic::Width::Half,
            Width::Word => vgic::Width::Word,
            Width::Double => vgic::Width::Double,
        };
        if access.write {
            let value = access.stored(trap.gpr(access.register));
            self.with_gic(|gic, lines| gic.mmio_write(index, offset, width, value, lines));
        } else {
            let value = self.machine.gic.mmio_read(index, offset, width);
            trap.set_gpr(access.register, access.loaded(value));
        }
    }
}

/// The value of a store to a 32-bit register; `None` for one that leaves out the register's low byte, which is ignored.
fn word_written<V: Vcpu>(offset: u64, access: &Access, trap: &mut Trap<'_, V>) -> Option<u32> {
    offset.is_multiple_of(4).then(|| access.stored(trap.gpr(access.register)) as u32)
}

/// Answers a load from a 32-bit register that holds `value`, or from a part of it.
fn load<V: Vcpu>(offset: u64, value: u32, access: &Access, trap: &mut Trap<'_, V>) {
    let part = u64::from(value) >> (8 * (offset & 3));
    trap.set_gpr(access.register, access.loaded(part));
}
