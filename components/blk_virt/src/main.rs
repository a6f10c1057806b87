// SPDX-License-Identifier: BSD-2-Clause
//! The block virtualiser PD.
//!
//! Symbols: `driver_ch`, `driver_link`, `driver_link_size`; `table`, `table_paddr`, `table_size` (a buffer for partition tables);
//! for each client n = 0..=7 that there is, `client<n>_ch`, `client<n>_link`, `client<n>_link_size` and its memory
//! `client<n>_data_paddr`, `client<n>_data_size` (or a line of the configuration), which is not mapped here; `config` and
//! `config_size`, text that says which part of the disk each client gets (see [`blk_virt::config`]); `timer_ch`, the timer
//! driver, if a driver that does not answer is to be restarted; a console for its messages, see [`console_log`].
#![no_std]
#![no_main]

use core::ptr::NonNull;

use blk_virt::{DataRegion, MAX_CLIENTS, Outcome, Slots, Virtualiser, Wake, config};
use ring::blk::Client as DriverLink;
use ring::pages::SharedPages;
use sel4_microkit::{
    Channel, ChannelSet, DeferredAction, DeferredActionSlot, Handler, IrqAckError, PdCell, protection_domain,
    var,
};
use timer_driver::protocol;

/// How long a driver may have requests and answer none.
const PATIENCE_NS: u64 = 20_000_000_000;

/// What a channel symbol holds that the system description does not set.
const NOT_CONNECTED: usize = usize::MAX;

/// Too large for the stack.
static SLOTS: PdCell<Slots> = PdCell::new(Slots::new());

struct BlockVirtualiser {
    virtualiser: Virtualiser<'static, SharedPages>,
    driver: Channel,
    clients: [Option<Channel>; MAX_CLIENTS],
    timer: Option<Channel>,
    /// The timer runs.
    waiting: bool,
    deferred: DeferredActionSlot,
}

impl BlockVirtualiser {
    /// Adds the client with the symbols of `number`, if it is there.
    #[inline(never)]
    fn add(&mut self, number: usize, channel: usize, link: Option<SharedPages>, mut data: DataRegion) {
        let (Some(channel), Some(link)) = (connected(channel), link) else { return };
        if data.size == 0 {
            data.size = config::data_size(config_text(), number).unwrap_or(0);
        }
        if let Err(error) = self.virtualiser.add_client(number, link, data) {
            panic!("client {number}: {error}");
        }
        if let Some(place) = self.clients.get_mut(number) {
            *place = Some(channel);
        }
    }

    fn service(&mut self, mut woken: Wake) -> Result<(), IrqAckError> {
        loop {
            let virtualiser = &mut self.virtualiser;
            let outcome: Outcome =
                SLOTS.try_with(|slots| virtualiser.service(slots, woken)).unwrap_or_default();
            for (index, channel) in self.clients.iter().enumerate() {
                if outcome.clients & (1 << index) != 0
                    && let Some(channel) = channel
                {
                    channel.notify();
                }
            }
            if outcome.driver {
                self.deferred.defer_notify(self.driver)?;
            }
            self.report();
            if outcome.again {
                woken = Wake::NOBODY;
                continue;
            }
            if let Some(timer) = self.timer
                && outcome.waiting
                && !self.waiting
            {
                self.waiting =
                    timer.call_again(protocol::SET_TIMEOUT, &[PATIENCE_NS]).label() == protocol::OK;
            }
            return Ok(());
        }
    }

    fn report(&mut self) {
        while let Some(event) = self.virtualiser.take_event() {
            match event {
                blk_virt::Event::Ready(_) => self.report_parts(event),
                blk_virt::Event::Resized(_) => log::info!("{event}"),
                _ => log::error!("{event}"),
            }
        }
    }

    #[inline(never)]
    fn report_parts(&self, event: blk_virt::Event) {
        let table = self.virtualiser.table();
        log::info!("{event}, {} partitions", table.partitions.len());
        for problem in &table.problems {
            log::warn!("{problem}");
        }
        for (number, _) in self.clients.iter().enumerate().filter(|(_, channel)| channel.is_some()) {
            match self.virtualiser.part(number) {
                Some(Ok(part)) => log::info!(
                    "client {number}: {} sectors from {} on{}",
                    part.sectors,
                    part.first,
                    if part.read_only { ", read-only" } else { "" }
                ),
                Some(Err(error)) => log::error!("client {number} has no disk: {error}"),
                None => {}
            }
        }
    }
}

impl Handler for BlockVirtualiser {
    type Error = IrqAckError;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), IrqAckError> {
        console_log::notified(channels);
        if self.timer.is_some_and(|timer| channels.contains(timer)) {
            self.waiting = false;
            self.virtualiser.check_progress();
        }
        let mut woken = Wake { driver: channels.contains(self.driver), clients: 0 };
        for (index, channel) in self.clients.iter().enumerate() {
            if channel.is_some_and(|channel| channels.contains(channel)) {
                woken.clients |= 1 << index;
            }
        }
        self.service(woken)
    }

    fn take_deferred_action(&mut self) -> Option<DeferredAction> {
        self.deferred.take()
    }
}

fn connected(index: usize) -> Option<Channel> {
    (index != NOT_CONNECTED).then(|| Channel::new(index))
}

/// A region as the system description maps it; `None` when it does not.
fn pages(address: usize, size: usize) -> Option<SharedPages> {
    // SAFETY: the values are those of a region that the system description maps read-write for the PD's whole life, with
    // this size; nothing else in this PD uses it.
    unsafe { SharedPages::at(address, size) }
}

/// Adds a client from its symbols, if the system description sets them.
macro_rules! client {
    ($this:ident $number:literal $channel:ident $link:ident $link_size:ident $physical:ident $size:ident) => {
        $this.add(
            $number,
            *var!($channel: usize = NOT_CONNECTED),
            pages(*var!($link: usize = 0), *var!($link_size: usize = 0)),
            DataRegion { physical: *var!($physical: u64 = 0), size: *var!($size: u64 = 0) },
        )
    };
}

/// The configuration text.
fn config_text() -> &'static [u8] {
    let (address, size) = (*var!(config: usize = 0), *var!(config_size: usize = 0));
    match NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(address)) {
        // SAFETY: a region of at least this size that is mapped read-only for the PD's whole life and never changes.
        Some(text) => unsafe { core::slice::from_raw_parts(text.as_ptr(), size) },
        None => &[],
    }
}

#[protection_domain]
fn init() -> impl Handler {
    console_log::init();
    let driver = pages(*var!(driver_link: usize = 0), *var!(driver_link_size: usize = 0));
    let table = pages(*var!(table: usize = 0), *var!(table_size: usize = 0));
    let (Some(Ok(driver)), Some(table)) = (driver.map(DriverLink::new), table) else {
        panic!("the driver's link is not mapped or too small, or there is no buffer for partition tables");
    };
    let assignments = core::array::from_fn(|number| config::assignment(config_text(), number));
    let mut this = BlockVirtualiser {
        virtualiser: Virtualiser::new(driver, table, *var!(table_paddr: u64 = 0), assignments),
        driver: Channel::new(*var!(driver_ch: usize = NOT_CONNECTED)),
        clients: [None; MAX_CLIENTS],
        timer: connected(*var!(timer_ch: usize = NOT_CONNECTED)),
        waiting: false,
        deferred: DeferredActionSlot::new(),
    };
    client!(this 0 client0_ch client0_link client0_link_size client0_data_paddr client0_data_size);
    client!(this 1 client1_ch client1_link client1_link_size client1_data_paddr client1_data_size);
    client!(this 2 client2_ch client2_link client2_link_size client2_data_paddr client2_data_size);
    client!(this 3 client3_ch client3_link client3_link_size client3_data_paddr client3_data_size);
    client!(this 4 client4_ch client4_link client4_link_size client4_data_paddr client4_data_size);
    client!(this 5 client5_ch client5_link client5_link_size client5_data_paddr client5_data_size);
    client!(this 6 client6_ch client6_link client6_link_size client6_data_paddr client6_data_size);
    client!(this 7 client7_ch client7_link client7_link_size client7_data_paddr client7_data_size);
    if let Err(error) = this.service(Wake::NOBODY) {
        panic!("{error}");
    }
    if let Some(action) = this.deferred.take()
        && let Err(error) = action.execute_now()
    {
        panic!("{error}");
    }
    this
}
