// SPDX-License-Identifier: BSD-2-Clause
//! Where everything in the picture is, in pixels.
//!
//! Three rows of domains, each with a lane below it for the connections that its domains are the upper end of. Whatever
//! is in the frame is one block; the rest is a second block to its right. In a block, a driver stands below the domain
//! that it serves.

use super::connection::Connection;
use super::facts::{Facts, Layer, Node};

/// Pixels that a character takes, of the text and of the fixed-width font.
pub(super) const CHAR: f64 = 5.9;
pub(super) const BOLD_CHAR: f64 = 7.6;
pub(super) const MONO_CHAR: f64 = 5.45;
/// Height of a line of text.
pub(super) const LINE: i32 = 13;
/// Height of a line of rights.
pub(super) const SMALL_LINE: i32 = 11;
/// Between a border and what is in it.
pub(super) const PAD: i32 = 8;
const GAP: i32 = 14;
const MARGIN: i32 = 24;
/// So that the texts at the bottom fit.
const MIN_WIDTH: i32 = 860;
const LAYERS: [Layer; 3] = [Layer::Vmm, Layer::Middle, Layer::Driver];

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Rect {
    pub(super) fn center(self) -> i32 {
        self.x + self.w / 2
    }

    pub(super) fn bottom(self) -> i32 {
        self.y + self.h
    }
}

pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) nodes: Vec<Rect>,
    /// As the nodes.
    pub(super) guests: Vec<Option<Rect>>,
    /// As the connections.
    pub(super) pills: Vec<Rect>,
    /// As the connections: paths of the upper and of the lower line.
    pub(super) lines: Vec<[String; 2]>,
    pub(super) devices: Vec<Rect>,
    pub(super) frame: Option<Rect>,
    /// Between guests and domains.
    pub(super) stage2: Option<i32>,
    pub(super) kernel: Rect,
    pub(super) legend: i32,
}

fn text_width(text: &str, per_char: f64) -> i32 {
    (text.chars().count() as f64 * per_char) as i32
}

fn lines_width<'t>(lines: impl Iterator<Item = &'t String>) -> i32 {
    lines.map(|line| text_width(line, CHAR)).max().unwrap_or(0)
}

fn box_size(name: &str, lines: &[String]) -> (i32, i32) {
    let width = lines_width(lines.iter()).max(text_width(name, BOLD_CHAR)).max(110);
    let count = i32::try_from(lines.len()).unwrap_or(0);
    (width + 2 * PAD, LINE * (count + 1) + 2 * PAD)
}

impl Node {
    /// The lines below the name.
    pub(super) fn lines(&self) -> Vec<String> {
        [std::slice::from_ref(&self.time), &self.memory, &self.notes].concat()
    }
}

impl Connection {
    /// Columns of the table of rights: characters of each.
    pub(super) fn columns(&self) -> [usize; 3] {
        let widest = |column: usize| {
            self.regions
                .iter()
                .filter_map(|row| row.get(column))
                .map(|t| t.chars().count())
                .max()
                .unwrap_or(0)
        };
        [widest(0), widest(1), widest(2)]
    }

    fn size(&self) -> (i32, i32) {
        let table: usize = self.columns().iter().sum::<usize>() + 3;
        let width = ((table as f64 * MONO_CHAR) as i32).max(text_width(&self.name, BOLD_CHAR));
        let rows = i32::try_from(self.regions.len()).unwrap_or(0);
        (width + 2 * PAD, LINE + SMALL_LINE * rows + PAD)
    }
}

impl Layout {
    pub(super) fn of(facts: &Facts) -> Self {
        let mut layout = Self {
            width: 0,
            height: 0,
            nodes: facts.nodes.iter().map(|node| sized(box_size(&node.name, &node.lines()))).collect(),
            guests: facts
                .nodes
                .iter()
                .map(|node| node.guest.as_ref().map(|guest| sized(box_size(&guest.name, &guest.lines))))
                .collect(),
            pills: facts.connections.iter().map(|connection| sized(connection.size())).collect(),
            lines: Vec::new(),
            devices: facts
                .devices
                .iter()
                .map(|device| sized(box_size(&device.name, std::slice::from_ref(&device.line))))
                .collect(),
            frame: None,
            stage2: None,
            kernel: Rect::default(),
            legend: 0,
        };
        let mut x = MARGIN;
        for framed in [true, false] {
            let block: Vec<usize> = (0..facts.nodes.len())
                .filter(|n| facts.nodes.get(*n).is_some_and(|n| n.framed == framed))
                .collect();
            if block.is_empty() {
                continue;
            }
            let inside = if framed { GAP } else { 0 };
            let end = layout.block(facts, &block, x + inside) + inside;
            if framed {
                layout.frame = Some(Rect { x, w: end - x, ..Rect::default() });
            }
            x = end + GAP;
        }
        layout.width = x - GAP + MARGIN;
        layout.widen();
        layout.rows(facts);
        layout.devices(facts);
        layout.kernel.x = MARGIN;
        layout.kernel.w = layout.width - 2 * MARGIN;
        layout.route(facts);
        layout
    }

    /// Puts a narrow system into the middle.
    fn widen(&mut self) {
        let missing = (MIN_WIDTH - self.width).max(0);
        self.width += missing;
        let rects = self.nodes.iter_mut().chain(self.guests.iter_mut().flatten()).chain(&mut self.frame);
        rects.for_each(|rect| rect.x += missing / 2);
    }

    pub(super) fn node(&self, index: usize) -> Rect {
        self.nodes.get(index).copied().unwrap_or_default()
    }

    pub(super) fn pill(&self, index: usize) -> Rect {
        self.pills.get(index).copied().unwrap_or_default()
    }

    /// Connections that `node` is the upper end of.
    fn below(facts: &Facts, node: usize) -> Vec<usize> {
        let of = |c: &usize| facts.connections.get(*c).is_some_and(|c| c.ends.first() == Some(&node));
        (0..facts.connections.len()).filter(of).collect()
    }

    /// Width of a node with its pills and devices.
    fn span(&self, facts: &Facts, node: usize) -> i32 {
        let pills = Self::below(facts, node);
        let pills = row_width(pills.iter().map(|pill| self.pill(*pill).w));
        let devices = facts.devices.iter().zip(&self.devices).filter(|(device, _)| device.owner == node);
        let devices = row_width(devices.map(|(_, rect)| rect.w));
        let guest = self.guests.get(node).copied().flatten().map_or(0, |guest| guest.w);
        self.node(node).w.max(pills).max(devices).max(guest)
    }

    /// Gives the nodes of a block their horizontal places from `x` on; gives its right border.
    fn block(&mut self, facts: &Facts, block: &[usize], x: i32) -> i32 {
        let of = |layer| {
            let is = move |n: &usize| facts.nodes.get(*n).is_some_and(|node| node.layer == layer);
            block.iter().copied().filter(is).collect::<Vec<usize>>()
        };
        let vmms: Vec<Vec<usize>> = of(Layer::Vmm).into_iter().map(|node| vec![node]).collect();
        // A column is what stands in one place of the two lower rows: the domain, and the drivers that it uses.
        let mut columns: Vec<(Option<usize>, Vec<usize>)> =
            of(Layer::Middle).into_iter().map(|node| (Some(node), Vec::new())).collect();
        for driver in of(Layer::Driver) {
            let user = facts.connections.iter().find_map(|connection| {
                let [upper, lower] = connection.ends;
                (lower == driver).then(|| columns.iter().position(|(middle, _)| *middle == Some(upper)))?
            });
            match user.and_then(|user| columns.get_mut(user)) {
                Some((_, drivers)) => drivers.push(driver),
                None => columns.push((None, vec![driver])),
            }
        }
        let upper: Vec<i32> = vmms.iter().map(|row| self.row_span(facts, row)).collect();
        let lower: Vec<i32> = columns
            .iter()
            .map(|(middle, drivers)| {
                middle.map_or(0, |node| self.span(facts, node)).max(self.row_span(facts, drivers))
            })
            .collect();
        let width = row_width(upper.iter().copied()).max(row_width(lower.iter().copied()));
        for ((row, span), at) in vmms.iter().zip(&upper).zip(spread(&upper, x, width)) {
            self.place_row(facts, row, at, *span);
        }
        for (((middle, drivers), span), at) in columns.iter().zip(&lower).zip(spread(&lower, x, width)) {
            self.place_row(facts, middle.as_slice(), at, *span);
            self.place_row(facts, drivers, at, *span);
        }
        x + width
    }

    fn row_span(&self, facts: &Facts, row: &[usize]) -> i32 {
        row_width(row.iter().map(|node| self.span(facts, *node)))
    }

    /// Puts nodes side by side into the middle of `at..at + width`.
    fn place_row(&mut self, facts: &Facts, row: &[usize], at: i32, width: i32) {
        let mut x = at + (width - self.row_span(facts, row)) / 2;
        for node in row {
            let span = self.span(facts, *node);
            let center = x + span / 2;
            if let Some(rect) = self.nodes.get_mut(*node) {
                rect.x = center - rect.w / 2;
            }
            if let Some(Some(guest)) = self.guests.get_mut(*node) {
                guest.x = center - guest.w / 2;
            }
            x += span + GAP;
        }
    }

    /// Vertical places, and the pills.
    fn rows(&mut self, facts: &Facts) {
        let mut y = MARGIN + 30;
        let guests = self.guests.iter().flatten().map(|guest| guest.h).max();
        if let Some(height) = guests {
            for guest in self.guests.iter_mut().flatten() {
                guest.y = y + height - guest.h;
            }
            y += height + 22;
            self.stage2 = Some(y);
            y += 22;
        }
        if let Some(frame) = &mut self.frame {
            frame.y = y;
            y += 30;
        }
        for layer in LAYERS {
            let row: Vec<usize> = (0..facts.nodes.len())
                .filter(|n| facts.nodes.get(*n).is_some_and(|node| node.layer == layer))
                .collect();
            let Some(height) = row.iter().map(|node| self.node(*node).h).max() else { continue };
            for node in &row {
                if let Some(rect) = self.nodes.get_mut(*node) {
                    rect.y = y;
                    // One height for the row: it reads as a row.
                    rect.h = height;
                }
            }
            y += height;
            let mut pills = 0;
            for node in row {
                pills = pills.max(self.place_pills(facts, node, y + 28));
            }
            if pills > 0 {
                let crossing = if layer == Layer::Vmm { 70 } else { 24 };
                y += 28 + pills + crossing;
            } else if layer != Layer::Driver {
                y += 30;
            }
        }
        if let Some(frame) = &mut self.frame {
            frame.h = y + GAP - frame.y;
            y += GAP;
        }
        self.kernel.y = y + 20;
        self.kernel.h = 26;
        y += 20 + 26 + 20;
        let devices = self.devices.iter_mut();
        y += devices
            .map(|device| {
                device.y = y;
                device.h
            })
            .max()
            .unwrap_or(0);
        self.legend = y + 26;
        self.height = y + 26 + 2 * LINE + MARGIN;
    }

    /// The pills below a node, those that lead left first; gives their height.
    fn place_pills(&mut self, facts: &Facts, node: usize, y: i32) -> i32 {
        let mut pills = Self::below(facts, node);
        pills.sort_by_key(|pill| {
            facts.connections.get(*pill).map_or(0, |connection| self.node(connection.ends[1]).center())
        });
        let width = row_width(pills.iter().map(|pill| self.pill(*pill).w));
        let mut x = self.node(node).center() - width / 2;
        let mut height = 0;
        for pill in pills {
            if let Some(rect) = self.pills.get_mut(pill) {
                (rect.x, rect.y) = (x, y);
                x += rect.w + GAP;
                height = height.max(rect.h);
            }
        }
        height
    }

    /// Devices below their drivers.
    fn devices(&mut self, facts: &Facts) {
        for node in 0..facts.nodes.len() {
            let own: Vec<usize> = (0..facts.devices.len())
                .filter(|d| facts.devices.get(*d).is_some_and(|d| d.owner == node))
                .collect();
            let rect = |d: &usize| self.devices.get(*d).copied().unwrap_or_default();
            let mut x = self.node(node).center() - row_width(own.iter().map(|d| rect(d).w)) / 2;
            for device in own {
                if let Some(rect) = self.devices.get_mut(device) {
                    rect.x = x;
                    x += rect.w + GAP;
                }
            }
        }
    }
}

fn sized((w, h): (i32, i32)) -> Rect {
    Rect { w, h, ..Rect::default() }
}

/// Width of things side by side.
fn row_width(widths: impl Iterator<Item = i32>) -> i32 {
    let (sum, count) = widths.fold((0, 0), |(sum, count), width| (sum + width, count + 1));
    sum + GAP * (count - 1).max(0)
}

/// Left borders of things of these widths, evenly spread over `x..x + width`.
fn spread(widths: &[i32], x: i32, width: i32) -> Vec<i32> {
    let count = i32::try_from(widths.len()).unwrap_or(0).max(1);
    let free = (width - widths.iter().sum::<i32>()).max(0);
    let mut at = x;
    (1..)
        .zip(widths)
        .map(|(place, width)| {
            // Half a share before the first and after the last.
            let left = at + free * (2 * place - 1) / (2 * count);
            at += width;
            left
        })
        .collect()
}
