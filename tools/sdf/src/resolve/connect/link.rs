// SPDX-License-Identifier: BSD-2-Clause
//! What each kind of connection stands for: regions, maps on both sides, a channel.

use super::end::{Connection, End, Kind};
use super::{Connector, Entry, channel};
use crate::element::{Attribute, Element, parse_number};
use crate::problem::{ConnectFault, Problem};
use crate::resolve::value::render;

/// Bytes of a link's region when nothing is said.
const LINK_SIZE: u64 = 0x1_0000;
/// The least that holds a link's header and queues.
const MIN_LINK_SIZE: u64 = 0x4000;
/// Bytes of a byte ring's index page.
const QUEUE_SIZE: u64 = 0x1000;
/// Bytes towards the device, and from it, when nothing is said.
const TX_SIZE: u64 = 0x1_0000;
const RX_SIZE: u64 = 0x1000;

/// What one side may do with a data region.
#[derive(Clone, Copy, Default)]
struct Rights {
    read: bool,
    write: bool,
    /// It is told the physical address.
    paddr: bool,
}

impl Rights {
    fn parse(text: &str) -> Option<Self> {
        let mut rights = Self::default();
        for word in text.split_ascii_whitespace() {
            match word {
                "r" => rights.read = true,
                "rw" => (rights.read, rights.write) = (true, true),
                "paddr" => rights.paddr = true,
                "none" => {}
                _ => return None,
            }
        }
        Some(rights)
    }

    fn perms(self) -> &'static str {
        if self.write { "rw" } else { "r" }
    }
}

impl<'d> Connector<'_, '_, 'd> {
    pub(super) fn connection(&mut self, connection: &Connection<'d>) {
        let element = connection.element;
        let mut new = Vec::new();
        if connection.kind == Kind::Link {
            for finding in element.stray_text() {
                self.stage.take::<()>(Err(finding));
            }
        } else {
            self.no_children(element);
        }
        if connection.kind != Kind::Call {
            let Some(name) = self.stage.take(element.name_attribute()) else { return };
            match connection.kind {
                Kind::Link => self.link(connection, name, &mut new),
                Kind::Serial => {
                    self.ring(connection, name, "tx_", "tx_size", TX_SIZE, &mut new);
                    // A client that only writes has no ring to read from.
                    if element.attribute("rx_size").is_none_or(|size| parse_number(size.value) != Ok(0)) {
                        self.ring(connection, name, "rx_", "rx_size", RX_SIZE, &mut new);
                    }
                }
                Kind::Ring => self.ring(connection, name, "", "size", RX_SIZE, &mut new),
                Kind::Call => {}
            }
        }
        let names = connection.ends.each_ref().map(|end| self.pds.get(end.pd).map_or("", |pd| pd.name));
        let ends = connection.ends.each_ref();
        let attributes = |index: usize| -> Vec<(&str, &str)> {
            let mut attributes = vec![("pd", names[index])];
            if connection.kind == Kind::Call && index == 0 {
                attributes.push(("pp", "true"));
            }
            if let Some(symbol) = &ends[index].channel {
                attributes.push(("setvar_id", symbol));
            }
            attributes
        };
        new.push(channel(self.indent_of(element), &attributes(0), &attributes(1)));
        self.replace(element, &new);
    }

    /// A `link`: one region with the queues, and data regions.
    fn link(&mut self, connection: &Connection<'d>, name: &str, new: &mut Vec<String>) {
        let element = connection.element;
        let size = self.size(element, "size", LINK_SIZE, MIN_LINK_SIZE, false);
        let region = format!("{name}_link");
        new.push(region_element(&region, size));
        for end in &connection.ends {
            self.map(element, end, &region, "link", Some("link_size"), "rw");
        }
        let mut names = Vec::new();
        for child in element.children() {
            if child.name() != "data" {
                self.invalid(child);
                continue;
            }
            let Some(suffix) = self.stage.take(child.name_attribute()) else { continue };
            if names.contains(&suffix) {
                self.stage.error(child.pos(), ConnectFault::DataTwice(suffix.to_owned()));
                continue;
            }
            names.push(suffix);
            self.data(connection, child, name, suffix, new);
        }
    }

    /// `data`: a region of bytes beside a link.
    fn data(
        &mut self,
        connection: &Connection<'d>,
        element: Element<'d>,
        link: &str,
        suffix: &str,
        new: &mut Vec<String>,
    ) {
        for finding in element.unknown_attributes(&["name", "size", "region", "client", "server"]) {
            self.stage.take::<()>(Err(finding));
        }
        self.no_children(element);
        let rights = ["client", "server"].map(|side| {
            let attribute = self.stage.take(element.required(side))?;
            let rights = Rights::parse(attribute.value);
            if rights.is_none() {
                self.stage.error(attribute.pos, ConnectFault::Rights(attribute.value.to_owned()));
            }
            rights
        });
        let [Some(client), Some(server)] = rights else { return };
        if client.write && server.write {
            let pos = element.attribute("server").map_or(element.pos(), |server| server.pos);
            self.stage.error(pos, ConnectFault::TwoWriters(suffix.to_owned()));
        }
        if !client.write && !server.write && !client.paddr && !server.paddr {
            self.stage.error(element.pos(), ConnectFault::NobodyWrites(suffix.to_owned()));
        }
        let (region, size) = match element.attribute("region") {
            Some(region) => match self.existing(element, region) {
                Some(size) => (region.value.to_owned(), size),
                None => return,
            },
            None => {
                let region = format!("{link}_{suffix}");
                if element.attribute("size").is_none() {
                    self.stage.take(element.required("size"));
                    return;
                }
                let size = self.size(element, "size", 0, 0x1000, false);
                new.push(region_element(&region, size));
                (region, size)
            }
        };
        for (end, rights) in connection.ends.iter().zip([client, server]) {
            let size_symbol = format!("{suffix}_size");
            if rights.read {
                self.map(element, end, &region, suffix, Some(&size_symbol), rights.perms());
            }
            if rights.paddr {
                let symbol = end.symbol(&format!("{suffix}_paddr"));
                let line =
                    format!("<setvar{}{} />", render("symbol", &symbol), render("region_paddr", &region));
                self.in_pd(end.pd, &line, element);
            }
            if rights.paddr && !rights.read {
                // A plain description tells a size only to who maps the region.
                let (name, value) = (end.symbol(&size_symbol), size.to_string());
                self.entries.push(Entry { pd: end.pd, name, value, pos: element.pos() });
            }
        }
    }

    /// The size of a region that is there already.
    fn existing(&mut self, element: Element<'_>, region: Attribute<'_>) -> Option<u64> {
        if let Some(size) = element.attribute("size") {
            self.stage.error(size.pos, ConnectFault::SizeOfRegion(region.value.to_owned()));
            return None;
        }
        let Some(found) = self.regions.get(region.value) else {
            let problem =
                Problem::UnknownRegion { name: region.value.to_owned(), element: "data".to_owned() };
            self.stage.error(region.pos, problem);
            return None;
        };
        let size = found.attribute("size").and_then(|size| parse_number(size.value).ok());
        if size.is_none() {
            self.stage.error(region.pos, ConnectFault::RegionWithoutSize(region.value.to_owned()));
        }
        size
    }

    /// A byte ring: one page of indices, which both sides write, and the bytes, which only the producer writes. `tx` goes
    /// from the client to the server.
    fn ring(
        &mut self,
        connection: &Connection<'d>,
        name: &str,
        direction: &str,
        attribute: &'static str,
        default: u64,
        new: &mut Vec<String>,
    ) {
        let element = connection.element;
        let size = self.size(element, attribute, default, 0x1000, true);
        let (queue, data) = (format!("{name}_{direction}queue"), format!("{name}_{direction}data"));
        new.push(region_element(&queue, QUEUE_SIZE));
        new.push(region_element(&data, size));
        let client_writes = direction == "tx_";
        for (end, writes) in connection.ends.iter().zip([client_writes, !client_writes]) {
            self.map(element, end, &queue, &format!("{direction}queue"), None, "rw");
            let size_symbol = format!("{direction}data_size");
            let perms = if writes { "rw" } else { "r" };
            self.map(element, end, &data, &format!("{direction}data"), Some(&size_symbol), perms);
        }
    }

    fn map(
        &mut self,
        element: Element<'_>,
        end: &End,
        region: &str,
        symbol: &str,
        size: Option<&str>,
        perms: &str,
    ) {
        let size = size.map_or(String::new(), |size| render("setvar_size", &end.symbol(size)));
        let line = format!(
            "<map{}{}{}{size} />",
            render("mr", region),
            render("perms", perms),
            render("setvar_vaddr", &end.symbol(symbol))
        );
        self.in_pd(end.pd, &line, element);
    }

    /// A size in whole pages, at least `min`; a power of two where indices are masked with it.
    fn size(&mut self, element: Element<'_>, name: &str, default: u64, min: u64, power_of_two: bool) -> u64 {
        let Some(attribute) = element.attribute(name) else { return default };
        let Some(size) = self.stage.take(element.parse_number(attribute)) else { return default };
        if size < min {
            self.stage.error(attribute.pos, ConnectFault::TooSmall { size, min });
        } else if power_of_two && !size.is_power_of_two() {
            self.stage.error(attribute.pos, ConnectFault::PowerOfTwo(size));
        } else if !size.is_multiple_of(0x1000) {
            self.stage.take::<()>(Err(element.fault(attribute.pos, crate::Fault::SizeNotMultiple)));
        }
        size
    }
}

fn region_element(name: &str, size: u64) -> String {
    format!("<memory_region{}{} />", render("name", name), render("size", &format!("{size:#x}")))
}
