// SPDX-License-Identifier: BSD-2-Clause
//! Makes system calls without end, the longest that a PD can: full messages to a passive and an active server, all
//! registers of a child read, the child restarted and stopped.
#![no_std]
#![no_main]

use sel4_microkit::{
    Channel, Child, ENTRY, Handler, MessageInfo, NullHandler, protection_domain, set_mr, var,
};
use test_pds as _;

/// Most words of a message.
const WORDS: usize = 120;

#[protection_domain]
fn init() -> impl Handler {
    let servers = [*var!(passive_ch: usize = 0), *var!(active_ch: usize = 0)].map(Channel::new);
    let child = Child::new(1);
    for round in 0_u64.. {
        for server in servers {
            for word in 0..WORDS {
                set_mr(word, round);
            }
            server.pp_call(MessageInfo::new(0, WORDS));
        }
        core::hint::black_box(child.registers());
        child.restart(ENTRY);
        child.stop();
    }
    NullHandler::new()
}
