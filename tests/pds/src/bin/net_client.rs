// SPDX-License-Identifier: BSD-2-Clause
//! A client of the network switch: gets an address by DHCP, pings the gateway, and says so. Checks before that the copies
//! with a checksum, which on this processor are written in assembly, give what a simple loop gives.
//!
//! Symbols: `uart`, `timer_ch`, `net_ch`, `net_link`, `net_link_size`, `net_tx_data`, `net_tx_data_size`, `net_rx_data`,
//! `net_rx_data_size`.
#![no_std]
#![no_main]

use core::fmt::Write;
use core::ptr::NonNull;

use heapless::Vec;
use net_switch::checksum::Sum;
use net_switch::region::Region;
use ring::inflight::Buffers;
use ring::link::State;
use ring::net::{BUFFER_SIZE, Buffer, Client, MAX_BUFFERS, Offload};
use ring::pages::SharedPages;
use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, MessageInfo, PdCell, get_mr, memory_region_symbol, pd_name,
    protection_domain, set_mr, var,
};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, icmp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};
use test_pds::Uart;
use timer_driver::protocol;

/// Bytes in a packet.
const FRAME: usize = 1514;
/// Pings.
const PINGS: u16 = 20;
/// Names our pings.
const IDENT: u16 = 0x6268;

/// The link as smoltcp's device.
struct Link {
    link: Client<SharedPages>,
    tx: Region,
    tx_out: Buffers<16>,
    rx: Region,
    rx_out: Buffers<16>,
}

struct Received([u8; FRAME], usize);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0.get(..self.1).unwrap_or_default())
    }
}

struct Send<'a>(&'a mut Link);

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut bytes = [0; FRAME];
        let bytes = bytes.get_mut(..length).unwrap_or_default();
        let result = f(bytes);
        let offset = self.0.tx_out.take().unwrap_or_default();
        assert!(self.0.tx.write(offset as usize, bytes));
        let sent = self.0.link.transmit(&[Buffer { offset, length: length as u16 }], &Offload::default());
        assert!(sent.is_ok());
        result
    }
}

impl Link {
    /// Looks at the link, and takes sent buffers back.
    fn poll(&mut self) {
        if self.link.poll() == State::Fresh {
            self.tx_out.clear();
            self.rx_out.clear();
            while let Some(offset) = self.rx_out.take() {
                if self.link.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).is_err() {
                    break;
                }
            }
        }
        while let Some(buffer) = self.link.transmitted() {
            assert!(self.tx_out.unmark(buffer.offset).is_ok());
        }
    }
}

impl Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Send<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Send<'_>)> {
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        self.link.receive(&mut buffers)?;
        let mut bytes = [0; FRAME];
        let [Buffer { offset, length }] = buffers[..] else { panic!("a packet of several buffers") };
        let place = bytes.get_mut(..length.into())?;
        assert!(self.rx_out.unmark(offset).is_ok() && self.rx.read(offset as usize, place));
        let offset = offset & !(BUFFER_SIZE as u64 - 1);
        assert!(self.rx_out.mark(offset).is_ok());
        let empty = Buffer { offset, length: BUFFER_SIZE as u16 };
        assert!(self.link.supply(empty).is_ok());
        Some((Received(bytes, length.into()), Send(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Send<'_>> {
        (self.link.is_up() && self.tx_out.outstanding() < self.tx_out.count()).then_some(Send(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

struct NetClient {
    uart: Uart,
    timer: Channel,
    switch: Channel,
    device: Link,
    interface: Option<Interface>,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    ping: SocketHandle,
    gateway: Option<IpAddress>,
    pinged: u16,
    answered: u16,
    done: bool,
}

impl NetClient {
    fn say(&mut self, what: core::fmt::Arguments<'_>) {
        // The console cannot fail.
        let _ = writeln!(self.uart, "TEST {} {what}\r", pd_name().unwrap_or("?"));
    }

    fn now(&self) -> Instant {
        self.timer.pp_call(MessageInfo::new(protocol::GET_TIME, 0));
        Instant::from_micros((get_mr(0) / 1000) as i64)
    }

    fn step(&mut self) {
        self.device.poll();
        let now = self.now();
        if self.interface.is_none()
            && let Some(info) = self.device.link.info()
        {
            self.say(format_args!("address {:02x?} mtu {}", info.mac, info.mtu));
            let config = Config::new(EthernetAddress(info.mac).into());
            self.interface = Some(Interface::new(config, &mut self.device, now));
        }
        let Some(interface) = &mut self.interface else { return };
        interface.poll(now, &mut self.device, &mut self.sockets);
        let event = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll();
        if let Some(dhcpv4::Event::Configured(config)) = event {
            interface.update_ip_addrs(|addresses| {
                addresses.clear();
                // There is room.
                let _ = addresses.push(IpCidr::Ipv4(config.address));
            });
            self.gateway = config.router.map(IpAddress::Ipv4);
            let address = config.address;
            self.say(format_args!("has {address}"));
        }
        self.do_ping();
        if let Some(interface) = &mut self.interface {
            interface.poll(now, &mut self.device, &mut self.sockets);
            let delay = interface.poll_delay(now, &self.sockets).unwrap_or(Duration::from_secs(1));
            set_mr(0, delay.total_micros().max(1000) * 1000);
            self.timer.pp_call(MessageInfo::new(protocol::SET_TIMEOUT, 1));
        }
    }

    fn do_ping(&mut self) {
        let Some(gateway) = self.gateway else { return };
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.ping);
        if !socket.is_open() {
            assert!(socket.bind(icmp::Endpoint::Ident(IDENT)).is_ok());
        }
        while self.pinged < PINGS && self.pinged == self.answered && socket.can_send() {
            let data = [self.pinged as u8; 1000];
            let repr = Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: self.pinged, data: &data };
            let Ok(place) = socket.send(repr.buffer_len(), gateway) else { break };
            repr.emit(&mut Icmpv4Packet::new_unchecked(place), &Default::default());
            self.pinged += 1;
        }
        while let Ok((bytes, from)) = socket.recv() {
            assert!(from == gateway);
            let answer = Icmpv4Packet::new_checked(bytes)
                .and_then(|packet| Icmpv4Repr::parse(&packet, &Default::default()));
            if let Ok(Icmpv4Repr::EchoReply { seq_no, data, .. }) = answer
                && seq_no == self.answered
                && data == [seq_no as u8; 1000]
            {
                self.answered += 1;
            }
        }
        if self.answered < self.pinged || self.done {
            return;
        }
        if self.answered == PINGS {
            self.done = true;
            self.say(format_args!("passed"));
        }
    }
}

impl NetClient {
    /// Until there is nothing to do.
    fn run(&mut self) {
        loop {
            self.step();
            if self.device.link.commit() {
                self.switch.notify();
            }
            if let Some(error) = self.device.link.take_error() {
                self.say(format_args!("failed: {error}"));
            }
            let waiting = self.pinged > self.answered || self.done || self.gateway.is_none();
            if waiting && self.device.link.wait() {
                return;
            }
        }
    }
}

impl Handler for NetClient {
    type Error = Infallible;

    fn notified(&mut self, _channels: ChannelSet) -> Result<(), Infallible> {
        self.run();
        Ok(())
    }
}

/// Compares the fast copy and sum with a simple one, at all alignments and lengths up to some blocks.
fn check_copies() -> bool {
    #[repr(align(64))]
    struct Memory([u8; 1024]);
    static MEMORY: PdCell<(Memory, Memory)> = PdCell::new((Memory([0; 1024]), Memory([0; 1024])));
    let check = |(from, to): &mut (Memory, Memory)| {
        let mut state = 1u32;
        let mut bytes = [0u8; 300];
        for byte in &mut bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Many ones, so that sums carry.
            *byte = (state >> 24) as u8 | 0xc0;
        }
        // SAFETY: both are this closure's alone, and used through the regions alone meanwhile.
        let (from, to) = unsafe {
            (
                Region::new(NonNull::from(&mut from.0).cast(), 1024),
                Region::new(NonNull::from(&mut to.0).cast(), 1024),
            )
        };
        for length in 0..bytes.len() {
            let bytes = bytes.get(..length).unwrap_or_default();
            for at in 0..16 {
                let behind = [0x55; 8];
                let place = 64 + (at * 7) % 16;
                let mut copy = [0; 300];
                let copy = copy.get_mut(..length).unwrap_or_default();
                let done = from.write(at, bytes) && to.write(place + length, &behind);
                let sum = from.copy_and_sum(at, &to, place, length);
                let mut after = [0; 8];
                let read = to.read(place, copy) && to.read(place + length, &mut after);
                let right = sum.map(Sum::partial) == Some(Sum::of(bytes).partial());
                if !done || !read || !right || copy != bytes || after != behind {
                    return false;
                }
                let plain = from.copy_to(at, &to, place + 1, length) && to.read(place + 1, copy);
                if !plain || copy != bytes {
                    return false;
                }
            }
        }
        true
    };
    MEMORY.try_with(check).unwrap_or_default()
}

/// Storage of the sockets: this PD has no heap.
struct Storage {
    sockets: [SocketStorage<'static>; 2],
    rx_meta: [icmp::PacketMetadata; 4],
    rx: [u8; 4096],
    tx_meta: [icmp::PacketMetadata; 4],
    tx: [u8; 4096],
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `uart` is where the system description maps the UART as device memory, for the PD's whole life.
    let mut uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    let copies = if check_copies() { "copies are right" } else { "failed: copies are wrong" };
    // The console cannot fail.
    let _ = writeln!(uart, "TEST {} {copies}\r", pd_name().unwrap_or("?"));
    // SAFETY: the region is mapped for the PD's whole life with this size, and nothing else in this PD uses it.
    let link = unsafe { SharedPages::at(*var!(net_link: usize = 0), *var!(net_link_size: usize = 0)) };
    let (tx_size, rx_size) = (*var!(net_tx_data_size: usize = 0), *var!(net_rx_data_size: usize = 0));
    // SAFETY: likewise.
    let (tx, rx) = unsafe {
        (
            Region::new(memory_region_symbol!(net_tx_data: *mut u8), tx_size),
            Region::new(memory_region_symbol!(net_rx_data: *mut u8), rx_size),
        )
    };
    let Some(Ok(link)) = link.map(Client::new) else { panic!("the link is not mapped, or too small") };
    let device = Link {
        link,
        tx,
        tx_out: Buffers::new(tx_size, BUFFER_SIZE),
        rx,
        rx_out: Buffers::new(rx_size, BUFFER_SIZE),
    };
    static STORAGE: PdCell<Storage> = PdCell::new(Storage {
        sockets: [SocketStorage::EMPTY; 2],
        rx_meta: [icmp::PacketMetadata::EMPTY; 4],
        rx: [0; 4096],
        tx_meta: [icmp::PacketMetadata::EMPTY; 4],
        tx: [0; 4096],
    });
    // SAFETY: taken once, here; the cell is not used again.
    let storage = STORAGE.try_with(|storage| unsafe { NonNull::from(storage).as_mut() });
    let Some(storage) = storage else { panic!("once") };
    let mut sockets = SocketSet::new(&mut storage.sockets[..]);
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let ping = sockets.add(icmp::Socket::new(
        icmp::PacketBuffer::new(&mut storage.rx_meta[..], &mut storage.rx[..]),
        icmp::PacketBuffer::new(&mut storage.tx_meta[..], &mut storage.tx[..]),
    ));
    let mut this = NetClient {
        uart,
        timer: Channel::new(*var!(timer_ch: usize = usize::MAX)),
        switch: Channel::new(*var!(net_ch: usize = usize::MAX)),
        device,
        interface: None,
        sockets,
        dhcp,
        ping,
        gateway: None,
        pinged: 0,
        answered: 0,
        done: false,
    };
    this.run();
    this
}
