// SPDX-License-Identifier: BSD-2-Clause
//! Notifies its peer once.
#![no_std]
#![no_main]

use sel4_microkit::{Channel, Handler, NullHandler, protection_domain, var};
use test_pds as _;

#[protection_domain]
fn init() -> impl Handler {
    Channel::new(*var!(peer_ch: usize = 0)).notify();
    NullHandler::new()
}
