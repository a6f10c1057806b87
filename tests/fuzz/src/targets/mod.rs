// SPDX-License-Identifier: BSD-2-Clause
//! The targets.

mod block_link;
mod devices;
mod distributor;
mod net_link;
mod serial;
mod switch;

use vmm_virtio::mock::hostile;

/// A function of bytes, with its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("virtio_queue", hostile::queue),
    ("virtio_block", hostile::block),
    ("virtio_net", hostile::net),
    ("virtio_console", hostile::console),
    ("virtio_entropy", hostile::entropy),
    ("pl011", devices::pl011),
    ("pl031", devices::pl031),
    ("distributor", distributor::distributor),
    ("gicv3", distributor::gicv3),
    ("ring_block", block_link::block),
    ("ring_net", net_link::net),
    ("ring_serial", serial::serial),
    ("network_switch", switch::switch),
];

/// The one of this name.
#[must_use]
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
