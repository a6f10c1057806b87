// SPDX-License-Identifier: BSD-2-Clause
//! A protection domain (PD) of a running system, to be watched and killed through the debugger.
//!
//! All PDs have the same addresses; which one has come to a breakpoint is told by the name that the `microkit` tool has
//! written into it.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSegment, ObjectSymbol};

use crate::debugger::{Debugger, PC};

/// `svc #0`.
const SVC: u32 = 0xd400_0001;
/// `b .`.
const ENDLESS_LOOP: u32 = 0x1400_0000;
/// System calls that wait for an event: ReplyRecv, NBSendRecv, Recv (seL4's `syscall.h` of the MCS configuration).
const RECEIVES: [i64; 3] = [-2, -3, -7];
/// Bytes of a queue without a size of its own.
const PAGE: u64 = 4096;

/// How a PD comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It jumps to where nothing is.
    Fault,
    /// It stays at one instruction.
    Loop,
    /// It writes this over all its rings, and then jumps to where nothing is.
    Scribble(Junk),
}

/// What is written over rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// The same byte everywhere.
    Byte(u8),
    /// What a generator gives that starts with this.
    Random(u64),
}

impl Junk {
    fn bytes(self, length: usize) -> Vec<u8> {
        match self {
            Self::Byte(byte) => vec![byte; length],
            Self::Random(seed) => {
                let mut state = seed;
                let words = std::iter::repeat_with(|| next(&mut state).to_le_bytes());
                words.flatten().take(length).collect()
            }
        }
    }
}

/// The next number of a simple generator (SplitMix64; Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// A PD that was brought to its end.
#[derive(Debug)]
pub struct Killed {
    /// Where an instruction of its was replaced, and by which to replace it again.
    replaced: Option<(u64, Vec<u8>)>,
}

/// A PD and its program.
pub struct Victim {
    /// The PD's name in the system description.
    pub name: String,
    name_at: u64,
    start: u64,
    text: Vec<u8>,
    /// Symbols with the address and, where there is one, the size of a ring.
    rings: Vec<(u64, Option<u64>)>,
}

impl Victim {
    /// The PD `name` that runs the program in the file `program`.
    ///
    /// # Errors
    /// It is no such program.
    pub fn new(name: &str, program: &Path) -> Result<Self> {
        let file = std::fs::read(program).with_context(|| program.display().to_string())?;
        let elf = object::File::parse(&*file)?;
        let symbol = |wanted: &str| {
            let found = elf.symbols().find(|symbol| symbol.name() == Ok(wanted));
            found.map(|symbol| symbol.address())
        };
        let start = symbol("_start").context("no _start")?;
        let text =
            elf.segments().find(|segment| segment.address() == start).context("_start is not first")?;
        let names = elf.symbols().filter_map(|symbol| Some((symbol.name().ok()?, symbol.address())));
        let rings = names.filter(|(name, _)| name.ends_with("link") || name.ends_with("queue"));
        let rings = rings.map(|(name, address)| (address, symbol(&format!("{name}_size")))).collect();
        Ok(Self {
            name: name.into(),
            name_at: symbol("microkit_name").context("no microkit_name")?,
            start,
            text: text.data()?.to_vec(),
            rings,
        })
    }

    /// Lets the machine run until this PD gets to one of these addresses. Gives which; `None` after `timeout`.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn run_to(
        &self,
        machine: &mut Debugger,
        addresses: &[u64],
        timeout: Duration,
    ) -> io::Result<Option<u64>> {
        let begin = Instant::now();
        for &address in addresses {
            machine.set_breakpoint(address, true)?;
        }
        let mut found = None;
        while let Some(left) = timeout.checked_sub(begin.elapsed())
            && machine.run(left)?
        {
            let pc = machine.register(PC)?;
            if self.runs(machine)? {
                found = Some(pc);
                break;
            }
            // Somebody else has something at this address: over it, and on.
            machine.set_breakpoint(pc, false)?;
            machine.step()?;
            machine.set_breakpoint(pc, true)?;
        }
        for &address in addresses {
            machine.set_breakpoint(address, false)?;
        }
        Ok(found)
    }

    /// Whether this PD is running now.
    fn runs(&self, machine: &mut Debugger) -> io::Result<bool> {
        let mut name = self.name.clone().into_bytes();
        name.push(0);
        Ok(machine.read(self.name_at, name.len())?.is_some_and(|found| found == name))
    }

    /// Where the program goes on after it has received something.
    fn receives(&self) -> Vec<u64> {
        let words: Vec<u32> = self.words().collect();
        let is_receive = |index: usize| {
            // The nearest `movn x7, #n` above: the number of the system call is ~n.
            let number =
                words[..index].iter().rev().take(24).find(|&&word| word & 0xffe0_001f == 0x9280_0007);
            number.is_some_and(|word| RECEIVES.contains(&!i64::from(word >> 5 & 0xffff)))
        };
        let calls = words.iter().enumerate().filter(|&(_, &word)| word == SVC);
        calls
            .filter(|&(index, _)| is_receive(index))
            .map(|(index, _)| self.start + 4 * (index as u64 + 1))
            .collect()
    }

    fn words(&self) -> impl Iterator<Item = u32> + '_ {
        self.text.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }

    fn word(&self, address: u64) -> Option<u32> {
        self.words().nth((address.checked_sub(self.start)? / 4) as usize)
    }

    /// Whether its program has rings.
    #[must_use]
    pub fn has_rings(&self) -> bool {
        !self.rings.is_empty()
    }

    /// Lets the machine run until this PD has taken something to do.
    ///
    /// # Errors
    /// The machine has ended, or nothing comes.
    pub fn wait_event(&self, machine: &mut Debugger, timeout: Duration) -> Result<()> {
        match self.run_to(machine, &self.receives(), timeout)? {
            Some(_) => Ok(()),
            None => bail!("{} gets nothing to do", self.name),
        }
    }

    /// Executes so many instructions of this PD, which the machine has stopped in, or fewer if it is about to wait for
    /// what comes next. Gives how many. The machine stands at one of the PD's own instructions then.
    ///
    /// # Errors
    /// The machine has ended, or the PD does not come back from a system call.
    pub fn walk(&self, machine: &mut Debugger, most: usize, timeout: Duration) -> Result<usize> {
        let receives = self.receives();
        let mut pc = machine.register(PC)?;
        for count in 0..most {
            if self.word(pc) == Some(SVC) {
                if receives.contains(&(pc + 4)) {
                    return Ok(count);
                }
                // Others may run until it goes on.
                pc = self.go_on(machine, &[pc + 4], timeout)?;
                continue;
            }
            machine.step()?;
            let next = machine.register(PC)?;
            // In the kernel, by an exception: on when it is back.
            pc = if self.word(next).is_some() { next } else { self.go_on(machine, &[pc, pc + 4], timeout)? };
        }
        Ok(most)
    }

    fn go_on(&self, machine: &mut Debugger, addresses: &[u64], timeout: Duration) -> Result<u64> {
        let found = self.run_to(machine, addresses, timeout)?;
        found.with_context(|| format!("{} does not come back from the kernel to {addresses:x?}", self.name))
    }

    /// Lets this PD get so many instructions far in what it does for one event. Short events are passed over, up to
    /// `tries`; then it is half of a short one. Gives how far.
    ///
    /// # Errors
    /// The machine has ended, or nothing comes.
    pub fn reach(
        &self,
        machine: &mut Debugger,
        instructions: usize,
        tries: usize,
        timeout: Duration,
    ) -> Result<usize> {
        let mut longest = 0;
        for _ in 0..tries {
            self.wait_event(machine, timeout)?;
            let walked = self.walk(machine, instructions, timeout)?;
            if walked == instructions {
                return Ok(walked);
            }
            longest = longest.max(walked);
        }
        self.wait_event(machine, timeout)?;
        self.walk(machine, longest / 2, timeout)
    }

    /// Brings the PD, which the machine has stopped in, to its end.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn kill(&self, machine: &mut Debugger, way: Way) -> Result<Killed> {
        match way {
            Way::Fault => machine.set_register(PC, 0)?,
            Way::Loop => {
                let place = machine.register(PC)?;
                let instruction = machine.read(place, 4)?.context("an instruction that is not mapped")?;
                machine.write(place, &ENDLESS_LOOP.to_le_bytes())?;
                return Ok(Killed { replaced: Some((place, instruction)) });
            }
            Way::Scribble(junk) => {
                if self.scribble(machine, junk)? == 0 {
                    bail!("{} has no rings", self.name);
                }
                machine.set_register(PC, 0)?;
            }
        }
        Ok(Killed { replaced: None })
    }

    /// Writes junk over all its rings. Gives the number of rings.
    ///
    /// # Errors
    /// The machine has ended.
    fn scribble(&self, machine: &mut Debugger, junk: Junk) -> Result<usize> {
        let mut value = |address: u64| -> Result<u64> {
            let bytes = machine.read(address, 8)?.context("a symbol that is not mapped")?;
            Ok(bytes.try_into().map(u64::from_le_bytes).unwrap_or_default())
        };
        let mut regions = Vec::new();
        for &(address, size) in &self.rings {
            let size = size.map_or(Ok(PAGE), &mut value)?;
            regions.push((value(address)?, size as usize));
        }
        regions.retain(|&(address, size)| address != 0 && size != 0);
        for &(address, size) in &regions {
            machine.write(address, &junk.bytes(size))?;
        }
        Ok(regions.len())
    }

    /// Lets the machine run until the next life begins of the PD, which was [killed](Self::kill).
    ///
    /// # Errors
    /// The machine has ended, or it does not.
    pub fn wait_reborn(&self, machine: &mut Debugger, killed: &Killed, timeout: Duration) -> Result<()> {
        if self.run_to(machine, &[self.start], timeout)?.is_none() {
            bail!("{} is not restarted", self.name);
        }
        // Its code is the same again.
        if let Some((place, instruction)) = &killed.replaced {
            machine.write(*place, instruction)?;
        }
        Ok(())
    }
}
