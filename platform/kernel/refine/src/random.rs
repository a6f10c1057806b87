// SPDX-License-Identifier: BSD-2-Clause
//! Random steps: mostly such that do something, some hostile; and the shortening of failing sequences.

use crate::pair::{Pair, Step};
use crate::world::{self, busy, invoke_label, slot};
use kernel_abi::{Invocation, MAX_DOMAIN_DURATION, MessageInfo, Syscall, ipc};
use kernel_core::sim::HW_DEBUG;
use kernel_spec::cap::Cap;
use kernel_spec::fault::Fault;
use kernel_spec::{Event, Holder, Obj, Slot, State};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A small deterministic generator (xorshift64*).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator; different seeds give different sequences.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.number() >> 33) % n
    }
    /// True in `n` of 100 cases.
    pub fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
    /// One of `items`.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// What sequences should be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Everything.
    All,
    /// Messages, signals, replies, faults and time.
    Ipc,
    /// Capabilities: copies, moves, deletion, retype.
    Capabilities,
    /// Address spaces.
    Memory,
}

struct Maker<'a> {
    state: &'a State,
    rng: &'a mut Rng,
    focus: Focus,
    /// CNode from which capabilities are picked, with [`world::RADIX`].
    root: Obj,
}

/// A step for the state of `pair`.
pub fn step(pair: &Pair, rng: &mut Rng, focus: Focus) -> Step {
    let deadline = pair.core.m.deadline;
    let now = pair.core.m.clock;
    let root = Obj(world::ROOT);
    let mut step = Maker { state: &pair.spec, rng, focus, root }.step();
    // What ends the supervisor, and with it everything, is done seldom.
    for _ in 0..10 {
        if !is_fatal(&pair.spec, &step) || rng.percent(3) {
            break;
        }
        step = Maker { state: &pair.spec, rng, focus, root }.step();
    }
    step.advance = advance(deadline, now, rng);
    step
}

/// A step of the running thread, hostile now and then, that picks capabilities from the CNode `root`, which has the shape
/// of the initial one.
pub fn step_in(pair: &Pair, rng: &mut Rng, focus: Focus, root: Obj) -> Step {
    let mut step = Maker { state: &pair.spec, rng, focus, root }.step();
    step.advance = advance(pair.core.m.deadline, pair.core.m.clock, rng);
    step
}

/// Ticks before a step: mostly few; now and then about as many as there are up to the deadline.
fn advance(deadline: u64, now: u64, rng: &mut Rng) -> u64 {
    match rng.below(100) {
        0..=59 => rng.below(60),
        60..=84 => rng.below(3000),
        85..=94 if deadline < now + 1_000_000 => deadline.saturating_sub(now) + rng.below(3) * rng.below(150),
        95..=97 => rng.below(60_000),
        _ => 0,
    }
}

/// Whether a step would probably be the end of the initial thread.
fn is_fatal(state: &State, step: &Step) -> bool {
    use Invocation::*;
    const PRECIOUS: [u64; 7] =
        [slot::TCB, slot::CNODE, slot::SC, slot::BUFFER, slot::UNTYPED, slot::SCHED_CONTROL, busy::TCB];
    let is_initial = state.current == Some(Obj(world::TCB));
    let word = |i: u64| {
        let at = ipc::IPC_BUFFER_MSG + 8 * i;
        let stored = step.buffer.iter().rev().find(|(offset, _)| *offset == at).map(|(_, w)| *w);
        step.regs.get(2 + i as usize).copied().filter(|_| i < 4).or(stored).unwrap_or(0)
    };
    let extra = |i: u64| {
        let at = ipc::IPC_BUFFER_CAPS + 8 * i;
        step.buffer.iter().rev().find(|(offset, _)| *offset == at).map_or(0, |(_, w)| *w)
    };
    let Event::Syscall(number) = step.event else {
        return matches!(step.event, Event::Fault(_) | Event::Step) && is_initial;
    };
    let info = MessageInfo(step.regs[1]);
    let lost = |address: u64| address >= 1 << world::RADIX;
    let faults = lost(step.regs[0]) || (0..info.extra_caps()).any(|i| lost(extra(i)));
    if is_initial && faults && number != Syscall::NBSend as i64 {
        return true;
    }
    let Some(label) = Invocation::from_label(info.label(), HW_DEBUG) else { return false };
    let caps = [step.regs[0], step.regs[6], step.regs[8]];
    match label {
        CNodeDelete | CNodeRevoke | CNodeRotate => {
            PRECIOUS.contains(&word(0))
                || label == CNodeRotate && (PRECIOUS.contains(&word(6)) || PRECIOUS.contains(&word(3)))
        }
        CNodeMove | CNodeMutate => PRECIOUS.contains(&word(2)),
        TcbSuspend | TcbSetSpace | TcbConfigure | TcbSetIpcBuffer | TcbSetPriority | TcbSetSchedParams => {
            caps.contains(&slot::TCB)
        }
        SchedContextUnbind | SchedContextUnbindObject => caps.contains(&slot::SC),
        SchedControlConfigureFlags => extra(0) == slot::SC,
        TcbCopyRegisters => extra(0) == slot::TCB,
        DomainSetSet => extra(0) == slot::TCB && word(0) != 0,
        _ => false,
    }
}

impl Maker<'_> {
    fn step(&mut self) -> Step {
        if self.state.current.is_none() || self.rng.percent(8) {
            return match self.rng.below(3) {
                0 => Step { event: Event::Interrupt(self.rng.pick(&[33, 33, 34, 27, 63])), ..Step::timer(0) },
                _ => Step::timer(0),
            };
        }
        if self.state.current == Some(Obj(world::TCB)) && self.rng.percent(97) {
            return self.supervise();
        }
        let steps = self.state.current.is_some_and(|t| self.state.tcb(t).steps != 0);
        if steps && self.rng.percent(15) {
            return Step { event: Event::Step, ..Step::timer(0) };
        }
        let messages = match self.focus {
            Focus::All => 45,
            Focus::Ipc => 75,
            Focus::Capabilities | Focus::Memory => 10,
        };
        match self.rng.below(100) {
            0..=2 => Step { event: Event::Fault(self.fault()), ..Step::timer(0) },
            3 => Step {
                event: Event::Syscall(self.rng.pick(&[
                    -11,
                    -11,
                    -22,
                    -23,
                    -24,
                    -25,
                    -27,
                    5,
                    0,
                    -28,
                    -99,
                    i64::MIN,
                ])),
                ..Step::timer(0)
            },
            n if n < messages => self.message(),
            _ => self.invocation(),
        }
    }

    /// What the initial thread does, which runs when all others wait: it lets them go on, and does not wait itself.
    fn supervise(&mut self) -> Step {
        let waits = |state: &State, cap: &Cap| matches!(cap, Cap::Tcb { obj } if state.tcbs.get(obj).is_some_and(|t| !t.state.is_runnable()));
        let state = self.state;
        match self.rng.below(100) {
            0..=34 => {
                let tcb = self.slot_with(|cap| waits(state, cap));
                invoke_label(tcb, Invocation::TcbResume.label(HW_DEBUG).unwrap_or(0), &[], &[])
            }
            35..=54 => {
                let mut step = self.message();
                let to = match self.rng.below(3) {
                    0 => self.reply(),
                    1 => self.notification(),
                    _ => self.endpoint(),
                };
                step.regs[0] = to;
                step.event = Event::Syscall(self.rng.pick(&[
                    Syscall::NBSend,
                    Syscall::NBRecv,
                    Syscall::NBWait,
                ]) as i64);
                step
            }
            _ => self.invocation(),
        }
    }

    fn fault(&mut self) -> Fault {
        match self.rng.below(6) {
            5 => Fault::Vppi { irq: 27 },
            4 => Fault::Debug {
                reason: self.rng.pick(&[0, 1, 2, 3]),
                address: self.rng.below(5000),
                number: self.rng.below(10),
            },
            0 => Fault::Vm { address: self.rng.number(), prefetch: self.rng.percent(50), syndrome: 0x93 },
            1 => Fault::UserException { number: self.rng.below(5), code: self.rng.below(5) },
            2 => Fault::Vcpu { syndrome: self.rng.below(100) },
            _ => Fault::VgicMaintenance { index: self.rng.below(4) },
        }
    }

    /// An address of a slot with a capability like that; or of any.
    fn slot_with(&mut self, wanted: impl Fn(&Cap) -> bool) -> u64 {
        if self.rng.percent(4) {
            return self.any_slot();
        }
        let holder = Holder::CNode(self.root, world::RADIX);
        let range = Slot { holder, index: 0 }..Slot { holder, index: 1 << world::RADIX };
        let found: Vec<u64> =
            self.state.caps.range(range).filter(|(_, cap)| wanted(cap)).map(|(slot, _)| slot.index).collect();
        if found.is_empty() { self.any_slot() } else { self.rng.pick(&found) }
    }

    fn any_slot(&mut self) -> u64 {
        match self.rng.below(20) {
            0 => self.rng.number(),
            1 => 1 << world::RADIX,
            _ => self.rng.below(1 << world::RADIX),
        }
    }

    fn full_slot(&mut self) -> u64 {
        self.slot_with(|_| true)
    }

    fn free_slot(&mut self) -> u64 {
        if self.rng.percent(5) { self.any_slot() } else { busy::FIRST_FREE + self.rng.below(60) }
    }

    fn depth(&mut self) -> u64 {
        if self.rng.percent(95) { 64 } else { self.rng.pick(&[0, 1, 7, 57, 63, 65, 1 << 40, 9]) }
    }

    fn tcb(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Tcb { .. }))
    }
    fn endpoint(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Endpoint { .. }))
    }
    fn notification(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Notification { .. }))
    }
    fn reply(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Reply { .. }))
    }
    fn sc(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::SchedContext { .. }))
    }
    fn frame(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Frame { .. }))
    }
    fn vspace(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::VSpace { .. }))
    }
    fn cnode(&mut self) -> u64 {
        if self.rng.percent(80) { slot::CNODE } else { self.slot_with(|c| matches!(c, Cap::CNode { .. })) }
    }
    fn untyped(&mut self) -> u64 {
        self.slot_with(|c| matches!(c, Cap::Untyped { .. }))
    }

    fn message_info(&mut self, extra: u64) -> u64 {
        let length = self.rng.pick(&[0, 0, 1, 2, 4, 5, 8, 120, 127]);
        let label = self.rng.pick(&[0, 0, 0, 1, 77, (1 << 52) - 1]);
        MessageInfo::new(label, self.rng.below(8), extra, length).0
    }

    /// A send, receive or both, with capabilities now and then.
    fn message(&mut self) -> Step {
        let receive = if self.rng.percent(80) { self.endpoint() } else { self.notification() };
        let send = match self.rng.below(10) {
            0..=4 => self.endpoint(),
            5..=6 => self.notification(),
            7..=8 => self.reply(),
            _ => self.full_slot(),
        };
        let reply = self.reply();
        let extra = if self.rng.percent(30) { self.rng.below(4) } else { 0 };
        let call = self.rng.pick(&[
            Syscall::Call,
            Syscall::Call,
            Syscall::Call,
            Syscall::Send,
            Syscall::NBSend,
            Syscall::Recv,
            Syscall::Recv,
            Syscall::NBRecv,
            Syscall::Wait,
            Syscall::NBWait,
            Syscall::ReplyRecv,
            Syscall::ReplyRecv,
            Syscall::NBSendRecv,
            Syscall::NBSendWait,
        ]);
        let mut regs = [0; 9];
        for reg in &mut regs[2..6] {
            *reg = self.rng.below(1000);
        }
        regs[1] = self.message_info(extra);
        (regs[0], regs[6], regs[8]) = match call {
            Syscall::Call | Syscall::Send | Syscall::NBSend => (send, 0, 0),
            Syscall::NBSendRecv => (receive, reply, send),
            Syscall::NBSendWait => (receive, send, 0),
            Syscall::ReplyRecv if self.rng.percent(10) => (receive, send, 0),
            _ => (receive, reply, 0),
        };
        let mut step = Step::syscall(call, regs);
        for i in 0..extra {
            let cap = if self.rng.percent(40) { self.endpoint() } else { self.full_slot() };
            step.buffer.push((ipc::IPC_BUFFER_CAPS + 8 * i, cap));
        }
        if self.rng.percent(40) {
            let root = self.cnode();
            let (target, depth) = (self.free_slot(), self.depth());
            step.buffer.push((ipc::IPC_BUFFER_RECEIVE_CNODE, root));
            step.buffer.push((ipc::IPC_BUFFER_RECEIVE_INDEX, target));
            step.buffer.push((ipc::IPC_BUFFER_RECEIVE_DEPTH, depth));
        }
        for i in 4..10 {
            step.buffer.push((ipc::IPC_BUFFER_MSG + 8 * i, self.rng.below(1000)));
        }
        step
    }

    fn invocation(&mut self) -> Step {
        let (mut cap, mut label, mut words, mut caps) = if self.rng.percent(2) {
            let (cap, label, words) = self.vcpu_extension();
            (cap, label, words, vec![])
        } else {
            let (cap, what, words, caps) = self.operation();
            (cap, what.label(HW_DEBUG).unwrap_or(0), words, caps)
        };
        // Hostile: another label, too short, other words, another object.
        if self.rng.percent(8) {
            match self.rng.below(6) {
                0 => label = self.rng.below(68),
                1 => words.truncate(self.rng.below(words.len() as u64 + 1) as usize),
                2 => caps.truncate(self.rng.below(caps.len() as u64 + 1) as usize),
                3 if !words.is_empty() => {
                    let at = self.rng.below(words.len() as u64) as usize;
                    words[at] = self.odd_number();
                }
                4 => cap = self.full_slot(),
                _ => label = self.rng.number() >> 12,
            }
        }
        let mut step = invoke_label(cap, label, &words, &caps);
        if self.rng.percent(8) {
            let call =
                self.rng.pick(&[Syscall::Send, Syscall::NBSend, Syscall::NBSendWait, Syscall::NBSendRecv]);
            step.event = Event::Syscall(call as i64);
            match call {
                Syscall::NBSendWait => (step.regs[6], step.regs[0]) = (cap, self.notification()),
                Syscall::NBSendRecv => {
                    step.regs[8] = cap;
                    step.regs[0] = self.endpoint();
                    step.regs[6] = self.reply();
                }
                _ => {}
            }
        }
        step
    }

    fn odd_number(&mut self) -> u64 {
        let power = 1u64 << self.rng.below(64);
        self.rng.pick(&[0, 1, u64::MAX, power, power - 1, self.state.now, 1 << 63])
    }

    fn operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        let group = match self.focus {
            Focus::All => self.rng.below(10),
            Focus::Ipc => self.rng.pick(&[2, 2, 3, 3, 4]),
            Focus::Capabilities => self.rng.pick(&[0, 0, 0, 1, 1, 2, 5, 9]),
            Focus::Memory => self.rng.pick(&[0, 1, 6, 6, 6, 7, 7]),
        };
        match group {
            0 | 8 => self.cnode_operation(),
            1 => self.retype(),
            2 => self.tcb_operation(),
            3 | 4 => self.sched_operation(),
            5 | 9 => self.irq_or_vcpu_operation(),
            6 => self.map_operation(),
            _ => self.space_operation(),
        }
    }

    fn cnode_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let root = self.cnode();
        let inner = root != slot::CNODE;
        let address = |maker: &mut Self, free: bool| {
            if inner {
                (maker.rng.below(4), maker.rng.pick(&[2, 2, 2, 64]))
            } else if maker.rng.percent(10) {
                // Through a CNode in the initial one, where nothing of the root's guard is left: never found.
                (maker.rng.below(16), maker.rng.pick(&[7, 9]))
            } else {
                (if free { maker.free_slot() } else { maker.full_slot() }, maker.depth())
            }
        };
        let source_root = self.cnode();
        let (to, to_depth) = address(self, true);
        let (from, from_depth) = if source_root == slot::CNODE {
            (self.full_slot(), self.depth())
        } else {
            (self.rng.below(4), 2)
        };
        // Containers in containers, and their end.
        let (from, from_depth, source_root) = if inner && self.rng.percent(60) {
            (self.slot_with(|c| matches!(c, Cap::Tcb { .. } | Cap::CNode { .. })), 64, slot::CNODE)
        } else {
            (from, from_depth, source_root)
        };
        let rights = if self.rng.percent(60) { 15 } else { self.rng.below(16) };
        let data = self.rng.pick(&[0, 0, 5, 6, 57 << 6 | 2, 57, 61, 62, u64::MAX]);
        if self.focus == Focus::Capabilities && self.rng.percent(15) {
            // A container into another one, or its end.
            let node = self.slot_with(|c| matches!(c, Cap::CNode { radix: 2, .. }));
            let what = self.slot_with(|c| matches!(c, Cap::Tcb { .. } | Cap::CNode { radix: 2, .. }));
            return if self.rng.percent(60) {
                (node, CNodeMove, vec![self.rng.below(4), 2, what, 64], vec![slot::CNODE])
            } else {
                (slot::CNODE, CNodeDelete, vec![node, 64], vec![])
            };
        }
        match self.rng.below(if self.focus == Focus::Capabilities { 22 } else { 26 }) {
            0..=3 => (root, CNodeCopy, vec![to, to_depth, from, from_depth, rights], vec![source_root]),
            4..=7 => (root, CNodeMint, vec![to, to_depth, from, from_depth, rights, data], vec![source_root]),
            8..=10 => (root, CNodeMove, vec![to, to_depth, from, from_depth], vec![source_root]),
            11 => (root, CNodeMutate, vec![to, to_depth, from, from_depth, data], vec![source_root]),
            12..=13 => {
                let pivot_root = self.cnode();
                let (pivot, pivot_depth) =
                    if pivot_root == slot::CNODE { (self.full_slot(), 64) } else { (self.rng.below(4), 2) };
                let (to, to_depth) = if self.rng.percent(50) { (from, from_depth) } else { (to, to_depth) };
                let words = vec![to, to_depth, 0, pivot, pivot_depth, 0, from, from_depth];
                (root, CNodeRotate, words, vec![pivot_root, source_root])
            }
            14 => {
                let badged = self.endpoint();
                (slot::CNODE, CNodeCancelBadgedSends, vec![badged, 64], vec![])
            }
            15..=16 => {
                let (at, depth) = address(self, false);
                (root, CNodeRevoke, vec![at, depth], vec![])
            }
            17 => {
                let node = self.slot_with(|c| matches!(c, Cap::CNode { .. } | Cap::Tcb { .. }));
                (slot::CNODE, CNodeDelete, vec![node, 64], vec![])
            }
            _ => {
                let (at, depth) = address(self, false);
                (root, CNodeDelete, vec![at, depth], vec![])
            }
        }
    }

    fn retype(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        let untyped = self.untyped();
        let kind = self.rng.pick(&[0, 0, 1, 2, 3, 4, 4, 5, 6, 8, 9, 11, 12, 10, 13]);
        let bits = match kind {
            0 => self.rng.pick(&[4, 8, 12, 12, 13, 16, 3, 48]),
            4 => self.rng.pick(&[1, 2, 2, 3, 0, 60]),
            5 => self.rng.pick(&[7, 8, 6, 9]),
            _ => self.rng.pick(&[0, 0, 0, 64, 20]),
        };
        let count = self.rng.pick(&[1, 1, 1, 2, 3, 0, 256, 257]);
        let root = self.cnode();
        let (index, depth) = if self.rng.percent(85) { (0, 0) } else { (self.any_slot(), self.depth()) };
        let offset = if root == slot::CNODE { self.free_slot() } else { self.rng.below(5) };
        (untyped, Invocation::UntypedRetype, vec![kind, bits, index, depth, offset, count], vec![root])
    }

    fn tcb_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let tcb = self.tcb();
        let priority = self.rng.pick(&[254, 253, 252, 251, 250, 0, 255, 256]);
        let maybe_endpoint = |m: &mut Self| if m.rng.percent(30) { 0 } else { m.endpoint() };
        match self.rng.below(27) {
            22..=24 => self.debug_operation(tcb),
            0 => (
                tcb,
                TcbReadRegisters,
                vec![self.rng.below(2), self.rng.pick(&[1, 4, 20, 36, 0, 37])],
                vec![],
            ),
            1..=2 => {
                let count = self.rng.pick(&[0, 1, 3, 20, 36, 37]);
                let mut words = vec![self.rng.below(2), count];
                words.extend((0..count).map(|_| self.rng.number()));
                if let Some(spsr) = words.get_mut(4) {
                    *spsr = self.rng.pick(&[0x3c5, 0x3c4, 0x1f, *spsr]);
                }
                (tcb, TcbWriteRegisters, words, vec![])
            }
            3 => (tcb, TcbCopyRegisters, vec![self.rng.below(16)], vec![self.tcb()]),
            4 => {
                let address = self.rng.pick(&[0x1000, 0x1000, 0x1400, 0, 0x1234]);
                let words = vec![self.rng.pick(&[0, 0, 57]), 0, address];
                (tcb, TcbConfigure, words, vec![self.cnode(), self.vspace(), self.frame()])
            }
            5..=6 => (tcb, TcbSetPriority, vec![priority], vec![self.tcb()]),
            7 => (tcb, TcbSetMcPriority, vec![priority], vec![self.tcb()]),
            8..=9 => {
                let sc = if self.rng.percent(40) { 0 } else { self.sc() };
                let handler = maybe_endpoint(self);
                (tcb, TcbSetSchedParams, vec![254, priority], vec![self.tcb(), sc, handler])
            }
            10 => (tcb, TcbSetTimeoutEndpoint, vec![], vec![maybe_endpoint(self)]),
            11 | 25..=26 => {
                // Often one that cannot be written to.
                let frame = if self.rng.percent(40) { busy::READ_ONLY_FRAME } else { self.frame() };
                (tcb, TcbSetIpcBuffer, vec![self.rng.pick(&[0x1000, 0x1c00, 0])], vec![frame])
            }
            12 => (tcb, TcbSetSpace, vec![0, 0], vec![maybe_endpoint(self), self.cnode(), self.vspace()]),
            13..=14 => (tcb, TcbSuspend, vec![], vec![]),
            15..=17 => (tcb, TcbResume, vec![], vec![]),
            18 => (tcb, TcbBindNotification, vec![], vec![self.notification()]),
            19 => (tcb, TcbUnbindNotification, vec![], vec![]),
            20 => (tcb, TcbSetTlsBase, vec![self.rng.number()], vec![]),
            _ => {
                let exits = kernel_abi::extension::EXITS;
                let flags = [0, 0, exits].map(|high| self.rng.below(4) | high);
                (tcb, TcbSetFlags, vec![self.rng.pick(&flags), self.rng.pick(&flags)], vec![])
            }
        }
    }

    fn debug_operation(&mut self, tcb: u64) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let number = self.rng.pick(&[0, 5, 6, 9, 10, u64::MAX]);
        match self.rng.below(6) {
            0..=1 => {
                let kind = if self.rng.percent(90) { u64::from(number < 6) } else { self.rng.below(5) };
                let size = if number < 6 { 0 } else { self.rng.pick(&[1, 2, 4, 8, 0, 16]) };
                let access = if number < 6 { self.rng.below(2) } else { self.rng.below(4) };
                let address = self.rng.pick(&[0x1000, 0x1004, 0x1008, 0x1002, 1 << 40]);
                (tcb, TcbSetBreakpoint, vec![number, address, kind, size, access], vec![])
            }
            2 => (tcb, TcbGetBreakpoint, vec![number], vec![]),
            3 => (tcb, TcbUnsetBreakpoint, vec![number], vec![]),
            _ => (tcb, TcbConfigureSingleStepping, vec![0, self.rng.below(4)], vec![]),
        }
    }

    fn sched_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let sc = self.sc();
        let object = if self.rng.percent(60) { self.tcb() } else { self.notification() };
        match self.rng.below(12) {
            0..=1 => {
                let budget = self.rng.pick(&[20, 50, 100, 500, 19, 1 << 50]);
                let period = self.rng.pick(&[budget, budget, 100, 1000, 5000, 19, u64::MAX]);
                let words = vec![budget, period, self.rng.below(10), self.rng.below(100), self.rng.below(4)];
                (slot::SCHED_CONTROL, SchedControlConfigureFlags, words, vec![sc])
            }
            2..=3 => (sc, SchedContextBind, vec![], vec![object]),
            4 => (sc, SchedContextUnbind, vec![], vec![]),
            5 => (sc, SchedContextUnbindObject, vec![], vec![object]),
            6 => (sc, SchedContextConsumed, vec![], vec![]),
            7..=8 => self.domain_operation(),
            _ => {
                // Mostly to somebody who can run instead.
                let (state, current) = (self.state, self.state.current);
                let runs = |tcb: Obj| Some(tcb) != current && state.is_schedulable(tcb);
                let other = self.slot_with(|cap| match cap {
                    Cap::SchedContext { obj, .. } => {
                        state.sched_contexts.get(obj).and_then(|sc| sc.tcb).is_some_and(runs)
                    }
                    _ => false,
                });
                (if self.rng.percent(70) { other } else { sc }, SchedContextYieldTo, vec![], vec![])
            }
        }
    }

    fn domain_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let domain = self.rng.pick(&[0, 0, 1, 1, 1, 1, 2, 16]);
        let turn = self.state.domains.domain;
        if self.state.ready.keys().any(|(domain, _)| *domain != turn) && self.rng.percent(40) {
            return (slot::DOMAIN, DomainScheduleSetStart, vec![1], vec![]);
        }
        match self.rng.below(6) {
            0..=2 => (slot::DOMAIN, DomainSetSet, vec![domain], vec![self.tcb()]),
            3..=4 => {
                let index = self.rng.pick(&[0, 1, 1, 2, 2, 98, 99, 100, u64::MAX]);
                let ticks = self.rng.pick(&[0, 500, 5000, 50_000, MAX_DOMAIN_DURATION, 1 << 56]);
                (slot::DOMAIN, DomainScheduleConfigure, vec![index, domain, ticks], vec![])
            }
            _ => (slot::DOMAIN, DomainScheduleSetStart, vec![self.rng.pick(&[0, 1, 1, 1, 2, 100])], vec![]),
        }
    }

    /// A request for a virtual interrupt, with or without a source.
    fn virtual_interrupt(&mut self) -> u64 {
        let field =
            |rng: &mut Rng, small: u64, odd: u64| if rng.percent(90) { rng.below(small) } else { odd };
        let most = self.rng.pick(&[16, 1024]);
        field(self.rng, most, 0xffff)
            | field(self.rng, 32, 255) << 16
            | field(self.rng, 2, 7) << 24
            | field(self.rng, 4, 64) << 32
            | field(self.rng, 4, 0xffff) << 48
    }

    /// An invocation of a virtual CPU by the kernel extension.
    fn vcpu_extension(&mut self) -> (u64, u64, Vec<u64>) {
        use kernel_abi::extension::vcpu::{INJECT, LIST_REGISTER, READ_STATE, STATE_WORDS, WRITE_STATE};
        let vcpu = self.slot_with(|c| matches!(c, Cap::Vcpu { .. }));
        let (first, count) =
            self.rng.pick(&[(0, STATE_WORDS), (20, 2), (24, 5), (28, 2), (STATE_WORDS, 1), (3, 0)]);
        match self.rng.below(4) {
            0 => (vcpu, INJECT, vec![self.virtual_interrupt()]),
            1 => (vcpu, LIST_REGISTER, vec![self.rng.below(5), self.rng.below(2)]),
            2 => (vcpu, READ_STATE, vec![first, count]),
            _ => {
                let words = (0..count).map(|_| self.rng.number());
                (vcpu, WRITE_STATE, core::iter::once(first).chain(words).collect())
            }
        }
    }

    fn irq_or_vcpu_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let handler = self.slot_with(|c| matches!(c, Cap::IrqHandler { .. }));
        let vcpu = self.slot_with(|c| matches!(c, Cap::Vcpu { .. }));
        let control = self.slot_with(|c| matches!(c, Cap::IrqControl));
        let irq = self.rng.pick(&[33, 34, 35, 27, 63, 64, u64::MAX]);
        let root = self.cnode();
        match self.rng.below(14) {
            0 => (control, IrqIssueIrqHandler, vec![irq, self.free_slot(), self.depth()], vec![root]),
            1 => (
                control,
                ArmIrqIssueIrqHandlerTrigger,
                vec![irq, 1, self.free_slot(), self.depth()],
                vec![root],
            ),
            2 => {
                let words = vec![self.rng.below(18), self.rng.below(10), self.free_slot(), self.depth()];
                (control, ArmIrqIssueSgiSignal, words, vec![root])
            }
            3 => (handler, IrqAckIrq, vec![], vec![]),
            4 => (handler, IrqSetIrqHandler, vec![], vec![self.notification()]),
            5 => (handler, IrqClearIrqHandler, vec![], vec![]),
            6..=7 => (vcpu, ArmVcpuSetTcb, vec![], vec![self.tcb()]),
            8 => {
                let request = self.virtual_interrupt();
                (vcpu, ArmVcpuInjectIrq, vec![request], vec![])
            }
            9 => (vcpu, ArmVcpuReadReg, vec![self.rng.below(26)], vec![]),
            10 => (vcpu, ArmVcpuWriteReg, vec![self.rng.below(26), self.rng.number()], vec![]),
            11 => (vcpu, ArmVcpuAckVppi, vec![irq], vec![]),
            12 => (slot::SMC, ArmSmcCall, (0..8).map(|_| self.rng.below(10)).collect(), vec![]),
            _ => self.domain_operation(),
        }
    }

    fn map_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let frame = self.frame();
        let table = self.slot_with(|c| matches!(c, Cap::PageTable { .. }));
        let vspace = self.vspace();
        let vaddr = self.rng.pick(&[
            0x20_0000,
            0x20_1000,
            0x20_2000,
            0x40_0000,
            0x4000_0000,
            0x4020_0000,
            0xff_ffff_f000,
            0x100_0000_0000,
            0x20_0800,
            u64::MAX,
        ]);
        let range =
            (self.rng.pick(&[0, 0, 64, 4096, u64::MAX]), self.rng.pick(&[64, 4096, 4097, 0, u64::MAX]));
        let range = if self.rng.percent(50) { (64, 128) } else { range };
        match self.rng.below(14) {
            0..=2 => (table, ArmPageTableMap, vec![vaddr, 0], vec![vspace]),
            3 => (table, ArmPageTableUnmap, vec![], vec![]),
            4..=7 => (frame, ArmPageMap, vec![vaddr, self.rng.below(16), self.rng.below(8)], vec![vspace]),
            8..=9 => (frame, ArmPageUnmap, vec![], vec![]),
            10 => (frame, ArmPageGetAddress, vec![], vec![]),
            _ => {
                let op = self.rng.pick(&[
                    ArmPageCleanData,
                    ArmPageInvalidateData,
                    ArmPageCleanInvalidateData,
                    ArmPageUnifyInstruction,
                ]);
                (frame, op, vec![range.0, range.1], vec![])
            }
        }
    }

    fn space_operation(&mut self) -> (u64, Invocation, Vec<u64>, Vec<u64>) {
        use Invocation::*;
        let vspace = self.vspace();
        let pool = self.slot_with(|c| matches!(c, Cap::AsidPool { .. }));
        match self.rng.below(6) {
            0..=1 => {
                let untyped = self.slot_with(|c| matches!(c, Cap::Untyped { bits: 12, .. }));
                let root = self.cnode();
                let words = vec![self.free_slot(), self.depth()];
                (slot::ASID_CONTROL, ArmAsidControlMakePool, words, vec![untyped, root])
            }
            2..=3 => (pool, ArmAsidPoolAssign, vec![], vec![vspace]),
            _ => {
                let start = self.rng.pick(&[0x20_0000, 0x20_0040, 0x20_1000, 0]);
                let end = start + self.rng.pick(&[0x40, 0x1000, 0x1001, 0, 1 << 41]);
                let op = self.rng.pick(&[
                    ArmVSpaceCleanData,
                    ArmVSpaceInvalidateData,
                    ArmVSpaceCleanInvalidateData,
                    ArmVSpaceUnifyInstruction,
                ]);
                (vspace, op, vec![start, end], vec![])
            }
        }
    }
}

/// Runs `steps` from `start`; the number of the step that failed, and how.
///
/// # Errors
/// The number of the step that failed, and how.
pub fn replay(start: &Pair, steps: &[Step]) -> Result<(), (usize, String)> {
    let mut pair = start.clone();
    for (number, step) in steps.iter().enumerate() {
        guarded(&mut pair, step).map_err(|e| (number, e))?;
    }
    Ok(())
}

/// A step; a panic of the implementation (or specification) is a failure.
pub fn guarded(pair: &mut Pair, step: &Step) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| pair.step(step))) {
        Ok(result) => result,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .map_or_else(|| "panic".into(), |text| format!("panic: {text}"))),
    }
}

/// Steps of an idle system after which it counts as dead.
const IDLE: usize = 8;

/// Random steps from copies of `start`, a busy system; each copy is used until it is dead or `most` steps old. On
/// failure, a short sequence that fails too, in words.
///
/// # Errors
/// The shortened sequence and what it shows.
pub fn sequences(start: &Pair, seed: u64, steps: usize, most: usize, focus: Focus) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let mut pair = start.clone();
    let mut done = Vec::new();
    let mut idle = 0;
    for _ in 0..steps {
        if idle == IDLE || done.len() == most {
            pair = start.clone();
            done.clear();
        }
        let step = step(&pair, &mut rng, focus);
        done.push(step.clone());
        if let Err(error) = guarded(&mut pair, &step) {
            let shortens = std::env::var_os("REFINE_SHORTEN").is_none_or(|value| value != "no");
            let (short, error) = if shortens { shorten(start, done, error) } else { (done, error) };
            let list: Vec<String> = short.iter().map(describe).collect();
            return Err(format!(
                "seed {seed}, {focus:?}: {} steps\n{}\n{error}",
                short.len(),
                list.join("\n")
            ));
        }
        idle = if pair.spec.current.is_none() { idle + 1 } else { 0 };
    }
    Ok(())
}

/// Leaves out steps as long as it still fails in some way.
fn shorten(start: &Pair, mut steps: Vec<Step>, mut error: String) -> (Vec<Step>, String) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match replay(start, &fewer) {
                Err((last, e)) => {
                    fewer.truncate(last + 1);
                    (steps, error) = (fewer, e);
                }
                Ok(()) => at += size,
            }
        }
        size /= 2;
    }
    std::panic::set_hook(hook);
    (steps, error)
}

/// A step in words.
pub fn describe(step: &Step) -> String {
    let what = match step.event {
        Event::Syscall(number) => {
            let call = Syscall::from_number(number).map_or("?".into(), |s| format!("{s:?}"));
            let info = MessageInfo(step.regs[1]);
            let label = Invocation::from_label(info.label(), HW_DEBUG);
            format!(
                "{call} x0={:#x} label={label:?} len={} caps={} {:x?} {:x?}",
                step.regs[0],
                info.length(),
                info.extra_caps(),
                &step.regs[2..],
                step.buffer
            )
        }
        other => format!("{other:x?}"),
    };
    format!("  +{} {what}", step.advance)
}
