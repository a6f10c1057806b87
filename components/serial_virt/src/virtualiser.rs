// SPDX-License-Identifier: BSD-2-Clause
//! Who may write to the terminal when, and who gets the input.

use core::fmt::Write as _;

use heapless::{String, Vec};
use ring::PeerMisbehaved;
use ring::memory::RingMemory;
use ring::serial::{Consumer, Producer};

use crate::input::{Action, Input};
use crate::output::{Line, Terminal, WORST_CASE};

/// Most clients: each has its symbols in the PD. The focus is chosen by a digit, which counts only those that read.
pub const MAX_CLIENTS: usize = 16;

/// Bytes of a client's line after which others may break it, whether it goes on or not.
const LONG_LINE: usize = 1024;

/// Bytes moved by one call of `service`, so that input is looked at in between.
const BATCH: usize = 16 * 1024;

/// Bytes taken from a client's ring at a time.
const CHUNK: usize = 128;

/// Chunks of input taken by one call of `service`.
const INPUT_BOUND: usize = 16;

/// Least size of the driver's transmit ring: the longest step of output must fit.
pub const MIN_DRIVER_RING: usize = 512;

const _: () = assert!(WORST_CASE <= MIN_DRIVER_RING && NOTICE + 4 <= MIN_DRIVER_RING);

/// A client's name, as the tag shows it.
pub type Name = String<32>;

/// Longest notice.
const NOTICE: usize = 320;

/// A client: its name and its rings.
#[derive(Debug)]
pub struct Client<M> {
    name: Name,
    line: Line,
    /// What the client writes.
    output: Consumer<M>,
    /// What the client reads; some only write.
    input: Option<Producer<M>>,
}

impl<M: RingMemory> Client<M> {
    /// A client called `name`.
    pub fn new(name: Name, output: Consumer<M>, input: impl Into<Option<Producer<M>>>) -> Self {
        let mut tag: String<34> = String::new();
        // The name is at most 32 long.
        let _ = write!(tag, "{name}| ");
        Self { line: Line::new(tag.as_bytes()), name, output, input: input.into() }
    }
}

/// A set of clients and the driver, to be notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelFlags {
    /// Notify the driver.
    pub driver: bool,
    /// Bit n: notify client n.
    pub clients: u32,
}

/// What the PD has to do after [`Virtualiser::service`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Whom to notify.
    pub notify: ChannelFlags,
    /// Call `service` again at once.
    pub again: bool,
    /// Call `moment_passed` after a moment, and then `service`.
    pub wait_a_moment: bool,
}

/// The state of the console.
#[derive(Debug)]
pub struct Virtualiser<M> {
    clients: Vec<Client<M>, MAX_CLIENTS>,
    terminal: Terminal<M>,
    from_driver: Consumer<M>,
    input: Input,
    focus: usize,
    /// The client with the focus is shown alone.
    exclusive: bool,
    /// Input was passed on that the client has not answered: its echo breaks anybody's line.
    awaiting_echo: bool,
    /// Whose turn it is to begin a line.
    turn: usize,
    /// There will be a call of `moment_passed`; without a timer unfinished lines are broken at once.
    has_timer: bool,
    /// Something was written since the last moment.
    busy: bool,
    /// A moment has passed without anything written.
    quiet: bool,
    notices: Vec<u8, NOTICE>,
}

impl<M: RingMemory> Virtualiser<M> {
    /// A console without clients on the driver's two rings. `has_timer`: the caller honours `Outcome::wait_a_moment`.
    pub fn new(to_driver: Producer<M>, from_driver: Consumer<M>, has_timer: bool) -> Self {
        Self {
            clients: Vec::new(),
            terminal: Terminal::new(to_driver, false),
            from_driver,
            input: Input::default(),
            focus: 0,
            exclusive: false,
            awaiting_echo: false,
            turn: 0,
            has_timer,
            busy: false,
            quiet: false,
            notices: Vec::new(),
        }
    }

    /// Adds a client; its number is the number of clients before it. One too many is ignored.
    pub fn add_client(&mut self, client: Client<M>) {
        // As documented.
        let _ = self.clients.push(client);
        self.terminal.set_tagged(self.clients.len() > 1);
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A moment has passed since `service` asked for it.
    pub fn moment_passed(&mut self) {
        self.quiet = !core::mem::take(&mut self.busy);
    }

    /// Moves bytes in both directions as far as possible. To be called after any notification.
    pub fn service(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.take_input(&mut outcome);
        self.move_output(&mut outcome);
        outcome.again |= self.report_errors();
        outcome.notify.driver |= self.terminal.driver().should_notify() | self.from_driver.should_tell();
        for (index, client) in self.clients.iter_mut().enumerate() {
            let input = client.input.as_mut().is_some_and(Producer::should_tell);
            if client.output.should_tell() | input {
                outcome.notify.clients |= 1 << index;
            }
        }
        outcome
    }

    /// Distributes what was typed.
    fn take_input(&mut self, outcome: &mut Outcome) {
        let mut buffer = [0; CHUNK];
        for _ in 0..INPUT_BOUND {
            let count = self.from_driver.read(&mut buffer);
            if count == 0 {
                return;
            }
            outcome.notify.driver |= self.from_driver.should_notify();
            for byte in buffer.iter().take(count) {
                match self.input.byte(*byte) {
                    Action::Forward(byte) => self.forward(byte),
                    Action::Focus(number) => self.set_focus(number, outcome),
                    Action::ToggleExclusive => self.toggle_exclusive(),
                    Action::Help => self.help(),
                    Action::Nothing => {}
                }
            }
            self.notify_input(outcome);
        }
        outcome.again = true;
    }

    fn forward(&mut self, byte: u8) {
        if let Some(client) = self.clients.get_mut(self.focus) {
            // A client that does not read loses input; the UART cannot be held either.
            self.awaiting_echo |= client.input.as_mut().is_some_and(|input| input.write(&[byte]) == 1);
        }
    }

    /// Tells the client with the focus about its input.
    fn notify_input(&mut self, outcome: &mut Outcome) {
        if let Some(client) = self.clients.get_mut(self.focus)
            && client.input.as_mut().is_some_and(Producer::should_notify)
        {
            outcome.notify.clients |= 1 << self.focus;
        }
    }

    /// The clients that read, in order: their places among all clients.
    fn readers(&self) -> impl Iterator<Item = usize> + '_ {
        self.clients.iter().enumerate().filter(|(_, client)| client.input.is_some()).map(|(place, _)| place)
    }

    /// Gives the focus to reader `number`.
    fn set_focus(&mut self, number: usize, outcome: &mut Outcome) {
        let Some(client) = self.readers().nth(number) else {
            self.help();
            return;
        };
        self.notify_input(outcome);
        self.focus = client;
        self.awaiting_echo = false;
        self.tell_focus("", number);
    }

    /// Says that this console has been restarted, and so who has the input now: with more than one client that reads it need
    /// not be who had it before. Once, when all clients have been added.
    pub fn tell_restart(&mut self) {
        if self.readers().nth(1).is_some() {
            self.tell_focus("restarted, ", 0);
        }
    }

    fn tell_focus(&mut self, event: &str, number: usize) {
        let name = self.name(self.focus);
        self.add_notice(format_args!("console: {event}input goes to {number} ({name})"));
    }

    fn toggle_exclusive(&mut self) {
        self.exclusive = !self.exclusive;
        self.terminal.set_tagged(!self.exclusive && self.clients.len() > 1);
        let name = self.name(self.focus);
        if self.exclusive {
            self.add_notice(format_args!("console: {name} alone; Ctrl-] x shows all again"));
        } else {
            self.add_notice(format_args!("console: all clients"));
        }
    }

    fn help(&mut self) {
        let mut text: String<NOTICE> = String::new();
        // A list that does not fit is cut.
        let _ = text.push_str("console: Ctrl-] then a digit: input to");
        for (number, client) in self.readers().enumerate() {
            let mark = if client == self.focus { "*" } else { "" };
            let _ = write!(text, " {number}={}{mark}", self.name(client));
        }
        let _ = text.push_str("; x: that one alone; h: help; Ctrl-]: itself");
        self.add_notice(format_args!("{text}"));
    }

    fn name(&self, client: usize) -> Name {
        self.clients.get(client).map(|client| client.name.clone()).unwrap_or_default()
    }

    /// Keeps a notice until there is space. When several pile up, the last stays.
    fn add_notice(&mut self, text: core::fmt::Arguments<'_>) {
        let mut line: String<NOTICE> = String::new();
        let _ = line.write_fmt(text);
        self.notices.clear();
        let _ = self.notices.extend_from_slice(line.as_bytes());
    }

    /// Moves clients' bytes to the terminal, line by line.
    fn move_output(&mut self, outcome: &mut Outcome) {
        let mut moved = 0;
        loop {
            if moved >= BATCH {
                outcome.again = true;
                break;
            }
            if !self.space() {
                break;
            }
            if !self.notices.is_empty() {
                self.terminal.notice(&self.notices);
                self.notices.clear();
                self.busy = true;
                continue;
            }
            let Some(client) = self.next_writer(outcome) else { break };
            moved += self.move_line(client, outcome);
        }
        self.show_again(outcome);
        self.quiet = false;
    }

    /// Whether the driver's ring has space for the longest step; asks for a signal otherwise.
    fn space(&mut self) -> bool {
        let driver = self.terminal.driver();
        if driver.free() >= MIN_DRIVER_RING {
            return true;
        }
        // The signal comes with the next bytes the driver takes, which may not be enough; then this asks again.
        driver.request_space_signal();
        driver.free() >= MIN_DRIVER_RING
    }

    /// Whether `client` has bytes that may be shown.
    fn has_output(&mut self, client: usize) -> bool {
        if self.exclusive && client != self.focus {
            return false;
        }
        self.clients.get_mut(client).is_some_and(|client| !client.output.is_empty())
    }

    /// The client that writes next; breaks the open line where it must give way.
    fn next_writer(&mut self, outcome: &mut Outcome) -> Option<usize> {
        let count = self.clients.len();
        let (turn, open) = (self.turn, self.terminal.open());
        let waiting = (0..count)
            .map(|offset| (turn + offset) % count)
            .find(|&client| Some(client) != open && self.has_output(client));
        let Some(open) = open else { return waiting };
        let echo = self.awaiting_echo && open != self.focus && self.has_output(self.focus);
        let waiting = if echo { Some(self.focus) } else { waiting };
        let goes_on = self.has_output(open);
        let Some(waiting) = waiting else { return goes_on.then_some(open) };
        let too_long = self.terminal.open_length() >= LONG_LINE;
        if goes_on && !too_long && !echo {
            return Some(open);
        }
        if self.has_timer && !self.quiet && !too_long && !echo {
            outcome.wait_a_moment = true;
            return None;
        }
        self.terminal.break_line();
        self.quiet = false;
        Some(waiting)
    }

    /// Moves bytes of `client` up to the end of a line; gives how many.
    fn move_line(&mut self, index: usize, outcome: &mut Outcome) -> usize {
        let Some(client) = self.clients.get_mut(index) else { return 0 };
        let mut buffer = [0; CHUNK];
        let count = client.output.peek(&mut buffer);
        client.line.look_ahead(buffer.get(..count).unwrap_or_default());
        let mut moved = 0;
        for byte in buffer.iter().take(count) {
            if moved > 0 && self.terminal.driver().free() < WORST_CASE {
                break;
            }
            self.terminal.put(index, &mut client.line, *byte);
            moved += 1;
            if *byte == b'\n' {
                break;
            }
        }
        client.output.advance(moved);
        if client.output.should_notify() {
            outcome.notify.clients |= 1 << index;
        }
        if index == self.focus {
            self.awaiting_echo = false;
        }
        self.turn = (index + 1) % self.clients.len();
        self.busy = true;
        moved
    }

    /// Shows the unfinished line of the client with the focus (its prompt) again once the others are quiet.
    fn show_again(&mut self, outcome: &mut Outcome) {
        let Some(client) = self.clients.get(self.focus) else { return };
        if self.terminal.open().is_some() || !client.line.is_unfinished() {
            return;
        }
        if !self.has_timer {
            return;
        }
        if !self.quiet {
            outcome.wait_a_moment = true;
        } else if self.terminal.driver().free() >= WORST_CASE {
            self.terminal.begin(self.focus, &client.line);
        }
    }

    /// The reason the driver's rings were cut off, once. There is no terminal any more to say it on.
    pub fn take_driver_error(&mut self) -> Option<PeerMisbehaved> {
        self.terminal.driver().take_error().or_else(|| self.from_driver.take_error())
    }

    /// Says which client was cut off; gives whether there was one.
    fn report_errors(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(index) else { continue };
            let error = client.output.take_error();
            let error = error.or_else(|| client.input.as_mut().and_then(Producer::take_error));
            if let Some(error) = error {
                let name = client.name.clone();
                self.add_notice(format_args!("console: {name} is cut off: {error}"));
                any = true;
            }
        }
        any
    }
}
