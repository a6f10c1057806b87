// SPDX-License-Identifier: BSD-2-Clause
//! Has two PDs (`phoenix`) die while it calls them, and checks what it is answered and that they come back as new, until
//! each is given up.
#![no_std]
#![no_main]

use core::fmt::Write;

use sel4_microkit::{
    Channel, GIVEN_UP, Handler, MessageInfo, NullHandler, RESTARTED, get_mr, memory_region_symbol,
    protection_domain, var,
};
use test_pds::Uart;
use test_pds::phoenix::{CRASH, DAMAGE, HANG, PANIC, STATE};

struct Mourner {
    uart: Uart,
    failed: bool,
}

impl Mourner {
    fn check(&mut self, what: &str, found: [u64; 4], expected: [u64; 4]) {
        let verdict = if found == expected { "ok" } else { "failed" };
        self.failed |= found != expected;
        // The console cannot fail.
        let _ = writeln!(self.uart, "TEST mourner {what}: {verdict}, {found:x?}\r");
    }

    /// Has `phoenix` answer: label, starts, and both counters.
    fn state(&mut self, phoenix: Channel, what: &str, expected: [u64; 4]) {
        let answer = phoenix.call_again(STATE, &[]);
        let found = match answer.label() {
            STATE => [STATE, get_mr(0), get_mr(1), get_mr(2)],
            label => [label, 0, 0, 0],
        };
        self.check(what, found, expected);
    }

    /// Has `phoenix` die.
    fn kill(&mut self, phoenix: Channel, how: u64, what: &str, expected: u64) {
        let answer = phoenix.pp_call(MessageInfo::new(how, 0));
        self.check(what, [answer.label(), 0, 0, 0], [expected, 0, 0, 0]);
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: the system description maps a PL011 there; whole lines are written at once.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let first = Channel::new(*var!(first_ch: usize = 0));
    let second = Channel::new(*var!(second_ch: usize = 0));
    let mut this = Mourner { uart, failed: false };

    this.state(first, "fresh", [STATE, 1, 8, 1]);
    this.state(first, "used", [STATE, 1, 9, 2]);
    this.kill(first, CRASH, "crash", RESTARTED);
    this.state(first, "after the crash", [STATE, 2, 8, 1]);
    this.kill(first, PANIC, "panic", RESTARTED);
    this.state(first, "after the panic", [STATE, 3, 8, 1]);
    this.kill(first, HANG, "hang", RESTARTED);
    this.state(first, "after the hang", [STATE, 4, 8, 1]);
    this.state(second, "the other one", [STATE, 1, 8, 1]);
    this.kill(first, DAMAGE, "damage", GIVEN_UP);
    this.state(first, "after the damage", [GIVEN_UP, 0, 0, 0]);
    for start in 2..=5 {
        this.kill(second, CRASH, "one of many crashes", RESTARTED);
        this.state(second, "after one of many", [STATE, start, 8, 1]);
    }
    this.kill(second, CRASH, "one too many", GIVEN_UP);
    this.state(second, "after one too many", [GIVEN_UP, 0, 0, 0]);

    let verdict = if this.failed { "failed" } else { "passed" };
    // The console cannot fail.
    let _ = writeln!(this.uart, "TEST mourner {verdict}\r");
    NullHandler::new()
}
