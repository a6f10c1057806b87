// SPDX-License-Identifier: BSD-2-Clause
//! The symbols that the `microkit` tool patches in a PD's ELF file, and the macros that declare further ones.
//!
//! A patched symbol must exist in the ELF file although nothing in the program writes it, and the compiler must not
//! conclude its value. Hence `#[used]`, a section of its own that `microkit.ld` keeps, and reads that the compiler
//! cannot see through.

use core::str::Utf8Error;

/// A variable that is written after linking and never again.
#[derive(Debug)]
#[repr(transparent)]
pub struct PatchedSymbol<T>(core::cell::UnsafeCell<T>);

// SAFETY: the program only ever reads the value (no method writes it), so sharing it is sharing `&T`.
unsafe impl<T: Sync> Sync for PatchedSymbol<T> {}

impl<T> PatchedSymbol<T> {
    /// A symbol whose value is `default` unless the tool changes it.
    pub const fn new(default: T) -> Self {
        Self(core::cell::UnsafeCell::new(default))
    }

    /// The value as it is at run time.
    #[inline]
    pub fn get(&'static self) -> &'static T {
        // SAFETY: the pointer comes from a static of this type and nobody writes it. `black_box` keeps the compiler
        // from taking the initial value for the present one.
        unsafe { &*core::hint::black_box(self.0.get()) }
    }
}

impl<T: Copy> PatchedSymbol<T> {
    /// A copy of the value as it is at run time.
    #[inline(always)]
    pub fn read(&'static self) -> T {
        // SAFETY: the pointer comes from a static of this type and nobody writes it.
        unsafe { self.0.get().read_volatile() }
    }
}

/// Declares a symbol that the `microkit` tool sets (`setvar_vaddr`, `setvar_id` and so on) and gives its value at run
/// time as `&'static T`: `var!(console_channel: usize = 0)`. The symbol is in the ELF file even when the value is
/// not used.
#[macro_export]
macro_rules! var {
    ($(#[$attrs:meta])* $symbol:ident: $ty:ty = $default:expr) => {{
        $(#[$attrs])*
        #[used]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".data.microkit")]
        #[allow(non_upper_case_globals, reason = "the name is the system description's")]
        static $symbol: $crate::PatchedSymbol<$ty> = $crate::PatchedSymbol::new($default);

        $symbol.get()
    }};
}

/// Declares a symbol that the `microkit` tool sets to a memory region's address, and gives the address at run time as
/// `NonNull<T>`, or `NonNull<[T]>` of `n` elements. `bytes`, when given, must be the size. Panics when the tool has not
/// set the symbol.
///
/// Forms: `(sym: *mut T)`, `(sym: *mut T, bytes = b)`, `(sym: *mut [T], n = n)`, `(sym: *mut [T], n = n, bytes = b)`.
#[macro_export]
macro_rules! memory_region_symbol {
    ($(#[$attrs:meta])* $symbol:ident: *mut [$ty:ty], n = $n:expr, bytes = $bytes:expr $(,)?) => {{
        ::core::assert!($bytes == $n * ::core::mem::size_of::<$ty>());
        $crate::memory_region_symbol!($(#[$attrs])* $symbol: *mut [$ty], n = $n)
    }};
    ($(#[$attrs:meta])* $symbol:ident: *mut $ty:ty, bytes = $bytes:expr $(,)?) => {{
        ::core::assert!($bytes == ::core::mem::size_of::<$ty>());
        $crate::memory_region_symbol!($(#[$attrs])* $symbol: *mut $ty)
    }};
    ($(#[$attrs:meta])* $symbol:ident: *mut [$ty:ty], n = $n:expr $(,)?) => {{
        ::core::ptr::NonNull::slice_from_raw_parts(
            $crate::memory_region_symbol!($(#[$attrs])* $symbol: *mut $ty),
            $n,
        )
    }};
    ($(#[$attrs:meta])* $symbol:ident: *mut $ty:ty $(,)?) => {{
        let address = *$crate::var!($(#[$attrs])* $symbol: usize = 0);
        match ::core::ptr::NonNull::new(::core::ptr::with_exposed_provenance_mut::<$ty>(address)) {
            ::core::option::Option::Some(pointer) => pointer,
            ::core::option::Option::None => ::core::panic!("{} is not set", ::core::stringify!($symbol)),
        }
    }};
}

/// Bytes of the PD's name, with at least one zero at the end unless the name fills it.
const NAME_LENGTH: usize = 64;

/// Symbols that every PD has.
macro_rules! standard_symbols {
    ($($symbol:ident: $ty:ty = $default:expr;)*) => {
        #[allow(non_upper_case_globals, reason = "names that the microkit tool looks for")]
        mod standard {
            use super::{NAME_LENGTH, PatchedSymbol};
            $(
                #[cfg(not(feature = "extern-symbols"))]
                #[used]
                #[unsafe(no_mangle)]
                #[cfg_attr(target_os = "none", unsafe(link_section = ".data.microkit"))]
                pub(super) static $symbol: PatchedSymbol<$ty> = PatchedSymbol::new($default);
            )*
            #[cfg(feature = "extern-symbols")]
            unsafe extern "C" {
                $(pub(super) safe static $symbol: PatchedSymbol<$ty>;)*
            }
        }
    };
}

standard_symbols! {
    microkit_name: [u8; NAME_LENGTH] = [0; NAME_LENGTH];
    microkit_passive: u8 = 0;
    microkit_irqs: u64 = 0;
    microkit_notifications: u64 = 0;
    microkit_pps: u64 = 0;
    microkit_ioports: u64 = 0;
}

/// Not one of Microkit's: the channel on which the PD's supervisor asks whether it is alive, if the system description
/// says so.
mod watchdog {
    use super::PatchedSymbol;
    #[used]
    #[unsafe(no_mangle)]
    #[cfg_attr(target_os = "none", unsafe(link_section = ".data.microkit"))]
    #[allow(non_upper_case_globals, reason = "the name is the system description's")]
    pub(super) static watchdog_ch: PatchedSymbol<usize> = PatchedSymbol::new(usize::MAX);
}

/// The channel on which the supervisor asks, as a bit; 0 when there is none.
pub(crate) fn watchdog_badge() -> u64 {
    u32::try_from(watchdog::watchdog_ch.read())
        .ok()
        .and_then(|channel| 1_u64.checked_shl(channel))
        .unwrap_or(0)
}

/// Whether this protection domain is a passive server.
pub fn pd_is_passive() -> bool {
    standard::microkit_passive.read() != 0
}

/// Bit n: channel n is an interrupt.
#[inline(always)]
pub(crate) fn pd_irqs() -> u64 {
    standard::microkit_irqs.read()
}

/// Bit n: channel n may be notified.
#[inline(always)]
pub(crate) fn pd_notifications() -> u64 {
    standard::microkit_notifications.read()
}

/// Bit n: channel n may be called.
#[inline(always)]
pub(crate) fn pd_pps() -> u64 {
    standard::microkit_pps.read()
}

/// The name of this protection domain as bytes.
pub fn pd_name_bytes() -> &'static [u8] {
    let all = standard::microkit_name.get();
    let length = all.iter().position(|byte| *byte == 0).unwrap_or(all.len());
    all.get(..length).unwrap_or(all)
}

/// The name of this protection domain.
///
/// # Errors
/// When the name is not UTF-8.
pub fn pd_name() -> Result<&'static str, Utf8Error> {
    core::str::from_utf8(pd_name_bytes())
}

/// x86 only; the symbol has to exist in every PD.
#[cfg(not(feature = "extern-symbols"))]
const _: &PatchedSymbol<u64> = &standard::microkit_ioports;
