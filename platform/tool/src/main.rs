// SPDX-License-Identifier: BSD-2-Clause
//! The microkit tool: system description in, bootable image out.
fn main() {}
