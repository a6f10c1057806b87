// SPDX-License-Identifier: BSD-2-Clause
//! `xtask run`: builds the system, boots it in QEMU, and connects the console.
//!
//! On a terminal, keys go to the console as they are typed, and Ctrl-] q leaves. Without a terminal (a pipe, a file,
//! `/dev/null`) the lines of standard input are typed at the guest's shell once it is up, the console is shown, and the
//! guest is powered off at the end of the input. The exit status says whether it came up and ended in order.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use board::Board;
use clap::Args;
use emulator::{Console, Devices, Disk, Emulator, Machine, Mark};

use crate::disk;
use crate::guest::{PROMPT, READY_MARKER};
use crate::image::{self, Needs};
use crate::process::say;
use crate::{paths, sdk};

/// A VMM says this, behind its name, when its guest has switched itself off.
pub const POWERED_OFF: &str = "|INFO: guest powered off";
/// A VMM says this, behind its name and before the reason, when it stopped its guest.
const STOPPED: &str = "|ERROR: guest stopped";
/// The console's escape key, Ctrl-]: it has commands of its own, to which this adds one.
const ESCAPE: u8 = 0x1d;
/// Behind the escape key: ends the emulator.
const LEAVE: u8 = b'q';
/// How long an orderly shutdown of a guest may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(120);
/// A program that has printed nothing for so long is taken to have ended; the longest test of sel4test that prints
/// nothing while it runs takes 20 s.
const END_OF_OUTPUT: Duration = Duration::from_secs(60);
/// The longest that output is shown for.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(600);
/// A shell that has printed nothing for so long is taken to read its input itself.
const QUIET: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    image: image::Options,
    /// The guests' disk, which keeps what they write; without it, one that is new in every run.
    #[arg(long, env = "DISK")]
    disk: Option<String>,
    /// The network: options of QEMU's `-netdev user`, or another kind of netdev with its options.
    #[arg(long, env = "NET")]
    net: Option<String>,
    /// How long the guest may take to come up, in seconds of this machine's time.
    #[arg(long, env = "BULKHEAD_READY_TIMEOUT", default_value_t = 300)]
    ready_timeout: u64,
}

/// Builds and runs.
///
/// # Errors
/// Something does not build, the guest does not come up, or it does not end in order.
pub fn run(options: &Options) -> Result<()> {
    let image = image::build(&options.image)?;
    let own_disk = options.disk.as_deref().filter(|path| !path.is_empty());
    let mut machine = machine_of(&options.image.description()?, &image.file)?;
    machine.devices = devices(image.needs, own_disk, options.net.as_deref())?;
    let session = Session {
        guests: image.description.matches("<virtual_machine").count().max(1),
        known_guest: image.known_guest && own_disk.is_none(),
        ready_timeout: Duration::from_secs(options.ready_timeout),
    };
    if io::stdin().is_terminal() { session.interactive(&machine) } else { session.scripted(&machine) }
}

/// The emulated board with an image.
///
/// # Errors
/// The board is one that is not emulated.
pub fn machine(board: &str, image: &Path) -> Result<Machine> {
    machine_of(&sdk::board(board)?, image)
}

fn machine_of(board: &Board, image: &Path) -> Result<Machine> {
    let mut machine = Machine::of_board(board, image)
        .with_context(|| format!("the board {} is not emulated, or not with so much memory", board.name))?;
    machine.program = emulator::program::of(board, &paths::root()).context("the emulator")?;
    Ok(machine)
}

/// The devices that a system needs: the user's own disk or, only read, the cached one; the user's network or QEMU's.
///
/// # Errors
/// There is no disk and none can be made.
pub fn devices(needs: Needs, own_disk: Option<&str>, net: Option<&str>) -> Result<Devices> {
    let disk = match own_disk {
        _ if !needs.disk => None,
        Some(path) => Some(Disk::keeping(disk::own(&std::env::current_dir()?.join(path))?)),
        None => Some(Disk::discarding(disk::provide()?)),
    };
    let network = needs.network.then(|| netdev(net.unwrap_or_default()));
    Ok(Devices { disk, network, entropy: needs.entropy })
}

/// A netdev as QEMU's `-netdev` takes it: as it is if it begins with a kind that is not a user network's option.
fn netdev(net: &str) -> String {
    const KINDS: &[&str] =
        &["user", "tap", "bridge", "socket", "stream", "dgram", "vde", "passt", "l2tpv3", "hubport"];
    match net.split([',', '=']).next() {
        None | Some("") => "user".into(),
        Some(kind) if KINDS.contains(&kind) => net.into(),
        Some(_) => format!("user,{net}"),
    }
}

/// Boots a machine and shows its console: a terminal is connected to it until its user leaves; without one it is shown
/// until it has been quiet for [`END_OF_OUTPUT`].
///
/// # Errors
/// The emulator does not start.
pub fn console(machine: &Machine) -> Result<()> {
    if io::stdin().is_terminal() {
        // Nothing in it is a guest that ends the run.
        let session = Session { guests: usize::MAX, known_guest: false, ready_timeout: Duration::ZERO };
        return session.interactive(machine);
    }
    let mut emulator = Emulator::start(machine, io::stdout())?;
    emulator.console().wait_quiet(END_OF_OUTPUT, OUTPUT_TIMEOUT);
    emulator.kill();
    println!();
    Ok(())
}

/// One run of a system.
struct Session {
    /// Number of guests in the system; when all have ended, so has the run.
    guests: usize,
    /// Whether the guest's user space is our initramfs.
    known_guest: bool,
    ready_timeout: Duration,
}

impl Session {
    /// Connects the terminal to the console.
    fn interactive(&self, machine: &Machine) -> Result<()> {
        say("starting; Ctrl-] q ends the emulator, Ctrl-] h shows what the console understands");
        let raw = RawTerminal::enter()?;
        let mut emulator = Emulator::start(machine, io::stdout())?;
        let mut input = emulator.take_input().context("the emulator has no input")?;
        let (leave, left) = channel();
        std::thread::spawn(move || {
            let mut key = [0];
            let mut escaped = false;
            while let Ok(1) = io::stdin().read(&mut key) {
                if escaped && key[0] == LEAVE || input.write_all(&key).and_then(|()| input.flush()).is_err() {
                    break;
                }
                escaped = !escaped && key[0] == ESCAPE;
            }
            // The other side is gone when the run ended first.
            let _ = leave.send(());
        });
        let console = emulator.console().clone();
        let ended = loop {
            match left.recv_timeout(Duration::from_millis(100)) {
                Err(RecvTimeoutError::Timeout) if self.ended(&console) => break true,
                Err(RecvTimeoutError::Timeout) if console.expect_end(Duration::ZERO).is_err() => {}
                _ => break false,
            }
        };
        if ended {
            console.wait_quiet(Duration::from_millis(200), Duration::from_secs(2));
        }
        emulator.kill();
        drop(raw);
        eprintln!();
        say(if ended { "all guests have ended" } else { "left" });
        Ok(())
    }

    /// Feeds the console from standard input.
    fn scripted(&self, machine: &Machine) -> Result<()> {
        let lines = read_lines();
        say("starting; the guest's console follows");
        let mut emulator = Emulator::start(machine, io::stdout())?;
        let result = self.feed(&mut emulator, &lines);
        emulator.kill();
        println!();
        result?;
        say("all guests have ended");
        Ok(())
    }

    fn feed(&self, emulator: &mut Emulator, lines: &Receiver<String>) -> Result<()> {
        self.wait_ready(emulator.console(), 0)?;
        let mut mark = emulator.console().mark();
        loop {
            self.wait_prompt(emulator.console(), mark, 0);
            // A pause in the input is no reason to miss the end of the guest.
            let line = loop {
                if self.ended(emulator.console()) {
                    return self.verdict(emulator.console());
                }
                match lines.recv_timeout(Duration::from_millis(100)) {
                    Ok(line) => break Some(line),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break None,
                }
            };
            mark = emulator.console().mark();
            let Some(line) = line else { break };
            emulator.send(&(line + "\n")).context("the emulator ended")?;
        }
        say("end of the input: powering off what still runs");
        for guest in 0..self.guests {
            self.power_off(emulator, guest)?;
        }
        self.verdict(emulator.console())
    }

    /// Types `poweroff` at guest number `guest` and waits for its end. With several guests the console's escape key
    /// gives it the input first; its VMM has the same number.
    fn power_off(&self, emulator: &mut Emulator, guest: usize) -> Result<()> {
        let ended = |console: &Console| {
            let ends = ends(&console.text());
            if self.guests == 1 { !ends.is_empty() } else { ends.contains(&format!("vmm_{guest}")) }
        };
        if ended(emulator.console()) {
            return Ok(());
        }
        if self.guests > 1 {
            emulator.send(&format!("{}{guest}", char::from(ESCAPE))).context("the emulator ended")?;
            // It may be booting still.
            self.wait_ready(emulator.console(), guest)?;
            self.wait_prompt(emulator.console(), Mark::default(), guest);
        }
        emulator.send("poweroff\n").context("the emulator ended")?;
        let start = Instant::now();
        while !ended(emulator.console()) {
            if start.elapsed() > SHUTDOWN_TIMEOUT || emulator.console().expect_end(Duration::ZERO).is_ok() {
                let lines = emulator.console().last_lines();
                bail!("guest {guest} did not power off; the console's last lines:\n{lines}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What a text of a guest looks like on the console, which tags lines when there are several guests.
    fn tagged(&self, guest: usize, text: &str) -> String {
        if self.guests == 1 { text.into() } else { format!("vmm_{guest}| {text}") }
    }

    /// Waits until the user space of guest number `guest` is up.
    fn wait_ready(&self, console: &Console, guest: usize) -> Result<()> {
        let start = Mark::default();
        let marker = self.tagged(guest, READY_MARKER);
        if self.known_guest {
            let ended = |end: &str| if self.guests == 1 { end.into() } else { format!("vmm_{guest}{end}") };
            let seen = console
                .expect_any(start, &[&marker, &ended(STOPPED), &ended(POWERED_OFF)], self.ready_timeout)
                .context("the guest did not come up")?;
            if seen.0 != 0 {
                bail!("the guest did not come up; the console's last lines:\n{}", console.last_lines());
            }
            return Ok(());
        }
        // A user space of the user's own is up when it waits with something that looks like a prompt.
        let begin = Instant::now();
        while begin.elapsed() < self.ready_timeout && !self.ended(console) {
            let quiet = console.wait_quiet(QUIET, Duration::from_secs(5));
            let text = console.text();
            let prompt = ["#", "$", ">", ":"].iter().any(|end| text.trim_end().ends_with(end));
            if text.contains(&marker) || quiet && prompt {
                return Ok(());
            }
            if console.expect_end(Duration::ZERO).is_ok() {
                break;
            }
        }
        bail!("the guest did not come up; the console's last lines:\n{}", console.last_lines())
    }

    /// Waits until the shell asks for the next line, or seems to be waiting for input in another way.
    fn wait_prompt(&self, console: &Console, mark: Mark, guest: usize) {
        let begin = Instant::now();
        let prompt = self.tagged(guest, PROMPT);
        while !self.ended(console) && begin.elapsed() < self.ready_timeout {
            if console.expect_any(mark, &[&prompt], Duration::from_millis(100)).is_ok() {
                return;
            }
            if begin.elapsed() >= QUIET && console.wait_quiet(QUIET, Duration::from_millis(2100)) {
                return;
            }
            if console.expect_end(Duration::ZERO).is_ok() {
                return;
            }
        }
    }

    /// Whether no guest runs any more.
    fn ended(&self, console: &Console) -> bool {
        ends(&console.text()).len() >= self.guests
    }

    /// Whether all guests ended in order.
    fn verdict(&self, console: &Console) -> Result<()> {
        console.wait_quiet(Duration::from_millis(200), Duration::from_secs(2));
        if console.text().contains(STOPPED) {
            bail!("a guest was stopped; the console's last lines:\n{}", console.last_lines());
        }
        Ok(())
    }
}

/// The VMMs whose guests have ended. Only lines of a VMM itself count, not what a guest prints or is typed at.
fn ends(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_once(POWERED_OFF).or_else(|| line.split_once(STOPPED)))
        // Before it stands nothing but the VMM's name, and perhaps the console's tag.
        .filter(|(tags, _)| tags.chars().all(|c| c.is_ascii_alphanumeric() || "_| ".contains(c)))
        .filter_map(|(tags, _)| tags.rsplit(['|', ' ']).next().map(str::to_owned))
        .collect()
}

/// The lines of standard input, as they come; disconnected at its end.
fn read_lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The terminal in raw mode; as it was again when this is dropped.
struct RawTerminal {
    saved: String,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let saved = stty(&["-g"]).context("reading the terminal's settings")?;
        // Output stays cooked: what this program says itself ends its lines with a line feed only.
        stty(&["raw", "-echo", "opost", "onlcr"]).context("switching the terminal to raw mode")?;
        Ok(Self { saved: saved.trim().to_string() })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if stty(&[&self.saved]).is_err() {
            say("the terminal's settings could not be restored: type `stty sane`");
        }
    }
}

/// Runs `stty` on standard input.
fn stty(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("stty").args(arguments).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("stty failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{ends, netdev};

    #[test]
    fn network_is_the_users_or_an_option_of_qemus() {
        assert_eq!(netdev(""), "user");
        assert_eq!(netdev("hostfwd=tcp:127.0.0.1:2222-:22"), "user,hostfwd=tcp:127.0.0.1:2222-:22");
        assert_eq!(netdev("tap,ifname=tap0,script=no"), "tap,ifname=tap0,script=no");
        assert_eq!(netdev("user,restrict=on"), "user,restrict=on");
    }

    #[test]
    fn only_lines_of_a_vmm_end_a_guest() {
        assert!(ends("guest:/root# echo guest powered off\nguest powered off\nguest stopped\n").is_empty());
        assert!(ends("guest:/root# echo vmm_0|INFO: guest powered off").is_empty());
        assert_eq!(ends("vmm_0|INFO: guest powered off\r\n").len(), 1);
        assert_eq!(ends("vmm_0| vmm_0|INFO: guest powered off\nvmm_0|INFO: guest powered off\n").len(), 1);
        let text = "vmm_1|ERROR: guest stopped: a reason\nvmm_0|INFO: guest powered off\n";
        assert_eq!(ends(text).into_iter().collect::<Vec<_>>(), ["vmm_0", "vmm_1"]);
    }
}
