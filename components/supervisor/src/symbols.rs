// SPDX-License-Identifier: BSD-2-Clause
//! What the system description sets.

use core::ptr::NonNull;

use sel4_microkit::{Channel, var};
use supervisor::MAX_CHILDREN;

/// What a channel symbol holds that the system description does not set.
const NOT_CONNECTED: usize = usize::MAX;

/// The values of the symbols.
pub struct Symbols {
    /// The configuration text.
    pub config: &'static [u8],
    /// The heartbeat.
    pub heartbeat: Option<Channel>,
    /// A second heartbeat, of lower priority than all children.
    pub witness: Option<Channel>,
    /// By child: where it is asked whether it is alive, and answers.
    pub watchdogs: [Option<Channel>; MAX_CHILDREN],
}

/// The channel that a symbol names, if the system description sets it.
pub fn connected(index: usize) -> Option<Channel> {
    (index != NOT_CONNECTED).then(|| Channel::new(index))
}

macro_rules! channels {
    ($($symbol:ident)*) => {
        [$(connected(*var!($symbol: usize = NOT_CONNECTED))),*]
    };
}

/// Reads the symbols.
pub fn read() -> Symbols {
    let (address, size) = (*var!(config: usize = 0), *var!(config_size: usize = 0));
    let config = match NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)) {
        // SAFETY: a region of at least this size that is mapped read-only for the PD's whole life and never changes.
        Some(text) => unsafe { core::slice::from_raw_parts(text.as_ptr(), size) },
        None => &[],
    };
    Symbols {
        config,
        heartbeat: connected(*var!(heartbeat_ch: usize = NOT_CONNECTED)),
        witness: connected(*var!(witness_ch: usize = NOT_CONNECTED)),
        watchdogs: channels! {
            child0_ch child1_ch child2_ch child3_ch child4_ch child5_ch child6_ch child7_ch
            child8_ch child9_ch child10_ch child11_ch child12_ch child13_ch child14_ch child15_ch
            child16_ch child17_ch child18_ch child19_ch child20_ch child21_ch child22_ch child23_ch
        },
    }
}
