// SPDX-License-Identifier: BSD-2-Clause
//! The terminal: what is on its current line, and how a client's bytes get there.
//!
//! States: the cursor is at the start of a line (`open` is `None`), or after an unfinished line of one client. A line begins
//! with its client's tag, unless the client has written its name there itself (as messages of PDs do), and with what the client had written of it if it was broken off before. A carriage return within a line
//! brings the tag again, so that progress bars and line editors do not overwrite it; a line feed without a carriage return
//! gets one.

use heapless::Vec;
use ring::memory::RingMemory;
use ring::serial::Producer;

/// The longest unfinished line that is shown again; of a longer one nothing is.
pub const REMEMBERED: usize = 160;
/// Longest tag: a name and a separator.
pub const TAG: usize = 34;

/// Space in the driver's ring that one call of [`Terminal::put`] may need: the end of another line, a tag, what was
/// remembered, and the byte with its additions.
pub const WORST_CASE: usize = 2 + TAG + REMEMBERED + TAG + 4;

/// What a client has written of its unfinished line.
#[derive(Debug, Default)]
pub struct Line {
    tag: Vec<u8, TAG>,
    /// The unfinished line; empty when it is too long.
    text: Vec<u8, REMEMBERED>,
    /// The unfinished line is longer than `text` can be.
    too_long: bool,
    /// It begins with the client's name: no tag is needed.
    named: bool,
    /// The last byte was a carriage return, whose effect depends on the next.
    after_cr: bool,
}

impl Line {
    /// The state of a client whose lines begin with `tag` (cut to what fits).
    pub fn new(tag: &[u8]) -> Self {
        let mut line = Self::default();
        for byte in tag.iter().take(TAG) {
            // Bounded by `take`.
            let _ = line.tag.push(*byte);
        }
        line
    }

    /// Whether there is an unfinished line that can be shown again.
    pub fn is_unfinished(&self) -> bool {
        !self.text.is_empty()
    }

    /// The client has written `text`, or more. If that begins a line, it may carry the client's name.
    pub fn look_ahead(&mut self, text: &[u8]) {
        if self.text.is_empty() && !self.too_long {
            self.named = !self.tag.is_empty() && text.starts_with(self.tag.trim_ascii_end());
        }
    }

    fn push(&mut self, byte: u8) {
        if !self.too_long && self.text.push(byte).is_err() {
            self.text.clear();
            self.too_long = true;
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.too_long = false;
        self.named = false;
    }
}

/// The driver's transmit ring and what it makes of the terminal.
#[derive(Debug)]
pub struct Terminal<M> {
    driver: Producer<M>,
    /// Whose unfinished line the cursor is on.
    open: Option<usize>,
    /// Bytes on it.
    length: usize,
    /// Lines carry tags.
    tagged: bool,
}

impl<M: RingMemory> Terminal<M> {
    /// A terminal with the cursor at the start of a line.
    pub fn new(driver: Producer<M>, tagged: bool) -> Self {
        Self { driver, open: None, length: 0, tagged }
    }

    /// Whose unfinished line the cursor is on.
    pub fn open(&self) -> Option<usize> {
        self.open
    }

    /// Bytes on the unfinished line.
    pub fn open_length(&self) -> usize {
        self.length
    }

    /// The driver's ring.
    pub fn driver(&mut self) -> &mut Producer<M> {
        &mut self.driver
    }

    /// Changes whether lines carry tags.
    pub fn set_tagged(&mut self, tagged: bool) {
        self.tagged = tagged;
    }

    /// Ends the unfinished line, if any, so that another can begin. Its client's [`Line`] still has it.
    pub fn break_line(&mut self) {
        if self.open.take().is_some() {
            self.send(b"\r\n");
        }
        self.length = 0;
    }

    /// Begins `client`'s line, with what it has written of it already. Nobody else's line may be open.
    pub fn begin(&mut self, client: usize, line: &Line) {
        debug_assert!(self.open.is_none());
        self.open = Some(client);
        self.length = line.text.len();
        if self.tagged && !line.named {
            self.send(&line.tag);
        }
        self.send(&line.text);
    }

    /// Writes one byte of `client`, whose line is `line`. Nobody else's line may be open.
    pub fn put(&mut self, client: usize, line: &mut Line, byte: u8) {
        let after_cr = core::mem::replace(&mut line.after_cr, byte == b'\r');
        if self.open.is_none() {
            if byte == b'\n' && after_cr {
                // The line was broken off in the middle of its end.
                line.clear();
                return;
            }
            self.begin(client, line);
        }
        self.length += 1;
        match byte {
            b'\n' => {
                // Unchanged when shown alone: a full-screen program may mean just a line feed.
                self.send(if after_cr || !self.tagged { b"\n" } else { b"\r\n" });
                self.open = None;
                self.length = 0;
                line.clear();
            }
            b'\r' => self.send(b"\r"),
            _ => {
                if after_cr {
                    // The line is being written anew.
                    line.clear();
                    if self.tagged {
                        self.send(&line.tag);
                    }
                }
                self.send(&[byte]);
                line.push(byte);
            }
        }
    }

    /// Writes a whole line that is nobody's.
    pub fn notice(&mut self, text: &[u8]) {
        self.break_line();
        self.send(text);
        self.send(b"\r\n");
    }

    /// The caller has made sure of the space; what does not fit all the same (a driver that misbehaves) is lost.
    fn send(&mut self, bytes: &[u8]) {
        self.driver.write(bytes);
    }
}
