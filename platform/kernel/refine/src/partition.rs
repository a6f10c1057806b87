// SPDX-License-Identifier: BSD-2-Clause
//! A system of separate protection domains: each has its own CNode of the initial one's shape, address space, buffer and
//! scheduling context, and no capability but those listed here.
//!
//! * the attacker (priority 100): a child thread with its scheduling context, untyped memory, a frame, tables, its address
//!   space, an interrupt, a virtual CPU, a reply object, endpoints of its own; it may call the server, send to the peer
//!   (with Grant), signal the peer, and hear from its bound notification;
//! * the server (150): answers calls and faults; passive;
//! * the peer (120): waits for the attacker's signals and messages, calls it, and calls the server;
//! * the bystander (200): waits for an interrupt, then works on its own memory and calls the server. It shares nothing with
//!   the attacker but the server.
//!
//! The initial thread, below all of them, holds everything; it lets the attacker and its child go on.

use crate::pair::Pair;
use crate::world::{booted, invoke, receive, slot as s, succeeded};
use kernel_abi::{Invocation, ObjectType};
use kernel_spec::cap::Cap;
use kernel_spec::{Holder, Obj, Slot};

/// Protection domains, as indices.
pub const ATTACKER: u64 = 0;
/// See the module.
pub const SERVER: u64 = 1;
/// See the module.
pub const PEER: u64 = 2;
/// See the module.
pub const BYSTANDER: u64 = 3;
/// How many there are.
const COUNT: u64 = 4;

/// Interrupt of the attacker.
pub const ATTACKERS_IRQ: u64 = 33;
/// Interrupt of the bystander.
pub const BYSTANDERS_IRQ: u64 = 34;

/// Slots of the initial CNode: of each kind as many as there are protection domains, unless said otherwise.
mod root {
    pub const TCB: u64 = 16;
    pub const SC: u64 = 20;
    pub const BUFFER: u64 = 24;
    pub const CNODE: u64 = 28;
    pub const VSPACE: u64 = 32;
    /// Two for each.
    pub const TABLE: u64 = 36;
    pub const FRAME: u64 = 44;
    /// The server's, the peer's, and two of the attacker.
    pub const ENDPOINT: u64 = 48;
    /// The attacker's, the peer's, the bystander's.
    pub const NOTIFICATION: u64 = 52;
    pub const REPLY: u64 = 56;
    pub const UNTYPED: u64 = 60;
    pub const VCPU: u64 = 61;
    /// Two.
    pub const IRQ: u64 = 62;
    pub const CHILD: u64 = 64;
    pub const CHILD_SC: u64 = 65;
    /// A table and a frame that nobody has mapped.
    pub const SPARE_TABLE: u64 = 66;
    pub const SPARE_FRAME: u64 = 67;
    pub const POOL: u64 = s::ASID_POOL;
    use super::s;
}

/// Slots of the protection domains' CNodes.
pub mod own {
    #![allow(missing_docs, reason = "named after what is in them")]
    /// The server: its endpoint.
    pub const ENDPOINT: u64 = 16;
    pub const REPLY: u64 = 17;
    /// What it is bound to or waits for.
    pub const NOTIFICATION: u64 = 18;
    /// To the server.
    pub const TO_SERVER: u64 = 19;
    /// Between attacker and peer.
    pub const TO_OTHER: u64 = 20;
    pub const SIGNAL_OTHER: u64 = 21;
    pub const IRQ: u64 = 22;
    pub const CHILD: u64 = 23;
    pub const CHILD_SC: u64 = 24;
    pub const UNTYPED: u64 = 25;
    pub const FRAME: u64 = 26;
    pub const TABLE: u64 = 27;
    pub const VCPU: u64 = 28;
    /// The attacker's, to which the peer has a badged capability derived from it.
    pub const ORIGINAL_ENDPOINT: u64 = 29;
}

/// Where a protection domain's frame is mapped.
const FRAME_AT: u64 = 0x20_0000;
const BUFFER_AT: u64 = 0x10_0000;

/// The system.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Both sides.
    pub pair: Pair,
}

impl Partition {
    fn object(&self, index: u64) -> Obj {
        let slot = Slot { holder: Holder::CNode(self.pair.root.0, self.pair.root.1), index };
        crate::authority::object(self.pair.spec.caps[&slot]).expect("an object")
    }

    /// A protection domain's thread.
    pub fn thread(&self, pd: u64) -> Obj {
        self.object(root::TCB + pd)
    }

    /// A protection domain's CNode.
    pub fn node(&self, pd: u64) -> Obj {
        self.object(root::CNODE + pd)
    }

    /// A protection domain's scheduling context.
    pub fn time(&self, pd: u64) -> Obj {
        self.object(root::SC + pd)
    }

    /// A protection domain's frame.
    pub fn frame(&self, pd: u64) -> Obj {
        self.object(root::FRAME + pd)
    }

    /// A protection domain's address space.
    pub fn space(&self, pd: u64) -> Obj {
        self.object(root::VSPACE + pd)
    }

    /// Slots of the initial CNode with the attacker's thread and its child.
    pub const ATTACKING: [u64; 2] = [root::TCB + ATTACKER, root::CHILD];

    /// The attacker's child.
    pub fn child(&self) -> Obj {
        self.object(root::CHILD)
    }
}

/// The system, just started.
///
/// # Panics
/// When an invocation on the way is refused.
pub fn system() -> Partition {
    use Invocation::*;
    let retype = |kind: ObjectType, bits: u64, at: u64, count: u64| {
        invoke(s::UNTYPED, UntypedRetype, &[kind as u64, bits, 0, 0, at, count], &[s::CNODE])
    };
    // What is in a slot of the initial CNode, minted into one of a protection domain's.
    let give = |pd: u64, to: u64, from: u64, rights: u64, data: u64| {
        invoke(root::CNODE + pd, CNodeMint, &[to, 7, from, 64, rights, data], &[s::CNODE])
    };
    let hand_over =
        |pd: u64, to: u64, from: u64| invoke(root::CNODE + pd, CNodeMove, &[to, 7, from, 64], &[s::CNODE]);
    let copy = |to: u64, from: u64| invoke(s::CNODE, CNodeCopy, &[to, 64, from, 64, 15], &[s::CNODE]);
    let mut steps = vec![
        invoke(s::ASID_CONTROL, ArmAsidControlMakePool, &[root::POOL, 64], &[s::PAGE_UNTYPED, s::CNODE]),
        retype(ObjectType::Tcb, 0, root::TCB, COUNT),
        retype(ObjectType::SchedContext, 8, root::SC, COUNT),
        retype(ObjectType::SmallPage, 0, root::BUFFER, COUNT),
        retype(ObjectType::CNode, 7, root::CNODE, COUNT),
        retype(ObjectType::VSpace, 0, root::VSPACE, COUNT),
        retype(ObjectType::PageTable, 0, root::TABLE, 2 * COUNT),
        retype(ObjectType::SmallPage, 0, root::FRAME, COUNT),
        retype(ObjectType::Endpoint, 0, root::ENDPOINT, 4),
        retype(ObjectType::Notification, 0, root::NOTIFICATION, 3),
        retype(ObjectType::Reply, 0, root::REPLY, COUNT),
        retype(ObjectType::Untyped, 14, root::UNTYPED, 1),
        retype(ObjectType::Vcpu, 0, root::VCPU, 1),
        retype(ObjectType::Tcb, 0, root::CHILD, 1),
        retype(ObjectType::SchedContext, 8, root::CHILD_SC, 1),
        retype(ObjectType::PageTable, 0, root::SPARE_TABLE, 1),
        retype(ObjectType::SmallPage, 0, root::SPARE_FRAME, 1),
        // The supervisor below all others, before they start.
        invoke(s::TCB, TcbSetPriority, &[10], &[s::TCB]),
    ];
    let guard = 64 - crate::world::RADIX;
    for (pd, (budget, period, flags)) in
        (0..).zip([(1000, 1000, 0), (400, 2000, 0), (500, 5000, 1), (300, 1000, 0)])
    {
        let (space, node) = (root::VSPACE + pd, root::CNODE + pd);
        steps.extend([
            invoke(
                s::SCHED_CONTROL,
                SchedControlConfigureFlags,
                &[budget, period, 2, 70 + pd, flags],
                &[root::SC + pd],
            ),
            invoke(root::POOL, ArmAsidPoolAssign, &[], &[space]),
            invoke(root::TABLE + 2 * pd, ArmPageTableMap, &[FRAME_AT, 0], &[space]),
            invoke(root::TABLE + 2 * pd + 1, ArmPageTableMap, &[FRAME_AT, 0], &[space]),
            invoke(root::FRAME + pd, ArmPageMap, &[FRAME_AT, 3, 1], &[space]),
            give(pd, s::CNODE, node, 15, guard),
            give(pd, own::REPLY, root::REPLY + pd, 15, 0),
            invoke(root::TCB + pd, TcbConfigure, &[guard, 0, BUFFER_AT], &[node, space, root::BUFFER + pd]),
        ]);
    }
    let (server, peers, attackers, original) =
        (root::ENDPOINT, root::ENDPOINT + 1, root::ENDPOINT + 2, root::ENDPOINT + 3);
    let (to_attacker, to_peer, to_bystander) =
        (root::NOTIFICATION, root::NOTIFICATION + 1, root::NOTIFICATION + 2);
    // Write and GrantReply; Write, Grant and GrantReply; Read; Write.
    let (call, grant, read, write) = (9, 13, 2, 1);
    steps.extend([
        give(SERVER, own::ENDPOINT, server, read, 0),
        give(ATTACKER, own::TO_SERVER, server, call, 5),
        give(PEER, own::TO_SERVER, server, call, 6),
        give(BYSTANDER, own::TO_SERVER, server, call, 7),
        give(PEER, own::ENDPOINT, peers, read, 0),
        give(ATTACKER, own::TO_OTHER, peers, grant, 8),
        give(ATTACKER, own::ENDPOINT, attackers, 15, 0),
        give(PEER, own::TO_OTHER, attackers, grant, 9),
        give(ATTACKER, own::NOTIFICATION, to_attacker, read, 0),
        give(PEER, own::SIGNAL_OTHER, to_attacker, write, 2),
        give(PEER, own::NOTIFICATION, to_peer, read, 0),
        give(ATTACKER, own::SIGNAL_OTHER, to_peer, write, 4),
        give(BYSTANDER, own::NOTIFICATION, to_bystander, read, 0),
        give(PEER, own::ORIGINAL_ENDPOINT, original, grant, 11),
        hand_over(ATTACKER, own::ORIGINAL_ENDPOINT, original),
        hand_over(ATTACKER, own::UNTYPED, root::UNTYPED),
        give(ATTACKER, own::FRAME, root::SPARE_FRAME, read, 0),
        hand_over(ATTACKER, own::TABLE, root::SPARE_TABLE),
        give(ATTACKER, s::VSPACE, root::VSPACE, 15, 0),
        hand_over(ATTACKER, own::VCPU, root::VCPU),
        invoke(s::IRQ_CONTROL, IrqIssueIrqHandler, &[ATTACKERS_IRQ, root::IRQ, 64], &[s::CNODE]),
        invoke(s::IRQ_CONTROL, IrqIssueIrqHandler, &[BYSTANDERS_IRQ, root::IRQ + 1, 64], &[s::CNODE]),
    ]);
    // Interrupts come with a badge of their own.
    let badged = |from, to, badge| invoke(s::CNODE, CNodeMint, &[to, 64, from, 64, 15, badge], &[s::CNODE]);
    steps.extend([
        badged(to_attacker, 100, 16),
        badged(to_bystander, 101, 32),
        badged(server, 102, 98),
        badged(server, 103, 99),
        invoke(root::IRQ, IrqSetIrqHandler, &[], &[100]),
        invoke(root::IRQ + 1, IrqSetIrqHandler, &[], &[101]),
        hand_over(ATTACKER, own::IRQ, root::IRQ),
        invoke(root::TCB, TcbBindNotification, &[], &[to_attacker]),
        invoke(root::TCB + BYSTANDER, TcbBindNotification, &[], &[to_bystander]),
        // The child, in the attacker's spaces.
        invoke(s::SCHED_CONTROL, SchedControlConfigureFlags, &[200, 1500, 2, 75, 1], &[root::CHILD_SC]),
        invoke(root::CHILD, TcbConfigure, &[guard, 0, 0], &[root::CNODE, root::VSPACE, root::BUFFER]),
        invoke(root::CHILD, TcbSetSchedParams, &[90, 90], &[s::TCB, root::CHILD_SC, 103]),
        invoke(root::CHILD, TcbSetTimeoutEndpoint, &[], &[103]),
        copy(104, root::CHILD),
        copy(105, root::CHILD_SC),
        hand_over(ATTACKER, own::CHILD, 104),
        hand_over(ATTACKER, own::CHILD_SC, 105),
    ]);
    for (pd, priority) in (0..).zip([100, 150, 120, 200]) {
        let handler = if pd == ATTACKER { 102 } else { 0 };
        let sc = root::SC + pd;
        steps.push(invoke(root::TCB + pd, TcbSetSchedParams, &[0, priority], &[s::TCB, sc, handler]));
    }
    let start = |tcb, pc| invoke(tcb, TcbWriteRegisters, &[1, 3, pc, 0x8000, 0], &[]);
    // The server runs at once, waits, and is passive then.
    steps.extend([
        start(root::TCB + SERVER, 0x2000),
        receive(own::ENDPOINT, own::REPLY),
        invoke(root::SC + SERVER, SchedContextUnbindObject, &[], &[root::TCB + SERVER]),
        start(root::TCB + BYSTANDER, 0x4000),
        receive(own::NOTIFICATION, 0),
        start(root::TCB + PEER, 0x3000),
        receive(own::NOTIFICATION, 0),
        start(root::CHILD, 0x5000),
    ]);
    let mut pair = booted();
    for (number, step) in steps.iter().enumerate() {
        let caller = pair.spec.current;
        pair.step(step).unwrap_or_else(|e| panic!("step {number} {step:x?}: {e}"));
        assert!(succeeded(&pair, caller, step), "step {number} was refused: {step:x?}");
    }
    let partition = Partition { pair };
    debug_assert!(matches!(partition.pair.spec.tcb_cap(partition.thread(0), 0), Some(Cap::CNode { .. })));
    partition
}
