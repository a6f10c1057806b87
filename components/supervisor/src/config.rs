// SPDX-License-Identifier: BSD-2-Clause
//! The PD's configuration: a page of text that the system description fills, one `name=value` a line.
//!
//! `child<n>`: the name of the child with id n, for messages. The other values are in [`Settings`].

use crate::Name;
use core::fmt::Write as _;

/// What the supervisor is told about how to go about its work. Times are in beats of the heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `restarts`: how often a child may be restarted within `window`; at most [`Self::MOST_RESTARTS`].
    pub restarts: usize,
    /// `window`: the time that `restarts` is about.
    pub window: u64,
    /// `deadline`: how long a child may leave questions unanswered.
    pub deadline: u64,
    /// `start`: the same for a child that has just been started, until its first answer.
    pub start: u64,
}

impl Settings {
    /// Most that `restarts` can be.
    pub const MOST_RESTARTS: usize = 16;

    /// Five restarts in two minutes, an answer within two seconds, the first within ten, at four beats a second.
    pub const DEFAULT: Self = Self { restarts: 5, window: 480, deadline: 8, start: 40 };

    /// The settings in `text`; the default for what is not there or not a number. A deadline is at least two beats:
    /// one for the question, one for the answer.
    pub fn parse(text: &[u8]) -> Self {
        let number = |name: &str, default: u64| {
            value(text, name).and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        let most = Self::MOST_RESTARTS as u64;
        let restarts = number("restarts", Self::DEFAULT.restarts as u64).min(most);
        Self {
            // At most `MOST_RESTARTS`.
            restarts: restarts as usize,
            window: number("window", Self::DEFAULT.window),
            deadline: number("deadline", Self::DEFAULT.deadline).max(2),
            start: number("start", Self::DEFAULT.start).max(2),
        }
    }
}

/// The configured name of child `index`, or its number.
pub fn name(text: &[u8], index: usize) -> Name {
    let mut key = Name::new();
    // Short enough.
    let _ = write!(key, "child{index}");
    let mut name = Name::new();
    for character in value(text, &key).unwrap_or(&key).chars().filter(|c| !c.is_control()) {
        // A longer name is cut.
        let _ = name.push(character);
    }
    name
}

/// The value of `name` in `text`; the first one if there are several.
fn value<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        core::str::from_utf8(value).ok().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(Settings::parse(b""), Settings::DEFAULT);
        assert_eq!(Settings::parse(b"restarts=many\nwindow=\n\0\0"), Settings::DEFAULT);
        let settings = Settings::parse(b"deadline=20\nrestarts=2\n");
        assert_eq!(settings, Settings { deadline: 20, restarts: 2, ..Settings::DEFAULT });
    }

    #[test]
    fn values_that_make_no_sense_are_brought_into_range() {
        let settings = Settings::parse(b"deadline=0\nstart=1\nrestarts=1000\n");
        assert_eq!((settings.deadline, settings.start, settings.restarts), (2, 2, Settings::MOST_RESTARTS));
    }

    #[test]
    fn name_is_the_configured_one_or_the_number() {
        assert_eq!(name(b"child1=blk_driver\nchild10=vmm_0\n", 1), "blk_driver");
        assert_eq!(name(b"child10=vmm_0\n", 1), "child1");
        assert_eq!(name(b"child1=\x1b[2Jx\n", 1), "[2Jx");
    }
}
