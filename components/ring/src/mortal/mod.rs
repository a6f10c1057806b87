// SPDX-License-Identifier: BSD-2-Clause
//! For tests: a program that dies at a chosen point, and is started again.
//!
//! Points are those at which others begin to see a difference: in front of each store to shared memory or to a register of a
//! device, and, where a test says so by [`before_store`], in front of each notification, answer and acknowledgement. A program
//! that is killed at each of them in turn has been killed everywhere. [`everywhere`] does that; [`Way`] is what the program
//! does before its next life begins.

extern crate std;

mod memory;
mod writer;

use core::cell::Cell;
use std::boxed::Box;
use std::eprintln;
use std::panic::{self, AssertUnwindSafe};

pub use memory::{Junk, MortalBytes, MortalPages};
pub use writer::Writer;

std::thread_local! {
    /// Points until the next one kills, if one is to.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a death unwinds with.
struct Death;

/// Comes before each store, here and to a device's registers. Does not return where death is due.
pub fn before_store() {
    match LEFT.get() {
        // Without the message of a panic.
        Some(0) => panic::resume_unwind(Box::new(Death)),
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

/// Runs a part of a program, which dies at its point number `after`. Gives how many points were left to that; `None`: it is
/// dead.
fn run(after: usize, program: impl FnOnce()) -> Option<usize> {
    LEFT.set(Some(after));
    let result = panic::catch_unwind(AssertUnwindSafe(program));
    let left = LEFT.take();
    match result {
        Ok(()) => left,
        Err(cause) if cause.is::<Death>() => None,
        Err(cause) => panic::resume_unwind(cause),
    }
}

/// The program that dies, and all that is around it.
pub trait Mortal {
    /// Begins its next life.
    fn begin(&mut self);

    /// Writes over all the memory that it shares with others.
    fn scribble(&mut self, junk: &mut Junk);
}

/// What a program does when it dies.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// It writes over all that it shares.
    junk: Option<Junk>,
    /// So many times it does nothing although it is its turn, while its peers go on; then it is started again.
    silence: usize,
}

impl Way {
    /// It faults, and is started again at once.
    pub const FAULT: Self = Self { junk: None, silence: 0 };

    /// It hangs until the watchdog notices.
    pub const HANG: Self = Self { junk: None, silence: 20 };

    /// It writes junk over all that it shares, and faults.
    #[must_use]
    pub const fn scribble(junk: Junk) -> Self {
        Self { junk: Some(junk), silence: 0 }
    }

    /// All but the first, and but those after which peers that believe their server see junk.
    pub const OTHERS: [Self; 5] = {
        let [zeroes, ones, random, other] = Junk::ALL;
        let scribble = Self::scribble;
        [Self::HANG, scribble(zeroes), scribble(ones), scribble(random), scribble(other)]
    };

    /// It writes junk over all that it shares, and hangs: its peers see the junk before its next life begins.
    #[must_use]
    pub const fn scribble_and_hang(junk: Junk) -> Self {
        Self { junk: Some(junk), silence: 3 }
    }
}

/// Up to two deaths of a program: at its point number `point`, and so many points later in its next life.
#[derive(Debug)]
pub struct Deaths {
    way: Way,
    /// Points until the next death, and until the one after it.
    due: [Option<usize>; 2],
    /// How often it has died.
    count: usize,
    /// How often it still keeps silent; 0: it lives.
    silence: usize,
}

impl Deaths {
    const fn new(way: Way, point: usize, again: Option<usize>) -> Self {
        Self { way, due: [Some(point), again], count: 0, silence: 0 }
    }

    /// Lets the program do something, unless it hangs.
    pub fn act<B: Mortal>(&mut self, bench: &mut B, program: impl FnOnce(&mut B)) {
        if self.silence > 0 {
            self.silence -= 1;
            if self.silence == 0 {
                self.begin(bench);
            }
        } else if let Some(after) = self.due[0] {
            self.due[0] = run(after, || program(bench));
            self.die_if_due(bench);
        } else {
            program(bench);
        }
    }

    /// A protected call to the program, whose answer is a point, too. A caller whose server has died is told so, and calls again.
    ///
    /// # Panics
    /// When the program dies more often than it should.
    pub fn call<B: Mortal, R>(&mut self, bench: &mut B, program: impl Fn(&mut B) -> R) -> R {
        for _ in 0..self.way.silence.max(1) * 4 {
            let mut answer = None;
            self.act(bench, |bench| {
                let value = program(bench);
                before_store();
                answer = Some(value);
            });
            if let Some(answer) = answer {
                return answer;
            }
        }
        panic!("no answer");
    }

    /// No death any more, and a life: what follows shows that the program goes on.
    pub fn end<B: Mortal>(&mut self, bench: &mut B) {
        self.due = [None; 2];
        if core::mem::take(&mut self.silence) > 0 {
            bench.begin();
        }
    }

    /// How often the program has died.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether the dead write junk.
    #[must_use]
    pub const fn left_junk(&self) -> bool {
        self.way.junk.is_some()
    }

    /// Whether the dead are waited for.
    #[must_use]
    pub const fn hung(&self) -> bool {
        self.way.silence > 0
    }

    fn begin<B: Mortal>(&mut self, bench: &mut B) {
        match self.due[0] {
            None => bench.begin(),
            Some(after) => {
                self.due[0] = run(after, || bench.begin());
                self.die_if_due(bench);
            }
        }
    }

    fn die_if_due<B: Mortal>(&mut self, bench: &mut B) {
        if self.due[0].is_some() {
            return;
        }
        self.count += 1;
        self.due = [self.due[1], None];
        if let Some(mut junk) = self.way.junk {
            bench.scribble(&mut junk);
        }
        self.silence = self.way.silence;
        if self.silence == 0 {
            self.begin(bench);
        }
    }
}

/// Runs `scenario` with a death of the program at each of its points in turn: by a fault, alone and followed by another one so
/// many points `again` later, and in each of the ways `more`. Says where it was when the scenario fails.
///
/// # Panics
/// When the program has no more than `least` points: then it does not do what it should.
pub fn everywhere(again: &[usize], more: &[Way], least: usize, scenario: impl Fn(&mut Deaths)) {
    let twice = again.iter().map(|&again| (Way::FAULT, Some(again)));
    let once = [Way::FAULT].iter().chain(more).map(|&way| (way, None));
    for (way, again) in once.chain(twice) {
        for point in 0.. {
            let mut deaths = Deaths::new(way, point, again);
            if let Err(cause) = panic::catch_unwind(AssertUnwindSafe(|| scenario(&mut deaths))) {
                eprintln!("that was with a death at {point}, and {again:?} later; {way:?}");
                panic::resume_unwind(cause);
            }
            if deaths.count == 0 {
                assert!(point > least, "it has only {point} points");
                break;
            }
        }
    }
}
