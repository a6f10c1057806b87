// SPDX-License-Identifier: BSD-2-Clause
//! Identification of a card (SD Physical Layer Simplified Specification 3.01, sections 4.2, 5.1 to 5.3).

use crate::host::{Answer, Command, Host, HostError};
use crate::registers::Registers;

/// Longest wait for a card to be ready (4.2.3: 1 s).
const READY_US: u64 = 1_000_000;
/// Pause between two questions whether it is.
const ASK_US: u64 = 1_000;
/// The card's clock runs so long before the first command (6.4.1: 1 ms, and 74 cycles).
const POWER_UP_US: u64 = 2_000;

/// Argument of CMD8: 2.7 to 3.6 V, and a pattern to be repeated.
const VOLTAGE: u32 = 0x1aa;
/// Argument of ACMD41: 3.2 to 3.4 V; a host that knows cards of high capacity.
const OPERATING: u32 = 0x0030_0000;
const HIGH_CAPACITY: u32 = 1 << 30;
/// Argument of CMD6: switch group 1 to function 1, high speed, and leave the others as they are (4.3.10.4).
const HIGH_SPEED: u32 = 0x80ff_fff1;
/// Bit of the answer to ACMD41: the card is ready.
const READY: u32 = 1 << 31;

/// Why there is no card to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Nothing answers.
    #[error("there is no card")]
    NoCard,
    /// It does not become ready.
    #[error("the card does not become ready")]
    NotReady,
    /// It does not work with the voltage there is.
    #[error("the card answers {0:#x} to the question for its voltage")]
    Voltage(u32),
    /// Its description makes no sense.
    #[error("the card's description makes no sense: {0:x?}")]
    Description([u32; 4]),
    /// A command failed.
    #[error("the card cannot be identified: {0}")]
    Host(#[from] HostError),
}

/// A card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// Its address on the bus, in the upper half.
    pub address: u32,
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Whether commands count in sectors; otherwise in bytes.
    pub by_sector: bool,
    /// Whether it may not be written.
    pub read_only: bool,
    /// Whether it runs at high speed, otherwise at default speed.
    pub high_speed: bool,
    /// Its identification (CID), which tells one card from another.
    pub identification: [u32; 4],
}

impl Card {
    /// Finds the card in the slot of a controller that has just been reset, and makes it ready for transfers.
    pub fn identify<R: Registers>(host: &mut Host<R>) -> Result<Self, CardError> {
        host.pause(POWER_UP_US);
        host.command(Command::new(0, 0).answered(Answer::None))?;
        // Cards of version 1 do not answer; neither does an empty slot.
        let second = match host.command(Command::new(8, VOLTAGE)) {
            Ok([answer, ..]) if answer & 0xfff != VOLTAGE => return Err(CardError::Voltage(answer)),
            Ok(_) => true,
            Err(HostError::NoAnswer(_)) => false,
            Err(error) => return Err(error.into()),
        };
        let conditions = operating_conditions(host, second)?;
        let identification = host.command(Command::new(2, 0).answered(Answer::Long))?;
        let [address, ..] = host.command(Command::new(3, 0))?;
        let address = address & 0xffff_0000;
        let description = host.command(Command::new(9, address).answered(Answer::Long))?;
        let csd = Description(description);
        let sectors = csd.sectors().ok_or(CardError::Description(description))?;
        host.command(Command::new(7, address).answered(Answer::Busy))?;
        let by_sector = conditions & HIGH_CAPACITY != 0;
        if !by_sector {
            host.command(Command::new(16, ring::blk::SECTOR))?;
        }
        // Four data lines: every card has them (5.6).
        host.command(Command::new(55, address))?;
        host.command(Command::new(6, 2))?;
        host.go_fast()?;
        let high_speed = csd.has_switch() && host.has_high_speed() && is_switched(host);
        if high_speed {
            host.go_faster()?;
        }
        let read_only = csd.is_protected() || !host.write_enabled();
        Ok(Self { address, sectors, by_sector, read_only, high_speed, identification })
    }

    /// Whether the card is still there and ready for transfers.
    pub fn is_well<R: Registers>(&self, host: &mut Host<R>) -> bool {
        const TRANSFER_STATE: u32 = 4;
        let status = host.command(Command::new(13, self.address));
        matches!(status, Ok([status, ..]) if status >> 9 & 0xf == TRANSFER_STATE)
    }

    /// The argument of a transfer's command.
    pub const fn argument(&self, sector: u64) -> u32 {
        // Within the card, whose size fits.
        (if self.by_sector { sector } else { sector * ring::blk::SECTOR as u64 }) as u32
    }

    /// The serial number, in hexadecimal digits (CID bits 55:24).
    pub fn serial(&self) -> [u8; 20] {
        let number = bits(self.identification, 55, 24);
        let mut text = [0; 20];
        for (place, shift) in text.iter_mut().zip((0..32).step_by(4).rev()) {
            let digit = (number >> shift & 0xf) as u8;
            *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        }
        text
    }
}

/// Waits until the card is ready (ACMD41). Gives its operating conditions.
fn operating_conditions<R: Registers>(host: &mut Host<R>, second: bool) -> Result<u32, CardError> {
    let wanted = OPERATING | if second { HIGH_CAPACITY } else { 0 };
    for _ in 0..READY_US / ASK_US {
        let asked = host
            .command(Command::new(55, 0))
            .and_then(|_| host.command(Command::new(41, wanted).answered(Answer::Unchecked)));
        match asked {
            Ok([conditions, ..]) if conditions & READY != 0 => return Ok(conditions),
            Ok(_) => {}
            Err(HostError::NoAnswer(_)) => return Err(CardError::NoCard),
            Err(error) => return Err(error.into()),
        }
        host.pause(ASK_US);
    }
    Err(CardError::NotReady)
}

/// Switches the card to high speed. Gives whether it did: a card that fails here, or refuses, goes on at default speed.
fn is_switched<R: Registers>(host: &mut Host<R>) -> bool {
    // Bits 379:376 of 511:0 are the function that group 1 has now; the highest byte comes first.
    host.switch(Command::new(6, HIGH_SPEED)).is_ok_and(|[_, _, _, _, word, ..]| word & 0xf == 1)
}

/// Bits of a long answer, numbered as in the specification. The controller leaves out the lowest eight.
fn bits(answer: [u32; 4], high: u32, low: u32) -> u64 {
    let word = answer.iter().rev().fold(0u128, |word, &part| word << 32 | u128::from(part)) << 8;
    (word >> low & ((1 << (high - low + 1)) - 1)) as u64
}

/// The card's description (CSD, 5.3).
struct Description([u32; 4]);

impl Description {
    /// Sectors of 512 bytes; `None` for a version that is not known, and for numbers that no card has.
    fn sectors(&self) -> Option<u64> {
        let field = |high, low| bits(self.0, high, low);
        let sectors = match field(127, 126) {
            0 => {
                let block_bits = field(83, 80);
                if !(9..=11).contains(&block_bits) {
                    return None;
                }
                (field(73, 62) + 1) << (field(49, 47) + 2) << (block_bits - 9)
            }
            1 => (field(69, 48) + 1) << 10,
            _ => return None,
        };
        // What an argument of 32 bits can name.
        (sectors <= 1 << 32).then_some(sectors)
    }

    /// Whether the card has CMD6 for its functions: commands of class 10 (4.3.10).
    fn has_switch(&self) -> bool {
        bits(self.0, 94, 94) != 0
    }

    /// Whether the card is protected, for now (12) or for good (13).
    fn is_protected(&self) -> bool {
        bits(self.0, 13, 12) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer's registers for bits of the description.
    fn answer(fields: &[(u32, u64)]) -> [u32; 4] {
        let word = fields.iter().fold(0u128, |word, &(low, value)| word | u128::from(value) << low) >> 8;
        [0, 32, 64, 96].map(|shift| (word >> shift) as u32)
    }

    #[test]
    fn capacity_of_large_cards_is_counted_in_512_kib() {
        assert_eq!(Description(answer(&[(126, 1), (48, 0x76_5f)])).sectors(), Some(0x7660 << 10));
        assert_eq!(Description(answer(&[(126, 1), (48, 0x3f_ffff)])).sectors(), Some(1 << 32));
    }

    #[test]
    fn capacity_of_small_cards_is_a_product() {
        // 2 GB: 4096 times 512 blocks of 1024 bytes.
        let two_gb = answer(&[(80, 10), (62, 4095), (47, 7)]);
        assert_eq!(Description(two_gb).sectors(), Some(4096 * 512 * 2));
        for block_bits in [0, 8, 12, 15] {
            assert_eq!(Description(answer(&[(80, block_bits), (62, 1)])).sectors(), None);
        }
    }

    #[test]
    fn description_of_an_unknown_version_is_refused() {
        assert_eq!(Description(answer(&[(126, 2)])).sectors(), None);
        assert_eq!(Description([u32::MAX; 4]).sectors(), None);
    }

    #[test]
    fn protection_is_for_now_or_for_good() {
        assert!(!Description(answer(&[(14, 1)])).is_protected());
        assert!(Description(answer(&[(12, 1)])).is_protected());
        assert!(Description(answer(&[(13, 1)])).is_protected());
    }

    #[test]
    fn serial_number_is_that_of_the_identification() {
        let card = Card {
            address: 0,
            sectors: 1,
            by_sector: true,
            read_only: false,
            high_speed: false,
            identification: answer(&[(24, 0xdead_beef)]),
        };
        assert_eq!(&card.serial()[..9], b"deadbeef\0");
    }
}
