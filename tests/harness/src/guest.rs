// SPDX-License-Identifier: BSD-2-Clause
//! A Linux guest at its shell.

use std::time::Duration;

use emulator::{Console, Emulator, Mark};

use crate::{BOOT_TIMEOUT, COMMAND_TIMEOUT, PROMPT, READY_MARKER};

/// A machine whose first guest's shell is waiting for commands.
pub struct Guest {
    emulator: Emulator,
    commands: u32,
    /// What its lines begin with where several share the console.
    tag: Option<String>,
}

/// The console's escape key, Ctrl-]; a digit behind it gives the input to the guest of that number.
const ESCAPE: char = '\x1d';
/// How long a shell that does nothing else may take to answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(20);

impl Guest {
    /// Waits until the shell is there.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn wait_ready(emulator: Emulator) -> Self {
        let mut guest = Self { emulator, commands: 0, tag: None };
        guest.expect_shell();
        guest
    }

    /// As one of several guests, whose lines on the console begin with `tag`.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Waits until the shells of `count` guests are there, that of guest 0 first to be talked to.
    ///
    /// # Panics
    /// One does not come up.
    #[must_use]
    pub fn wait_all_ready(emulator: Emulator, count: u32) -> Self {
        for number in 0..count {
            let marker = format!("vmm_{number}| {READY_MARKER}");
            if let Err(error) = emulator.console().expect_any(Mark::default(), &[&marker], BOOT_TIMEOUT) {
                panic!("guest {number}: {error}");
            }
        }
        let mut guest = Self { emulator, commands: 0, tag: None };
        for number in (0..count).rev() {
            guest.focus(number);
            // Commands are long; a shell that wraps its lines prints a multiple of them.
            guest.run("stty cols 1000");
        }
        guest
    }

    /// Gives the input to guest number `number` of several: what is run from now on is run there.
    ///
    /// # Panics
    /// The emulator has ended.
    pub fn focus(&mut self, number: u32) -> &mut Self {
        self.focus_on(number, &format!("vmm_{number}"))
    }

    /// As [`Guest::focus`], for any console: its digit, and its name.
    ///
    /// # Panics
    /// The emulator has ended.
    pub fn focus_on(&mut self, digit: u32, name: &str) -> &mut Self {
        self.send(&format!("{ESCAPE}{digit}"));
        self.tag = Some(format!("{name}|"));
        self
    }

    /// As [`Guest::focus`] on a console that may have lost what was typed: asks until the shell answers.
    ///
    /// # Panics
    /// It does not.
    pub fn regain(&mut self, number: u32) -> &mut Self {
        for _ in 0..10 {
            self.focus(number);
            // Ends a line that is only half there, or that waits for a quote.
            self.send("\x03\n");
            std::thread::sleep(Duration::from_millis(500));
            self.commands += 1;
            self.send(&format!("echo '<''here{}>'\n", self.commands));
            if self.emulator.expect(&format!("<here{}>", self.commands), ANSWER).is_ok() {
                return self;
            }
        }
        panic!("guest {number} does not answer; {}", self.console().last_lines());
    }

    /// Waits for the shell, at first and after a reboot.
    ///
    /// # Panics
    /// It does not come up.
    pub fn expect_shell(&mut self) {
        self.expect_within(READY_MARKER, BOOT_TIMEOUT);
        self.expect(PROMPT);
    }

    /// Runs a command and returns what it printed.
    ///
    /// # Panics
    /// It does not end.
    pub fn run(&mut self, command: &str) -> String {
        self.run_within(command, COMMAND_TIMEOUT)
    }

    /// As [`Guest::run`], with another limit.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn run_within(&mut self, command: &str, timeout: Duration) -> String {
        // Brackets that the echo of the command does not contain: the shell joins them only in what it prints.
        self.commands += 1;
        let (begin, end) = (format!("<begin{}>", self.commands), format!("<end{}>", self.commands));
        let line = format!("echo '<''begin{0}>'; {command}; echo '<''end{0}>'\n", self.commands);
        self.emulator.send(&line).unwrap_or_else(|error| panic!("{command}: {error}"));
        self.expect_within(&begin, timeout);
        let start = self.emulator.position();
        self.expect_within(&end, timeout);
        let printed = self.emulator.console().text_since(start);
        let output = printed.split(&end).next().unwrap_or_default();
        match &self.tag {
            None => output.trim().to_string(),
            Some(tag) => of_tag(output, tag),
        }
    }

    /// Types something.
    ///
    /// # Panics
    /// The emulator has ended.
    pub fn send(&mut self, text: &str) {
        self.emulator.send(text).unwrap_or_else(|error| panic!("sending {text:?}: {error}"));
    }

    /// Waits for a text on the console, after all that was matched before.
    ///
    /// # Panics
    /// It does not appear.
    pub fn expect(&mut self, pattern: &str) {
        self.expect_within(pattern, COMMAND_TIMEOUT);
    }

    /// As [`Guest::expect`], with another limit.
    ///
    /// # Panics
    /// It does not appear in time.
    pub fn expect_within(&mut self, pattern: &str, timeout: Duration) {
        if let Err(error) = self.emulator.expect(pattern, timeout) {
            panic!("{error}");
        }
    }

    /// The console of the machine.
    #[must_use]
    pub fn console(&self) -> &Console {
        self.emulator.console()
    }

    /// The emulator, to be waited for in other ways.
    #[must_use]
    pub fn into_emulator(self) -> Emulator {
        self.emulator
    }

    /// The emulator.
    pub fn emulator(&mut self) -> &mut Emulator {
        &mut self.emulator
    }
}

/// The lines of one guest, without its tag.
fn of_tag(output: &str, tag: &str) -> String {
    let lines = output.lines().filter_map(|line| line.strip_prefix(tag)).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.contains(PROMPT)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_the_tag_count() {
        let output = "\nvmm_0| one\nvmm_1| noise\nvmm_0| two\nvmm_0| ";
        assert_eq!(of_tag(output, "vmm_0|"), "one\ntwo");
    }
}
