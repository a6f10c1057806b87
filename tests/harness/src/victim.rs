// SPDX-License-Identifier: BSD-2-Clause
//! A protection domain (PD) of a running system, to be watched and killed through the debugger.
//!
//! All PDs have the same addresses; which one has come to a breakpoint is told by the name that the `microkit` tool has
//! written into it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSegment, ObjectSymbol};

use crate::access::{Access, Offset, Words, is_msr};
use crate::debugger::{Debugger, PC};

/// Most bytes of stack above the stack pointer.
const STACK: u64 = 64 << 10;
/// Number of the stack pointer among the debugger's registers, and in instructions that address memory.
const SP: u32 = 31;
/// Symbols with the addresses of devices' registers, where reading can have an effect.
const REGISTERS: [&str; 4] = ["regs", "uart", "timer", "engine"];
/// Bytes from there on that count as registers: no device of a driver has more.
const REGISTERS_SIZE: u64 = 64 << 10;
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
    /// Addresses of the program with its data and its IPC buffer.
    image: Range<u64>,
    /// Symbols with the address of a device's registers.
    registers: Vec<u64>,
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
        let ends = elf.segments().map(|segment| segment.address() + segment.size());
        let end = ends.max().unwrap_or(start).next_multiple_of(PAGE) + PAGE;
        Ok(Self {
            image: start..end,
            registers: REGISTERS.into_iter().filter_map(symbol).collect(),
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

    /// Lets this PD, which the machine has stopped in, go on to the point of this number, counted from 0, or fewer if it is
    /// about to wait for what comes next, or has executed `most` instructions. Gives how many points it has passed. A point
    /// is an instruction that others can see an effect of: a store to memory that is not the PD's own, an access to a device
    /// or a system register, a system call. The machine stands in front of it then, and always at one of the PD's own
    /// instructions.
    ///
    /// # Errors
    /// The machine has ended, or the PD does not come back from a system call.
    pub fn walk(
        &self,
        machine: &mut Debugger,
        point: usize,
        most: usize,
        timeout: Duration,
    ) -> Result<usize> {
        let receives = self.receives();
        let devices = self.devices(machine)?;
        let mut pc = machine.register(PC)?;
        let mut passed = 0;
        for _ in 0..most {
            let call = self.word(pc) == Some(SVC);
            if call && receives.contains(&(pc + 4)) {
                break;
            }
            if call || self.is_seen(machine, &devices, pc)? {
                if passed == point {
                    break;
                }
                passed += 1;
            }
            if call {
                // Others may run until it goes on.
                pc = self.go_on(machine, &[pc + 4], timeout)?;
                continue;
            }
            machine.step()?;
            let next = machine.register(PC)?;
            // In the kernel, by an exception: on when it is back.
            pc = if self.word(next).is_some() { next } else { self.go_on(machine, &[pc, pc + 4], timeout)? };
        }
        Ok(passed)
    }

    /// Where the device's registers are that this PD, which the machine has stopped in, drives.
    fn devices(&self, machine: &mut Debugger) -> Result<Vec<Range<u64>>> {
        let devices = self.registers.iter().map(|&symbol| {
            let address = value(machine, symbol)?;
            Ok(address..address + REGISTERS_SIZE)
        });
        let devices: Result<Vec<_>> = devices.collect();
        Ok(devices?.into_iter().filter(|device| device.start != 0).collect())
    }

    /// Whether others can see that the instruction at `pc`, which comes next, has been executed.
    fn is_seen(&self, machine: &mut Debugger, devices: &[Range<u64>], pc: u64) -> Result<bool> {
        let Some(word) = self.word(pc) else { return Ok(false) };
        if is_msr(word) {
            return Ok(true);
        }
        let Some(access) = Access::decode(word) else { return Ok(false) };
        let base = machine.register(access.base)?;
        let offset = match access.offset {
            Offset::Number(number) => number as u64,
            Offset::Register { number: SP, .. } => 0,
            Offset::Register { number, words, shift } => {
                let index = machine.register(number)?;
                let index = match words {
                    Words::Whole => index,
                    Words::Unsigned => u64::from(index as u32),
                    Words::Signed => i64::from(index as i32) as u64,
                };
                index << shift
            }
        };
        let address = base.wrapping_add(offset);
        let stack = machine.register(SP)?;
        let is_own = self.image.contains(&address)
            || (stack.saturating_sub(PAGE)..stack.saturating_add(STACK)).contains(&address);
        let is_device = devices.iter().any(|device| device.contains(&address));
        Ok(is_device || (access.stores && !is_own))
    }

    fn go_on(&self, machine: &mut Debugger, addresses: &[u64], timeout: Duration) -> Result<u64> {
        let found = self.run_to(machine, addresses, timeout)?;
        found.with_context(|| format!("{} does not come back from the kernel to {addresses:x?}", self.name))
    }

    /// Lets this PD come to a [point](Self::walk) of what it does for one event. Events with fewer points are passed over, up
    /// to `tries`; then it is half of a short one. Gives how many points it has passed.
    ///
    /// # Errors
    /// The machine has ended, or nothing comes.
    pub fn reach(
        &self,
        machine: &mut Debugger,
        point: usize,
        most: usize,
        tries: usize,
        timeout: Duration,
    ) -> Result<usize> {
        let mut longest = 0;
        for _ in 0..tries {
            self.wait_event(machine, timeout)?;
            let passed = self.walk(machine, point, most, timeout)?;
            if passed == point {
                return Ok(passed);
            }
            longest = longest.max(passed);
        }
        self.wait_event(machine, timeout)?;
        self.walk(machine, longest / 2, most, timeout)
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
        let mut regions = Vec::new();
        for &(address, size) in &self.rings {
            let size = size.map_or(Ok(PAGE), |size| value(machine, size))?;
            regions.push((value(machine, address)?, size as usize));
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

/// The value of a variable of whoever the machine has stopped in.
fn value(machine: &mut Debugger, address: u64) -> Result<u64> {
    let bytes = machine.read(address, 8)?.context("a symbol that is not mapped")?;
    Ok(bytes.try_into().map(u64::from_le_bytes).unwrap_or_default())
}
