// SPDX-License-Identifier: BSD-2-Clause
//! A plugin for QEMU's TCG that counts executed instructions and writes down the count at marked ones.
//!
//! `xtask bench` builds it and passes it by `-plugin file=...,out=FILE,entry=OPCODE`. A mark is `movz xzr, #n` with n
//! from 0xb000 to 0xb0ff, which does nothing. FILE gets one line a mark: its number in hexadecimal and the number of
//! instructions executed before it since reset, all CPUs together. Marks from 0xb0c0 are only counted: the line of every
//! other mark goes on with ` NUMBER=COUNT` for each that was executed so far. `entry` is an instruction word whose first execution
//! is written as mark `entry`: the first word of a guest's kernel image, which nothing else contains. `profile=FILE`
//! also counts by blocks of code, see [`profile`]. `entries=FILE,vectors=ADDRESS` looks for the longest kernel entries, see
//! [`entries`].
//!
//! Interface: QEMU's documentation "QEMU TCG Plugins", `qemu-plugin.h` version 1 (QEMU before 9) and 2 to 4.

mod entries;
mod interface;
mod profile;

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use interface::{COUNTERS, Counter, Instruction, TranslationBlock};

/// `movz xzr, #n` (DDI 0487 C6.2: MOVZ, 64-bit, no shift, register 31), without the immediate.
const MARK: u32 = 0xd280_001f;
/// The bits of it that are fixed, and the marks' own high byte within the immediate.
const MARK_MASK: u32 = 0xffe0_001f;
const MARK_NUMBERS: u32 = 0xb000;
/// The first of the marks that are only counted; there are 64.
const COUNTED: u32 = 0xb0c0;
/// A mark in an endless loop must not fill the disk.
const MOST_MARKS: u32 = 100_000;

static OUT: Mutex<Option<File>> = Mutex::new(None);
static ENTRY: AtomicU32 = AtomicU32::new(0);
static ENTRY_SEEN: AtomicBool = AtomicBool::new(false);
static MARKS: AtomicU32 = AtomicU32::new(0);

/// The interface version this is built for; QEMU reads it before anything else.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = interface::VERSION;

/// Called by QEMU when it loads the plugin.
///
/// # Safety
/// As the interface says: `argv` has `argc` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    for index in 0..usize::try_from(argc).unwrap_or(0) {
        // SAFETY: the caller passes `argc` valid strings.
        let argument = unsafe { CStr::from_ptr(*argv.add(index)) }.to_string_lossy();
        let applied = match argument.split_once('=') {
            Some(("out", path)) => File::create(path).map(|file| set_out(Some(file))).is_ok(),
            Some(("entry", word)) => {
                u32::from_str_radix(word, 16).map(|word| ENTRY.store(word, Ordering::Relaxed)).is_ok()
            }
            Some(("profile", path)) => {
                profile::begin(path);
                true
            }
            Some(("entries", path)) => {
                entries::begin(path);
                true
            }
            Some(("vectors", address)) => u64::from_str_radix(address, 16).map(entries::set_vectors).is_ok(),
            _ => false,
        };
        if !applied {
            eprintln!("icount: cannot use the argument {argument}");
            return 1;
        }
    }
    Counter::create_all();
    interface::on_translation(id, translated);
    0
}

fn set_out(file: Option<File>) {
    if let Ok(mut out) = OUT.lock() {
        *out = file;
    }
}

/// Called for every block that QEMU translates: each instruction in it will count itself, marks will report.
extern "C" fn translated(_id: u64, block: TranslationBlock) {
    let instructions: Vec<Instruction> = interface::instructions(block).collect();
    profile::translated(block, &instructions);
    for (index, event) in entries::events(block, &instructions) {
        // As long as the emulator: it may translate the block again, which is then another one.
        instructions[index].call(happens, std::ptr::from_ref(Box::leak(Box::new(event))) as usize);
    }
    for instruction in instructions {
        let word = instruction.word();
        let number = word >> 5 & 0xffff;
        if word & MARK_MASK == MARK && number & 0xff00 == MARK_NUMBERS {
            match number.checked_sub(COUNTED) {
                Some(counter) => instruction.count(Counter::number(1 + counter as usize)),
                None => instruction.call(reached, number as usize),
            }
        }
        if word != 0 && word == ENTRY.load(Ordering::Relaxed) {
            instruction.call(reached, 0);
        }
        instruction.count(Counter::number(0));
    }
}

/// Called before an instruction that begins or ends a kernel entry. `event` is what [`translated`] left there.
extern "C" fn happens(_cpu: c_uint, event: *mut c_void) {
    // SAFETY: it was leaked by `translated`.
    let event = unsafe { &*event.cast::<entries::Event>() };
    entries::happens(event, Counter::number(0).value());
}

/// Called before a marked instruction is executed. `mark` is its number, 0 for the guest's entry.
extern "C" fn reached(_cpu: c_uint, mark: *mut c_void) {
    let mark = mark as usize;
    entries::mark(mark);
    if mark == 0 && ENTRY_SEEN.swap(true, Ordering::Relaxed)
        || MARKS.fetch_add(1, Ordering::Relaxed) >= MOST_MARKS
    {
        return;
    }
    profile::mark();
    let count = Counter::number(0).value();
    if let Ok(mut out) = OUT.lock()
        && let Some(file) = out.as_mut()
    {
        let mut line = if mark == 0 { format!("entry {count}") } else { format!("{mark:x} {count}") };
        for number in 1..COUNTERS {
            match Counter::number(number).value() {
                0 => {}
                executed => line += &format!(" {:x}={executed}", COUNTED as usize + number - 1),
            }
        }
        line.push('\n');
        // The reader notices that a line is missing.
        let _ = file.write_all(line.as_bytes());
    }
}

impl Instruction {
    /// Lets `callback` run before every execution of it.
    fn call(&self, callback: extern "C" fn(c_uint, *mut c_void), data: usize) {
        interface::on_execution(self, callback, data as *mut c_void);
    }
}
