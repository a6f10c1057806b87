// SPDX-License-Identifier: BSD-2-Clause
//! What a start does to the program's memory; called by [`super::begin`] alone.

/// "restarts", in the order of memory.
const MARK: u64 = u64::from_le_bytes(*b"restarts");

/// What the first start leaves for later ones. All zero before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Record {
    /// Starts so far.
    starts: u64,
    /// Checksum of the copy of `.data`.
    copy: u32,
    /// Checksum of the fields above.
    check: u32,
    /// [`MARK`], so that a record is never all zero.
    mark: u64,
}

const _: () = assert!(size_of::<Record>() <= 32, "room in microkit.ld");

impl Record {
    const NONE: Self = Self { starts: 0, copy: 0, check: 0, mark: 0 };

    const fn new(starts: u64, copy: u32) -> Self {
        let bytes = starts.to_le_bytes();
        let check = crc(crc(0, &bytes), &copy.to_le_bytes());
        Self { starts, copy, check, mark: MARK }
    }

    /// Whether it is what [`Self::new`] made.
    fn is_intact(self) -> bool {
        self == Self::new(self.starts, self.copy)
    }
}

/// What a start works on.
pub(super) struct Image<'a> {
    pub data: &'a mut [u8],
    pub bss: &'a mut [u8],
    pub copy: &'a mut [u8],
    pub record: &'a mut Record,
}

/// The copy or the record is not what the first start left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Image<'_> {
    /// Makes the memory what it was at the first start; gives the number of this start.
    pub fn start(self) -> Result<u64, Damaged> {
        if *self.record == Record::NONE {
            self.copy.copy_from_slice(self.data);
            *self.record = Record::new(1, crc(0, self.copy));
            return Ok(1);
        }
        if !self.record.is_intact() || crc(0, self.copy) != self.record.copy {
            return Err(Damaged);
        }
        self.data.copy_from_slice(self.copy);
        self.bss.fill(0);
        let starts = self.record.starts.saturating_add(1);
        *self.record = Record::new(starts, self.record.copy);
        Ok(starts)
    }
}

/// CRC-32 (the polynomial of IEEE 802.3, bits reflected) of `bytes` after those that gave `crc`; 0 at first.
const fn crc(crc: u32, bytes: &[u8]) -> u32 {
    const NIBBLES: [u32; 16] = {
        let mut table = [0; 16];
        let mut nibble = 0;
        while nibble < 16 {
            let mut value = nibble as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[nibble] = value;
            nibble += 1;
        }
        table
    };
    let mut value = !crc;
    let mut index = 0;
    while index < bytes.len() {
        value ^= bytes[index] as u32;
        value = value >> 4 ^ NIBBLES[(value & 15) as usize];
        value = value >> 4 ^ NIBBLES[(value & 15) as usize];
        index += 1;
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Program {
        data: [u8; 32],
        bss: [u8; 16],
        copy: [u8; 32],
        record: Record,
    }

    impl Program {
        fn new() -> Self {
            let data = core::array::from_fn(|index| index as u8 + 1);
            Self { data, bss: [0; 16], copy: [0; 32], record: Record::NONE }
        }

        fn start(&mut self) -> Result<u64, Damaged> {
            let Self { data, bss, copy, record } = self;
            Image { data, bss, copy, record }.start()
        }
    }

    #[test]
    fn checksum_is_crc_32() {
        assert_eq!(crc(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(crc(0, b"1234"), b"56789"), 0xcbf4_3926);
    }

    #[test]
    fn every_start_finds_the_memory_of_the_first() {
        let mut program = Program::new();
        let fresh = program.clone();
        assert_eq!(program.start(), Ok(1));
        for start in 2..5 {
            program.data = [0xee; 32];
            program.bss = [0xdd; 16];
            assert_eq!(program.start(), Ok(start));
            assert_eq!((program.data, program.bss), (fresh.data, fresh.bss));
        }
    }

    #[test]
    fn damage_to_copy_or_record_is_found() {
        let mut program = Program::new();
        assert_eq!(program.start(), Ok(1));
        for index in 0..program.copy.len() {
            let mut damaged = program.clone();
            damaged.copy[index] ^= 0x10;
            assert_eq!(damaged.start(), Err(Damaged), "byte {index}");
        }
        let Record { starts, copy, check, mark } = program.record;
        for record in [
            Record { starts: starts ^ 1, ..program.record },
            Record { copy: copy ^ 1, ..program.record },
            Record { check: check ^ 1, ..program.record },
            Record { mark: mark ^ 1, ..program.record },
        ] {
            assert_eq!(Program { record, ..program.clone() }.start(), Err(Damaged), "{record:?}");
        }
    }

    #[test]
    fn program_without_data_can_be_restarted() {
        let mut record = Record::NONE;
        let mut bss = [1; 4];
        for start in 1..4 {
            let image = Image { data: &mut [], bss: &mut bss, copy: &mut [], record: &mut record };
            assert_eq!(image.start(), Ok(start));
        }
        assert_eq!(bss, [0; 4]);
    }
}
