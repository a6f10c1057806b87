// SPDX-License-Identifier: BSD-2-Clause
//! The lines of the picture: from a domain down to the box of a connection, and on to the domain at its lower end.

use super::connection::Connection;
use super::facts::{Facts, Layer};
use super::layout::Layout;

impl Layout {
    /// The lines from upper domains over pills to lower ones.
    pub(super) fn route(&mut self, facts: &Facts) {
        let (leaving, arriving) = (self.ports(facts, 0), self.ports(facts, 1));
        let middle_top = facts.nodes.iter().zip(&self.nodes).find(|(node, _)| node.layer == Layer::Middle);
        let middle_top = middle_top.map(|(_, rect)| rect.y);
        for (index, connection) in facts.connections.iter().enumerate() {
            let (upper, lower) = (self.node(connection.ends[0]), self.node(connection.ends[1]));
            let pill = self.pill(index);
            let from = leaving.get(index).copied().unwrap_or(upper.center());
            let up = curve(from, upper.bottom(), pill.center(), pill.y);
            let port = arriving.get(index).copied().unwrap_or(lower.center());
            let start = pill.center();
            let down = match middle_top {
                // In the same row: back up to its bottom.
                _ if lower.y < pill.y => curve(start, pill.y, port, lower.bottom()),
                // Past the row between, where nothing is in the way.
                Some(row) if skips_a_row(facts, connection) => {
                    format!("{}V{}", curve(start, pill.bottom(), port, row), lower.y)
                }
                _ => curve(start, pill.bottom(), port, lower.y),
            };
            self.lines.push([up, down]);
        }
    }

    /// Where each connection meets its upper (0) or lower (1) end: spread over it, in the order of the pills.
    fn ports(&self, facts: &Facts, end: usize) -> Vec<i32> {
        let mut ports = vec![0; facts.connections.len()];
        for node in 0..facts.nodes.len() {
            let mut arriving: Vec<usize> = (0..facts.connections.len())
                .filter(|c| facts.connections.get(*c).is_some_and(|c| c.ends.get(end) == Some(&node)))
                .collect();
            arriving.sort_by_key(|c| self.pill(*c).center());
            let rect = self.node(node);
            let count = i32::try_from(arriving.len()).unwrap_or(0) + 1;
            for (place, connection) in (1..).zip(arriving) {
                if let Some(port) = ports.get_mut(connection) {
                    *port = rect.x + rect.w * place / count;
                }
            }
        }
        ports
    }
}

fn layer(facts: &Facts, node: usize) -> Option<Layer> {
    facts.nodes.get(node).map(|node| node.layer)
}

fn skips_a_row(facts: &Facts, connection: &Connection) -> bool {
    layer(facts, connection.ends[0]) == Some(Layer::Vmm)
        && layer(facts, connection.ends[1]) == Some(Layer::Driver)
}

/// A line that leaves and arrives vertically.
fn curve(x0: i32, y0: i32, x1: i32, y1: i32) -> String {
    if x0 == x1 {
        return format!("M{x0} {y0}V{y1}");
    }
    let middle = (y0 + y1) / 2;
    format!("M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}")
}
