// SPDX-License-Identifier: BSD-2-Clause
//! Symbols that the tool writes: sizes and names are those of Microkit 2.3, and `function_names` is ours.

use core::ptr::read_volatile;

/// Entries of a table.
const ENTRIES: usize = 64;
/// Bytes of a name, the terminating zero included.
const NAME_BYTES: usize = 64;

macro_rules! patched {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$doc])*
        #[used]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".data.microkit")]
        static $name: $type = $value;)*
    };
}

patched! {
    /// Number of protection domains.
    pd_names_len: u64 = 0;
    /// Their names.
    pd_names: [[u8; NAME_BYTES]; ENTRIES] = [[0; _]; _];
    /// Number of vCPUs.
    vm_names_len: u64 = 0;
    /// Names of their virtual machines.
    vm_names: [[u8; NAME_BYTES]; ENTRIES] = [[0; _]; _];
    /// Lowest address of each protection domain's stack.
    pd_stack_bottom_addrs: [u64; ENTRIES] = [0; _];
    /// Address of the functions' names (`system_spec::symbols`); 0 when there are none.
    function_names: u64 = 0;
    /// Their size in bytes.
    function_names_size: u64 = 0;
}

fn read<T: Copy>(value: &'static T) -> T {
    // SAFETY: a static is valid for reading; volatile, because the tool has changed it after linking.
    unsafe { read_volatile(value) }
}

/// Name of protection domain `index`.
pub fn pd_name(index: usize) -> Option<Name> {
    let known = index < usize::try_from(read(&pd_names_len)).unwrap_or(0).min(ENTRIES);
    let bytes = read(pd_names.get(index)?);
    known.then_some(Name(bytes))
}

/// Lowest address of the stack of protection domain `index`.
pub fn stack_bottom(index: usize) -> Option<u64> {
    pd_stack_bottom_addrs.get(index).map(read).filter(|&address| address != 0)
}

/// The names of all functions.
pub fn functions() -> &'static [u8] {
    let (address, size) = (read(&function_names), read(&function_names_size));
    if address == 0 {
        return &[];
    }
    // SAFETY: the tool has mapped `size` bytes there, read-only.
    unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) }
}

/// A name up to its first zero.
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// The name; a question mark when it is no text.
    pub fn as_str(&self) -> &str {
        let Self(bytes) = self;
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or("?")
    }
}
