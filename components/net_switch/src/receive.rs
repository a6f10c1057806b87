// SPDX-License-Identifier: BSD-2-Clause
//! What comes in from the network outside: taken from the uplink, merged where that is possible ([`crate::merge`]), passed on.

use heapless::Vec;
use ring::net::{Buffer, MAX_BUFFERS, Offload};
use ring::pages::Memory;

use crate::frame::{Fragment, Fragments};
use crate::headers::{Headers, Mac, Network, bytes};
use crate::merge::{HEAD, MAX_MERGED, Merge, Received, Relation};
use crate::region::Region;
use crate::segment::Version;
use crate::switch::Switch;
use crate::table::Port;

/// Most packets taken from the uplink before the clients' turn.
const TURN_PACKETS: usize = MAX_MERGED;

impl<M: Memory> Switch<M> {
    /// Takes packets from the uplink. Gives whether there were any.
    pub(crate) fn serve_uplink(&mut self) -> bool {
        let mut buffers: Vec<Buffer, MAX_BUFFERS> = Vec::new();
        let mut fragments = Fragments::new();
        let mut any = false;
        for _ in 0..TURN_PACKETS {
            let Some(uplink) = &mut self.uplink else { return false };
            let Some((region, offload)) = uplink.take(&mut buffers, &mut fragments) else { break };
            any = true;
            if self.merge(region, &fragments, &buffers, offload) {
                continue;
            }
            self.flush(region);
            if !fragments.is_empty() {
                // The uplink never waits for itself.
                self.pass(Port::Uplink, region, &fragments, offload);
            }
            if let Some(uplink) = &mut self.uplink {
                uplink.finish(&buffers);
            }
        }
        if any && let Some(region) = self.uplink.as_ref().map(|uplink| uplink.received()) {
            self.flush(region);
        }
        any
    }

    /// Makes a packet part of a larger one, perhaps. If not, it is still to be passed.
    #[inline]
    fn merge(
        &mut self,
        region: Region,
        fragments: &[Fragment],
        buffers: &[Buffer],
        offload: Offload,
    ) -> bool {
        let ([fragment], [buffer]) = (fragments, buffers) else { return false };
        // Whatever has been left to others is theirs.
        let validated = offload == Merge::offload();
        if !validated && offload != Offload::default() {
            return false;
        }
        let Some(packet) = Received::read(&region, *fragment, *buffer) else { return false };
        let relation = self.merge.relation(&packet);
        let to = match relation {
            Relation::Stranger => {
                self.flush(region);
                self.receiver(&packet)
            }
            _ => Some(self.merge.to()),
        };
        let Some(to) = to else { return false };
        if !validated && !packet.is_intact(&region) {
            return false;
        }
        match relation {
            Relation::Next => self.merge.add(&packet),
            Relation::Instead => {
                if let Some(uplink) = &mut self.uplink {
                    uplink.finish(self.merge.buffers());
                }
                self.merge.clear();
                self.merge.begin(&packet, to);
            }
            Relation::Stranger => {
                let [.., source] = addresses(&packet.head);
                self.learn(Port::Uplink, source);
                self.merge.begin(&packet, to);
            }
        }
        true
    }

    /// The client that `packet` is for and for nobody else, if it may come there and that client takes large packets.
    fn receiver(&self, packet: &Received) -> Option<Port> {
        let [destination, source] = addresses(&packet.head);
        let headers = Headers { destination, source, network: Network::Other, transport: None };
        self.check_source(Port::Uplink, &headers, &packet.head).ok()?;
        let mut ports = self.route(Port::Uplink, destination).ok()?;
        let to = ports.next()?;
        let alone = ports.is_empty() && packet.fragment.length <= usize::from(self.mtu()) + 14;
        let client = self.clients.iter().find(|client| client.port() == to)?;
        (alone && client.takes_large(packet.segment.layout.version)).then_some(to)
    }

    /// Passes on what has been put together.
    #[inline]
    fn flush(&mut self, region: Region) {
        match *self.merge.fragments() {
            [] => return,
            [fragment] => {
                // Its checksum was right.
                self.pass(Port::Uplink, region, &[fragment], Merge::offload());
            }
            _ => self.flush_large(region),
        }
        if let Some(uplink) = &mut self.uplink {
            uplink.finish(self.merge.buffers());
        }
        self.merge.clear();
    }

    fn flush_large(&mut self, region: Region) {
        let to = self.merge.to();
        let Some(frame) = self.merge.frame(region) else { return };
        let Some(client) = self.clients.iter_mut().find(|client| client.port() == to) else { return };
        if let Err(loss) = client.deliver(&frame) {
            client.lose(loss);
        }
    }
}

/// Destination and source.
#[inline]
fn addresses(head: &[u8; HEAD]) -> [Mac; 2] {
    [0, 6].map(|at| Mac(bytes(head, at).unwrap_or_default()))
}

impl<M: Memory> crate::Client<M> {
    /// Whether it takes large TCP packets over this version.
    #[inline]
    pub(crate) fn takes_large(&self, version: Version) -> bool {
        use ring::net::Abilities;
        let large = match version {
            Version::V4 => Abilities::RX_TSO4,
            Version::V6 => Abilities::RX_TSO6,
        };
        self.accepted().contains(Abilities::RX_CSUM | large)
    }
}
