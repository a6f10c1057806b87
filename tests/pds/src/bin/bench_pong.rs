// SPDX-License-Identifier: BSD-2-Clause
//! Notifies back.
#![no_std]
#![no_main]

use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, protection_domain, var};
use test_pds as _;

struct Pong {
    peer: Channel,
}

impl Handler for Pong {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        self.peer.notify();
        Ok(())
    }
}

#[protection_domain]
fn init() -> impl Handler {
    Pong { peer: Channel::new(*var!(peer_ch: usize = 0)) }
}
