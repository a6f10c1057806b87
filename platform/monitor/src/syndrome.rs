// SPDX-License-Identifier: BSD-2-Clause
//! Exception syndromes in words (Arm DDI 0487, D17.2.37). Only what a program at EL0 or a guest can cause.

use core::fmt;

/// The value of ESR_ELx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome(pub u64);

impl Syndrome {
    const fn class(self) -> u64 {
        self.0 >> 26 & 0x3f
    }

    /// Instruction-specific syndrome.
    const fn iss(self) -> u64 {
        self.0 & 0x1ff_ffff
    }
}

impl fmt::Display for Syndrome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WRITE_NOT_READ: u64 = 1 << 6;
        match self.class() {
            0x00 => f.write_str("undefined instruction or unknown reason")?,
            0x01 => f.write_str("WFI or WFE instruction")?,
            0x07 => f.write_str("floating-point instruction without access to the FPU")?,
            0x0e => f.write_str("illegal execution state")?,
            0x15 => write!(f, "SVC instruction {}", self.iss() & 0xffff)?,
            0x16 => write!(f, "HVC instruction {}", self.iss() & 0xffff)?,
            0x17 => write!(f, "SMC instruction {}", self.iss() & 0xffff)?,
            0x18 => f.write_str("system register or system instruction")?,
            0x20 | 0x21 => write!(f, "instruction abort, {}", status(self.iss()))?,
            0x22 => f.write_str("program counter not aligned")?,
            0x24 | 0x25 => {
                let access = if self.iss() & WRITE_NOT_READ != 0 { "write" } else { "read" };
                write!(f, "data abort, {access}, {}", status(self.iss()))?;
            }
            0x26 => f.write_str("stack pointer not aligned")?,
            0x2c => f.write_str("floating-point exception")?,
            0x2f => f.write_str("system error")?,
            0x30..=0x35 => f.write_str("hardware debug event")?,
            0x3c => write!(f, "BRK instruction {}", self.iss() & 0xffff)?,
            class => write!(f, "exception class {class:#x}")?,
        }
        write!(f, " (ESR {:#x})", self.0)
    }
}

/// The fault status code of an abort.
struct Status(u64);

const fn status(iss: u64) -> Status {
    Status(iss & 0x3f)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.0 & 3;
        let at_level = match self.0 {
            0x00..=0x03 => "address size fault",
            0x04..=0x07 => "translation fault",
            0x08..=0x0b => "access flag fault",
            0x0c..=0x0f => "permission fault",
            0x14..=0x17 => "external abort on a table walk",
            0x1c..=0x1f => "parity or ECC error on a table walk",
            0x10 => return f.write_str("external abort (nothing answers there)"),
            0x11 => return f.write_str("tag check fault"),
            0x18 => return f.write_str("parity or ECC error"),
            0x21 => return f.write_str("alignment fault"),
            0x30 => return f.write_str("TLB conflict"),
            0x31 => return f.write_str("unsupported atomic update"),
            0x35 => return f.write_str("unsupported exclusive or atomic access"),
            code => return write!(f, "fault status {code:#x}"),
        };
        write!(f, "{at_level} at level {level}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn aborts_tell_access_status_and_level() {
        assert_eq!(
            Syndrome(0x9200_000f).to_string(),
            "data abort, read, permission fault at level 3 (ESR 0x9200000f)"
        );
        assert_eq!(
            Syndrome(0x8200_0005).to_string(),
            "instruction abort, translation fault at level 1 (ESR 0x82000005)"
        );
        assert_eq!(Syndrome(0x9200_0021).to_string(), "data abort, read, alignment fault (ESR 0x92000021)");
    }

    #[test]
    fn every_class_and_status_has_words() {
        for class in 0..64u64 {
            for status in 0..64 {
                assert!(!Syndrome(class << 26 | status).to_string().is_empty());
            }
        }
    }
}
