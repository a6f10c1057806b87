// SPDX-License-Identifier: BSD-2-Clause
//! Register sets that invocations transfer.

use crate::seL4_Word;

macro_rules! user_context {
    ($($name:ident),* $(,)?) => {
        /// A thread's registers in the order of `TCB_ReadRegisters` and `TCB_WriteRegisters`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[repr(C)]
        pub struct seL4_UserContext {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub $name: seL4_Word,)*
        }

        const FIELDS: &[&str] = &[$(stringify!($name)),*];
    };
}

user_context! {
    pc, sp, spsr, x0, x1, x2, x3, x4, x5, x6, x7, x8, x16, x17, x18, x29, x30,
    x9, x10, x11, x12, x13, x14, x15, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28,
    tpidr_el0, tpidrro_el0,
}

impl seL4_UserContext {
    /// Number of registers.
    pub const LEN: usize = 36;

    /// All registers as words in transfer order.
    pub const fn as_words(&self) -> &[seL4_Word; Self::LEN] {
        // SAFETY: the struct is `repr(C)` and consists of exactly `LEN` words (asserted below).
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// All registers as words in transfer order.
    pub const fn as_words_mut(&mut self) -> &mut [seL4_Word; Self::LEN] {
        // SAFETY: as in `as_words`; any word is a valid register value.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// Words in transfer order as a register set.
    pub const fn from_words(words: &[seL4_Word; Self::LEN]) -> &Self {
        // SAFETY: as in `as_words`, the other way round.
        unsafe { &*core::ptr::from_ref(words).cast() }
    }

    /// Words in transfer order as a register set.
    pub const fn from_words_mut(words: &mut [seL4_Word; Self::LEN]) -> &mut Self {
        // SAFETY: as in `as_words_mut`, the other way round.
        unsafe { &mut *core::ptr::from_mut(words).cast() }
    }

    /// Where general register `n` (0..=30) stands in the transfer order; `None` for 31 and above.
    pub const fn index_of_x(n: usize) -> Option<usize> {
        Some(match n {
            0..=8 => 3 + n,
            9..=15 => 8 + n,
            16..=18 => n - 4,
            19..=28 => 5 + n,
            29 => 15,
            30 => 16,
            _ => return None,
        })
    }
}

const _: () = assert!(FIELDS.len() == seL4_UserContext::LEN);
const _: () = assert!(size_of::<seL4_UserContext>() == 8 * seL4_UserContext::LEN);

/// Arguments and results of an SMC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct seL4_ARM_SMCContext {
    /// Function id in, first result out.
    pub x0: seL4_Word,
    /// Second register.
    pub x1: seL4_Word,
    /// Third register.
    pub x2: seL4_Word,
    /// Fourth register.
    pub x3: seL4_Word,
    /// Fifth register.
    pub x4: seL4_Word,
    /// Sixth register.
    pub x5: seL4_Word,
    /// Seventh register.
    pub x6: seL4_Word,
    /// Eighth register.
    pub x7: seL4_Word,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_of_x_agrees_with_the_field_names() {
        for n in 0..31 {
            let index = seL4_UserContext::index_of_x(n).unwrap();
            let name = FIELDS[index];
            assert_eq!(name.strip_prefix('x').unwrap().parse::<usize>().unwrap(), n);
        }
        assert_eq!(seL4_UserContext::index_of_x(31), None);
    }

    #[test]
    fn words_are_the_fields_in_order() {
        let context =
            seL4_UserContext { pc: 1, sp: 2, x0: 4, x28: 34, tpidrro_el0: 36, ..Default::default() };
        let words = context.as_words();
        assert_eq!((words[0], words[1], words[3], words[33], words[35]), (1, 2, 4, 34, 36));
        assert_eq!(seL4_UserContext::from_words(words), &context);
        assert_eq!(seL4_UserContext::from_words_mut(&mut words.clone()).x28, 34);
    }
}
