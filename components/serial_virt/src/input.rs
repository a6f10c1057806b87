// SPDX-License-Identifier: BSD-2-Clause
//! The escape key: what a byte from the terminal means.

/// The escape key, Ctrl-].
pub const ESCAPE: u8 = 0x1d;

/// What to do with a byte from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Pass this byte to the client with the focus.
    Forward(u8),
    /// Give the focus to this one of the clients that read.
    Focus(usize),
    /// Show the client with the focus alone and unchanged, or all again.
    ToggleExclusive,
    /// Print the help line.
    Help,
    /// Wait for the next byte.
    Nothing,
}

/// Recognises commands among the bytes from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// Bytes are for a client.
    #[default]
    Plain,
    /// The escape key was the last one.
    Escaped,
}

impl Input {
    /// Takes the next byte.
    pub fn byte(&mut self, byte: u8) -> Action {
        match (core::mem::take(self), byte) {
            (Self::Plain, ESCAPE) => {
                *self = Self::Escaped;
                Action::Nothing
            }
            (Self::Plain, byte) | (Self::Escaped, byte @ ESCAPE) => Action::Forward(byte),
            (Self::Escaped, digit @ b'0'..=b'9') => Action::Focus(usize::from(digit - b'0')),
            (Self::Escaped, b'x' | b'X') => Action::ToggleExclusive,
            // A key that means nothing asks for help as well.
            (Self::Escaped, _) => Action::Help,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(bytes: &[u8]) -> Vec<Action> {
        let mut input = Input::default();
        bytes.iter().map(|byte| input.byte(*byte)).collect()
    }

    #[test]
    fn bytes_are_forwarded_until_the_escape_key() {
        use Action::{Focus, Forward, Nothing};
        assert_eq!(actions(b"l1\x1d1s"), [Forward(b'l'), Forward(b'1'), Nothing, Focus(1), Forward(b's')]);
    }

    #[test]
    fn escape_key_twice_is_the_key_itself() {
        assert_eq!(actions(b"\x1d\x1da"), [Action::Nothing, Action::Forward(ESCAPE), Action::Forward(b'a')]);
    }

    #[test]
    fn every_other_key_shows_the_help_line() {
        for key in *b"?hq\r" {
            assert_eq!(actions(&[ESCAPE, key, b'a'])[1..], [Action::Help, Action::Forward(b'a')]);
        }
        assert_eq!(actions(b"\x1dx")[1], Action::ToggleExclusive);
    }
}
