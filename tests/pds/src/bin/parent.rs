// SPDX-License-Identifier: BSD-2-Clause
//! Reports each fault of its children, restarts the child twice, then stops it.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{Child, Handler, Infallible, MessageInfo, memory_region_symbol, protection_domain};
use test_pds::Uart;

/// Where every image begins (`microkit.ld`), and `_start` with it.
const ENTRY: usize = 0x20_0000;

/// Restarts of a child.
const RESTARTS: u32 = 2;

struct Parent {
    uart: Uart,
    faults: [u32; 64],
}

impl Handler for Parent {
    type Error = Infallible;

    fn fault(&mut self, child: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        let Some(count) = self.faults.get_mut(child.index()) else { return Ok(None) };
        *count += 1;
        // The console cannot fail.
        let _ = writeln!(self.uart, "TEST child {} fault {count}: {:x?}\r", child.index(), info.fault());
        if *count <= RESTARTS {
            child.restart(ENTRY);
        } else {
            child.stop();
            let _ = writeln!(self.uart, "TEST child {} stopped\r", child.index());
        }
        Ok(None)
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there, for this PD and those that print when this one does not run.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    Parent { uart, faults: [0; 64] }
}
