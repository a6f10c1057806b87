// SPDX-License-Identifier: BSD-2-Clause
//! A profile: how many instructions each translated block has executed between two marks.
//!
//! The file gets, at every mark, one line for each block that was executed since the mark before: its virtual address, its
//! instructions executed, and the words of its instructions, all hexadecimal. The words tell programs apart that have
//! code at the same address: whoever reads the file looks which program has those words there.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Mutex;

use crate::interface::{BlockCounter, Instruction, TranslationBlock, virtual_address};

/// A block, wherever and however often it was translated.
type Key = (u64, Vec<u32>);

struct Block {
    counter: BlockCounter,
    /// Executions at the last mark.
    seen: u64,
}

static PROFILE: Mutex<Option<Profile>> = Mutex::new(None);

struct Profile {
    path: String,
    blocks: HashMap<Key, Block>,
}

/// Begins to profile; the file is written at each mark.
pub fn begin(path: &str) {
    if let Ok(mut profile) = PROFILE.lock() {
        *profile = Some(Profile { path: path.into(), blocks: HashMap::new() });
    }
}

/// A block is being translated.
pub fn translated(block: TranslationBlock, instructions: &[Instruction]) {
    let Ok(mut profile) = PROFILE.lock() else { return };
    let Some(profile) = profile.as_mut() else { return };
    let words = instructions.iter().map(Instruction::word).collect();
    let new = || Block { counter: BlockCounter::new(), seen: 0 };
    profile.blocks.entry((virtual_address(block), words)).or_insert_with(new).counter.count(block);
}

/// A mark was reached.
pub fn mark() {
    let Ok(mut profile) = PROFILE.lock() else { return };
    let Some(profile) = profile.as_mut() else { return };
    let mut text = String::new();
    for ((address, words), block) in &mut profile.blocks {
        let count = block.counter.value();
        let executions = count - std::mem::replace(&mut block.seen, count);
        if executions != 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{address:x} {:x}", executions * words.len() as u64);
            for word in words {
                let _ = write!(text, " {word:08x}");
            }
            text.push('\n');
        }
    }
    // The reader notices that the file is missing.
    let _ = std::fs::write(&profile.path, text);
}
