// SPDX-License-Identifier: BSD-2-Clause
//! What packets cost in switch and driver. The PD `sender` sends batches of packets to the outside and to another client,
//! `sink`, and measures from its notification until it runs again: switch and driver have a higher priority, the sink has
//! a lower one and never runs meanwhile. On a machine whose time is its instructions a nanosecond is an instruction.
//!
//! Symbols: as `net_client`.
#![no_std]
#![no_main]

use core::fmt::Write;

use heapless::Vec;
use net_switch::region::Region;
use ring::inflight::Buffers;
use ring::link::State;
use ring::net::{Abilities, BUFFER_SIZE, Buffer, Client, Gso, MAX_BUFFERS, Offload, OffloadFlags};
use ring::pages::SharedPages;
use sel4_microkit::{
    Channel, ChannelSet, Handler, Infallible, MessageInfo, get_mr, memory_region_symbol, pd_name,
    protection_domain, set_mr, var,
};
use test_pds::Uart;
use timer_driver::protocol;

const SENDER: [u8; 6] = [0x52, 0x54, 0, 0, 1, 0];
const SINK: [u8; 6] = [0x52, 0x54, 0, 0, 1, 1];
const OUTSIDE: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
/// Ethernet, IPv4 and TCP headers.
const HEADERS: usize = 54;
/// Repetitions: as many as the sink has buffers for.
const ROUNDS: u64 = 4;
/// How long everybody may take to start.
const SETTLE_NS: u64 = 100_000_000;

struct NetBench {
    uart: Uart,
    timer: Channel,
    switch: Channel,
    link: Client<SharedPages>,
    tx: Region,
    tx_out: Buffers<16>,
    rx_out: Buffers<16>,
    /// The sink, or a sender that has begun.
    started: bool,
    /// The time for everybody to start is over.
    expired: bool,
}

impl NetBench {
    fn now(&self) -> u64 {
        self.timer.pp_call(MessageInfo::new(protocol::GET_TIME, 0));
        get_mr(0)
    }

    fn poll(&mut self) {
        if self.link.poll() == State::Fresh {
            self.tx_out.clear();
            self.rx_out.clear();
            while let Some(offset) = self.rx_out.take() {
                assert!(self.link.supply(Buffer { offset, length: BUFFER_SIZE as u16 }).is_ok());
            }
        }
        while let Some(buffer) = self.link.transmitted() {
            assert!(self.tx_out.unmark(buffer.offset).is_ok());
        }
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        while self.link.receive(&mut buffers).is_some() {
            for buffer in &buffers {
                assert!(self.link.supply(Buffer { length: BUFFER_SIZE as u16, ..*buffer }).is_ok());
            }
        }
    }

    /// Puts a TCP packet of `length` bytes into the queue, to be cut if it is longer than a wire takes.
    fn push(&mut self, to: [u8; 6], length: usize) {
        let mut head = [0u8; HEADERS];
        let (bytes, csum) = (&mut head, 50);
        bytes[..6].copy_from_slice(&to);
        bytes[6..12].copy_from_slice(&SENDER);
        bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        bytes[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
        bytes[22..24].copy_from_slice(&[64, 6]);
        bytes[26..34].copy_from_slice(&[10, 0, 2, 15, 10, 0, 2, 99]);
        bytes[46] = 0x50;
        bytes[csum] = 1;
        let mut offload = Offload {
            flags: OffloadFlags::NEEDS_CSUM,
            csum_start: 34,
            csum_offset: 16,
            ..Offload::default()
        };
        if length > 1514 {
            (offload.gso, offload.gso_size) = (Gso::TCP4, 1460);
        }
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        let mut left = length;
        while left > 0 {
            let Some(offset) = self.tx_out.take() else { panic!("no buffers") };
            let part = left.min(BUFFER_SIZE);
            left -= part;
            assert!(buffers.push(Buffer { offset, length: part as u16 }).is_ok());
        }
        assert!(self.tx.write(buffers[0].offset as usize, &head));
        assert!(self.link.transmit(&buffers, &offload).is_ok());
    }

    /// Sends `count` packets at once, some times; gives the cost of one.
    fn measure(&mut self, to: [u8; 6], length: usize, count: u64) -> u64 {
        let mut total = 0;
        for _ in 0..ROUNDS {
            self.poll();
            for _ in 0..count {
                self.push(to, length);
            }
            let before = self.now();
            let between = self.now();
            assert!(self.link.commit());
            self.switch.notify();
            let after = self.now();
            total += (after - between).saturating_sub(between - before);
            self.poll();
            let _ = self.link.wait();
        }
        total / (ROUNDS * count)
    }

    fn run(&mut self) {
        loop {
            self.poll();
            if !self.started && self.link.info().is_some() {
                self.started = true;
                set_mr(0, SETTLE_NS);
                self.timer.pp_call(MessageInfo::new(protocol::SET_TIMEOUT, 1));
            }
            if core::mem::take(&mut self.expired) {
                for (name, to) in [("outside", OUTSIDE), ("guest", SINK)] {
                    for (length, count) in
                        [(60, 1), (60, 16), (1514, 1), (1514, 16), (65_000, 1), (65_000, 4)]
                    {
                        let cost = self.measure(to, length, count);
                        // The console cannot fail.
                        let _ =
                            writeln!(self.uart, "TEST to {name}: {length} bytes, {count} at once: {cost}\r");
                    }
                }
                let _ = writeln!(self.uart, "TEST {} passed\r", pd_name().unwrap_or("?"));
            }
            if self.link.commit() {
                self.switch.notify();
            }
            if self.link.wait() {
                return;
            }
        }
    }
}

impl Handler for NetBench {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        self.expired |= channels.contains(self.timer);
        self.run();
        Ok(())
    }
}

#[protection_domain]
fn init() -> impl Handler {
    // SAFETY: `uart` is where the system description maps the UART as device memory, for the PD's whole life.
    let uart = unsafe { Uart::new(memory_region_symbol!(uart: *mut u8)) };
    // SAFETY: the region is mapped for the PD's whole life with this size, and nothing else in this PD uses it.
    let link = unsafe { SharedPages::at(*var!(net_link: usize = 0), *var!(net_link_size: usize = 0)) };
    let (tx_size, rx_size) = (*var!(net_tx_data_size: usize = 0), *var!(net_rx_data_size: usize = 0));
    // SAFETY: likewise.
    let tx = unsafe { Region::new(memory_region_symbol!(net_tx_data: *mut u8), tx_size) };
    let Some(Ok(mut link)) = link.map(Client::new) else { panic!("the link is not mapped, or too small") };
    link.set_accepted(Abilities::all());
    let mut this = NetBench {
        uart,
        timer: Channel::new(*var!(timer_ch: usize = usize::MAX)),
        switch: Channel::new(*var!(net_ch: usize = usize::MAX)),
        link,
        tx,
        tx_out: Buffers::new(tx_size, BUFFER_SIZE),
        rx_out: Buffers::new(rx_size, BUFFER_SIZE),
        started: pd_name() == Ok("sink"),
        expired: false,
    };
    this.run();
    this
}
