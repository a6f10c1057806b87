// SPDX-License-Identifier: BSD-2-Clause
//! Makes system calls without end, the longest that a PD can: full messages to a passive and an active server, all
//! registers of a child read, the child restarted and stopped, caches maintained for half a megabyte of a large page.
#![no_std]
#![no_main]

use sel4_microkit::{
    Channel, Child, ENTRY, Handler, MessageInfo, NullHandler, protection_domain, set_mr, var,
};
use test_pds::METHODS;

/// Most words of a message.
const WORDS: usize = 120;

/// The PD's own address space, in its CSpace.
const VSPACE: u64 = 3;
/// Bytes whose cache lines are written back in one call.
const CACHED: u64 = 512 << 10;

#[protection_domain]
fn init() -> impl Handler {
    let servers = [*var!(passive_ch: usize = 0), *var!(active_ch: usize = 0)].map(Channel::new);
    let child = Child::new(1);
    let large = *var!(large: u64 = 0);
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
        let mut methods = METHODS;
        let code = methods.seL4_ARM_VSpace_CleanInvalidate_Data(VSPACE, large, large + CACHED);
        assert_eq!(code, 0, "cache maintenance is refused");
    }
    NullHandler::new()
}
