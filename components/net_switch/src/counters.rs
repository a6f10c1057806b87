// SPDX-License-Identifier: BSD-2-Clause
//! What a port has passed and lost.

/// Why a packet or a buffer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Loss {
    /// The sender made a packet that is none.
    Malformed,
    /// The sender used an address that is not its own.
    Spoofed,
    /// The packet may not go where it was to go.
    Denied,
    /// Nobody has the address, or it is the sender's.
    NoRoute,
    /// The packet is too long for a wire.
    Oversize,
    /// The receiver had no buffers.
    NoBuffers,
    /// The receiver gave buffers that are none.
    BadBuffer,
    /// The receiver is not there.
    Down,
}

impl Loss {
    const COUNT: usize = Self::Down as usize + 1;

    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "sends malformed packets",
            Self::Spoofed => "sends from addresses of others",
            Self::Denied => "sends where it may not",
            Self::NoRoute => "sends to unknown stations",
            Self::Oversize => "sends packets that are too long",
            Self::NoBuffers => "receives too slowly",
            Self::BadBuffer => "gives buffers that are not in its region",
            Self::Down => "is sent packets while it is down",
        }
    }

    /// Whether it is normal on a network, and nobody's fault.
    const fn is_normal(self) -> bool {
        matches!(self, Self::NoRoute | Self::NoBuffers | Self::Down)
    }
}

/// Counts of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came from the port.
    pub from: u64,
    /// Packets that went to the port, segments counted each.
    pub to: u64,
    losses: [u64; Loss::COUNT],
}

impl Counters {
    /// How often packets were lost for this reason.
    pub fn lost(&self, loss: Loss) -> u64 {
        self.losses.get(loss as usize).copied().unwrap_or(0)
    }

    /// Counts a loss at the port called `name`. Says so the first, the second, the fourth time and so on: no more than 64 lines.
    #[cold]
    pub fn lose(&mut self, loss: Loss, name: &dyn core::fmt::Display) {
        let Some(count) = self.losses.get_mut(loss as usize) else { return };
        *count = count.saturating_add(1);
        if count.is_power_of_two() {
            if loss.is_normal() {
                log::debug!("{name} {} ({count} packets)", loss.text());
            } else {
                log::warn!("{name} {} ({count} packets)", loss.text());
            }
        }
    }
}
