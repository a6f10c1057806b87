// SPDX-License-Identifier: BSD-2-Clause
//! The links and rings of the guest's virtio devices, as the system description maps them.

use crate::pd::host::PdHost;
use crate::pd::ram::{Shared, Window};
use crate::pd::symbols::{ConsoleSymbols, LinkSymbols, Region, RingSymbols, Symbols};
use core::ptr::NonNull;
use ring::memory::SharedRegion;
use ring::pages::SharedPages;
use ring::serial::{Consumer, Producer};
use ring::{blk, net};
use sel4_microkit::restarted;
use vmm::Links;
use vmm::device::{BlockLink, ConsoleRings, EntropyRing, NetLink};

/// Connects the devices that the system description gives the guest. One whose regions do not fit is left out, with a
/// message. `coherent`: the disk sees the processor's caches.
///
/// # Safety
/// The links, rings and data regions of `symbols` that have an address are mapped there with their sizes for the rest of
/// the program, and this is called once.
pub unsafe fn connect(symbols: &Symbols, coherent: bool) -> Links<PdHost> {
    // SAFETY: the same contract for each.
    unsafe {
        Links {
            block: device("disk", symbols.block.channel.is_some(), || disk(&symbols.block, coherent)),
            net: device("network", symbols.net.channel.is_some(), || network(&symbols.net)),
            entropy: device("entropy", symbols.entropy.channel.is_some(), || entropy(&symbols.entropy)),
            console: device("virtio console", symbols.virtio_console.channel.is_some(), || {
                console(&symbols.virtio_console)
            }),
        }
    }
}

fn device<T>(name: &str, wanted: bool, connect: impl FnOnce() -> Option<T>) -> Option<T> {
    let device = if wanted { connect() } else { None };
    if wanted && device.is_none() {
        log::error!("{name}: its regions are missing or do not fit, so there is none");
    }
    device
}

/// # Safety
/// As [`connect`].
unsafe fn disk(symbols: &LinkSymbols, coherent: bool) -> Option<BlockLink<SharedPages, Shared>> {
    // SAFETY: mapped, by the contract; used only through this.
    let pages = unsafe { SharedPages::at(symbols.link.address, symbols.link.size) }?;
    let client = blk::Client::new(pages).ok()?;
    if symbols.tx_data.size == 0 {
        if !coherent {
            log::error!("the direct layout is for disks that see the processor's caches");
            return None;
        }
        return Some(BlockLink::direct(client));
    }
    // SAFETY: as above.
    let data = unsafe { window(symbols.tx_data) }?;
    let data = if coherent { Shared::coherent(data) } else { Shared::maintained(data) };
    Some(BlockLink::isolated(client, data, data.size() as u64))
}

/// # Safety
/// As [`connect`].
unsafe fn network(symbols: &LinkSymbols) -> Option<NetLink<SharedPages, Shared>> {
    // SAFETY: mapped, by the contract; used only through this.
    let pages = unsafe { SharedPages::at(symbols.link.address, symbols.link.size) }?;
    let client = net::Client::new(pages).ok()?;
    // SAFETY: as above.
    let (transmit, receive) = unsafe { (window(symbols.tx_data)?, window(symbols.rx_data)?) };
    // The switch copies what devices see.
    let (transmit, receive) = (Shared::coherent(transmit), Shared::coherent(receive));
    Some(NetLink::new(client, (transmit, transmit.size() as u64), (receive, receive.size() as u64)))
}

/// # Safety
/// As [`connect`].
unsafe fn entropy(symbols: &RingSymbols) -> Option<EntropyRing<SharedRegion>> {
    // SAFETY: the same contract.
    let ring = unsafe { ring(symbols.queue, symbols.data) }?;
    Some(EntropyRing::new(Consumer::begin(ring, restarted())))
}

/// # Safety
/// As [`connect`].
unsafe fn console(symbols: &ConsoleSymbols) -> Option<ConsoleRings<SharedRegion>> {
    // SAFETY: the same contract.
    let (output, input) =
        unsafe { (ring(symbols.tx_queue, symbols.tx_data)?, ring(symbols.rx_queue, symbols.rx_data)?) };
    Some(ConsoleRings::new(Producer::begin(output, restarted()), Consumer::begin(input, restarted())))
}

/// The ring of a queue page and a data region; `None` when one of them is not there or its size is odd.
///
/// # Safety
/// What has an address is mapped there with its size for the rest of the program, and used only through the result.
pub unsafe fn ring(queue: usize, data: Region) -> Option<SharedRegion> {
    let (queue, bytes) = (NonNull::new(queue as *mut u8)?, NonNull::new(data.address as *mut u8)?);
    // SAFETY: by the contract of this function.
    unsafe { SharedRegion::new(queue, bytes, data.size) }
}

/// # Safety
/// If the region has an address it is mapped there with its size for the rest of the program.
unsafe fn window(region: Region) -> Option<Window> {
    // SAFETY: by the contract of this function; no reference to it is ever made.
    unsafe { Window::new(region.address, region.size) }
}
