// SPDX-License-Identifier: BSD-2-Clause
//! Which memory an A64 instruction is about to access, as far as it has to be known to tell who can see it: "Loads and
//! stores" of the encoding index of the Arm ARM (DDI 0487, section C4.1).

/// An instruction that loads from memory or stores to it. Loads of literals are left out: they reach the program only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it may store.
    pub stores: bool,
    /// The number of the base register, 31 for the stack pointer.
    pub base: u32,
    /// What is added to the base first.
    pub offset: Offset,
}

/// The difference between the base register and the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// So many bytes.
    Number(i64),
    /// A register, shifted left; number 31 is zero.
    Register {
        /// Its number.
        number: u32,
        /// How much of it.
        words: Words,
        /// Bits.
        shift: u32,
    },
}

/// What of an index register counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// All of it.
    Whole,
    /// The lower 32 bits, without a sign.
    Unsigned,
    /// The lower 32 bits, with a sign.
    Signed,
}

/// Whether the instruction writes a system register.
#[must_use]
pub fn is_msr(word: u32) -> bool {
    word & 0xfff0_0000 == 0xd510_0000
}

/// `count` bits of `word` from `first` on.
fn bits(word: u32, first: u32, count: u32) -> u32 {
    word >> first & ((1 << count) - 1)
}

/// The same as a number with a sign.
fn signed(word: u32, first: u32, count: u32) -> i64 {
    let value = i64::from(bits(word, first, count));
    if value >> (count - 1) == 0 { value } else { value - (1 << count) }
}

impl Access {
    /// What an instruction accesses; `None` if it is not of this kind.
    #[must_use]
    pub fn decode(word: u32) -> Option<Self> {
        if bits(word, 27, 1) == 0 || bits(word, 25, 1) == 1 {
            return None;
        }
        let vector = bits(word, 26, 1) == 1;
        let (size, opc) = (bits(word, 30, 2), bits(word, 22, 2));
        // Of a single register: bytes, as a power of two.
        let scale = if vector && opc >= 2 { 4 } else { size };
        let stores_one = if vector { opc & 1 == 0 } else { opc == 0 };
        let (stores, offset) = match (bits(word, 28, 2), bits(word, 24, 1), bits(word, 21, 1)) {
            // Exclusive and ordered ones, compare and swap (bits 23 and 21); structures of vectors.
            (0b00, ..) => {
                let swaps = !vector && bits(word, 23, 1) == 1 && bits(word, 21, 1) == 1;
                (swaps || bits(word, 22, 1) == 0, Offset::Number(0))
            }
            (0b01, 0, _) => return None,
            (0b01, ..) => (opc == 0, Offset::Number(signed(word, 12, 9))),
            // Pairs; in mode 1 the offset is added afterwards.
            (0b10, ..) => {
                let scale = if vector { 2 + size } else { 2 + (size >> 1) };
                let offset = if bits(word, 23, 2) == 1 { 0 } else { signed(word, 15, 7) << scale };
                (bits(word, 22, 1) == 0, Offset::Number(offset))
            }
            (_, 1, _) => (stores_one, Offset::Number(i64::from(bits(word, 10, 12)) << scale)),
            (_, _, 0) => {
                let offset = if bits(word, 10, 2) == 1 { 0 } else { signed(word, 12, 9) };
                (stores_one, Offset::Number(offset))
            }
            (_, _, _) if bits(word, 10, 2) == 0b10 => {
                let words = match bits(word, 13, 3) {
                    0b010 => Words::Unsigned,
                    0b110 => Words::Signed,
                    _ => Words::Whole,
                };
                let shift = if bits(word, 12, 1) == 1 { scale } else { 0 };
                (stores_one, Offset::Register { number: bits(word, 16, 5), words, shift })
            }
            // Atomic ones.
            (_, _, _) => (true, Offset::Number(0)),
        };
        Some(Self { stores, base: bits(word, 5, 5), offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions as GNU as and LLVM encode them.
    #[test]
    fn encodings_of_the_architecture() {
        let number = |stores, base, offset| Some(Access { stores, base, offset: Offset::Number(offset) });
        for (word, text, access) in [
            (0xd503_201f, "nop", None),
            (0x8b02_0020, "add x0, x1, x2", None),
            (0x5800_0040, "ldr x0, .+8", None),
            (0xf900_0441, "str x1, [x2, #8]", number(true, 2, 8)),
            (0xb940_0fe1, "ldr w1, [sp, #12]", number(false, 31, 12)),
            (0x3900_1043, "strb w3, [x2, #4]", number(true, 2, 4)),
            (0xf81f_0c41, "str x1, [x2, #-16]!", number(true, 2, -16)),
            (0xf801_0441, "str x1, [x2], #16", number(true, 2, 0)),
            (0xf80f_f041, "stur x1, [x2, #255]", number(true, 2, 255)),
            (0xa9be_7bfd, "stp x29, x30, [sp, #-32]!", number(true, 31, -32)),
            (0xa8c2_7bfd, "ldp x29, x30, [sp], #32", number(false, 31, 0)),
            (0xad00_8440, "stp q0, q1, [x2, #16]", number(true, 2, 16)),
            (0x3d80_0440, "str q0, [x2, #16]", number(true, 2, 16)),
            (0x3dc0_0440, "ldr q0, [x2, #16]", number(false, 2, 16)),
            (0x889f_fc41, "stlr w1, [x2]", number(true, 2, 0)),
            (0x88df_fc41, "ldar w1, [x2]", number(false, 2, 0)),
            (0x8803_7c41, "stxr w3, w1, [x2]", number(true, 2, 0)),
            (0xc8e3_fc41, "casal x3, x1, [x2]", number(true, 2, 0)),
            (0xf8e3_0041, "ldaddal x3, x1, [x2]", number(true, 2, 0)),
            (0x4c00_a040, "st1 {v0.16b, v1.16b}, [x2]", number(true, 2, 0)),
        ] {
            assert_eq!(Access::decode(word), access, "{text}");
        }
        let index = |words, shift| Offset::Register { number: 3, words, shift };
        for (word, text, offset) in [
            (0xf823_7841, "str x1, [x2, x3, lsl #3]", index(Words::Whole, 3)),
            (0xb823_4841, "str w1, [x2, w3, uxtw]", index(Words::Unsigned, 0)),
            (0x3823_c841, "strb w1, [x2, w3, sxtw]", index(Words::Signed, 0)),
        ] {
            assert_eq!(Access::decode(word), Some(Access { stores: true, base: 2, offset }), "{text}");
        }
        assert!(is_msr(0xd51b_e320), "msr cntv_ctl_el0, x0");
        assert!(!is_msr(0xd53b_e320), "mrs x0, cntv_ctl_el0");
    }
}
