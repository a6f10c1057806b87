// SPDX-License-Identifier: BSD-2-Clause
//! What the system description tells a VMM as text: lines of `name=value`.

use core::str::FromStr;

/// A configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a>(&'a str);

impl<'a> Config<'a> {
    /// From the text; bytes after the first that is not text are ignored.
    pub fn new(text: &'a [u8]) -> Self {
        Self(text_of(text))
    }

    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The number called `name`, or `default` when there is none.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> T {
        self.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
    }
}

/// The text at the start of `bytes`, up to the first NUL or what is not UTF-8, without white space around it.
pub fn text_of(bytes: &[u8]) -> &str {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| core::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    text.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let config = Config::new(b"vcpus=2\nname=a=b\n\0\0garbage=1");
        assert_eq!(config.get("vcpus"), Some("2"));
        assert_eq!(config.get("name"), Some("a=b"));
        assert_eq!(config.get("garbage"), None);
        assert_eq!(config.number("vcpus", 1usize), 2);
        assert_eq!(config.number("name", 7usize), 7);
        assert_eq!(config.number("absent", 7usize), 7);
    }

    #[test]
    fn command_lines_lose_their_line_end_and_nothing_else() {
        assert_eq!(text_of(b"console=ttyAMA0 quiet\n"), "console=ttyAMA0 quiet");
        assert_eq!(text_of(b"a\xffb"), "a");
        assert_eq!(text_of(b""), "");
        assert_eq!(text_of(&[0; 4096]), "");
    }
}
