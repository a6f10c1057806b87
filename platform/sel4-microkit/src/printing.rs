// SPDX-License-Identifier: BSD-2-Clause
//! Printing: the kernel's console, and the `log` crate's messages.
//!
//! Messages go line by line to the log sink: a function of the PD's choice, by default the kernel's console. The
//! kernel's console exists only in configurations with printing; without it and without a sink messages are dropped
//! unformatted.

use core::fmt::{self, Write};

use log::{Level, LevelFilter, Log, Metadata, Record};
use sel4_sys::{config, seL4_DebugPutString};

use crate::{PdCell, pd_name};

/// A function that takes log text. Each call passes one line with its end, or a part of a very long one.
pub type LogSink = fn(&str);

static SINK: PdCell<Option<LogSink>> = PdCell::new(None);

/// Redirects log messages (and the message of a panic) of this PD to `sink`.
pub fn set_log_sink(sink: LogSink) {
    // Cannot be in use: the closure in `sink()` only copies.
    let _ = SINK.try_with(|current| *current = Some(sink));
}

/// The sink, if messages go anywhere.
fn sink() -> Option<LogSink> {
    let default: Option<LogSink> = if config::PRINTING { Some(seL4_DebugPutString) } else { None };
    SINK.try_with(|sink| *sink).flatten().or(default)
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(sink) = sink() else { return };
        write_line(sink, record.level(), *record.args());
    }

    fn flush(&self) {}
}

/// Makes `log` work.
pub(crate) fn init() {
    static LOGGER: Logger = Logger;
    // Fails only when a restarted PD has done it before.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(if config::DEBUG_BUILD { LevelFilter::Debug } else { LevelFilter::Info });
}

/// Prints `message` on the kernel's console and the sink, whatever the log level.
pub(crate) fn emergency(message: fmt::Arguments<'_>) {
    if config::PRINTING {
        write_line(seL4_DebugPutString, Level::Error, message);
    }
    if let Some(sink) = SINK.try_with(|sink| *sink).flatten() {
        write_line(sink, Level::Error, message);
    }
}

/// Passes "name|LEVEL: message" and a line end to `sink` in as few calls as possible.
fn write_line(sink: LogSink, level: Level, message: fmt::Arguments<'_>) {
    let mut line = Line { sink, length: 0, bytes: [0; LINE] };
    // A `Display` that fails has printed what it could.
    let _ = writeln!(line, "{}|{level}: {message}", pd_name().unwrap_or("?"));
    line.flush();
}

/// Bytes collected before the sink is called.
const LINE: usize = 256;

struct Line {
    sink: LogSink,
    length: usize,
    bytes: [u8; LINE],
}

impl Line {
    fn flush(&mut self) {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // Only whole strings are collected, so this is always text.
        if let Ok(text) = core::str::from_utf8(bytes) {
            (self.sink)(text);
        }
        self.length = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > LINE - self.length {
            self.flush();
        }
        match self.bytes.get_mut(self.length..self.length + text.len()) {
            Some(space) => {
                space.copy_from_slice(text.as_bytes());
                self.length += text.len();
            }
            None => (self.sink)(text),
        }
        Ok(())
    }
}

/// Prints on the kernel's console.
pub fn debug_print(message: fmt::Arguments<'_>) {
    struct Console;
    impl Write for Console {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            seL4_DebugPutString(text);
            Ok(())
        }
    }
    if config::PRINTING {
        // The console cannot fail.
        let _ = Console.write_fmt(message);
    }
}

/// Prints on the kernel's console; nothing in configurations without printing.
#[macro_export]
macro_rules! debug_print {
    ($($argument:tt)*) => {
        $crate::_private::debug_print(::core::format_args!($($argument)*))
    };
}

/// Prints a line on the kernel's console; nothing in configurations without printing.
#[macro_export]
macro_rules! debug_println {
    () => {
        $crate::debug_print!("\n")
    };
    ($($argument:tt)*) => {
        $crate::debug_print!("{}\n", ::core::format_args!($($argument)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    std::thread_local! {
        static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn record(text: &str) {
        CALLS.with_borrow_mut(|calls| calls.push(text.into()));
    }

    #[test]
    fn one_message_is_one_call_with_a_line_end() {
        write_line(record, Level::Warn, format_args!("{} of {}", 3, 4));
        assert_eq!(CALLS.take(), ["|WARN: 3 of 4\n"]);
    }

    #[test]
    fn message_longer_than_the_buffer_arrives_whole() {
        let long = "0123456789".repeat(60);
        write_line(record, Level::Info, format_args!("{long}{}", "end"));
        assert_eq!(CALLS.take().concat(), format!("|INFO: {long}end\n"));
    }
}
