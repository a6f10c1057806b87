// SPDX-License-Identifier: BSD-2-Clause
//! The picture as SVG text.

use super::connection::Connection;
use super::facts::{Facts, Layer};
use super::layout::{LINE, Layout, MONO_CHAR, PAD, Rect, SMALL_LINE};
use std::fmt::Write as _;

/// One colour for each domain that others connect to.
const COLOURS: [&str; 8] =
    ["#00796b", "#1565c0", "#8e24aa", "#c62828", "#ef6c00", "#558b2f", "#5d4037", "#455a64"];

struct Svg {
    text: String,
}

pub(super) fn draw(facts: &Facts, layout: &Layout, title: &str) -> String {
    let mut svg = Svg { text: String::new() };
    svg.head(layout, title);
    if let Some(frame) = layout.frame {
        svg.rect(frame, 10, "fill=\"#f6f7f9\" stroke=\"#90a4ae\" stroke-width=\"1.5\"");
    }
    svg.kernel(facts, layout);
    svg.stage2(layout);
    svg.connections(facts, layout);
    svg.nodes(facts, layout);
    svg.frame_title(facts, layout);
    svg.legend(layout);
    svg.text + "</svg>\n"
}

impl Svg {
    fn put(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self, layout: &Layout, title: &str) {
        let (w, h) = (layout.width, layout.height);
        self.put("<!-- SPDX-License-Identifier: BSD-2-Clause -->");
        self.put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"10\" fill=\"#222\">"
        ));
        self.put(
            "<style>.b{font-weight:bold;font-size:12px}.p{font-weight:bold;font-size:11px}.g{fill:#666}\
             .m{font-family:'DejaVu Sans Mono',monospace;font-size:9px}</style>",
        );
        self.put(
            "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto-start-reverse\"><path d=\"M0 0L8 4L0 8z\" fill=\"context-stroke\"/></marker></defs>",
        );
        self.put(&format!("<rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>"));
        self.words(24, 30, "b", "start", title);
    }

    fn words(&mut self, x: i32, y: i32, class: &str, anchor: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
        self.put(&format!("<text x=\"{x}\" y=\"{y}\"{class}{anchor}>{}</text>", escape(text)));
    }

    fn rect(&mut self, rect: Rect, radius: i32, style: &str) {
        let Rect { x, y, w, h } = rect;
        self.put(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{radius}\" {style}/>"
        ));
    }

    /// Name and lines, centred.
    fn content(&mut self, rect: Rect, name: &str, lines: &[String]) {
        let x = rect.center();
        let mut y = rect.y + PAD + 11;
        self.words(x, y, "b", "middle", name);
        for (index, line) in lines.iter().enumerate() {
            y += LINE;
            self.words(x, y, if index == 0 { "" } else { "g" }, "middle", line);
        }
    }

    fn frame_title(&mut self, facts: &Facts, layout: &Layout) {
        let (Some(frame), Some((name, line))) = (layout.frame, &facts.frame) else { return };
        let (x, y) = (frame.x + 14, frame.y + 19);
        // A halo, for the lines from guests that pass below.
        self.put(&format!(
            "<text x=\"{x}\" y=\"{y}\" stroke=\"#f6f7f9\" stroke-width=\"5\" paint-order=\"stroke\">\
             <tspan class=\"b\">{}</tspan><tspan class=\"g\" dx=\"10\">{}</tspan></text>",
            escape(name),
            escape(line)
        ));
    }

    fn kernel(&mut self, facts: &Facts, layout: &Layout) {
        for (device, rect) in facts.devices.iter().zip(&layout.devices) {
            let Some(driver) = layout.nodes.get(device.owner) else { continue };
            let x = rect.center();
            self.put(&format!(
                "<path d=\"M{x} {}V{}\" fill=\"none\" stroke=\"#607d8b\" stroke-width=\"1.5\"/>",
                driver.bottom(),
                rect.y
            ));
            self.rect(*rect, 0, "fill=\"#eceff1\" stroke=\"#607d8b\"");
            self.content(*rect, &device.name, std::slice::from_ref(&device.line));
        }
        self.rect(layout.kernel, 3, "fill=\"#37474f\"");
        let (x, y) = (layout.kernel.center(), layout.kernel.y + 17);
        self.put(&format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#fff\">microkernel (EL2): threads, address spaces, \
             capabilities, messages, time, virtual CPUs</text>"
        ));
    }

    fn stage2(&mut self, layout: &Layout) {
        let Some(y) = layout.stage2 else { return };
        let end = layout.width - 24;
        self.put(&format!(
            "<path d=\"M24 {y}H{end}\" stroke=\"#b0bec5\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>"
        ));
        self.words(end, y - 5, "g", "end", "EL1, behind stage 2");
        self.words(end, y + 13, "g", "end", "EL0: protection domains");
    }

    fn connections(&mut self, facts: &Facts, layout: &Layout) {
        for ((connection, lines), pill) in facts.connections.iter().zip(&layout.lines).zip(&layout.pills) {
            let colour = colour(facts, connection);
            let [down, up] = connection.signals;
            let [upper, lower] = lines;
            let dashes = if down || up { "" } else { " stroke-dasharray=\"4 3\"" };
            let end = if up { " marker-start=\"url(#a)\"" } else { "" };
            let style = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\"{dashes}");
            self.put(&format!("<path d=\"{upper}\" {style}{end}/>"));
            let end = if down { " marker-end=\"url(#a)\"" } else { "" };
            self.put(&format!("<path d=\"{lower}\" {style}{end}/>"));
            self.pill(connection, *pill, colour);
        }
    }

    fn pill(&mut self, connection: &Connection, pill: Rect, colour: &str) {
        self.rect(pill, 5, &format!("fill=\"#fff\" stroke=\"{colour}\""));
        let y = pill.y + LINE;
        self.put(&format!(
            "<text x=\"{}\" y=\"{y}\" class=\"p\" text-anchor=\"middle\" fill=\"{colour}\">{}</text>",
            pill.center(),
            escape(&connection.name)
        ));
        let columns = connection.columns();
        let width = (columns.iter().sum::<usize>() + 3) as f64 * MONO_CHAR;
        let x = pill.center() - (width / 2.0) as i32;
        for (row, [name, upper, lower]) in (1..).zip(&connection.regions) {
            let text = format!(
                "{name:<a$}  {upper:>b$}|{lower:<c$}",
                a = columns[0],
                b = columns[1],
                c = columns[2]
            );
            self.put(&format!(
                "<text x=\"{x}\" y=\"{}\" class=\"m\" xml:space=\"preserve\">{}</text>",
                y + SMALL_LINE * row,
                escape(text.trim_end())
            ));
        }
    }

    fn nodes(&mut self, facts: &Facts, layout: &Layout) {
        for ((node, rect), guest) in facts.nodes.iter().zip(&layout.nodes).zip(&layout.guests) {
            if let (Some(guest), Some(rect_of_guest)) = (&node.guest, guest) {
                let x = rect_of_guest.center();
                self.put(&format!(
                    "<path d=\"M{x} {}V{}\" stroke=\"#f9a825\" stroke-width=\"3\"/>",
                    rect_of_guest.bottom(),
                    rect.y
                ));
                self.rect(*rect_of_guest, 4, "fill=\"#fff8e1\" stroke=\"#f9a825\" stroke-width=\"1.5\"");
                self.content(*rect_of_guest, &guest.name, &guest.lines);
            }
            let style = match node.layer {
                Layer::Vmm => "fill=\"#e8eaf6\" stroke=\"#3949ab\"",
                Layer::Middle => "fill=\"#e0f2f1\" stroke=\"#00695c\"",
                Layer::Driver => "fill=\"#fbe9e7\" stroke=\"#bf360c\"",
            };
            self.rect(*rect, 4, &format!("{style} stroke-width=\"1.2\""));
            self.content(*rect, &node.name, &node.lines());
        }
    }

    fn legend(&mut self, layout: &Layout) {
        let first = "Share of the processor: budget in each period. A line is a channel, with shared memory in the box on it: \
                     region, rights of the upper | the lower end.";
        let second = "r, w, x: may read, write, execute. @: is told the physical address. -: not mapped. calls: protected calls. \
                      watched: answers its parent's watchdog.";
        self.words(24, layout.legend, "g", "start", first);
        self.words(24, layout.legend + LINE + 2, "g", "start", second);
    }
}

/// The colour of what the connection leads to; one colour from a guest's side through a multiplexer to its driver.
fn colour(facts: &Facts, connection: &Connection) -> &'static str {
    let service = |connection: &Connection| {
        let [upper, lower] = connection.ends;
        let middle = facts.nodes.get(upper).is_some_and(|node| node.layer == Layer::Middle);
        if middle { upper } else { lower }
    };
    let mut services: Vec<usize> = facts.connections.iter().map(service).collect();
    services.sort_unstable();
    services.dedup();
    let place = services.iter().position(|found| *found == service(connection)).unwrap_or(0);
    COLOURS.get(place % COLOURS.len()).copied().unwrap_or("#444")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => {
                // Writing to a string cannot fail.
                let _ = escaped.write_char(c);
            }
        }
    }
    escaped
}
