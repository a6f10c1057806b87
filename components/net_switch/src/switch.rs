// SPDX-License-Identifier: BSD-2-Clause
//! The switch: takes packets in turn and passes each to whoever may get it.
//!
//! Nobody waits for a client: one without buffers loses the packet. A client waits for the uplink while that has no
//! room, and those behind it for the same; each client's packets stay in its own queue meanwhile, and what others send to each
//! other passes.

use heapless::Vec;
use ring::net::Offload;
use ring::pages::Memory;

use crate::client::Client;
use crate::counters::Loss;
use crate::frame::{Claim, Fragment, Fragments, Frame};
use crate::merge::Merge;
use crate::policy::{MAX_CLIENTS, Policy, Ports};
use crate::region::Region;
use crate::table::{Port, Table};
use crate::uplink::{KEPT, MIN_BUFFERS, Uplink};

/// Most packets taken from a client before the next one's turn.
const TURN_PACKETS: usize = 32;
/// Most bytes, likewise: one large packet and some.
const TURN_BYTES: usize = 96 * 1024;
/// Most turns of all ports in one call of `service`.
const ROUNDS: usize = 16;

/// What to do after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Notify the driver.
    pub driver: bool,
    /// Notify these clients: bit n for the nth that was added.
    pub clients: u8,
    /// There is more to do: call `service` again.
    pub again: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is done with; so many bytes.
    Done(usize),
    /// It has to wait for the uplink.
    Wait,
}

/// The switch.
#[derive(Debug)]
pub struct Switch<M> {
    pub(crate) clients: Vec<Client<M>, MAX_CLIENTS>,
    /// For each client in `clients`, the ports it may talk to.
    pub(crate) reach: Vec<Ports, MAX_CLIENTS>,
    pub(crate) uplink: Option<Uplink<M>>,
    /// The ports that the uplink may talk to.
    pub(crate) uplink_reach: Ports,
    pub(crate) table: Table,
    /// Some port has stations that are not configured.
    pub(crate) learns: bool,
    /// What is being put together of what comes in.
    pub(crate) merge: Merge,
    turn: usize,
    /// The client that is first in line for room at the uplink.
    first_in_line: Option<Port>,
}

impl<M: Memory> Switch<M> {
    /// A switch without clients.
    pub fn new(uplink: Option<Uplink<M>>) -> Self {
        let mut this = Self {
            clients: Vec::new(),
            reach: Vec::new(),
            uplink,
            uplink_reach: Ports::NONE,
            table: Table::new(),
            learns: false,
            merge: Merge::new(),
            turn: 0,
            first_in_line: None,
        };
        this.connect();
        this
    }

    /// Adds a client; one too many, or a second one with a number or an address, is refused.
    ///
    /// # Errors
    /// The client.
    #[allow(clippy::result_large_err, reason = "at start, once")]
    pub fn add_client(&mut self, client: Client<M>) -> Result<(), Client<M>> {
        let is_known =
            |other: &Client<M>| other.port() == client.port() || other.policy().mac == client.policy().mac;
        if self.clients.iter().any(is_known) {
            return Err(client);
        }
        self.clients.push(client)?;
        self.connect();
        Ok(())
    }

    /// The clients in the order in which they were added.
    pub fn clients(&self) -> &[Client<M>] {
        &self.clients
    }

    /// The uplink.
    pub fn uplink(&self) -> Option<&Uplink<M>> {
        self.uplink.as_ref()
    }

    /// Works out who may talk to whom, and tells the clients about the network.
    fn connect(&mut self) {
        let uplink = self.uplink.as_ref().map(|uplink| (Port::Uplink, uplink.policy()));
        let ports = || {
            let clients = self.clients.iter().map(|client| (client.port(), client.policy()));
            clients.chain(uplink)
        };
        let reach = |port: Port, policy: &Policy| {
            ports()
                .filter(|(other, its)| {
                    *other != port && policy.allowed.contains(*other) && its.allowed.contains(port)
                })
                .fold(Ports::NONE, |all, (other, _)| all.or(Ports::one(other)))
        };
        let clients: Vec<Ports, MAX_CLIENTS> =
            self.clients.iter().map(|client| reach(client.port(), client.policy())).collect();
        self.uplink_reach = uplink.map_or(Ports::NONE, |(port, policy)| reach(port, policy));
        self.learns = self.clients.iter().any(|client| client.policy().any_source || client.policy().flood);
        self.reach = clients;
        self.publish();
    }

    /// Tells the clients about the network. For one that can reach nothing but the uplink the line is as that one's.
    fn publish(&mut self) {
        let mtu = self.mtu();
        let connected = self.uplink.as_ref().is_none_or(Uplink::is_connected);
        for (client, reach) in self.clients.iter_mut().zip(&self.reach) {
            client.publish(mtu, connected || *reach != Ports::one(Port::Uplink));
        }
    }

    pub(crate) fn mtu(&self) -> u16 {
        self.uplink.as_ref().map_or(1500, Uplink::mtu)
    }

    /// Passes packets as far as possible. To be called after any notification.
    pub fn service(&mut self) -> Outcome {
        self.poll();
        let mut outcome = Outcome { again: true, ..Outcome::default() };
        for _ in 0..ROUNDS {
            let mut any = self.serve_uplink();
            let count = self.clients.len();
            for offset in 0..count {
                any |= self.serve_client((self.turn + offset) % count);
            }
            self.turn = (self.turn + 1) % count.max(1);
            if !any {
                outcome.again = false;
                break;
            }
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            if client.commit() {
                outcome.clients |= 1 << index;
            }
            // Wishes only after all is done: a wish costs the peer a notification.
            outcome.again |= !outcome.again && !client.wait();
            if let Some(error) = client.take_error() {
                log::warn!("{} is cut off: {error}", client.port());
            }
        }
        if let Some(uplink) = &mut self.uplink {
            outcome.driver = uplink.commit();
            outcome.again |= !outcome.again && !uplink.wait();
            if let Some(error) = uplink.take_error() {
                log::warn!("the driver is cut off: {error}");
                outcome.again |= uplink.begin_again();
            }
        }
        outcome
    }

    /// Looks at all links.
    fn poll(&mut self) {
        for client in &mut self.clients {
            if client.poll() && self.first_in_line == Some(client.port()) {
                self.first_in_line = None;
            }
        }
        if self.uplink.as_mut().is_some_and(Uplink::poll) {
            self.publish();
        }
    }

    /// Takes packets from a client. Gives whether any was passed.
    fn serve_client(&mut self, index: usize) -> bool {
        let mut fragments = Fragments::new();
        let mut bytes = 0;
        for count in 0..TURN_PACKETS {
            let Some(client) = self.clients.get_mut(index) else { return false };
            let Some((region, offload)) = client.take(&mut fragments) else { return count > 0 };
            let port = client.port();
            let passed = self.pass(port, region, &fragments, offload);
            let Some(client) = self.clients.get_mut(index) else { return false };
            match passed {
                Passed::Wait => {
                    client.keep(offload);
                    return count > 0;
                }
                Passed::Done(length) => {
                    client.finish();
                    bytes += length;
                }
            }
            if bytes >= TURN_BYTES {
                break;
            }
        }
        true
    }

    /// Passes a packet on.
    #[inline]
    pub(crate) fn pass(
        &mut self,
        from: Port,
        region: Region,
        fragments: &[Fragment],
        offload: Offload,
    ) -> Passed {
        let mut claim = Claim::from(offload);
        // A guest's word is not good enough for another guest.
        claim.validated &= from == Port::Uplink;
        let Ok(frame) = Frame::new(region, fragments, claim) else {
            self.lose(from, Loss::Malformed);
            return Passed::Done(0);
        };
        match self.pass_frame(from, &frame) {
            Ok(passed) => passed,
            Err(loss) => {
                self.lose(from, loss);
                Passed::Done(frame.length())
            }
        }
    }

    #[inline]
    fn pass_frame(&mut self, from: Port, frame: &Frame<'_>) -> Result<Passed, Loss> {
        self.check_source(from, &frame.headers, frame.head())?;
        self.check_length(frame)?;
        let mut to = self.route(from, frame.headers.destination)?;
        if to.contains(Port::Uplink)
            && let Some(uplink) = &mut self.uplink
        {
            let count = uplink.needs(frame);
            if !uplink.is_up() || !uplink.is_connected() {
                to = to.without(Ports::one(Port::Uplink));
                uplink.lose(Loss::Down);
                // Nobody waits for room there, now or when it is back.
                if self.first_in_line.take().is_some() {
                    uplink.stop_asking();
                }
            } else if count > MIN_BUFFERS - KEPT {
                return Err(Loss::Oversize);
            } else if self.first_in_line.is_some_and(|first| first != from) {
                return Ok(Passed::Wait);
            } else if !uplink.has_room(count) {
                self.first_in_line = Some(from);
                return Ok(Passed::Wait);
            } else if self.first_in_line.take().is_some() {
                uplink.stop_asking();
            }
        }
        self.learn(from, frame.headers.source);
        for port in to {
            let result = match port {
                Port::Uplink => self.uplink.as_mut().map_or(Ok(()), |uplink| uplink.send(frame)),
                Port::Client(_) => self.client(port).map_or(Ok(()), |client| client.deliver(frame)),
            };
            if let Err(loss) = result {
                self.lose(port, loss);
            }
        }
        Ok(Passed::Done(frame.length()))
    }

    #[inline]
    fn client(&mut self, port: Port) -> Option<&mut Client<M>> {
        self.clients.iter_mut().find(|client| client.port() == port)
    }

    #[cold]
    fn lose(&mut self, port: Port, loss: Loss) {
        match port {
            Port::Uplink => {
                if let Some(uplink) = &mut self.uplink {
                    uplink.lose(loss);
                }
            }
            Port::Client(_) => {
                if let Some(client) = self.client(port) {
                    client.lose(loss);
                }
            }
        }
    }
}
