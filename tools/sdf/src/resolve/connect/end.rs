// SPDX-License-Identifier: BSD-2-Clause
//! The ends of connections: whose, and with which symbols.

use super::{Connector, Entry};
use crate::element::{Attribute, Element};
use crate::model::Pos;
use crate::problem::ConnectFault;
use std::collections::BTreeMap;

/// One of the elements that connect two protection domains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Link,
    Serial,
    Ring,
    Call,
}

impl Kind {
    pub(super) fn of(element: Element<'_>) -> Option<Self> {
        match element.name() {
            "link" => Some(Self::Link),
            "serial" => Some(Self::Serial),
            "ring" => Some(Self::Ring),
            "call" => Some(Self::Call),
            _ => None,
        }
    }

    /// Attributes that name the ends: the side that asks, and the side near the device.
    fn roles(self) -> [&'static str; 2] {
        match self {
            Self::Ring => ["consumer", "producer"],
            _ => ["client", "server"],
        }
    }

    fn channel_attributes(self) -> [&'static str; 2] {
        match self {
            Self::Ring => ["consumer_ch", "producer_ch"],
            _ => ["client_ch", "server_ch"],
        }
    }

    fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Link => &["name", "client", "server", "size", "client_ch", "server_ch", "config"],
            Self::Serial => {
                &["name", "client", "server", "tx_size", "rx_size", "client_ch", "server_ch", "config"]
            }
            Self::Ring => &["name", "consumer", "producer", "size", "consumer_ch", "producer_ch", "config"],
            Self::Call => &["client", "server", "client_ch", "server_ch", "config"],
        }
    }
}

/// An element that connects two protection domains.
pub(super) struct Connection<'d> {
    pub(super) kind: Kind,
    pub(super) element: Element<'d>,
    /// Client (or consumer) and server (or producer).
    pub(super) ends: [End; 2],
}

/// One end.
#[derive(Clone)]
pub(super) struct End {
    pub(super) pd: usize,
    pub(super) prefix: String,
    /// Symbol of the channel.
    pub(super) channel: Option<String>,
    pos: Pos,
}

impl End {
    /// The symbol of something at this end.
    pub(super) fn symbol(&self, of: &str) -> String {
        if self.prefix.is_empty() { of.to_owned() } else { format!("{}_{of}", self.prefix) }
    }
}

/// Who has each `pd` and `prefix`.
type Slots = BTreeMap<(usize, String), (Pos, String)>;

impl<'d> Connector<'_, '_, 'd> {
    /// All connections with their ends; those that have none are reported.
    pub(super) fn connections(&mut self, root: Element<'d>) -> Vec<Connection<'d>> {
        let mut connections = Vec::new();
        for element in root.descendants() {
            let Some(kind) = Kind::of(element) else { continue };
            if !matches!(element.parent_name(), "system" | "protection_domain") {
                continue;
            }
            for finding in element.unknown_attributes(kind.attributes()) {
                self.stage.take::<()>(Err(finding));
            }
            let [a, b] = kind.roles();
            let [a_ch, b_ch] = kind.channel_attributes();
            let ends = [self.end(element, a, a_ch, kind), self.end(element, b, b_ch, kind)];
            let [Some(client), Some(server)] = ends else { continue };
            if client.pd == server.pd {
                let pd = self.name_of(client.pd);
                self.stage.error(server.pos, ConnectFault::SamePd(pd));
                continue;
            }
            connections.push(Connection { kind, element, ends: [client, server] });
        }
        self.slots(&mut connections);
        for connection in &mut connections {
            let attributes = connection.kind.channel_attributes();
            self.channel_symbols(connection, attributes);
            self.config_entry(connection);
        }
        connections
    }

    fn end(
        &mut self,
        element: Element<'d>,
        role: &'static str,
        channel: &'static str,
        kind: Kind,
    ) -> Option<End> {
        let Attribute { value, pos } = self.stage.take(element.required(role))?;
        let (pd, prefix) = match self.by_name.get(value) {
            Some(pd) => (Some(*pd), ""),
            None => match value.rsplit_once('.') {
                Some((pd, prefix)) => (self.by_name.get(pd).copied(), prefix),
                None => (None, ""),
            },
        };
        let Some(pd) = pd else {
            let known = self.pds.iter().map(|pd| pd.name).collect::<Vec<_>>().join(", ");
            self.stage.error(pos, ConnectFault::UnknownEnd { end: value.to_owned(), known });
            return None;
        };
        let stem = prefix.strip_suffix('*').unwrap_or(prefix);
        let sound = stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !stem.starts_with(|c: char| c.is_ascii_digit())
            && (stem.is_empty() == prefix.is_empty())
            && (kind == Kind::Call || !prefix.is_empty() || !value.ends_with('.'));
        if !sound {
            self.stage.error(pos, ConnectFault::Prefix(value.to_owned()));
            return None;
        }
        let channel = element.attribute(channel).map(|symbol| symbol.value.to_owned());
        Some(End { pd, prefix: prefix.to_owned(), channel, pos })
    }

    /// Numbers `prefix*`, and sees to it that every prefix has one owner and that numbers have no gap.
    fn slots(&mut self, connections: &mut [Connection<'_>]) {
        let mut slots = Slots::new();
        let ends = connections.iter_mut().flat_map(|connection| {
            let by = describe(connection.element);
            connection.ends.iter_mut().map(move |end| (by.clone(), end))
        });
        let (automatic, given): (Vec<_>, Vec<_>) = ends.partition(|(_, end)| end.prefix.ends_with('*'));
        for (by, end) in given {
            // Whoever is only called needs no symbols, and has any number of callers.
            if end.prefix.is_empty() {
                continue;
            }
            if let Some((_, first)) = slots.get(&(end.pd, end.prefix.clone())) {
                let pd = self.name_of(end.pd);
                let fault = ConnectFault::SlotTaken { pd, prefix: end.prefix.clone(), by: first.clone() };
                self.stage.error(end.pos, fault);
            } else {
                slots.insert((end.pd, end.prefix.clone()), (end.pos, by));
            }
        }
        for (by, end) in automatic {
            let stem = end.prefix.trim_end_matches('*').to_owned();
            let free = (0..).map(|n: u32| format!("{stem}{n}"));
            let chosen = free.into_iter().find(|prefix| !slots.contains_key(&(end.pd, prefix.clone())));
            end.prefix = chosen.unwrap_or_default();
            slots.insert((end.pd, end.prefix.clone()), (end.pos, by));
        }
        for ((pd, prefix), (pos, _)) in &slots {
            let stem = prefix.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = prefix.get(stem.len()..).and_then(|digits| digits.parse::<u32>().ok());
            let Some(below) = number.and_then(|number| number.checked_sub(1)) else { continue };
            let missing = format!("{stem}{below}");
            if !slots.contains_key(&(*pd, missing.clone())) {
                let fault = ConnectFault::Gap { pd: self.name_of(*pd), prefix: prefix.clone(), missing };
                self.stage.error(*pos, fault);
            }
        }
    }

    /// Names the symbols that the channel's numbers go to; only a server that is called needs none.
    fn channel_symbols(&mut self, connection: &mut Connection<'_>, attributes: [&'static str; 2]) {
        let kind = connection.kind;
        for (index, (end, attribute)) in connection.ends.iter_mut().zip(attributes).enumerate() {
            if end.channel.is_some() {
                continue;
            }
            if !end.prefix.is_empty() {
                end.channel = Some(end.symbol("ch"));
            } else if kind != Kind::Call || index == 0 {
                let pd = self.name_of(end.pd);
                self.stage.error(end.pos, ConnectFault::ChannelSymbol { pd, attribute });
            }
        }
    }

    /// `config`: an entry of the server's configuration, called as its end.
    fn config_entry(&mut self, connection: &Connection<'_>) {
        let Some(config) = connection.element.attribute("config") else { return };
        let [_, server] = &connection.ends;
        if server.prefix.is_empty() {
            let pd = self.name_of(server.pd);
            self.stage.error(config.pos, ConnectFault::ConfigPrefix(pd));
            return;
        }
        self.entries.push(Entry {
            pd: server.pd,
            name: server.prefix.clone(),
            value: config.value.to_owned(),
            pos: config.pos,
        });
    }
}

/// An element for a message: `link 'a'`.
fn describe(element: Element<'_>) -> String {
    let name = element.attribute("name").map_or(String::new(), |name| format!(" '{}'", name.value));
    format!("{}{name}", element.name())
}
