// SPDX-License-Identifier: BSD-2-Clause
//! The driver on a model of the generic timer.

use std::cell::Cell;
use std::rc::Rc;

use ring::mortal::before_store;

use crate::deaths::{Model, driver_may_die_everywhere};
use crate::driver::Hardware;

/// Counter, and compare value while it is enabled: level-triggered.
#[derive(Debug, Clone, Default)]
struct Generic(Rc<(Cell<u64>, Cell<Option<u64>>)>);

impl Hardware for Generic {
    fn now(&mut self) -> u64 {
        self.0.0.get()
    }

    fn arm(&mut self, deadline: Option<u64>) -> bool {
        before_store();
        self.0.1.set(deadline);
        true
    }
}

impl Model for Generic {
    type Hardware = Self;

    const FREQUENCY_HZ: u64 = 62_500_000;

    fn hardware(&self) -> Self {
        self.clone()
    }

    fn now(&self) -> u64 {
        self.0.0.get()
    }

    fn advance(&self, ticks: u64) {
        self.0.0.set(self.0.0.get() + ticks);
    }

    fn interrupts(&self) -> bool {
        self.0.1.get().is_some_and(|deadline| deadline <= self.0.0.get())
    }
}

#[test]
fn driver_may_die_at_every_point() {
    driver_may_die_everywhere(Generic::default);
}
