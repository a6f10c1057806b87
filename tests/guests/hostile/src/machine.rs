// SPDX-License-Identifier: BSD-2-Clause
//! What the guest is told: command line, memory, PSCI conduit from the flattened device tree (version 17).

use crate::cpu;

/// Longest structure block that is looked at, in 4-byte tokens.
const MOST_TOKENS: u64 = 0x8000;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;

/// What this guest needs to know.
#[derive(Clone, Copy)]
pub struct Machine {
    /// The command line.
    pub command_line: &'static str,
    /// First byte behind the first memory node's range.
    pub memory_end: u64,
    /// PSCI by SMC; else by HVC. Bare QEMU says HVC, Bulkhead SMC.
    pub psci_by_smc: bool,
}

impl Machine {
    /// Reads the device tree at `tree`. What is missing or broken keeps a harmless value.
    pub fn from_device_tree(tree: u64) -> Self {
        let mut machine = Self { command_line: "", memory_end: 0x4400_0000, psci_by_smc: false };
        if tree == 0 || big_endian(tree) != 0xd00d_feed {
            return machine;
        }
        let structure = tree.wrapping_add(big_endian(tree.wrapping_add(8)).into());
        let strings = tree.wrapping_add(big_endian(tree.wrapping_add(12)).into());
        let mut node = "";
        let mut depth = 0u32;
        let mut at = structure;
        while at.wrapping_sub(structure) < MOST_TOKENS * 4 {
            let token = big_endian(at);
            at = at.wrapping_add(4);
            match token {
                BEGIN_NODE => {
                    depth = depth.wrapping_add(1);
                    node = text(at);
                    at = at.wrapping_add(node.len() as u64 + 4) & !3;
                }
                END_NODE => depth = depth.wrapping_sub(1),
                PROPERTY => {
                    let length = big_endian(at);
                    let name = text(strings.wrapping_add(big_endian(at.wrapping_add(4)).into()));
                    let value = at.wrapping_add(8);
                    if depth == 2 {
                        machine.take(node, name, value);
                    }
                    at = value.wrapping_add(u64::from(length) + 3) & !3;
                }
                NOP => {}
                _ => break,
            }
        }
        machine
    }

    fn take(&mut self, node: &str, name: &str, value: u64) {
        if node == "chosen" && name == "bootargs" {
            self.command_line = text(value);
        } else if node == "psci" && name == "method" {
            self.psci_by_smc = text(value) == "smc";
        } else if node.starts_with("memory@") && name == "reg" {
            let cell = |n: u64| u64::from(big_endian(value.wrapping_add(4 * n)));
            self.memory_end = ((cell(0) + cell(2)) << 32).wrapping_add(cell(1)).wrapping_add(cell(3));
        }
    }

    /// The value of word `key=value` of the command line.
    pub fn option(&self, key: &str) -> Option<&'static str> {
        self.command_line.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// A decimal number from the command line.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.option(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

fn big_endian(address: u64) -> u32 {
    (cpu::load32(address, 0) as u32).swap_bytes()
}

/// The zero-terminated ASCII text at `address`, at most 1023 bytes.
fn text(address: u64) -> &'static str {
    let length = (0..1023u64).take_while(|&i| cpu::load8(address.wrapping_add(i), 0) != 0).count();
    // SAFETY: the loader's device tree is not written by anybody while the guest runs, except by this guest when it
    // fills memory, which it does last; the bytes were just read.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, length) };
    core::str::from_utf8(bytes).unwrap_or("")
}
