// SPDX-License-Identifier: BSD-2-Clause
//! The build: SDK, PDs, images, emulator runs, benches.
fn main() {}
