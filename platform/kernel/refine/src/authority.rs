// SPDX-License-Identifier: BSD-2-Clause
//! The authority model: whom and what one kernel entry of a thread may change, told by the capabilities that it can name.
//!
//! | a capability to | lets its holder change |
//! |---|---|
//! | CNode | its slots, with copies of capabilities that the holder can name, no rights added; and, by revocation, every capability derived from one in its slots |
//! | the last capability to an object (whoever can delete all of them) | the object's end: who waits in it starts again, bindings end, what it had mapped or held goes |
//! | untyped memory | objects and memory in it |
//! | thread | the thread, its slots and where it waits; priorities up to the greatest that the holder's thread capabilities allow |
//! | endpoint, Write | who waits there to receive: goes on, with message registers, IPC buffer, badge of the capability; with Grant, an empty slot of its CSpace, with what the sender can name. A passive one gets the sender's scheduling context |
//! | endpoint, Read | who waits there to send: goes on, waits for a reply, or stops; gives its capabilities and lends its scheduling context |
//! | notification, Write | what is signalled, by the badge of the capability; who waits there, or is bound and waits in an endpoint: goes on, with the badge |
//! | notification, Read | takes what is signalled |
//! | reply object | who waits for the reply: as endpoint, Write; with a fault, registers. Who waits to receive with it |
//! | scheduling context | its bindings, and who waits after a YieldTo; with scheduling control, its budget |
//! | frame, table, address space | entries of tables: where such a capability has mapped; in an address space that the holder names, entries for frames and tables that it names, no rights added |
//! | virtual CPU, interrupt, ASID pool, domain, ... | what it names |
//!
//! Without any capability a thread changes itself, its memory, and time: its scheduling context is charged; a fault, or a
//! budget that ends, is a message through its handlers. Who runs next is not an authority: what others get of the CPU is
//! `tests/isolation.rs`'s.
//!
//! A message to somebody whose budget is over by then goes on to his time-out handler: that counts as spoken to, as well.

use kernel_abi::CapRights;
use kernel_spec::cap::Cap;
use kernel_spec::state::tcb_slot;
use kernel_spec::vspace::Entry;
use kernel_spec::{Event, Holder, Obj, Slot, State, ThreadState};
use std::collections::{BTreeMap, BTreeSet};

/// What a thread that is spoken to may get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spoken {
    /// Badges that it may see.
    pub badges: BTreeSet<u64>,
    /// Whether capabilities may come along.
    pub grant: bool,
    /// Whether registers may be set, as an answer to its fault.
    pub registers: bool,
}

/// What an entry may change.
#[derive(Clone, Debug, Default)]
pub struct Authority {
    /// Who runs, if anybody.
    pub(crate) subject: Option<Obj>,
    /// Capabilities that it can name.
    pub(crate) reach: Vec<(Slot, Cap)>,
    /// CNodes that it can name.
    pub(crate) nodes: BTreeSet<Obj>,
    /// Full slots that it can empty.
    pub(crate) doomed: BTreeSet<Slot>,
    /// Objects that end when those are empty.
    pub(crate) ends: BTreeSet<Obj>,
    /// Threads that it has capabilities to.
    pub(crate) controlled: BTreeSet<Obj>,
    /// Threads that may get a message or a signal.
    pub(crate) spoken: BTreeMap<Obj, Spoken>,
    /// Threads whose message may be taken, or whose waiting may end.
    pub(crate) heard: BTreeSet<Obj>,
    /// Reply objects that may be used or dropped.
    pub(crate) replies: BTreeSet<Obj>,
    /// Scheduling contexts that may be charged, lent or bound.
    pub(crate) times: BTreeSet<Obj>,
    /// Badges that may be signalled, by notification.
    pub(crate) signals: BTreeMap<Obj, BTreeSet<u64>>,
}

/// The object that a capability names.
pub(crate) fn object(cap: Cap) -> Option<Obj> {
    match cap {
        Cap::Endpoint { obj, .. }
        | Cap::Notification { obj, .. }
        | Cap::Reply { obj, .. }
        | Cap::CNode { obj, .. }
        | Cap::Tcb { obj }
        | Cap::SchedContext { obj, .. }
        | Cap::Frame { obj, .. }
        | Cap::PageTable { obj, .. }
        | Cap::VSpace { obj, .. }
        | Cap::AsidPool { obj, .. }
        | Cap::Vcpu { obj }
        | Cap::Zombie { holder: Holder::CNode(obj, _) | Holder::Tcb(obj), .. } => Some(obj),
        _ => None,
    }
}

/// The slots of `holder` that are full.
fn slots_of(state: &State, holder: Holder) -> impl Iterator<Item = (Slot, Cap)> + '_ {
    let range = Slot { holder, index: 0 }..=Slot { holder, index: u64::MAX };
    state.caps.range(range).map(|(&slot, &cap)| (slot, cap))
}

/// Capabilities that a thread can name, and the CNodes that they are in.
pub(crate) fn reach(state: &State, tcb: Obj) -> (Vec<(Slot, Cap)>, BTreeSet<Obj>) {
    let (mut found, mut nodes) = (Vec::new(), BTreeSet::new());
    let mut todo = vec![state.tcb_cap(tcb, tcb_slot::CSPACE)];
    while let Some(cap) = todo.pop() {
        let Some(Cap::CNode { obj, radix, .. }) = cap else { continue };
        if nodes.insert(obj) {
            for (slot, cap) in slots_of(state, Holder::CNode(obj, radix)) {
                found.push((slot, cap));
                todo.push(Some(cap));
            }
        }
    }
    (found, nodes)
}

impl Authority {
    /// What an entry because of `event` may change in `state`, while `state.current` runs.
    pub fn of(state: &State, event: Event) -> Self {
        let mut a = Self { subject: state.current, ..Self::default() };
        if let (Some(subject), Event::Syscall(_)) = (a.subject, event) {
            (a.reach, a.nodes) = reach(state, subject);
        }
        a.find_doomed(state);
        a.controlled.extend(a.reach.iter().filter_map(|&(_, cap)| match cap {
            Cap::Tcb { obj } => Some(obj),
            _ => None,
        }));
        a.speak(state, event);
        a.hear(state);
        a.find_replies_and_times(state);
        a
    }

    /// Whether a capability that can be named satisfies `wanted`.
    pub(crate) fn holds(&self, wanted: impl Fn(Cap) -> bool) -> bool {
        self.reach.iter().any(|&(_, cap)| wanted(cap))
    }

    /// Whether some capability to the object can be named.
    pub(crate) fn names(&self, obj: Obj) -> bool {
        self.holds(|cap| object(cap) == Some(obj))
    }

    /// Threads that may change where they wait.
    pub(crate) fn moves(&self, tcb: Obj) -> bool {
        self.subject == Some(tcb)
            || self.controlled.contains(&tcb)
            || self.spoken.contains_key(&tcb)
            || self.heard.contains(&tcb)
            || self.ends.contains(&tcb)
    }

    fn find_doomed(&mut self, state: &State) {
        let mut doomed: BTreeSet<Slot> = self.reach.iter().map(|&(slot, _)| slot).collect();
        for &(_, cap) in &self.reach {
            let holder = match cap {
                Cap::Tcb { obj } => Holder::Tcb(obj),
                Cap::IrqHandler { irq } => {
                    doomed.insert(Slot { holder: Holder::Irq, index: irq });
                    continue;
                }
                _ => continue,
            };
            doomed.extend(slots_of(state, holder).map(|(slot, _)| slot));
        }
        loop {
            let before = doomed.len();
            for slot in doomed.clone() {
                doomed.extend(state.tree.descendants(slot));
                let Some(cap) = state.cap(slot) else { continue };
                let last = || {
                    let others = state.caps.iter().filter(|(_, c)| c.same_object(cap));
                    others.into_iter().all(|(slot, _)| doomed.contains(slot))
                };
                let inside: Vec<Slot> = match cap {
                    Cap::CNode { obj, radix, .. } if last() => {
                        slots_of(state, Holder::CNode(obj, radix)).map(|(s, _)| s).collect()
                    }
                    Cap::Tcb { obj } if last() => slots_of(state, Holder::Tcb(obj)).map(|(s, _)| s).collect(),
                    Cap::Zombie { holder, .. } => slots_of(state, holder).map(|(s, _)| s).collect(),
                    Cap::IrqHandler { irq } if last() => {
                        slots_of(state, Holder::Irq).map(|(s, _)| s).filter(|s| s.index == irq).collect()
                    }
                    _ => continue,
                };
                doomed.extend(inside);
            }
            if doomed.len() == before {
                break;
            }
        }
        let kept: BTreeSet<Obj> = state
            .caps
            .iter()
            .filter(|(slot, _)| !doomed.contains(slot))
            .filter_map(|(_, &cap)| object(cap))
            .collect();
        let named = doomed.iter().filter_map(|&slot| state.cap(slot).and_then(object));
        self.ends = named.filter(|obj| !kept.contains(obj)).collect();
        self.doomed = doomed;
    }

    fn note(&mut self, tcb: Obj, badge: u64, grant: bool, registers: bool) {
        let spoken = self.spoken.entry(tcb).or_default();
        spoken.badges.insert(badge);
        spoken.grant |= grant;
        spoken.registers |= registers;
    }

    /// A message through an endpoint.
    fn send(&mut self, state: &State, cap: Option<Cap>) {
        let Some(Cap::Endpoint { obj, badge, rights }) = cap else { return };
        let Some(endpoint) = state.endpoints.get(&obj).filter(|e| !e.sending) else { return };
        if rights & CapRights::WRITE != 0 {
            for &tcb in &endpoint.queue {
                self.note(tcb, badge, rights & CapRights::GRANT != 0, false);
            }
        }
    }

    fn signal(&mut self, state: &State, cap: Option<Cap>) {
        let Some(Cap::Notification { obj, badge, rights }) = cap else { return };
        if rights & CapRights::WRITE == 0 {
            return;
        }
        self.signals.entry(obj).or_default().insert(badge);
        let notification = &state.notifications[&obj];
        let receives = |tcb: &Obj| matches!(state.tcb(*tcb).state, ThreadState::BlockedOnReceive { .. });
        for &tcb in notification.queue.iter().chain(notification.tcb.iter().filter(|t| receives(t))) {
            self.note(tcb, badge, false, false);
        }
    }

    fn speak(&mut self, state: &State, event: Event) {
        for (_, cap) in self.reach.clone() {
            self.send(state, Some(cap));
            self.signal(state, Some(cap));
        }
        if let Event::Interrupt(index) = event {
            self.signal(state, state.cap(Slot { holder: Holder::Irq, index }));
        }
        if let Some(subject) = self.subject {
            self.send(state, state.tcb_cap(subject, tcb_slot::FAULT));
            self.send(state, state.tcb_cap(subject, tcb_slot::TIMEOUT));
        }
        for (_, cap) in self.reach.clone() {
            let Cap::Reply { obj, can_grant } = cap else { continue };
            let Some(tcb) = state.replies[&obj] else { continue };
            if let ThreadState::BlockedOnReply { .. } = state.tcb(tcb).state {
                self.note(tcb, 0, can_grant, state.tcb(tcb).fault.is_some());
                self.send(state, state.tcb_cap(tcb, tcb_slot::TIMEOUT));
            }
        }
    }

    fn hear(&mut self, state: &State) {
        for (obj, endpoint) in &state.endpoints {
            let reads = |cap| matches!(cap, Cap::Endpoint { obj: o, rights, .. } if o == *obj && rights & CapRights::READ != 0);
            if self.ends.contains(obj) || endpoint.sending && self.holds(reads) {
                self.heard.extend(&endpoint.queue);
            }
        }
        for (obj, notification) in &state.notifications {
            if self.ends.contains(obj) {
                self.heard.extend(&notification.queue);
            }
        }
        for (&obj, &tcb) in &state.replies {
            if let Some(tcb) = tcb
                && (self.names(obj) || self.ends.contains(&obj))
            {
                self.heard.insert(tcb);
            }
        }
    }

    fn find_replies_and_times(&mut self, state: &State) {
        for (&obj, tcb) in &state.replies {
            if self.names(obj) || self.ends.contains(&obj) || tcb.is_some_and(|tcb| self.moves(tcb)) {
                self.replies.insert(obj);
            }
        }
        for (&obj, sc) in &state.sched_contexts {
            let chain = sc.replies.iter().any(|reply| self.replies.contains(reply));
            let bound =
                sc.tcb.is_some_and(|tcb| self.moves(tcb)) || sc.yield_from.is_some_and(|tcb| self.moves(tcb));
            let signalled = sc.notification.is_some_and(|n| {
                self.names(n)
                    || self.ends.contains(&n)
                    || self.signals.contains_key(&n)
                    || state.notifications[&n].tcb.is_some_and(|tcb| self.moves(tcb))
            });
            if chain || bound || signalled || self.names(obj) || self.ends.contains(&obj) {
                self.times.insert(obj);
            }
        }
        self.times.extend(state.current_sc);
    }

    /// The tables of address spaces that can be named.
    pub(crate) fn tables(&self, state: &State) -> BTreeSet<Obj> {
        let mut tables = BTreeSet::new();
        let mut todo: Vec<Obj> = self
            .reach
            .iter()
            .filter_map(|&(_, cap)| match cap {
                Cap::VSpace { obj, .. } | Cap::PageTable { obj, .. } => Some(obj),
                _ => None,
            })
            .collect();
        while let Some(table) = todo.pop() {
            if tables.insert(table) {
                let entries = state.tables.get(&table).into_iter().flat_map(|t| t.values());
                todo.extend(entries.filter_map(|entry| match entry {
                    Entry::Table(next) => Some(*next),
                    Entry::Frame { .. } => None,
                }));
            }
        }
        tables
    }
}
