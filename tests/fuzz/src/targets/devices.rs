// SPDX-License-Identifier: BSD-2-Clause
//! The UART and the clock against a guest that writes anything anywhere.

use crate::steps::Steps;
use vmm_devices::{Pl011, Pl031, Transmit};

/// A sink that has room for some bytes.
struct Sink {
    room: usize,
    taken: usize,
}

impl Transmit for Sink {
    fn put(&mut self, _byte: u8) -> bool {
        let Some(room) = self.room.checked_sub(1) else { return false };
        self.room = room;
        self.taken += 1;
        true
    }
}

/// A known register mostly.
fn offset(steps: &mut Steps<'_>) -> u64 {
    let wild = steps.byte();
    if wild < 16 { u64::from(steps.word()) << (wild % 8) } else { 4 * u64::from(wild % 0x14) }
}

pub fn pl011(data: &[u8]) {
    let (mut steps, mut uart) = (Steps(data), Pl011::new());
    let mut sink = Sink { room: 0, taken: 0 };
    let (mut written, mut pending) = (0, 0);
    while !steps.is_empty() {
        match steps.byte() % 6 {
            0 => {
                let at = offset(&mut steps);
                written += usize::from(at == vmm_devices::pl011::regs::DR);
                uart.write(at, steps.word(), &mut sink);
            }
            1 => {
                uart.read(offset(&mut steps));
            }
            2 => {
                let bytes = [0x55; 40];
                let room = uart.room();
                assert!(room <= 16);
                let taken = uart.receive(&bytes[..usize::from(steps.byte() % 41)]);
                assert!(taken <= room, "{taken} into room for {room}");
            }
            3 => sink.room = usize::from(steps.byte() % 32),
            4 => uart.drain(&mut sink),
            _ => {
                let _ = uart.asserted();
            }
        }
        pending = uart.pending_output();
        assert!(pending <= 16);
    }
    assert!(sink.taken + pending <= written, "output out of nothing");
}

pub fn pl031(data: &[u8]) {
    let (mut steps, mut clock) = (Steps(data), Pl031::new());
    let mut now = steps.word();
    while !steps.is_empty() {
        now = now.wrapping_add(u32::from(steps.byte()));
        match steps.byte() % 2 {
            0 => clock.write(offset(&mut steps), steps.word(), now),
            _ => {
                clock.read(offset(&mut steps), now);
            }
        }
    }
}
