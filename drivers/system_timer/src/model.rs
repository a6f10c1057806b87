// SPDX-License-Identifier: BSD-2-Clause
//! A model of the timer: a counter that moves by `step` at each look, and a comparator.

use crate::Registers;

#[derive(Debug)]
pub struct Model {
    pub counter: u64,
    pub step: u64,
    pub compare: Option<u32>,
    pub matched: bool,
}

impl Model {
    /// Lets time pass.
    pub fn advance(&mut self, ticks: u64) {
        let before = self.counter;
        self.counter = self.counter.saturating_add(ticks);
        if let Some(compare) = self.compare {
            // The first moment after `before` at which the lower half is the value.
            let ahead = u64::from(compare.wrapping_sub(before as u32).wrapping_sub(1)) + 1;
            self.matched |= ahead <= self.counter - before;
        }
    }
}

impl Registers for Model {
    fn counter(&mut self) -> (u32, u32) {
        self.advance(self.step);
        (self.counter as u32, (self.counter >> 32) as u32)
    }
    fn set_compare(&mut self, value: u32) {
        self.compare = Some(value);
    }
    fn clear_match(&mut self) {
        self.matched = false;
    }
}

impl Registers for &mut Model {
    fn counter(&mut self) -> (u32, u32) {
        (**self).counter()
    }
    fn set_compare(&mut self, value: u32) {
        (**self).set_compare(value);
    }
    fn clear_match(&mut self) {
        (**self).clear_match();
    }
}
