// SPDX-License-Identifier: BSD-2-Clause
//! A model of the timer: a counter that moves by `step` at each look, and a comparator.

use std::cell::RefCell;
use std::rc::Rc;

use ring::mortal::before_store;

use crate::{Comparator, FREQUENCY_HZ, Registers};

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
        before_store();
        self.compare = Some(value);
    }
    fn clear_match(&mut self) {
        before_store();
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

/// A model that lives on when its driver dies.
#[derive(Debug, Clone)]
pub struct Shared(pub Rc<RefCell<Model>>);

impl Registers for Shared {
    fn counter(&mut self) -> (u32, u32) {
        self.0.borrow_mut().counter()
    }
    fn set_compare(&mut self, value: u32) {
        self.0.borrow_mut().set_compare(value);
    }
    fn clear_match(&mut self) {
        self.0.borrow_mut().clear_match();
    }
}

impl timer_driver::deaths::Model for Shared {
    type Hardware = Comparator<Self>;

    const FREQUENCY_HZ: u64 = FREQUENCY_HZ;

    fn hardware(&self) -> Comparator<Self> {
        Comparator::new(self.clone())
    }

    fn now(&self) -> u64 {
        self.0.borrow().counter
    }

    fn advance(&self, ticks: u64) {
        self.0.borrow_mut().advance(ticks);
    }

    fn interrupts(&self) -> bool {
        self.0.borrow().matched
    }
}
