// SPDX-License-Identifier: BSD-2-Clause
//! A system as a picture: guests, protection domains, devices, and all that connects them.
//!
//! Layers as in the design: guests, their VMMs, what multiplexes, drivers, hardware. [`facts`] and [`connection`]
//! say what there is to show, [`layout`] and [`route`] where, [`svg`] writes it. The same system gives the same bytes.

mod connection;
mod facts;
mod layout;
mod route;
mod svg;

use crate::model::System;
use board::Board;

/// The system as an SVG file.
#[must_use]
pub fn graph(system: &System, board: &Board, title: &str) -> String {
    let facts = facts::Facts::of(system, board);
    let layout = layout::Layout::of(&facts);
    svg::draw(&facts, &layout, title)
}
