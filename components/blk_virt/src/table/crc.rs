// SPDX-License-Identifier: BSD-2-Clause
//! The checksum of GPT headers and entries: CRC-32 with the reflected polynomial 0xedb8_8320 (UEFI 2.10, section 5.3.1).

/// Of each byte, the remainder.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// A checksum that is being computed.
#[derive(Debug, Clone, Copy)]
pub struct Crc32(u32);

impl Crc32 {
    /// Of nothing.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Continues with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // The low byte is an index of the table.
            let index = (self.0 as u8 ^ byte) as usize;
            self.0 = TABLE[index] ^ self.0 >> 8;
        }
    }

    /// The checksum.
    pub const fn value(&self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_standard() {
        let mut crc = Crc32::new();
        crc.update(b"12345");
        crc.update(b"6789");
        assert_eq!(crc.value(), 0xcbf4_3926);
        assert_eq!(Crc32::default().value(), 0);
    }
}
