// SPDX-License-Identifier: BSD-2-Clause
//! Lending: callers whose scheduling context went along with their call.
//!
//! A caller waits through one reply object, so those who have lent a context are a list of threads. The context knows its
//! newest lender, each lender the next older and the next newer one, and the newest the context. Where A calls B, and B calls
//! C, A lends first and B then; C's answer brings the context back to B, and A is the newest lender again.
//!
//! Somebody who leaves from the middle breaks the list: who is newer keeps the claim to the context, who is older loses it.

use crate::kernel::Kernel;
use crate::layout::{SchedContext, Tcb};
use crate::machine::Machine;

/// What becomes of a context when its lender waits no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lent {
    /// It comes back, if nobody newer has a claim to it.
    ComesBack,
    /// It stays where it is.
    Stays,
}

impl<M: Machine> Kernel<M> {
    /// `caller` lends its context `sc` to `callee`, which has none.
    pub fn lend(&mut self, sc: SchedContext, caller: Tcb, callee: Tcb) {
        self.add_lender(sc, caller);
        self.donate(sc, callee);
    }

    /// `caller`, which may have lent its context, waits no more.
    pub fn end_lending(&mut self, caller: Tcb, then: Lent) {
        match (caller.lent(&self.m), then) {
            (Some(sc), Lent::ComesBack) => {
                self.drop_newest_lender(sc, caller);
                if caller.sched_context(&self.m).is_none() {
                    self.donate(sc, caller);
                }
            }
            (lent, _) => {
                if let Some(sc) = lent {
                    sc.set_newest_lender(&mut self.m, None);
                }
                if let Some(newer) = caller.newer_lender(&self.m) {
                    newer.set_older_lender(&mut self.m, None);
                }
                if let Some(older) = caller.older_lender(&self.m) {
                    older.set_newer_lender(&mut self.m, None);
                }
                caller.set_lent(&mut self.m, None);
                caller.set_newer_lender(&mut self.m, None);
                caller.set_older_lender(&mut self.m, None);
            }
        }
    }

    /// Nobody has a claim to `sc` any more.
    pub fn forget_lenders(&mut self, sc: SchedContext) {
        if let Some(newest) = sc.newest_lender(&self.m) {
            newest.set_lent(&mut self.m, None);
            sc.set_newest_lender(&mut self.m, None);
        }
    }

    /// `caller` becomes the newest lender of `sc`.
    #[inline(always)]
    pub(crate) fn add_lender(&mut self, sc: SchedContext, caller: Tcb) {
        let older = sc.newest_lender(&self.m);
        caller.set_lent(&mut self.m, Some(sc));
        if let Some(older) = older {
            caller.set_older_lender(&mut self.m, Some(older));
            older.set_lent(&mut self.m, None);
            older.set_newer_lender(&mut self.m, Some(caller));
        }
        sc.set_newest_lender(&mut self.m, Some(caller));
    }

    /// `caller`, the newest lender of `sc`, leaves the list to the older ones.
    #[inline(always)]
    pub(crate) fn drop_newest_lender(&mut self, sc: SchedContext, caller: Tcb) {
        let older = caller.older_lender(&self.m);
        caller.set_lent(&mut self.m, None);
        if let Some(older) = older {
            caller.set_older_lender(&mut self.m, None);
            older.set_lent(&mut self.m, Some(sc));
            older.set_newer_lender(&mut self.m, None);
        }
        sc.set_newest_lender(&mut self.m, older);
    }

    /// Whether `tcb` is in no list of lenders.
    #[inline(always)]
    pub(crate) fn lends_nothing(&self, tcb: Tcb) -> bool {
        tcb.lent(&self.m).is_none()
            && tcb.newer_lender(&self.m).is_none()
            && tcb.older_lender(&self.m).is_none()
    }
}
