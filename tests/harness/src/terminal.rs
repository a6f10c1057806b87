// SPDX-License-Identifier: BSD-2-Clause
//! A second line into a machine, a socket with a prompt at its other end: another serial port, or the emulator's monitor.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::COMMAND_TIMEOUT;

/// A connection.
pub struct Terminal {
    stream: UnixStream,
    prompt: &'static str,
    /// What was received and not looked at yet.
    text: String,
}

/// Where such a socket is, and the argument of the emulator that makes it.
#[must_use]
pub fn port(name: &str) -> (PathBuf, String) {
    // Not in the folder of the tests: the path of a socket has at most 107 bytes.
    let path = std::env::temp_dir().join(format!("bulkhead-{}-{name}", std::process::id()));
    let argument = format!("unix:{},server=on,wait=off", path.display());
    (path, argument)
}

impl Terminal {
    /// Connects to a machine that is starting.
    ///
    /// # Panics
    /// There is nobody.
    #[must_use]
    pub fn connect(path: &Path, prompt: &'static str) -> Self {
        let begin = Instant::now();
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Self { stream, prompt, text: String::new() },
                Err(error) => assert!(begin.elapsed() < COMMAND_TIMEOUT, "{}: {error}", path.display()),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the enter key until there is a prompt: whatever comes before would wait for something else.
    ///
    /// # Panics
    /// There is none.
    pub fn wake(&mut self) {
        let begin = Instant::now();
        loop {
            self.send("\n");
            if self.expect(self.prompt, Duration::from_millis(500)).is_some() {
                return;
            }
            assert!(begin.elapsed() < COMMAND_TIMEOUT, "no prompt: {}", self.text);
        }
    }

    /// Types a line.
    ///
    /// # Panics
    /// The machine has ended.
    pub fn send(&mut self, line: &str) {
        self.stream.write_all(line.as_bytes()).expect("the machine runs");
    }

    /// Types a command and gives what it prints, once there is a prompt again.
    ///
    /// # Panics
    /// There is none.
    pub fn run(&mut self, command: &str) -> String {
        // What was left over before, such as a prompt too many.
        while self.expect(self.prompt, Duration::from_millis(200)).is_some() {}
        self.send(&format!("{command}\n"));
        let output = self.expect(self.prompt, COMMAND_TIMEOUT);
        output.unwrap_or_else(|| panic!("{command}: {}", self.text))
    }

    /// What comes before `pattern`; `None` when that does not come in time.
    fn expect(&mut self, pattern: &str, timeout: Duration) -> Option<String> {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.text.find(pattern) {
                let before = self.text.get(..at).unwrap_or_default().to_string();
                self.text.drain(..at + pattern.len());
                return Some(before);
            }
            let left = timeout.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())?;
            self.stream.set_read_timeout(Some(left)).expect("a time-out");
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => {
                    self.text.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()))
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("the machine's socket: {error}"),
            }
        }
    }
}
