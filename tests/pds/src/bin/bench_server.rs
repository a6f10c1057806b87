// SPDX-License-Identifier: BSD-2-Clause
//! Answers protected calls with as many message registers as it got. Passive or active as the system description says.
#![no_std]
#![no_main]

use sel4_microkit::{Channel, Handler, Infallible, MessageInfo, protection_domain};
use test_pds as _;

struct Server;

impl Handler for Server {
    type Error = Infallible;

    fn protected(&mut self, _channel: Channel, info: MessageInfo) -> Result<MessageInfo, Infallible> {
        Ok(info)
    }
}

#[protection_domain]
fn init() -> impl Handler {
    Server
}
