// SPDX-License-Identifier: BSD-2-Clause
//! A client of the emulator's debugger port: breakpoints, single steps, registers, memory.
//!
//! The protocol is GDB's remote serial protocol (GDB's documentation, appendix E) as far as QEMU 7.2 speaks it.
//! Addresses are those of whatever runs when the machine stops.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Most bytes of memory in one packet; QEMU's packets have 4096 characters.
const CHUNK: usize = 1024;
/// How long an answer may take that does not wait for the machine.
const ANSWER: Duration = Duration::from_secs(60);
/// The number of the program counter among the registers of GDB's `org.gnu.gdb.aarch64.core`.
pub const PC: u32 = 32;

/// A connection. While it lasts the machine runs only within [`Debugger::run`].
pub struct Debugger {
    stream: UnixStream,
    received: Vec<u8>,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Debugger {
    /// Connects, which stops the machine.
    ///
    /// # Errors
    /// There is no such port, or no debugger at it.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let mut this = Self { stream: UnixStream::connect(path)?, received: Vec::new() };
        this.request("?")?;
        // That it has stopped may be told twice: by itself, and as the answer.
        while this.packet(Duration::from_millis(500))?.is_some() {}
        // Without having been asked for its registers' description, QEMU does not give single registers.
        this.request("qXfer:features:read:target.xml:0,ffb")?;
        Ok(this)
    }

    /// Goes away and lets the machine run.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn detach(mut self) -> io::Result<()> {
        self.expect_ok("D")
    }

    /// Stops the machine when it gets to `address`, or does not any more.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn set_breakpoint(&mut self, address: u64, set: bool) -> io::Result<()> {
        self.expect_ok(&format!("{}1,{address:x},4", if set { 'Z' } else { 'z' }))
    }

    /// Lets the machine run until it gets to a breakpoint. Gives whether it does within `timeout`; it is stopped
    /// either way.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn run(&mut self, timeout: Duration) -> io::Result<bool> {
        self.send("c")?;
        if self.packet(timeout)?.is_some() {
            return Ok(true);
        }
        self.stream.write_all(&[3])?;
        self.packet(ANSWER)?.ok_or_else(|| broken("the machine does not stop"))?;
        Ok(false)
    }

    /// Executes one instruction.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn step(&mut self) -> io::Result<()> {
        self.request("s").map(|_| ())
    }

    /// Has registers and memory be those of this CPU, counted from 0.
    ///
    /// # Errors
    /// The machine has ended, or has no such CPU.
    pub fn select_cpu(&mut self, number: u32) -> io::Result<()> {
        self.expect_ok(&format!("Hg{:x}", number + 1))
    }

    /// A register.
    ///
    /// # Errors
    /// The machine has ended, or has no such register.
    pub fn register(&mut self, number: u32) -> io::Result<u64> {
        let text = self.request(&format!("p{number:x}"))?;
        let bytes = from_hex(&text).ok_or_else(|| broken(format!("register {number}: {text}")))?;
        let bytes = bytes.try_into().map_err(|_| broken(format!("register {number}: {text}")))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Sets a register.
    ///
    /// # Errors
    /// The machine has ended, or has no such register.
    pub fn set_register(&mut self, number: u32, value: u64) -> io::Result<()> {
        self.expect_ok(&format!("P{number:x}={}", to_hex(&value.to_le_bytes())))
    }

    /// Memory as what runs now sees it; `None` when there is none.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn read(&mut self, address: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let count = CHUNK.min(length - bytes.len());
            let text = self.request(&format!("m{:x},{count:x}", address + bytes.len() as u64))?;
            match from_hex(&text) {
                Some(part) if part.len() == count => bytes.extend(part),
                _ => return Ok(None),
            }
        }
        Ok(Some(bytes))
    }

    /// Writes memory as what runs now sees it, whether or not it may.
    ///
    /// # Errors
    /// The machine has ended, or there is none.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        for (index, part) in bytes.chunks(CHUNK).enumerate() {
            let at = address + (index * CHUNK) as u64;
            self.expect_ok(&format!("M{at:x},{:x}:{}", part.len(), to_hex(part)))?;
        }
        Ok(())
    }

    fn expect_ok(&mut self, request: &str) -> io::Result<()> {
        match self.request(request)?.as_str() {
            "OK" => Ok(()),
            answer => Err(broken(format!("{request}: {answer:?}"))),
        }
    }

    fn request(&mut self, request: &str) -> io::Result<String> {
        self.send(request)?;
        self.packet(ANSWER)?.ok_or_else(|| broken(format!("{request}: no answer")))
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("${text}#{:02x}", checksum(text)).as_bytes())
    }

    /// The next packet, acknowledged.
    fn packet(&mut self, timeout: Duration) -> io::Result<Option<String>> {
        let begin = Instant::now();
        loop {
            if let Some((packet, end)) = packet_in(&self.received) {
                self.received.drain(..end);
                self.stream.write_all(b"+")?;
                return Ok(Some(packet));
            }
            let Some(left) = timeout.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(None);
            };
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(broken("the machine has ended")),
                Ok(count) => self.received.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The first packet in `bytes` and where it ends. Acknowledgements before it are skipped.
fn packet_in(bytes: &[u8]) -> Option<(String, usize)> {
    let start = bytes.iter().position(|&byte| byte == b'$')?;
    let length = bytes.get(start..)?.iter().position(|&byte| byte == b'#')?;
    let end = start + length + 3;
    let text = bytes.get(start + 1..start + length)?;
    (bytes.len() >= end).then(|| (String::from_utf8_lossy(text).into_owned(), end))
}

fn checksum(text: &str) -> u8 {
    text.bytes().fold(0, u8::wrapping_add)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_behind_acknowledgements_and_when_complete() {
        assert_eq!(packet_in(b"+$OK#9a+"), Some(("OK".into(), 7)));
        assert_eq!(packet_in(b"+$OK#9"), None);
        assert_eq!(packet_in(b"++"), None);
        assert_eq!(checksum("OK"), 0x9a);
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(from_hex(&to_hex(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        assert_eq!(from_hex("E01"), None);
    }
}
