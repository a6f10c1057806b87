// SPDX-License-Identifier: BSD-2-Clause
//! One running emulator.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Console, ExpectError, Machine, Mark};

/// A running machine. Dropping it ends the emulator.
pub struct Emulator {
    child: Child,
    input: Option<ChildStdin>,
    console: Console,
    reader: Option<JoinHandle<()>>,
    /// Everything before this has been matched by an earlier [`Emulator::expect`].
    position: Mark,
}

impl Emulator {
    /// Starts `machine`. Every byte it prints also goes to `tee`, unfiltered.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn start(machine: &Machine, mut tee: impl Write + Send + 'static) -> io::Result<Self> {
        let mut child = machine
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("qemu-system-aarch64: {error}")))?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let console = Console::default();
        let reader = output.map(|mut output| {
            let console = console.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = output.read(&mut buffer) {
                    // A closed tee (a pipe to `head`) is no reason to stop the machine.
                    let _ = tee.write_all(&buffer[..count]).and_then(|()| tee.flush());
                    console.push(&buffer[..count]);
                }
                console.close();
            })
        });
        Ok(Self { child, input, console, reader, position: Mark::default() })
    }

    /// The console, for waiting on it from elsewhere.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Takes the way into the console away from this value, for a thread that copies a terminal into it.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// Types `text`.
    ///
    /// # Errors
    /// The emulator has ended.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Err(io::ErrorKind::BrokenPipe.into()) };
        input.write_all(text.as_bytes())?;
        input.flush()
    }

    /// Waits until `pattern` appears after everything that was matched before.
    ///
    /// # Errors
    /// It did not within `timeout`.
    pub fn expect(&mut self, pattern: &str, timeout: Duration) -> Result<(), ExpectError> {
        self.expect_any(&[pattern], timeout).map(|_| ())
    }

    /// Waits until one of `patterns` appears after everything that was matched before, and says which.
    ///
    /// # Errors
    /// None did within `timeout`.
    pub fn expect_any(&mut self, patterns: &[&str], timeout: Duration) -> Result<usize, ExpectError> {
        let (index, mark) = self.console.expect_any(self.position, patterns, timeout)?;
        self.position = mark;
        Ok(index)
    }

    /// The text between what was matched last and the end.
    #[must_use]
    pub fn unmatched(&self) -> String {
        self.console.text_since(self.position)
    }

    /// Where [`Emulator::expect`] goes on.
    #[must_use]
    pub fn position(&self) -> Mark {
        self.position
    }

    /// Waits until the emulator ends by itself.
    ///
    /// # Errors
    /// It runs on after `timeout`.
    pub fn wait_end(&mut self, timeout: Duration) -> Result<ExitStatus, ExpectError> {
        self.console.expect_end(timeout)?;
        let ended = |_| ExpectError {
            expected: Vec::new(),
            waited: timeout,
            ended: true,
            last_lines: self.console.last_lines(),
        };
        self.child.wait().map_err(ended)
    }

    /// Ends the emulator now. `SIGKILL`, because a machine that skips idle time may not notice anything less.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}
