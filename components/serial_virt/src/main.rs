// SPDX-License-Identifier: BSD-2-Clause
//! The console virtualiser PD.
//!
//! Symbols: `driver_ch` and the driver's rings `driver_tx_queue`, `driver_tx_data`, `driver_tx_data_size` (to it), `driver_rx_*`
//! (from it); for each client n = 0..=15 that there is, `client<n>_ch` and its rings `client<n>_tx_*` (from it) and
//! `client<n>_rx_*` (to it, if it reads); `config` and `config_size`, text with the clients' names (`client0=vmm_0`);
//! `timer_ch`, the timer driver, if the system has one.
#![no_std]
#![no_main]

use core::ptr::NonNull;

use ring::memory::SharedRegion;
use ring::serial::{Consumer, Producer};
use sel4_microkit::{Channel, ChannelSet, Handler, Infallible, PdCell, protection_domain, restarted, var};
use serial_virt::{Client, MAX_CLIENTS, MIN_DRIVER_RING, Name, Virtualiser, config};
use timer_driver::protocol;

/// How long an unfinished line may keep others waiting, and how long they must be quiet for it to be shown again.
const MOMENT_NS: u64 = 50_000_000;

/// What a channel symbol holds that the system description does not set.
const NOT_CONNECTED: usize = usize::MAX;

/// The console. Not in the handler, because it would not fit twice on a stack of the default size while it is moved there.
static VIRTUALISER: PdCell<Option<Virtualiser<SharedRegion>>> = PdCell::new(None);

/// Calls `f` with the console, which `init` has made.
fn console<R: Default>(f: impl FnOnce(&mut Virtualiser<SharedRegion>) -> R) -> R {
    VIRTUALISER.try_with(|console| console.as_mut().map(f)).flatten().unwrap_or_default()
}

struct SerialVirt {
    driver: Channel,
    clients: [Option<Channel>; MAX_CLIENTS],
    timer: Option<Channel>,
    /// The timer runs.
    waiting: bool,
}

impl SerialVirt {
    /// Adds the client with the symbols of `number`, if it is there.
    #[inline(never)]
    fn add(
        &mut self,
        number: usize,
        channel: Option<Channel>,
        output: Option<SharedRegion>,
        input: Option<SharedRegion>,
    ) {
        let (Some(channel), Some(output)) = (channel, output) else { return };
        console(|console| {
            if let Some(place) = self.clients.get_mut(console.clients()) {
                *place = Some(channel);
            }
            console.add_client(Client::new(
                name(number),
                Consumer::begin(output, restarted()),
                input.map(|input| Producer::begin(input, restarted())),
            ));
        });
    }

    /// Moves what there is to move.
    fn service(&mut self) {
        loop {
            let outcome = console(Virtualiser::service);
            if outcome.notify.driver {
                self.driver.notify();
            }
            for (index, channel) in self.clients.iter().enumerate() {
                if outcome.notify.clients & (1 << index) != 0
                    && let Some(channel) = channel
                {
                    channel.notify();
                }
            }
            if let Some(timer) = self.timer
                && outcome.wait_a_moment
                && !self.waiting
            {
                // A time-out that cannot be had has come: nobody waits for ever.
                self.waiting = timer.call_again(protocol::SET_TIMEOUT, &[MOMENT_NS]).label() == protocol::OK;
                if !self.waiting {
                    console(Virtualiser::moment_passed);
                }
            }
            if let Some(error) = console(Virtualiser::take_driver_error) {
                log::error!("the driver is cut off: {error}");
            }
            if !outcome.again {
                return;
            }
        }
    }
}

impl Handler for SerialVirt {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        if self.timer.is_some_and(|timer| channels.contains(timer)) {
            self.waiting = false;
            console(Virtualiser::moment_passed);
        }
        self.service();
        Ok(())
    }
}

fn connected(index: usize) -> Option<Channel> {
    (index != NOT_CONNECTED).then(|| Channel::new(index))
}

/// A ring as the system description maps it; `None` when it does not.
fn ring(queue: usize, data: usize, size: usize) -> Option<SharedRegion> {
    let queue = NonNull::new(core::ptr::with_exposed_provenance_mut(queue))?;
    let data = NonNull::new(core::ptr::with_exposed_provenance_mut(data))?;
    // SAFETY: the values are those of regions that the system description maps for the PD's whole life, with this size (a
    // queue page is 4 KiB). Nothing else in this PD uses them. Where the mapping is read-only this PD is the consumer,
    // which never writes data.
    let region = unsafe { SharedRegion::new(queue, data, size) };
    assert!(region.is_some(), "the size of a ring must be a power of two");
    region
}

/// Adds a client from its symbols, if the system description sets them.
macro_rules! client {
    ($this:ident $number:literal $channel:ident
     $tx_queue:ident $tx_data:ident $tx_size:ident $rx_queue:ident $rx_data:ident $rx_size:ident) => {
        $this.add(
            $number,
            connected(*var!($channel: usize = NOT_CONNECTED)),
            ring(*var!($tx_queue: usize = 0), *var!($tx_data: usize = 0), *var!($tx_size: usize = 0)),
            ring(*var!($rx_queue: usize = 0), *var!($rx_data: usize = 0), *var!($rx_size: usize = 0)),
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

/// The configured name of client `index`, or its number.
fn name(index: usize) -> Name {
    use core::fmt::Write as _;
    let mut key = Name::new();
    // Two digits fit.
    let _ = write!(key, "client{index}");
    let mut name = Name::new();
    for character in config::value(config_text(), &key).unwrap_or(&key).chars().filter(|c| !c.is_control()) {
        // A longer name is cut.
        let _ = name.push(character);
    }
    name
}

#[protection_domain]
fn init() -> impl Handler {
    let to_driver = ring(
        *var!(driver_tx_queue: usize = 0),
        *var!(driver_tx_data: usize = 0),
        *var!(driver_tx_data_size: usize = 0),
    );
    let from_driver = ring(
        *var!(driver_rx_queue: usize = 0),
        *var!(driver_rx_data: usize = 0),
        *var!(driver_rx_data_size: usize = 0),
    );
    let (Some(to_driver), Some(from_driver)) = (to_driver, from_driver) else {
        panic!("the driver's rings are not mapped");
    };
    let to_driver = Producer::begin(to_driver, restarted());
    assert!(to_driver.capacity() >= MIN_DRIVER_RING, "the driver's transmit ring is too small");
    let timer = connected(*var!(timer_ch: usize = NOT_CONNECTED));
    VIRTUALISER.try_with(|console| {
        *console =
            Some(Virtualiser::new(to_driver, Consumer::begin(from_driver, restarted()), timer.is_some()));
    });
    let mut this = SerialVirt {
        driver: Channel::new(*var!(driver_ch: usize = 0)),
        clients: [None; MAX_CLIENTS],
        timer,
        waiting: false,
    };
    client!(this 0 client0_ch client0_tx_queue client0_tx_data client0_tx_data_size client0_rx_queue client0_rx_data client0_rx_data_size);
    client!(this 1 client1_ch client1_tx_queue client1_tx_data client1_tx_data_size client1_rx_queue client1_rx_data client1_rx_data_size);
    client!(this 2 client2_ch client2_tx_queue client2_tx_data client2_tx_data_size client2_rx_queue client2_rx_data client2_rx_data_size);
    client!(this 3 client3_ch client3_tx_queue client3_tx_data client3_tx_data_size client3_rx_queue client3_rx_data client3_rx_data_size);
    client!(this 4 client4_ch client4_tx_queue client4_tx_data client4_tx_data_size client4_rx_queue client4_rx_data client4_rx_data_size);
    client!(this 5 client5_ch client5_tx_queue client5_tx_data client5_tx_data_size client5_rx_queue client5_rx_data client5_rx_data_size);
    client!(this 6 client6_ch client6_tx_queue client6_tx_data client6_tx_data_size client6_rx_queue client6_rx_data client6_rx_data_size);
    client!(this 7 client7_ch client7_tx_queue client7_tx_data client7_tx_data_size client7_rx_queue client7_rx_data client7_rx_data_size);
    client!(this 8 client8_ch client8_tx_queue client8_tx_data client8_tx_data_size client8_rx_queue client8_rx_data client8_rx_data_size);
    client!(this 9 client9_ch client9_tx_queue client9_tx_data client9_tx_data_size client9_rx_queue client9_rx_data client9_rx_data_size);
    client!(this 10 client10_ch client10_tx_queue client10_tx_data client10_tx_data_size client10_rx_queue client10_rx_data client10_rx_data_size);
    client!(this 11 client11_ch client11_tx_queue client11_tx_data client11_tx_data_size client11_rx_queue client11_rx_data client11_rx_data_size);
    client!(this 12 client12_ch client12_tx_queue client12_tx_data client12_tx_data_size client12_rx_queue client12_rx_data client12_rx_data_size);
    client!(this 13 client13_ch client13_tx_queue client13_tx_data client13_tx_data_size client13_rx_queue client13_rx_data client13_rx_data_size);
    client!(this 14 client14_ch client14_tx_queue client14_tx_data client14_tx_data_size client14_rx_queue client14_rx_data client14_rx_data_size);
    client!(this 15 client15_ch client15_tx_queue client15_tx_data client15_tx_data_size client15_rx_queue client15_rx_data client15_rx_data_size);
    if restarted() {
        // Everybody may have waited for the former start; output may have waited, too.
        this.driver.notify();
        this.clients.iter().flatten().for_each(Channel::notify);
        console(Virtualiser::tell_restart);
        this.service();
    }
    this
}
