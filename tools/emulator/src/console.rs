// SPDX-License-Identifier: BSD-2-Clause
//! What a machine printed on its console, and waiting for what it will print.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many lines an [`ExpectError`] shows.
const LAST_LINES: usize = 15;

/// A position in the console's text: everything before it is old news to whoever holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(usize);

#[derive(Default)]
struct State {
    /// All text so far; terminal control sequences and carriage returns are dropped.
    text: String,
    filter: Filter,
    closed: bool,
}

/// The console of one machine. Clones share the text.
#[derive(Clone, Default)]
pub struct Console {
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// Why something expected did not appear.
#[derive(Debug)]
pub struct ExpectError {
    /// What was waited for.
    pub expected: Vec<String>,
    /// How long.
    pub waited: Duration,
    /// Whether the emulator ended before.
    pub ended: bool,
    /// The last lines of the console.
    pub last_lines: String,
}

impl fmt::Display for ExpectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.waited.as_secs();
        match (self.expected.as_slice(), self.ended) {
            ([], true) => write!(f, "the emulator ended after {seconds} s")?,
            ([], false) => write!(f, "the emulator did not end within {seconds} s")?,
            (expected, true) => {
                write!(f, "the emulator ended after {seconds} s without printing {expected:?}")?
            }
            (expected, false) => write!(f, "{expected:?} did not appear on the console within {seconds} s")?,
        }
        if self.last_lines.is_empty() {
            write!(f, "; the console printed nothing")
        } else {
            write!(f, "; the console's last lines:\n{}", self.last_lines)
        }
    }
}

impl std::error::Error for ExpectError {}

impl Console {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what the machine printed. Called by the thread that reads the emulator's output.
    pub fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let state = &mut *state;
        for &byte in bytes {
            if let Some(kept) = state.filter.next(byte) {
                state.text.push(kept);
            }
        }
        self.shared.1.notify_all();
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.1.notify_all();
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// The text after `mark`.
    #[must_use]
    pub fn text_since(&self, mark: Mark) -> String {
        self.lock().text.get(mark.0..).unwrap_or_default().to_string()
    }

    /// The end of the text so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.lock().text.len())
    }

    /// The last few lines.
    #[must_use]
    pub fn last_lines(&self) -> String {
        last_lines(&self.lock().text)
    }

    /// Whether `pattern` has been printed after `mark`.
    #[must_use]
    pub fn contains_since(&self, mark: Mark, pattern: &str) -> bool {
        self.lock().text.get(mark.0..).is_some_and(|text| text.contains(pattern))
    }

    /// Waits until one of `patterns` appears after `mark`. Returns which (the one that ends first), and the position
    /// right after it.
    ///
    /// # Errors
    /// None of them appeared within `timeout`, or the emulator ended before.
    pub fn expect_any(
        &self,
        mark: Mark,
        patterns: &[&str],
        timeout: Duration,
    ) -> Result<(usize, Mark), ExpectError> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let text = state.text.get(mark.0..).unwrap_or_default();
            let found = patterns
                .iter()
                .enumerate()
                .filter_map(|(index, pattern)| text.find(pattern).map(|at| (at + pattern.len(), index)))
                .min();
            if let Some((end, index)) = found {
                return Ok((index, Mark(mark.0 + end)));
            }
            let waited = start.elapsed();
            if state.closed || waited >= timeout {
                return Err(ExpectError {
                    expected: patterns.iter().map(ToString::to_string).collect(),
                    waited,
                    ended: state.closed,
                    last_lines: last_lines(&state.text),
                });
            }
            state = self.wait(state, timeout - waited);
        }
    }

    /// Waits until the console has been silent for `quiet`, the emulator ends, or `timeout` is over. Returns whether it
    /// became silent.
    pub fn wait_quiet(&self, quiet: Duration, timeout: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        let (mut length, mut since) = (state.text.len(), start);
        while !state.closed && start.elapsed() < timeout {
            let silent = since.elapsed();
            if silent >= quiet {
                return true;
            }
            state = self.wait(state, quiet - silent);
            if state.text.len() != length {
                (length, since) = (state.text.len(), Instant::now());
            }
        }
        false
    }

    /// Waits until the emulator ended.
    ///
    /// # Errors
    /// It runs on after `timeout`.
    pub fn expect_end(&self, timeout: Duration) -> Result<(), ExpectError> {
        let start = Instant::now();
        let mut state = self.lock();
        while !state.closed {
            let waited = start.elapsed();
            if waited >= timeout {
                let last_lines = last_lines(&state.text);
                return Err(ExpectError { expected: Vec::new(), waited, ended: false, last_lines });
            }
            state = self.wait(state, timeout - waited);
        }
        Ok(())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.shared.1.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Drops carriage returns and escape sequences (ECMA-48 5.4: `ESC [`, parameters, final byte), so that a shell's line
/// editing does not get in the way of matching. Bytes outside ASCII become `?`.
#[derive(Default)]
enum Filter {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Filter {
    fn next(&mut self, byte: u8) -> Option<char> {
        match (&self, byte) {
            (Self::Text, 0x1b) => *self = Self::Escape,
            (Self::Text, b'\n' | b'\t' | 0x20..=0x7e) => return Some(byte as char),
            (Self::Text, 0x80..) => return Some('?'),
            (Self::Text, _) => {}
            (Self::Escape, b'[') => *self = Self::Sequence,
            (Self::Sequence, 0x20..=0x3f) => {}
            (Self::Escape | Self::Sequence, _) => *self = Self::Text,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(30);

    #[test]
    fn pattern_is_found_across_pushes_and_mark_is_behind_it() {
        let console = Console::default();
        console.push(b"boot... rea");
        console.push(b"dy\nrest");
        let (index, mark) = console.expect_any(Mark::default(), &["never", "ready"], SOON).unwrap();
        assert_eq!(index, 1);
        assert_eq!(console.text_since(mark), "\nrest");
    }

    #[test]
    fn pattern_before_the_mark_does_not_count() {
        let console = Console::default();
        console.push(b"ready\n");
        let mark = console.mark();
        assert!(console.expect_any(mark, &["ready"], SOON).is_err());
    }

    #[test]
    fn earlier_of_two_patterns_wins() {
        let console = Console::default();
        console.push(b"one two");
        assert_eq!(console.expect_any(Mark::default(), &["two", "one"], SOON).unwrap().0, 1);
    }

    #[test]
    fn waiting_is_woken_by_the_reader() {
        let console = Console::default();
        let writer = console.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            writer.push(b"late");
        });
        assert!(console.expect_any(Mark::default(), &["late"], Duration::from_secs(20)).is_ok());
        thread.join().unwrap();
    }

    #[test]
    fn end_of_the_emulator_is_told_with_the_last_lines() {
        let console = Console::default();
        console.push(b"first\nlast words\n");
        console.close();
        let error = console.expect_any(Mark::default(), &["shell"], Duration::from_secs(20)).unwrap_err();
        assert!(error.ended);
        let text = error.to_string();
        assert!(text.contains("ended") && text.contains("last words") && text.contains("shell"), "{text}");
    }

    #[test]
    fn terminal_control_is_not_part_of_the_text() {
        let console = Console::default();
        console.push(b"\x1b[1;32mgreen\x1b[0m\r\nnext \x1b[6n\x07line");
        assert_eq!(console.text(), "green\nnext line");
    }

    #[test]
    fn silence_is_noticed_and_output_resets_it() {
        let console = Console::default();
        assert!(console.wait_quiet(SOON, Duration::from_secs(20)));
        console.close();
        assert!(!console.wait_quiet(Duration::from_secs(20), Duration::from_secs(40)));
    }
}
