// SPDX-License-Identifier: BSD-2-Clause
//! The network switch PD.
//!
//! Symbols: `driver_ch`, `driver_link`, `driver_link_size`, and the regions that the device reaches, `driver_rx_data` (read),
//! `driver_tx_data` (written), each with `_size` and `_paddr`; without `driver_ch` there is no uplink. For each client n = 0..=7 that
//! there is, `client<n>_ch`, `client<n>_link`, `client<n>_link_size`, `client<n>_tx_data` (read) and `client<n>_rx_data` (written),
//! each with `_size`. `config`, `config_size`: text, see `policy`; `dma_cached=false` if the device does not see the processor's
//! caches. A console for its messages, see [`console_log`].
#![no_std]
#![no_main]

use core::ptr::NonNull;

use net_switch::policy::{self, MAX_CLIENTS, Policy};
use net_switch::region::Region;
use net_switch::table::Port;
use net_switch::{Client, DmaRegion, Outcome, Switch, Uplink};
use ring::net::{Client as ClientEnd, Server};
use ring::pages::SharedPages;
use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, PdCell, protection_domain, var};

/// What a channel symbol holds that the system description does not set.
const NOT_CONNECTED: usize = usize::MAX;

/// The switch. Not in the handler, because it would not fit twice on a stack of the default size while it is moved there.
static SWITCH: PdCell<Option<Switch<SharedPages>>> = PdCell::new(None);

struct NetSwitch {
    driver: Option<Channel>,
    clients: [Option<Channel>; MAX_CLIENTS],
}

impl NetSwitch {
    /// Passes packets and notifies those who asked for it, until there is nothing to do.
    fn service(&self) {
        loop {
            let switch = |switch: &mut Option<Switch<SharedPages>>| switch.as_mut().map(Switch::service);
            let outcome: Outcome = SWITCH.try_with(switch).flatten().unwrap_or_default();
            if outcome.driver
                && let Some(driver) = self.driver
            {
                driver.notify();
            }
            for (index, channel) in self.clients.iter().enumerate() {
                if outcome.clients & (1 << index) != 0
                    && let Some(channel) = channel
                {
                    channel.notify();
                }
            }
            if !outcome.again {
                return;
            }
        }
    }

    /// Adds the client with the symbols of `number`, if it is there.
    #[inline(never)]
    fn add(
        &mut self,
        number: u8,
        channel: Option<Channel>,
        link: Option<SharedPages>,
        tx: Option<Region>,
        rx: Option<Region>,
    ) {
        let Some(channel) = channel else { return };
        let port = Port::Client(number);
        let (Some(link), Some(tx), Some(rx)) = (link, tx, rx) else {
            log::error!("{port}: link or data regions are not mapped");
            return;
        };
        let Some(policy) = configured(port) else { return };
        let link = match Server::new(link) {
            Ok(link) => link,
            Err(error) => {
                log::error!("{port}: {error}");
                return;
            }
        };
        log::info!("{port}: {}", policy.mac);
        let client = Client::new(number, link, tx, rx, policy);
        let index = SWITCH.try_with(|switch| {
            let switch = switch.as_mut()?;
            let index = switch.clients().len();
            switch.add_client(client).ok().map(|()| index)
        });
        match index.flatten().and_then(|index| self.clients.get_mut(index)) {
            Some(place) => *place = Some(channel),
            None => log::error!("{port}: another client has its Ethernet address"),
        }
    }
}

impl Handler for NetSwitch {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        console_log::notified(channels);
        self.service();
        Ok(())
    }
}

fn connected(index: usize) -> Option<Channel> {
    (index != NOT_CONNECTED).then(|| Channel::new(index))
}

/// A link as the system description maps it; `None` when it does not.
fn link(address: usize, size: usize) -> Option<SharedPages> {
    // SAFETY: the values are those of a region that the system description maps read-write for the PD's whole life, and
    // nothing else in this PD uses it.
    unsafe { SharedPages::at(address, size) }
}

/// A region of packets as the system description maps it; `None` when it does not.
fn region(address: usize, size: usize) -> Option<Region> {
    let start = NonNull::new(core::ptr::with_exposed_provenance_mut(address))?;
    // SAFETY: as for `link`; a region that is mapped read-only is one that the switch only reads.
    Some(unsafe { Region::new(start, size) })
}

/// The configuration's text.
fn config() -> &'static [u8] {
    let (address, size) = (*var!(config: usize = 0), *var!(config_size: usize = 0));
    match NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)) {
        // SAFETY: a region of at least this size that is mapped read-only for the PD's whole life and never changes.
        Some(text) => unsafe { core::slice::from_raw_parts(text.as_ptr(), size) },
        None => &[],
    }
}

/// What the configuration says about `port`; `None` when that is wrong: then the port stays closed.
fn configured(port: Port) -> Option<Policy> {
    let mut name = heapless::String::<16>::new();
    // The names of ports fit.
    let _ = core::fmt::Write::write_fmt(&mut name, format_args!("{port}"));
    match Policy::parse(port, policy::value(config(), &name).unwrap_or_default()) {
        Ok(policy) => Some(policy),
        Err((error, option)) => {
            log::error!("{port} stays closed: `{option}`: {error}");
            None
        }
    }
}

/// The uplink from its symbols, if the system description sets them.
fn uplink() -> Option<Uplink<SharedPages>> {
    let link = link(*var!(driver_link: usize = 0), *var!(driver_link_size: usize = 0))?;
    let rx = region(*var!(driver_rx_data: usize = 0), *var!(driver_rx_data_size: usize = 0))?;
    let tx = region(*var!(driver_tx_data: usize = 0), *var!(driver_tx_data_size: usize = 0))?;
    let coherent = policy::value(config(), "dma_cached") != Some("false");
    let rx = DmaRegion { region: rx, bus: *var!(driver_rx_data_paddr: u64 = 0), coherent };
    let tx = DmaRegion { region: tx, bus: *var!(driver_tx_data_paddr: u64 = 0), coherent };
    let policy = configured(Port::Uplink)?;
    let end = ClientEnd::new(link).map_err(|error| log::error!("uplink: {error}")).ok()?;
    Uplink::new(end, rx, tx, policy).map_err(|error| log::error!("{error}")).ok()
}

/// Adds a client from its symbols, if the system description sets them.
macro_rules! client {
    ($this:ident $number:literal $channel:ident $link:ident $link_size:ident
     $tx_data:ident $tx_size:ident $rx_data:ident $rx_size:ident) => {
        $this.add(
            $number,
            connected(*var!($channel: usize = NOT_CONNECTED)),
            link(*var!($link: usize = 0), *var!($link_size: usize = 0)),
            region(*var!($tx_data: usize = 0), *var!($tx_size: usize = 0)),
            region(*var!($rx_data: usize = 0), *var!($rx_size: usize = 0)),
        )
    };
}

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    let driver = connected(*var!(driver_ch: usize = NOT_CONNECTED));
    let uplink = driver.and_then(|_| uplink());
    SWITCH.try_with(|switch| *switch = Some(Switch::new(uplink)));
    let mut this = NetSwitch { driver, clients: [None; MAX_CLIENTS] };
    client!(this 0 client0_ch client0_link client0_link_size client0_tx_data client0_tx_data_size client0_rx_data client0_rx_data_size);
    client!(this 1 client1_ch client1_link client1_link_size client1_tx_data client1_tx_data_size client1_rx_data client1_rx_data_size);
    client!(this 2 client2_ch client2_link client2_link_size client2_tx_data client2_tx_data_size client2_rx_data client2_rx_data_size);
    client!(this 3 client3_ch client3_link client3_link_size client3_tx_data client3_tx_data_size client3_rx_data client3_rx_data_size);
    client!(this 4 client4_ch client4_link client4_link_size client4_tx_data client4_tx_data_size client4_rx_data client4_rx_data_size);
    client!(this 5 client5_ch client5_link client5_link_size client5_tx_data client5_tx_data_size client5_rx_data client5_rx_data_size);
    client!(this 6 client6_ch client6_link client6_link_size client6_tx_data client6_tx_data_size client6_rx_data client6_rx_data_size);
    client!(this 7 client7_ch client7_link client7_link_size client7_tx_data client7_tx_data_size client7_rx_data client7_rx_data_size);
    this.service();
    this
}
