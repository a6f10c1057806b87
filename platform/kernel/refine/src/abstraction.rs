// SPDX-License-Identifier: BSD-2-Clause
//! The abstraction function: what the implementation's memory says, in the words of the specification.
//!
//! It trusts nothing: whatever cannot be read as a state (a slot outside every container, a queue that does not end)
//! is an error with a description.

use kernel_core::cap::{Cap, FrameRights, Mapping};
use kernel_core::domain::Turn as CoreTurn;
use kernel_core::kernel::IrqState;
use kernel_core::layout::{self, State as CoreState, Tcb, blocked, notification_state, queue_state};
use kernel_core::machine::VirtualInterrupt;
use kernel_core::sched::Action;
use kernel_core::sim::{MAX_IRQ, SimMachine};
use kernel_core::{Kernel, Machine, PhysAddr};
use kernel_spec::cap::{self as spec_cap, Cap as SpecCap};
use kernel_spec::cdt::{Node, Tree};
use kernel_spec::domain::{Schedule, Turn};
use kernel_spec::fault::Fault;
use kernel_spec::hardware_debug::Breakpoint;
use kernel_spec::refill::Refill;
use kernel_spec::state::{Action as SpecAction, Endpoint, Notification, SchedContext, Vcpu};
use kernel_spec::vspace::Entry;
use kernel_spec::{Config, Holder, Lookup, Obj, Slot, State, ThreadState};
use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

/// Longest queue or list that is believed.
pub(crate) const MOST: usize = 100_000;
const SLOT_BYTES: u64 = 1 << kernel_abi::object::SLOT_BITS;

/// Reads the implementation's state.
pub struct Abstraction<'a> {
    kernel: &'a Kernel<SimMachine>,
    config: &'a Config,
    containers: BTreeMap<u64, Holder>,
}

/// The state of `kernel`. `roots` is where the search for capabilities starts: the initial CNode, and containers that
/// nothing leads to (a dying one that was never made of untyped memory). Memory words are read at `words`.
///
/// # Errors
/// What cannot be read.
pub fn abstraction(
    kernel: &Kernel<SimMachine>,
    config: &Config,
    roots: &BTreeSet<Holder>,
    words: &BTreeSet<u64>,
) -> Result<State, String> {
    let mut a = Abstraction { kernel, config, containers: BTreeMap::new() };
    for &root in roots {
        if let Holder::CNode(at, _) | Holder::Tcb(at) = root {
            a.containers.insert(at.0, root);
        }
    }
    a.containers.insert(kernel.irq_slots.0, Holder::Irq);
    a.read(words)
}

impl Abstraction<'_> {
    fn m(&self) -> &SimMachine {
        &self.kernel.m
    }

    /// The slot at an address, if it is in a known container.
    pub fn slot_at(&self, at: u64) -> Option<Slot> {
        let (&base, &holder) = self.containers.range(..=at).next_back()?;
        let slots = if holder == Holder::Irq { MAX_IRQ + 1 } else { holder.slots() };
        let index = (at - base) / SLOT_BYTES;
        (index < slots && at.is_multiple_of(SLOT_BYTES)).then_some(Slot { holder, index })
    }

    fn core_slot(&self, base: u64, index: u64) -> layout::Slot {
        layout::Slot::at(PhysAddr(base + index * SLOT_BYTES)).expect("no container at 0")
    }

    fn slots_of(&self) -> Vec<layout::Slot> {
        self.containers
            .iter()
            .flat_map(|(&base, &holder)| {
                let slots = if holder == Holder::Irq { MAX_IRQ + 1 } else { holder.slots() };
                (0..slots).map(move |i| (base, i))
            })
            .map(|(base, i)| self.core_slot(base, i))
            .collect()
    }

    fn read(&mut self, words: &BTreeSet<u64>) -> Result<State, String> {
        let mut state = State::new(self.config.clone());
        let slots = self.find_slots()?;
        for &slot in &slots {
            let at = self.slot_at(slot.addr().0).ok_or("slot outside every container")?;
            state.caps.insert(at, self.cap(slot.cap(self.m()))?);
        }
        state.tree = self.tree(&slots)?;
        self.objects(&mut state)?;
        self.scheduler(&mut state)?;
        for (base, pool) in
            (0..128u64).map(|i| i << 9).filter_map(|b| Some((b, self.kernel.asids.pool(b as u16)?)))
        {
            state.asid_pools.insert(base, Obj(pool.0));
            for asid in base..base + 512 {
                if let Some(root) = self.kernel.vspace_of(asid as u16) {
                    state.asids.insert(asid, Obj(root.0));
                }
            }
        }
        for irq in 0..=MAX_IRQ {
            if self.kernel.irq_state.get(irq as usize) == Some(&IrqState::Signal) {
                state.irqs_issued.insert(irq);
            }
            if !self.m().masked.contains(&irq) {
                state.irqs_enabled.insert(irq);
            }
        }
        for &at in words {
            let word = self.m().load(PhysAddr(at));
            if word != 0 {
                state.memory.insert(at, word);
            }
        }
        Ok(state)
    }

    /// All full slots: those of containers that capabilities name, and those linked in the derivation list.
    fn find_slots(&mut self) -> Result<Vec<layout::Slot>, String> {
        loop {
            let full: Vec<_> = self.slots_of().into_iter().filter(|s| !s.is_empty(self.m())).collect();
            let before = self.containers.len();
            let mut linked = BTreeSet::new();
            let mut follow = full.clone();
            while let Some(slot) = follow.pop() {
                if linked.insert(slot.addr().0) {
                    follow.extend(slot.prev(self.m()));
                    follow.extend(slot.next(self.m()));
                }
            }
            for &at in &linked {
                let slot = layout::Slot::at(PhysAddr(at)).ok_or("link to address 0")?;
                let found = match slot.cap(self.m()) {
                    Cap::CNode { at, radix, .. } => {
                        Some((at.addr().0, Holder::CNode(Obj(at.addr().0), u64::from(radix))))
                    }
                    Cap::Thread { at } => Some((at.addr().0, Holder::Tcb(Obj(at.addr().0)))),
                    Cap::Zombie(z) => Some((z.at.addr().0, zombie_holder(&z))),
                    _ => None,
                };
                if let Some((at, holder)) = found {
                    self.containers.insert(at, holder);
                }
            }
            if self.containers.len() == before {
                if let Some(at) = linked.iter().find(|&&at| self.slot_at(at).is_none()) {
                    return Err(format!("a linked slot at {at:#x} is in no container that lives"));
                }
                return Ok(full);
            }
        }
    }

    fn cap(&self, cap: Cap) -> Result<SpecCap, String> {
        let mapping =
            |m: Option<Mapping>| m.map(|m| spec_cap::Mapping { asid: u64::from(m.asid), vaddr: m.vaddr });
        Ok(match cap {
            Cap::Null => return Err("empty slot".into()),
            Cap::Untyped { at, bits, device, used, .. } => {
                SpecCap::Untyped { base: Obj(at.0), bits: u64::from(bits), device, used }
            }
            Cap::Endpoint { at, badge, rights } => SpecCap::Endpoint { obj: Obj(at.addr().0), badge, rights },
            Cap::Notification { at, badge, rights } => {
                SpecCap::Notification { obj: Obj(at.addr().0), badge, rights }
            }
            Cap::Reply { at, can_grant } => SpecCap::Reply { obj: Obj(at.addr().0), can_grant },
            Cap::CNode { at, radix, guard, guard_size } => SpecCap::CNode {
                obj: Obj(at.addr().0),
                radix: u64::from(radix),
                guard,
                guard_bits: u64::from(guard_size),
            },
            Cap::Thread { at } => SpecCap::Tcb { obj: Obj(at.addr().0) },
            Cap::SchedContext { at, bits } => {
                SpecCap::SchedContext { obj: Obj(at.addr().0), bits: u64::from(bits) }
            }
            Cap::SchedControl { .. } => SpecCap::SchedControl,
            Cap::IrqControl => SpecCap::IrqControl,
            Cap::IrqHandler { irq } => SpecCap::IrqHandler { irq },
            Cap::SgiSignal { sgi, target } => SpecCap::SgiSignal { sgi, target },
            Cap::Domain => SpecCap::Domain,
            Cap::Zombie(z) => SpecCap::Zombie { holder: zombie_holder(&z), left: z.remaining },
            Cap::Frame { at, size, rights, device, mapping: m } => SpecCap::Frame {
                obj: Obj(at.0),
                bits: size.bits(),
                rights: frame_rights(rights),
                device,
                mapping: mapping(m),
            },
            Cap::PageTable { at, mapping: m } => SpecCap::PageTable { obj: Obj(at.0), mapping: mapping(m) },
            Cap::VSpace { at, asid } => SpecCap::VSpace { obj: Obj(at.0), asid: asid.map(u64::from) },
            Cap::AsidControl => SpecCap::AsidControl,
            Cap::AsidPool { at, base } => SpecCap::AsidPool { obj: Obj(at.0), base: u64::from(base) },
            Cap::Vcpu { at } => SpecCap::Vcpu { obj: Obj(at.addr().0) },
            Cap::Smc { badge } => SpecCap::Smc { badge },
        })
    }

    /// The derivation lists as a tree: depth is told by who is an ancestor of whom.
    fn tree(&self, slots: &[layout::Slot]) -> Result<Tree, String> {
        let mut nodes = Vec::new();
        for &head in slots.iter().filter(|s| s.prev(self.m()).is_none()) {
            let mut path: Vec<layout::Slot> = Vec::new();
            let mut next = Some(head);
            while let Some(slot) = next {
                while path.last().is_some_and(|&p| !self.kernel.is_ancestor(p, slot)) {
                    path.pop();
                }
                nodes.push(Node {
                    slot: self.slot_at(slot.addr().0).ok_or("listed slot outside every container")?,
                    depth: path.len(),
                    original: slot.is_original(self.m()),
                });
                path.push(slot);
                next = slot.next(self.m());
                if nodes.len() > MOST {
                    return Err("derivation list does not end".into());
                }
            }
        }
        if nodes.len() != slots.len() {
            return Err(format!("{} full slots, {} in derivation lists", slots.len(), nodes.len()));
        }
        Ok(Tree(nodes))
    }

    fn objects(&self, state: &mut State) -> Result<(), String> {
        let caps: Vec<SpecCap> = state.caps.values().copied().collect();
        for cap in caps {
            match cap {
                SpecCap::Tcb { obj } | SpecCap::Zombie { holder: Holder::Tcb(obj), .. } => {
                    if let btree_map::Entry::Vacant(place) = state.tcbs.entry(obj) {
                        place.insert(self.tcb(obj)?);
                    }
                }
                SpecCap::Endpoint { obj, .. } => {
                    state.endpoints.insert(obj, self.endpoint(obj)?);
                }
                SpecCap::Notification { obj, .. } => {
                    state.notifications.insert(obj, self.notification(obj)?);
                }
                SpecCap::Reply { obj, .. } => {
                    let reply = layout::Reply::at(PhysAddr(obj.0)).ok_or("reply at 0")?;
                    state.replies.insert(obj, reply.tcb(self.m()).map(|t| Obj(t.addr().0)));
                }
                SpecCap::SchedContext { obj, .. } => {
                    state.sched_contexts.insert(obj, self.sched_context(obj)?);
                }
                SpecCap::PageTable { obj, .. } => {
                    state.tables.insert(obj, self.table(obj, 512)?);
                }
                SpecCap::VSpace { obj, .. } => {
                    state
                        .tables
                        .insert(obj, self.table(obj, 1 << self.config.address_space.root_index_bits)?);
                }
                SpecCap::Vcpu { obj } => {
                    let vcpu = layout::Vcpu::at(PhysAddr(obj.0)).ok_or("vcpu at 0")?;
                    let registers = self
                        .m()
                        .vcpu_regs
                        .iter()
                        .filter(|((v, _), _)| *v == vcpu)
                        .map(|((_, r), &x)| (*r, x));
                    let tcb = vcpu.tcb(self.m()).map(|t| Obj(t.addr().0));
                    let list_registers = self.m().list_registers.iter().filter(|((v, _), _)| *v == vcpu);
                    let list_registers =
                        list_registers.map(|((_, index), held)| (*index, list_register(held)));
                    state.vcpus.insert(
                        obj,
                        Vcpu {
                            tcb,
                            registers: registers.collect(),
                            list_registers: list_registers.collect(),
                        },
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tcb(&self, obj: Obj) -> Result<kernel_spec::state::Tcb, String> {
        let m = self.m();
        let t = Tcb::at(PhysAddr(obj.0)).ok_or("thread at 0")?;
        let object = |at: u64| Obj(at);
        let fault = self.fault(t)?;
        let flags = t.blocked_flags(m);
        let at = object(t.blocked_on(m));
        let reply = t.reply(m).map(|r| Obj(r.addr().0));
        let state = match t.state(m) {
            CoreState::Inactive | CoreState::Idle => ThreadState::Inactive,
            CoreState::Running => ThreadState::Running,
            CoreState::Restart => ThreadState::Restart,
            CoreState::BlockedOnReceive => ThreadState::BlockedOnReceive { endpoint: at, reply },
            CoreState::BlockedOnSend => ThreadState::BlockedOnSend {
                endpoint: at,
                badge: t.blocked_badge(m),
                can_grant: flags & blocked::CAN_GRANT != 0,
                can_grant_reply: flags & blocked::CAN_GRANT_REPLY != 0,
                // A fault is always a call.
                is_call: flags & blocked::IS_CALL != 0 && fault.is_none(),
            },
            CoreState::BlockedOnReply => {
                ThreadState::BlockedOnReply { reply: reply.ok_or("waits for a reply through nothing")? }
            }
            CoreState::BlockedOnNotification => ThreadState::BlockedOnNotification { notification: at },
        };
        let mut regs = [0; kernel_abi::context::WORDS];
        for (index, reg) in regs.iter_mut().enumerate() {
            *reg = t.reg(m, index);
        }
        Ok(kernel_spec::state::Tcb {
            state,
            fault,
            regs,
            fault_ip: t.restart_pc(m),
            priority: t.priority(m),
            mcp: t.max_priority(m),
            sched_context: t.sched_context(m).map(|s| Obj(s.addr().0)),
            yield_to: t.yield_to(m).map(|s| Obj(s.addr().0)),
            notification: t.bound_notification(m).map(|n| Obj(n.addr().0)),
            buffer: t.ipc_buffer(m),
            vcpu: t.vcpu(m).map(|v| Obj(v.addr().0)),
            flags: t.flags(m),
            domain: t.domain(m),
            breakpoints: (0..kernel_abi::debug::TOTAL)
                .filter_map(|number| {
                    let b = t.breakpoint(m, number);
                    let set = Breakpoint { address: b.address, size: b.size, access: b.access };
                    b.enabled.then_some((number, set))
                })
                .collect(),
            steps: t.steps(m),
            steps_left: t.steps_left(m),
        })
    }

    fn fault(&self, t: Tcb) -> Result<Option<Fault>, String> {
        use kernel_abi::fault as label;
        use kernel_abi::fault::lookup;
        let m = self.m();
        let f = [t.fault0(m), t.fault1(m), t.fault2(m), t.fault3(m), t.fault4(m), t.fault5(m)];
        Ok(Some(match t.fault_label(m) {
            label::NULL => return Ok(None),
            label::CAP_FAULT => Fault::Cap {
                address: f[0],
                receiving: f[1] != 0,
                why: match f[2] {
                    lookup::INVALID_ROOT => Lookup::InvalidRoot,
                    lookup::MISSING_CAPABILITY => Lookup::MissingCapability { bits_left: f[3] },
                    lookup::DEPTH_MISMATCH => Lookup::DepthMismatch { bits_left: f[3], bits_found: f[4] },
                    lookup::GUARD_MISMATCH => {
                        Lookup::GuardMismatch { bits_left: f[3], guard: f[4], guard_bits: f[5] }
                    }
                    other => return Err(format!("lookup failure {other}")),
                },
            },
            label::UNKNOWN_SYSCALL => Fault::UnknownSyscall { number: f[0] },
            label::USER_EXCEPTION => Fault::UserException { number: f[0], code: f[1] },
            label::DEBUG_EXCEPTION => Fault::Debug { reason: f[0], address: f[1], number: f[2] },
            label::TIMEOUT => Fault::Timeout { badge: f[0] },
            label::VM_FAULT => Fault::Vm { address: f[0], syndrome: f[1], prefetch: f[2] != 0 },
            label::VGIC_MAINTENANCE => Fault::VgicMaintenance { index: f[0] },
            label::VCPU_FAULT => Fault::Vcpu { syndrome: f[0] },
            label::VPPI_EVENT => Fault::Vppi { irq: f[0] },
            kernel_abi::extension::VCPU_EXIT => Fault::Exit { address: f[0], syndrome: f[1] },
            other => return Err(format!("fault label {other}")),
        }))
    }

    fn waiting(&self, head: Option<Tcb>, next: impl Fn(Tcb) -> Option<Tcb>) -> Result<Vec<Obj>, String> {
        let mut queue = Vec::new();
        let mut at = head;
        while let Some(t) = at {
            queue.push(Obj(t.addr().0));
            if queue.len() > 1000 {
                return Err("queue does not end".into());
            }
            at = next(t);
        }
        Ok(queue)
    }

    fn endpoint(&self, obj: Obj) -> Result<Endpoint, String> {
        let m = self.m();
        let e = layout::Endpoint::at(PhysAddr(obj.0)).ok_or("endpoint at 0")?;
        let word = e.head_word(m);
        let head = Tcb::at(PhysAddr(word & !queue_state::MASK));
        let queue = self.waiting(head, |t| t.queue_next(m))?;
        let sending = word & queue_state::MASK == queue_state::SEND;
        if queue.is_empty() != (word & queue_state::MASK == queue_state::IDLE) {
            return Err(format!("endpoint {obj:?} is idle and has a queue, or the other way round"));
        }
        Ok(Endpoint { queue, sending })
    }

    fn notification(&self, obj: Obj) -> Result<Notification, String> {
        let m = self.m();
        let n = layout::Notification::at(PhysAddr(obj.0)).ok_or("notification at 0")?;
        let queue = self.waiting(n.head(m), |t| t.queue_next(m))?;
        let state = n.state_word(m);
        if queue.is_empty() == (state == notification_state::WAITING) {
            return Err(format!("notification {obj:?} in state {state} with {} waiting", queue.len()));
        }
        Ok(Notification {
            signalled: (state == notification_state::ACTIVE).then(|| n.badge(m)),
            queue,
            tcb: n.bound_tcb(m).map(|t| Obj(t.addr().0)),
            sched_context: n.sched_context(m).map(|s| Obj(s.addr().0)),
        })
    }

    fn sched_context(&self, obj: Obj) -> Result<SchedContext, String> {
        let m = self.m();
        let s = layout::SchedContext::at(PhysAddr(obj.0)).ok_or("scheduling context at 0")?;
        let (max, start, later) = (s.max_refills(m), s.later_start(m), s.later_count(m));
        if max != 0 && (later >= max || start >= max - 1) {
            return Err(format!("{obj:?}: later refills {start}+{later} of {max}"));
        }
        let first = s.first(m);
        // Of a round robin's slice what is used is what is not left.
        let used = s
            .is_round_robin(m)
            .then(|| kernel_core::budget::Refill { amount: s.budget(m) - first.amount, ..first });
        let all = [first].into_iter().chain(used).chain((0..later).map(|n| s.later(m, n)));
        let refills = all.filter(|_| max != 0).map(|r| Refill { time: r.time, amount: r.amount });
        let mut replies = self.chain(s)?;
        replies.reverse();
        Ok(SchedContext {
            refills: refills.collect(),
            max_refills: max as usize,
            period: s.period(m),
            consumed: s.consumed(m),
            badge: s.badge(m),
            sporadic: s.sporadic(m),
            tcb: s.tcb(m).map(|t| Obj(t.addr().0)),
            notification: s.notification(m).map(|n| Obj(n.addr().0)),
            replies,
            yield_from: s.yield_from(m).map(|t| Obj(t.addr().0)),
        })
    }

    fn chain(&self, s: layout::SchedContext) -> Result<Vec<Obj>, String> {
        let mut replies = Vec::new();
        let mut next = s.newest_lender(self.m());
        while let Some(lender) = next {
            let reply = lender.reply(self.m()).ok_or("a lender waits through nothing")?;
            replies.push(Obj(reply.addr().0));
            if replies.len() > 1000 {
                return Err("the list of lenders does not end".into());
            }
            next = lender.older_lender(self.m());
        }
        Ok(replies)
    }

    /// The threads that wait for time, in the order in which they come due.
    fn waiting_for_time(&self) -> Result<Vec<Obj>, String> {
        let m = self.m();
        let mut found = Vec::new();
        let mut next = Vec::from_iter(self.kernel.release_root);
        while let Some(tcb) = next.pop() {
            found.push(tcb);
            if found.len() > 1000 {
                return Err("the heap of those that wait for time does not end".into());
            }
            next.extend(tcb.release_left(m).into_iter().chain(tcb.release_right(m)));
        }
        found.sort_by_key(|tcb| (tcb.release_time(m), tcb.release_order(m)));
        Ok(found.iter().map(|tcb| Obj(tcb.addr().0)).collect())
    }

    /// A translation table, from the stage 2 descriptors (Arm DDI 0487, D8.3).
    fn table(&self, obj: Obj, entries: u64) -> Result<BTreeMap<u64, Entry>, String> {
        const ADDRESS: u64 = ((1 << 48) - 1) & !0xfff;
        let mut table = BTreeMap::new();
        for index in 0..entries {
            let word = self.m().load(PhysAddr(obj.0 + 8 * index));
            if word & 1 == 0 {
                if word != 0 {
                    return Err(format!("table {obj:?}[{index}] holds {word:#x}"));
                }
                continue;
            }
            let at = Obj(word & ADDRESS);
            // Attributes sit at 55:50 and 11:2; a table descriptor has none.
            let attributes = word & (0x3f << 50 | 0xffc);
            let entry = if attributes == 0 {
                Entry::Table(at)
            } else {
                Entry::Frame {
                    obj: at,
                    rights: spec_cap::FrameRights { read: word >> 6 & 1 != 0, write: word >> 7 & 1 != 0 },
                    cached: word >> 2 & 15 != 0,
                    executable: word >> 54 & 1 == 0,
                }
            };
            table.insert(index, entry);
        }
        Ok(table)
    }

    fn scheduler(&self, state: &mut State) -> Result<(), String> {
        let (k, m) = (self.kernel, self.m());
        state.current = (k.current != k.idle).then(|| Obj(k.current.addr().0));
        state.current_sc = (k.current_sc != k.idle_sc).then(|| Obj(k.current_sc.addr().0));
        for domain in 0..kernel_abi::NUM_DOMAINS as u64 {
            for priority in 0..kernel_abi::NUM_PRIORITIES as u64 {
                let ends = k.ready_queue(domain, priority);
                let queue = self.waiting(ends.head, |t| t.sched_next(m))?;
                if ends.tail.map(|t| Obj(t.addr().0)) != queue.last().copied() {
                    return Err(format!("tail of the ready queue {priority} of domain {domain}"));
                }
                if !queue.is_empty() {
                    state.ready.insert((domain, priority), queue);
                }
            }
        }
        let turn = |t: &CoreTurn| Turn { domain: t.domain, ticks: t.ticks };
        state.domains = Schedule {
            turns: k.domains.schedule.iter().map(|t| (t.ticks != 0).then(|| turn(t))).collect(),
            start: k.domains.start,
            index: k.domains.index,
            domain: k.domains.current,
            end: k.domains.end,
        };
        state.release = self.waiting_for_time()?;
        state.action = match k.action {
            Action::ResumeCurrent => SpecAction::Resume,
            Action::Choose => SpecAction::Choose,
            Action::SwitchTo(t) => SpecAction::SwitchTo(Obj(t.addr().0)),
        };
        state.now = k.now;
        state.uncharged = k.consumed;
        Ok(())
    }
}

fn zombie_holder(z: &kernel_core::cap::Zombie) -> Holder {
    let at = Obj(z.at.addr().0);
    z.radix.map_or(Holder::Tcb(at), |radix| Holder::CNode(at, u64::from(radix)))
}

fn frame_rights(rights: FrameRights) -> spec_cap::FrameRights {
    spec_cap::FrameRights { read: rights.read, write: rights.write }
}

/// A list register of the simulated machine as the extension tells it; all are pending.
fn list_register(held: &VirtualInterrupt) -> u64 {
    held.number
        | held.priority << 16
        | held.group << 24
        | kernel_abi::extension::vcpu::PENDING
        | held.source << kernel_abi::extension::vcpu::SOURCE_SHIFT
}
