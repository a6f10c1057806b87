// SPDX-License-Identifier: BSD-2-Clause
//! The picture of a system: what is in it, that it is the same every time, and that the one in docs/ is up to date.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use roxmltree::Document;
use sdf::{Platform, Variables};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn graph(file: &str) -> String {
    let board = Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap();
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let resolved = sdf::resolve(file, &text, &board, &Variables::new()).unwrap();
    let system = resolved.parse_without_files(&Platform::from_board(&board)).unwrap();
    sdf::graph(&system, &board, file)
}

#[test]
fn a_system_with_every_kind_of_connection_is_drawn_as_before() {
    insta::assert_snapshot!(graph("tests/sdf/valid/connections.xml"));
}

#[test]
fn picture_in_the_documentation_is_up_to_date() {
    let shown = std::fs::read_to_string(root().join("docs/system.svg")).unwrap();
    let now = graph("system.xml");
    assert!(shown == now, "system.xml has changed: run `cargo xtask graph --output docs/system.svg`");
}

/// Boxes of domains and guests, by the name in them: x, y, width, height.
fn boxes(svg: &str) -> Vec<[i32; 4]> {
    let document = Document::parse(svg).unwrap();
    let number =
        |node: roxmltree::Node<'_, '_>, name| node.attribute(name).map_or(0, |n: &str| n.parse().unwrap());
    let rects = document.descendants().filter(|node| node.has_tag_name("rect"));
    // Rounded by 4 are domains and guests, by 5 connections.
    rects
        .filter(|node| matches!(node.attribute("rx"), Some("4" | "5")))
        .map(|node| [number(node, "x"), number(node, "y"), number(node, "width"), number(node, "height")])
        .collect()
}

#[test]
fn nothing_covers_anything_else_and_all_is_inside() {
    for file in [
        "system.xml",
        "tests/sdf/valid/connections.xml",
        "tests/systems/two_guests.xml",
        "tests/systems/crashes.xml",
        "tests/sdf/valid/channels.system",
    ] {
        let svg = graph(file);
        let document = Document::parse(&svg).unwrap();
        let size = |name| document.root_element().attribute(name).unwrap().parse::<i32>().unwrap();
        let (width, height) = (size("width"), size("height"));
        let boxes = boxes(&svg);
        assert!(!boxes.is_empty(), "{file}");
        for (index, [x, y, w, h]) in boxes.iter().enumerate() {
            assert!(*x >= 0 && *y >= 0 && x + w <= width && y + h <= height, "{file}: {x} {y} {w} {h}");
            for [other_x, other_y, other_w, other_h] in &boxes[..index] {
                let apart = x + w <= *other_x
                    || other_x + other_w <= *x
                    || y + h <= *other_y
                    || other_y + other_h <= *y;
                assert!(apart, "{file}: boxes at {x} {y} and {other_x} {other_y}");
            }
        }
    }
}

#[test]
fn rights_and_names_are_in_the_picture() {
    let svg = graph("tests/sdf/valid/connections.xml");
    let document = Document::parse(&svg).unwrap();
    let texts: Vec<String> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| node.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect::<String>())
        .collect();
    let has =
        |text: &str| texts.iter().any(|found| found.split_whitespace().collect::<Vec<_>>().join(" ") == text);
    for text in [
        "virt",
        "blk_1",
        "link rw|rw",
        "ram_1 rw|@",
        "rx_data r|rw @",
        "dma 64K rw @",
        "watched",
        "called by 1",
        "registers rw · INTID 48",
        "generic_timer",
        "priority 240 · 100 %",
    ] {
        assert!(has(text), "{text} is not in {texts:#?}");
    }
    assert!(texts.iter().any(|text| text.starts_with("supervisor") && text.contains("calls timer")));
}
