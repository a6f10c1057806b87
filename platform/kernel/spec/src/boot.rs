// SPDX-License-Identifier: BSD-2-Clause
//! The pieces of an initial state. What exactly is in it is the boot protocol's business; from it on, only
//! [`State::event`] changes anything.

use crate::cap::Cap;
use crate::refill::Refill;
use crate::state::{Holder, Obj, SchedContext, Slot, State, Tcb, ThreadState};

impl State {
    /// Puts an original capability that was derived from nothing into an empty slot.
    pub fn boot_capability(&mut self, slot: Slot, cap: Cap) {
        self.caps.insert(slot, cap);
        self.tree.add_root(slot);
    }

    /// Puts a copy of the capability in `source` into an empty slot, where it says `cap`.
    pub fn boot_copy(&mut self, cap: Cap, source: Slot, target: Slot) {
        self.insert_derived(cap, source, target);
    }

    /// The initial thread, running round robin with `budget` ticks; `slots` are the sources of its CSpace root and
    /// buffer frame.
    pub fn boot_thread(
        &mut self,
        tcb: Obj,
        sc: Obj,
        priority: u64,
        budget: u64,
        buffer: u64,
        slots: &[(u64, Slot)],
    ) {
        let thread = Tcb {
            state: ThreadState::Running,
            priority,
            mcp: 255,
            sched_context: Some(sc),
            buffer,
            ..Tcb::new(&self.config)
        };
        self.tcbs.insert(tcb, thread);
        for &(index, source) in slots {
            if let Some(cap) = self.cap(source) {
                self.insert_derived(cap, source, Slot { holder: Holder::Tcb(tcb), index });
            }
        }
        let context = SchedContext {
            refills: vec![Refill { time: self.now, amount: budget }, Refill { time: self.now, amount: 0 }],
            max_refills: 2,
            tcb: Some(tcb),
            ..SchedContext::default()
        };
        self.sched_contexts.insert(sc, context);
        self.current = Some(tcb);
        self.current_sc = Some(sc);
    }
}
