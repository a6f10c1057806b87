// SPDX-License-Identifier: BSD-2-Clause
//! The few functions of QEMU's plugin interface that are used, and what differs between its versions. All functions are
//! the emulator's own and found when it loads the plugin.

use std::ffi::{c_int, c_uint, c_void};
#[cfg(feature = "qemu9")]
use std::sync::OnceLock;
#[cfg(not(feature = "qemu9"))]
use std::sync::atomic::{AtomicU64, Ordering};

/// The version of the interface.
#[cfg(not(feature = "qemu9"))]
pub const VERSION: c_int = 1;
#[cfg(feature = "qemu9")]
pub const VERSION: c_int = 3;

/// A block while it is being translated; valid during the callback only.
pub type TranslationBlock = *mut c_void;
type ExecutionCallback = extern "C" fn(c_uint, *mut c_void);
type TranslationCallback = extern "C" fn(u64, TranslationBlock);

/// `QEMU_PLUGIN_CB_NO_REGS`: the callback looks at no registers.
const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_INLINE_ADD_U64`.
const ADD: c_int = 0;

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: TranslationCallback);
    fn qemu_plugin_tb_n_insns(block: TranslationBlock) -> usize;
    fn qemu_plugin_tb_get_insn(block: TranslationBlock, index: usize) -> *mut c_void;
    fn qemu_plugin_tb_vaddr(block: TranslationBlock) -> u64;
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: ExecutionCallback,
        flags: c_int,
        data: *mut c_void,
    );
}

#[cfg(not(feature = "qemu9"))]
unsafe extern "C" {
    fn qemu_plugin_insn_data(instruction: *mut c_void) -> *const u8;
    fn qemu_plugin_insn_size(instruction: *mut c_void) -> usize;
    fn qemu_plugin_register_vcpu_insn_exec_inline(
        instruction: *mut c_void,
        op: c_int,
        at: *const AtomicU64,
        value: u64,
    );
    fn qemu_plugin_register_vcpu_tb_exec_inline(
        block: TranslationBlock,
        op: c_int,
        at: *const AtomicU64,
        value: u64,
    );
}

#[cfg(feature = "qemu9")]
unsafe extern "C" {
    fn qemu_plugin_insn_data(instruction: *mut c_void, to: *mut u8, size: usize) -> usize;
    fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut c_void,
        op: c_int,
        entry: Entry,
        value: u64,
    );
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: TranslationBlock,
        op: c_int,
        entry: Entry,
        value: u64,
    );
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut c_void;
    fn qemu_plugin_u64_sum(entry: Entry) -> u64;
}

/// `qemu_plugin_u64`: a counter in a scoreboard, one for each CPU.
#[cfg(feature = "qemu9")]
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    score: *mut c_void,
    offset: usize,
}

// SAFETY: the scoreboard lives as long as the emulator, which serialises access to it.
#[cfg(feature = "qemu9")]
unsafe impl Send for Entry {}
// SAFETY: as above.
#[cfg(feature = "qemu9")]
unsafe impl Sync for Entry {}

/// Number of counters.
pub const COUNTERS: usize = 65;

#[cfg(not(feature = "qemu9"))]
static COUNTS: [AtomicU64; COUNTERS] = [const { AtomicU64::new(0) }; COUNTERS];
#[cfg(feature = "qemu9")]
static BOARD: OnceLock<Entry> = OnceLock::new();

/// How often something was executed so far.
#[derive(Clone, Copy)]
pub struct Counter(usize);

impl Counter {
    /// Called once, before anything is counted.
    pub fn create_all() {
        #[cfg(feature = "qemu9")]
        BOARD.get_or_init(|| {
            // SAFETY: allowed at any time after the plugin is loaded.
            let score = unsafe { qemu_plugin_scoreboard_new(COUNTERS * size_of::<u64>()) };
            Entry { score, offset: 0 }
        });
    }

    /// The counter of that number, below [`COUNTERS`]; the last one if there is none.
    pub fn number(number: usize) -> Self {
        Self(number.min(COUNTERS - 1))
    }

    /// Where it is in the scoreboard.
    #[cfg(feature = "qemu9")]
    fn entry(self) -> Option<Entry> {
        BOARD.get().map(|board| Entry { offset: self.0 * size_of::<u64>(), ..*board })
    }

    /// The count.
    pub fn value(self) -> u64 {
        #[cfg(not(feature = "qemu9"))]
        return COUNTS[self.0].load(Ordering::Relaxed);
        #[cfg(feature = "qemu9")]
        // SAFETY: the entry is of a scoreboard that exists.
        self.entry().map_or(0, |entry| unsafe { qemu_plugin_u64_sum(entry) })
    }
}

/// How often a block was executed. It lives as long as the emulator.
pub struct BlockCounter {
    #[cfg(not(feature = "qemu9"))]
    count: &'static AtomicU64,
    #[cfg(feature = "qemu9")]
    entry: Entry,
}

impl BlockCounter {
    /// A counter at 0.
    pub fn new() -> Self {
        #[cfg(not(feature = "qemu9"))]
        return Self { count: Box::leak(Box::new(AtomicU64::new(0))) };
        #[cfg(feature = "qemu9")]
        // SAFETY: allowed at any time after the plugin is loaded.
        Self { entry: Entry { score: unsafe { qemu_plugin_scoreboard_new(size_of::<u64>()) }, offset: 0 } }
    }

    /// Lets every execution of a block that is being translated count.
    pub fn count(&self, block: TranslationBlock) {
        #[cfg(not(feature = "qemu9"))]
        // SAFETY: the block is valid during translation, the counter lives for ever.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, self.count, 1);
        }
        #[cfg(feature = "qemu9")]
        // SAFETY: as above.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD, self.entry, 1);
        }
    }

    /// The count.
    pub fn value(&self) -> u64 {
        #[cfg(not(feature = "qemu9"))]
        return self.count.load(Ordering::Relaxed);
        #[cfg(feature = "qemu9")]
        // SAFETY: the entry is of a scoreboard that exists.
        unsafe {
            qemu_plugin_u64_sum(self.entry)
        }
    }
}

/// The virtual address of a block that is being translated.
pub fn virtual_address(block: TranslationBlock) -> u64 {
    // SAFETY: QEMU passed the block to the translation callback that is running.
    unsafe { qemu_plugin_tb_vaddr(block) }
}

/// An instruction of a block that is being translated.
pub struct Instruction(*mut c_void);

/// The instructions of a block.
pub fn instructions(block: TranslationBlock) -> impl Iterator<Item = Instruction> {
    // SAFETY: QEMU passed the block to the translation callback that is running.
    let count = unsafe { qemu_plugin_tb_n_insns(block) };
    // SAFETY: as above, and the index is below the count.
    (0..count).map(move |index| Instruction(unsafe { qemu_plugin_tb_get_insn(block, index) }))
}

impl Instruction {
    /// Its four bytes as a word; 0 for anything that is not four bytes long.
    pub fn word(&self) -> u32 {
        let mut bytes = [0; 4];
        #[cfg(not(feature = "qemu9"))]
        // SAFETY: the instruction is valid during translation, its data is as long as its size.
        unsafe {
            if qemu_plugin_insn_size(self.0) == 4 {
                bytes.copy_from_slice(std::slice::from_raw_parts(qemu_plugin_insn_data(self.0), 4));
            }
        }
        #[cfg(feature = "qemu9")]
        // SAFETY: the instruction is valid during translation; at most four bytes are written.
        unsafe {
            qemu_plugin_insn_data(self.0, bytes.as_mut_ptr(), bytes.len());
        }
        u32::from_le_bytes(bytes)
    }

    /// Lets every execution of it count one more in `counter`.
    pub fn count(&self, counter: Counter) {
        #[cfg(not(feature = "qemu9"))]
        // SAFETY: the instruction is valid during translation, the counter lives for ever.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_inline(self.0, ADD, &raw const COUNTS[counter.0], 1);
        }
        #[cfg(feature = "qemu9")]
        if let Some(entry) = counter.entry() {
            // SAFETY: as above.
            unsafe { qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(self.0, ADD, entry, 1) };
        }
    }
}

/// Lets `callback` run for every block that is translated.
pub fn on_translation(id: u64, callback: TranslationCallback) {
    // SAFETY: `id` is the plugin's own, the callback lives for ever.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, callback) };
}

/// Lets `callback` run before each execution of `instruction`.
pub fn on_execution(instruction: &Instruction, callback: ExecutionCallback, data: *mut c_void) {
    // SAFETY: the instruction is valid during translation; `data` is a number to the callback.
    unsafe { qemu_plugin_register_vcpu_insn_exec_cb(instruction.0, callback, NO_REGISTERS, data) };
}
