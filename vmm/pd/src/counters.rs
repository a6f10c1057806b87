// SPDX-License-Identifier: BSD-2-Clause
//! How often a guest's vCPUs stopped, by reason.

use crate::exit::Exit;
use core::fmt;
use vgic::{MAX_VCPUS, Version};
use vmm_arm::{Class, DataAbort, Syndrome, WaitKind};
use vmm_fdt::machine::map;
use vmm_virtio::mmio::registers;

/// First addresses behind the distributor and behind a GICv3's redistributors.
const GICD_END: u64 = map::GICD + map::GICD_SIZE;
const GICR_END: u64 = map::GICR + Version::V3.redistributor_size() * MAX_VCPUS as u64;

/// Names of the reasons, in the order of [`Reason`].
const NAMES: [&str; 17] = [
    "uart_read",
    "uart_write",
    "gicd",
    "rtc",
    "kick",
    "virtio_status",
    "virtio_ack",
    "virtio",
    "wfi",
    "wfe",
    "smc",
    "hvc",
    "sysreg",
    "vtimer",
    "maintenance",
    "abort",
    "other",
];

#[derive(Clone, Copy)]
pub(crate) enum Reason {
    UartRead,
    UartWrite,
    Distributor,
    Clock,
    Kick,
    VirtioStatus,
    VirtioAcknowledge,
    Virtio,
    WaitForInterrupt,
    WaitForEvent,
    Smc,
    Hvc,
    SystemRegister,
    VirtualTimer,
    Maintenance,
    Abort,
    Other,
}

/// Exits by reason. Shown as `exits uart_read=1 uart_write=2 ...`, without those that did not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; NAMES.len()]);

impl Counters {
    /// No exits.
    pub const fn new() -> Self {
        Self([0; NAMES.len()])
    }

    /// Counts one exit.
    #[inline]
    pub fn count(&mut self, exit: &Exit) {
        self.count_reason(reason(exit));
    }

    #[inline]
    pub(crate) fn count_reason(&mut self, reason: Reason) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    /// The counter called `name`; 0 when there is none such.
    pub fn get(&self, name: &str) -> u64 {
        NAMES.iter().zip(self.0).find(|(known, _)| **known == name).map_or(0, |(_, count)| count)
    }
}

#[inline]
fn reason(exit: &Exit) -> Reason {
    match *exit {
        Exit::Memory { address, fetch: false, syndrome, .. } => match address & !0xfff {
            map::UART if DataAbort::new(Syndrome::new(syndrome)).is_write() => Reason::UartWrite,
            map::UART => Reason::UartRead,
            map::GICD => Reason::Distributor,
            map::RTC => Reason::Clock,
            map::VIRTIO => match address % map::VIRTIO_SIZE {
                registers::QUEUE_NOTIFY => Reason::Kick,
                registers::INTERRUPT_STATUS => Reason::VirtioStatus,
                registers::INTERRUPT_ACK => Reason::VirtioAcknowledge,
                _ => Reason::Virtio,
            },
            map::GICD..GICD_END | map::GICR..GICR_END => Reason::Distributor,
            _ => Reason::Abort,
        },
        Exit::Memory { .. } => Reason::Abort,
        Exit::Trapped(syndrome) => {
            let syndrome = Syndrome::new(syndrome);
            match (syndrome.class(), syndrome.wait_kind()) {
                (Class::Wait, WaitKind::Interrupt) => Reason::WaitForInterrupt,
                (Class::Wait, WaitKind::Event) => Reason::WaitForEvent,
                (Class::Smc64, _) => Reason::Smc,
                (Class::SysReg, _) => Reason::SystemRegister,
                _ => Reason::Other,
            }
        }
        Exit::Hypercall(_) => Reason::Hvc,
        Exit::PrivateInterrupt(_) => Reason::VirtualTimer,
        Exit::Maintenance(_) => Reason::Maintenance,
        Exit::Unknown(_) | Exit::Unexpected(_) => Reason::Other,
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exits")?;
        for (name, count) in NAMES.iter().zip(self.0).filter(|(_, count)| *count > 0) {
            write!(f, " {name}={count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_counted_by_reason() {
        let mut counters = Counters::new();
        let memory = |address, syndrome| Exit::Memory { pc: 0, address, fetch: false, syndrome };
        for exit in [
            memory(map::UART, 0x9300_0047),
            memory(map::UART + 0x18, 0x9300_0007),
            memory(map::UART, 0x9300_0047),
            memory(map::VIRTIO + 0x250, 0x9300_0047),
            memory(0, 0x9300_0007),
            Exit::Memory { pc: 0, address: map::UART, fetch: true, syndrome: 0 },
            Exit::Trapped(0x07e0_0000),
            Exit::Trapped(0x5e00_0000),
            Exit::Maintenance(None),
        ] {
            counters.count(&exit);
        }
        let text = "exits uart_read=1 uart_write=2 kick=1 wfi=1 smc=1 maintenance=1 abort=2";
        assert_eq!(counters.to_string(), text);
        assert_eq!((counters.get("uart_write"), counters.get("no such reason")), (2, 0));
    }
}
