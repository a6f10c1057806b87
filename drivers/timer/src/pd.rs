// SPDX-License-Identifier: BSD-2-Clause
//! What the PDs of timer drivers have in common: the [`protocol`](crate::protocol) in registers.

use sel4_microkit::{Channel, ChannelSet, MessageInfo, get_mr, restarted, set_mr};

use crate::protocol::{BAD_REQUEST, OK, Request};

/// Tells client `number`, by its channel.
pub fn notify(number: usize) {
    Channel::new(number).notify();
}

/// Tells all clients, if this is not the PD's first life: their time-outs are forgotten.
pub fn tell_of_restart() {
    if restarted() {
        ChannelSet::all_notifiable().iter().for_each(|client| client.notify());
    }
}

/// The answer to the call with `info` and its message registers; `serve` gives what the driver answers to the request.
pub fn answer(info: MessageInfo, serve: impl FnOnce(Request) -> Option<u64>) -> MessageInfo {
    let Some(request) = Request::decode(info.label(), info.count(), get_mr(0)) else {
        return MessageInfo::new(BAD_REQUEST, 0);
    };
    let Some(time) = serve(request) else { return MessageInfo::new(OK, 0) };
    set_mr(0, time);
    MessageInfo::new(OK, 1)
}
