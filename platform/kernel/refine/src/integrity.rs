// SPDX-License-Identifier: BSD-2-Clause
//! Integrity: of two states, before and after a kernel entry, whether only that differs which [`authority`](crate::authority)
//! allows.
//!
//! For every object the fields that may differ are taken over into the state before; what differs still is a violation.

use crate::authority::{Authority, object, reach};
use crate::invariants::has_no_more_rights;
use kernel_abi::context::stored;
use kernel_abi::{CapRights, ipc};
use kernel_spec::cap::Cap;
use kernel_spec::state::{Notification, SchedContext, Tcb, tcb_slot};
use kernel_spec::vspace::Entry;
use kernel_spec::{Event, Holder, Obj, Slot, State, ThreadState};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Registers that a message or an answer of the kernel arrives in: badge, label, four words.
const MESSAGE_REGISTERS: usize = 6;

/// Checks one entry. Both states are [normalised](crate::compare::normalise).
///
/// # Errors
/// What changed and was not to.
pub fn check(before: &State, after: &State, event: Event) -> Result<(), String> {
    let authority = Authority::of(before, event);
    Check { b: before, a: after, may: &authority, event }.all()
}

struct Check<'a> {
    b: &'a State,
    a: &'a State,
    may: &'a Authority,
    event: Event,
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("integrity: {}", what())) }
}

/// Keys whose values differ.
fn changed<K: Ord + Copy, V: PartialEq>(a: &BTreeMap<K, V>, b: &BTreeMap<K, V>) -> Vec<K> {
    let keys: BTreeSet<K> = a.keys().chain(b.keys()).copied().collect();
    keys.into_iter().filter(|key| a.get(key) != b.get(key)).collect()
}

impl Check<'_> {
    fn all(&self) -> Result<(), String> {
        self.slots()?;
        self.tree()?;
        self.objects("thread", &self.b.tcbs, &self.a.tcbs, |c, o, b, a| c.thread(o, b, a))?;
        self.objects("endpoint", &self.b.endpoints, &self.a.endpoints, |c, o, b, a| {
            c.queue(o, &b.queue, &a.queue)
        })?;
        self.objects("notification", &self.b.notifications, &self.a.notifications, Self::notification)?;
        self.objects("reply", &self.b.replies, &self.a.replies, |c, o, _, a| {
            let who = a.is_none_or(|tcb| c.may.moves(tcb));
            ensure(c.may.replies.contains(&o) && who, || format!("reply {o:x?} is {a:x?}'s"))
        })?;
        self.objects("scheduling context", &self.b.sched_contexts, &self.a.sched_contexts, Self::time)?;
        self.objects("table", &self.b.tables, &self.a.tables, Self::table)?;
        self.objects("virtual CPU", &self.b.vcpus, &self.a.vcpus, |c, o, b, a| {
            let unbound = b.tcb.is_some_and(|tcb| c.may.ends.contains(&tcb)) && b.registers == a.registers;
            ensure(c.may.names(o) || c.may.ends.contains(&o) || unbound, || format!("virtual CPU {o:x?}"))
        })?;
        self.memory()?;
        self.rest()
    }

    /// New objects come from untyped memory that can be named, old ones go with their last capability, others change as
    /// `check` says.
    fn objects<V: PartialEq + Debug>(
        &self,
        kind: &str,
        before: &BTreeMap<Obj, V>,
        after: &BTreeMap<Obj, V>,
        check: impl Fn(&Self, Obj, &V, &V) -> Result<(), String>,
    ) -> Result<(), String> {
        for obj in changed(before, after) {
            match (before.get(&obj), after.get(&obj)) {
                (Some(b), Some(a)) => check(self, obj, b, a)
                    .map_err(|e| format!("{e}\n  {kind} {obj:x?} was {b:x?}\n  is {a:x?}"))?,
                (None, _) => ensure(self.in_untyped(obj.0), || format!("a new {kind} {obj:x?}"))?,
                (_, None) => ensure(self.may.ends.contains(&obj), || format!("{kind} {obj:x?} is gone"))?,
            }
        }
        Ok(())
    }

    /// Whether the address is in untyped memory that can be named.
    fn in_untyped(&self, at: u64) -> bool {
        self.may.holds(
            |cap| matches!(cap, Cap::Untyped { base, bits, .. } if at >= base.0 && at - base.0 < 1 << bits),
        )
    }

    // ---- capabilities

    fn slots(&self) -> Result<(), String> {
        for slot in changed(&self.b.caps, &self.a.caps) {
            match (self.b.cap(slot), self.a.cap(slot)) {
                (Some(was), None) => {
                    ensure(self.may.doomed.contains(&slot), || format!("{was:x?} in {slot:x?} is gone"))?;
                }
                (was, Some(is)) => ensure(self.may_hold(slot, was, is), || {
                    format!("{slot:x?} held {was:x?}, holds {is:x?}")
                })?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn may_hold(&self, slot: Slot, was: Option<Cap>, is: Cap) -> bool {
        let writable = match slot.holder {
            Holder::CNode(obj, _) => self.may.nodes.contains(&obj),
            Holder::Tcb(obj) => self.may.controlled.contains(&obj),
            Holder::Irq => self.may.holds(|cap| cap == Cap::IrqHandler { irq: slot.index }),
        };
        // What a sender gives along.
        let given = || {
            let senders = self.may.heard.iter().filter(|&&tcb| {
                matches!(self.b.tcb(tcb).state, ThreadState::BlockedOnSend { can_grant: true, .. })
            });
            senders.flat_map(|&tcb| reach(self.b, tcb).0).any(|(_, from)| self.derives(from, is))
        };
        let own = || self.may.reach.iter().any(|&(_, from)| self.derives(from, is));
        if writable && (own() || given()) {
            return true;
        }
        // What goes along with a message, into an empty slot.
        let received = |tcb: Obj| {
            let (_, nodes) = reach(self.b, tcb);
            matches!(slot.holder, Holder::CNode(obj, _) if nodes.contains(&obj))
        };
        let granted = self.may.spoken.iter().any(|(&tcb, spoken)| spoken.grant && received(tcb));
        if was.is_none() && granted && own() {
            return true;
        }
        // What is left of a container that dies, and what is moved in it.
        let dies = match slot.holder {
            Holder::CNode(obj, _) | Holder::Tcb(obj) => self.may.ends.contains(&obj),
            Holder::Irq => false,
        };
        let zombie =
            matches!(is, Cap::Zombie { .. }) && object(is).is_some_and(|o| self.may.ends.contains(&o));
        let moved = || self.may.doomed.iter().any(|&from| self.b.cap(from) == Some(is));
        (dies || self.may.doomed.contains(&slot)) && (zombie || dies && moved())
    }

    /// Whether `is` can be made from `from`: a copy with no more rights, or a new object in untyped memory.
    fn derives(&self, from: Cap, is: Cap) -> bool {
        let makes = match (from, is) {
            // Objects that were there before are not made.
            (Cap::Untyped { .. }, Cap::Untyped { .. }) => true,
            (Cap::Untyped { .. }, _) => !self.b.caps.values().any(|cap| cap.same_object(is)),
            _ => true,
        };
        from == is || makes && from.covers(is, &self.b.config) && has_no_more_rights(from, is)
    }

    /// Whatever stays has the parent it had, unless that was moved or deleted.
    fn tree(&self) -> Result<(), String> {
        let before: BTreeMap<Slot, Option<Slot>> = self.b.tree.parents().into_iter().collect();
        for (slot, parent) in self.a.tree.parents() {
            let Some(&was) = before.get(&slot).filter(|_| !self.may.doomed.contains(&slot)) else { continue };
            let lost = was.is_some_and(|was| self.may.doomed.contains(&was));
            ensure(was == parent || lost, || {
                format!("{slot:x?} was derived from {was:x?}, is from {parent:x?}")
            })?;
        }
        Ok(())
    }

    // ---- threads

    fn thread(&self, tcb: Obj, b: &Tcb, a: &Tcb) -> Result<(), String> {
        let may = self.may;
        let mut allowed = b.clone();
        if may.controlled.contains(&tcb) {
            allowed = a.clone();
            let most = may.controlled.iter().map(|t| self.b.tcb(*t).mcp).max().unwrap_or(0);
            ensure(a.priority == b.priority || a.priority <= most, || format!("priority above {most}"))?;
            ensure(a.mcp == b.mcp || a.mcp <= most, || format!("greatest priority above {most}"))?;
            if !may.holds(|cap| cap == Cap::Domain) {
                allowed.domain = b.domain;
            }
            let named = a.notification.is_none_or(|n| may.names(n));
            ensure(named || a.notification == b.notification, || "bound to a notification".into())?;
            let named = a.vcpu.is_none_or(|v| may.names(v));
            ensure(named || a.vcpu == b.vcpu, || "bound to a virtual CPU".into())?;
        }
        if may.moves(tcb) || self.a.current == Some(tcb) {
            (allowed.state, allowed.fault_ip) = (a.state, a.fault_ip);
            allowed.regs[stored::PC] = a.regs[stored::PC];
            allowed.fault = a.fault.filter(|_| may.subject == Some(tcb) || may.spoken.contains_key(&tcb));
            if a.fault == b.fault {
                allowed.fault = b.fault;
            }
        }
        if may.subject == Some(tcb) {
            (allowed.regs, allowed.steps_left) = (a.regs, a.steps_left);
        }
        if let Some(spoken) = may.spoken.get(&tcb) {
            let got = MESSAGE_REGISTERS;
            allowed.regs[..got].copy_from_slice(&a.regs[..got]);
            if spoken.registers {
                (allowed.regs, allowed.steps, allowed.steps_left) = (a.regs, a.steps, a.steps_left);
            } else if a.regs[0] != b.regs[0] && !may.controlled.contains(&tcb) && a.yield_to == b.yield_to {
                ensure(spoken.badges.contains(&a.regs[0]), || format!("badge {:#x}", a.regs[0]))?;
            }
        }
        // Who waited for what a YieldTo consumed is told: by running, or because the context goes elsewhere.
        if b.yield_to.is_some_and(|sc| self.a.current == Some(tcb) || may.times.contains(&sc)) {
            allowed.regs[..3].copy_from_slice(&a.regs[..3]);
            allowed.yield_to = a.yield_to.filter(|_| may.subject == Some(tcb));
            if a.yield_to == b.yield_to {
                allowed.yield_to = b.yield_to;
            }
        }
        if may.subject == Some(tcb) && a.yield_to.is_none_or(|sc| may.names(sc)) {
            allowed.yield_to = a.yield_to;
        }
        if [b.sched_context, a.sched_context].iter().flatten().all(|sc| may.times.contains(sc)) {
            allowed.sched_context = a.sched_context;
        }
        if a.notification.is_none() && b.notification.is_some_and(|n| may.ends.contains(&n)) {
            allowed.notification = None;
        }
        if a.vcpu.is_none() && b.vcpu.is_some_and(|v| may.names(v) || may.ends.contains(&v)) {
            allowed.vcpu = None;
            allowed.regs[stored::SPSR] = a.regs[stored::SPSR];
        }
        ensure(allowed == *a, || format!("thread {tcb:x?}: {}", difference(&allowed, a)))
    }

    /// Those who stay, stay in order; who comes may wait there.
    fn queue(&self, obj: Obj, b: &[Obj], a: &[Obj]) -> Result<(), String> {
        let stay = |queue: &[Obj]| queue.iter().copied().filter(|&t| !self.may.moves(t)).collect::<Vec<_>>();
        ensure(stay(b) == stay(a), || format!("the queue of {obj:x?}"))?;
        for &tcb in a.iter().filter(|tcb| !b.contains(tcb)) {
            let handles = |index| self.b.tcb_cap(tcb, index).and_then(object) == Some(obj);
            let told =
                handles(tcb_slot::FAULT) && self.may.subject == Some(tcb) || handles(tcb_slot::TIMEOUT);
            let waits = self.may.subject == Some(tcb) && self.may.names(obj);
            ensure(waits || told, || format!("{tcb:x?} waits in {obj:x?}"))?;
        }
        Ok(())
    }

    fn notification(&self, obj: Obj, b: &Notification, a: &Notification) -> Result<(), String> {
        let may = self.may;
        self.queue(obj, &b.queue, &a.queue)?;
        let mut allowed = b.clone();
        allowed.queue.clone_from(&a.queue);
        let before = b.signalled.unwrap_or(0);
        let badges = may.signals.get(&obj);
        if a.signalled.is_some_and(|now| badges.is_some_and(|all| all.iter().any(|b| before | b == now))) {
            allowed.signalled = a.signalled;
        }
        let receives = |cap| matches!(cap, Cap::Notification { obj: o, rights, .. } if o == obj && rights & CapRights::READ != 0);
        if a.signalled.is_none() && may.subject.is_some() && (may.holds(receives) || b.tcb == may.subject) {
            allowed.signalled = None;
        }
        let bound = [b.tcb, a.tcb];
        if may.ends.contains(&obj)
            || bound.iter().flatten().all(|tcb| may.controlled.contains(tcb) || may.ends.contains(tcb))
                && (a.tcb.is_none() || may.holds(receives))
        {
            allowed.tcb = a.tcb;
        }
        let contexts = [b.sched_context, a.sched_context];
        if contexts
            .iter()
            .flatten()
            .all(|&sc| may.names(sc) || may.ends.contains(&sc) || may.ends.contains(&obj))
        {
            allowed.sched_context = a.sched_context;
        }
        ensure(allowed == *a, || format!("notification {obj:x?}: {}", difference(&allowed, a)))
    }

    // ---- time

    fn time(&self, obj: Obj, b: &SchedContext, a: &SchedContext) -> Result<(), String> {
        let may = self.may;
        let mut allowed = b.clone();
        let configures = may.names(obj) && may.holds(|cap| cap == Cap::SchedControl);
        if may.times.contains(&obj) || self.a.current_sc == Some(obj) {
            (allowed.tcb, allowed.yield_from, allowed.consumed) = (a.tcb, a.yield_from, a.consumed);
            allowed.replies.clone_from(&a.replies);
            if a.budget() == b.budget() {
                allowed.refills.clone_from(&a.refills);
            }
        }
        if may.names(obj)
            || may.ends.contains(&obj)
            || b.notification.is_some_and(|n| may.ends.contains(&n)) && a.notification.is_none()
        {
            allowed.notification = a.notification;
        }
        if configures || may.ends.contains(&obj) {
            (allowed.period, allowed.max_refills, allowed.badge) = (a.period, a.max_refills, a.badge);
            allowed.sporadic = a.sporadic;
            allowed.refills.clone_from(&a.refills);
        }
        ensure(allowed == *a, || format!("scheduling context {obj:x?}: {}", difference(&allowed, a)))
    }

    // ---- memory

    fn table(&self, obj: Obj, b: &BTreeMap<u64, Entry>, a: &BTreeMap<u64, Entry>) -> Result<(), String> {
        let may = self.may;
        let own = may.tables(self.b).contains(&obj) || may.tables(self.a).contains(&obj);
        for index in changed(b, a) {
            let (was, is) = (b.get(&index), a.get(&index));
            let ok = match is {
                None => {
                    let named = was.is_some_and(|entry| match entry {
                        Entry::Table(at) | Entry::Frame { obj: at, .. } => {
                            may.doomed.iter().any(|&s| self.b.cap(s).and_then(object) == Some(*at))
                        }
                    });
                    own || named || may.ends.contains(&obj)
                }
                Some(Entry::Table(at)) => own && may.names(*at),
                Some(Entry::Frame { obj: at, rights, .. }) => {
                    let gives = |cap| {
                        matches!(cap, Cap::Frame { obj, rights: r, .. }
                            if obj == *at && (r.read || !rights.read) && (r.write || !rights.write))
                    };
                    own && may.holds(gives)
                }
            };
            ensure(ok, || format!("entry {index:#x} of table {obj:x?} was {was:x?}, is {is:x?}"))?;
        }
        Ok(())
    }

    /// Frames that a thread can write to.
    fn writable(&self, tcb: Obj) -> Vec<(u64, u64)> {
        let mut frames = Vec::new();
        if let Some(Cap::Frame { obj, bits, rights, .. }) = self.b.tcb_cap(tcb, tcb_slot::BUFFER)
            && rights.write
        {
            frames.push((obj.0, 1 << bits));
        }
        let mut todo: Vec<Obj> = match self.b.tcb_cap(tcb, tcb_slot::VSPACE) {
            Some(Cap::VSpace { obj, .. }) => vec![obj],
            _ => vec![],
        };
        while let Some(table) = todo.pop() {
            for entry in self.b.tables.get(&table).into_iter().flat_map(|t| t.values()) {
                match entry {
                    Entry::Table(next) => todo.push(*next),
                    // Only small ones are mapped in what is tested.
                    Entry::Frame { obj, rights, .. } if rights.write => frames.push((obj.0, 1 << 12)),
                    Entry::Frame { .. } => {}
                }
            }
        }
        frames
    }

    fn memory(&self) -> Result<(), String> {
        let changed = changed(&self.b.memory, &self.a.memory);
        if changed.is_empty() {
            return Ok(());
        }
        let mut writable = self.may.subject.map_or_else(Vec::new, |tcb| self.writable(tcb));
        for &tcb in self.may.spoken.keys() {
            writable.extend(self.b.buffer(tcb, true).map(|at| (at, 1 << ipc::IPC_BUFFER_BITS)));
        }
        for at in changed {
            let inside = writable.iter().any(|&(first, bytes)| at >= first && at - first < bytes);
            ensure(inside || self.in_untyped(at), || format!("memory at {at:#x}"))?;
        }
        Ok(())
    }

    fn rest(&self) -> Result<(), String> {
        let (b, a, may) = (self.b, self.a, self.may);
        ensure(b.config == a.config, || "the machine".into())?;
        for asid in changed(&b.asids, &a.asids) {
            let ok = match a.asids.get(&asid) {
                Some(root) => {
                    let pool = asid >> 9 << 9;
                    may.names(*root)
                        && may.holds(|cap| matches!(cap, Cap::AsidPool { base, .. } if base == pool))
                }
                None => {
                    let pool = b.asid_pools.get(&(asid >> 9 << 9));
                    may.ends.contains(&b.asids[&asid]) || pool.is_some_and(|pool| may.ends.contains(pool))
                }
            };
            ensure(ok, || format!("ASID {asid}"))?;
        }
        for base in changed(&b.asid_pools, &a.asid_pools) {
            let made = a.asid_pools.contains_key(&base) && may.holds(|cap| cap == Cap::AsidControl);
            let ended = b.asid_pools.get(&base).is_some_and(|pool| may.ends.contains(pool));
            ensure(made || ended, || format!("ASID pool {base:#x}"))?;
        }
        let control = may.holds(|cap| cap == Cap::IrqControl);
        let handles = |irq| may.doomed.iter().any(|&slot| b.cap(slot) == Some(Cap::IrqHandler { irq }));
        for irq in b.irqs_issued.symmetric_difference(&a.irqs_issued) {
            ensure(control || handles(*irq), || format!("use of interrupt {irq}"))?;
        }
        for irq in b.irqs_enabled.symmetric_difference(&a.irqs_enabled) {
            let arrived = self.event == Event::Interrupt(*irq);
            ensure(control || handles(*irq) || arrived, || format!("mask of interrupt {irq}"))?;
        }
        let schedules = may.holds(|cap| cap == Cap::Domain);
        if self.event != Event::Timer && !schedules {
            ensure(b.domains == a.domains, || "the domains' turns".into())?;
        }
        ensure(
            schedules || (&b.domains.turns, b.domains.start) == (&a.domains.turns, a.domains.start),
            || "the domains' schedule".into(),
        )
    }
}

/// Lines in which two values' descriptions differ.
fn difference<T: Debug>(allowed: &T, is: &T) -> String {
    let (allowed, is) = (format!("{allowed:#x?}"), format!("{is:#x?}"));
    let lines = allowed.lines().zip(is.lines()).filter(|(a, b)| a != b);
    lines.map(|(a, b)| format!("may be {}, is {}", a.trim(), b.trim())).collect::<Vec<_>>().join("; ")
}
