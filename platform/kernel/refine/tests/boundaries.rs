// SPDX-License-Identifier: BSD-2-Clause
//! Every argument with a range, just inside and just outside of it: the least and the greatest values that are taken, and
//! what is answered to others.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use kernel_abi::extension::vcpu as extension;
use kernel_abi::object as size;
use kernel_abi::{
    Invocation, MAX_DOMAIN_DURATION, NUM_DOMAIN_SCHEDULES, NUM_DOMAINS, ObjectType, RETYPE_FAN_OUT_LIMIT,
};
use kernel_core::sim::{self, MAX_IRQ};
use kernel_refine::random::describe;
use kernel_refine::world::{self, busy, invoke, invoke_label, slot, succeeded};
use kernel_refine::{Pair, Step};
use kernel_spec::cap::Cap;
use kernel_spec::{Holder, Obj, Slot};

/// Each step on a busy system of its own; some have to be taken, and some refused.
fn each(steps: &[Step]) {
    let start = world::busy_system();
    let mut taken = 0;
    for step in steps {
        let mut pair = start.clone();
        taken += usize::from(is_taken(&mut pair, step));
    }
    assert!(0 < taken && taken < steps.len(), "{taken} of {} were taken", steps.len());
}

fn is_taken(pair: &mut Pair, step: &Step) -> bool {
    let caller = pair.spec.current;
    pair.step(step).unwrap_or_else(|error| panic!("{}\n{error}", describe(step)));
    succeeded(pair, caller, step)
}

/// The values around both ends of a range.
fn around(least: u64, most: u64) -> [u64; 5] {
    [least.wrapping_sub(1), least, most, most.wrapping_add(1), u64::MAX]
}

#[test]
fn budgets_periods_and_refills() {
    let config = world::config(size::AddressSpace::BITS_40);
    let least = config.min_budget / config.ticks_per_us;
    let configure = |budget, period, extra| {
        let words = [budget, period, extra, 3, 0];
        invoke(slot::SCHED_CONTROL, Invocation::SchedControlConfigureFlags, &words, &[busy::SC + 3])
    };
    let times = around(least, config.max_period_us);
    let mut steps = Vec::new();
    for budget in times {
        steps.extend(times.map(|period| configure(budget, period, 0)));
    }
    // As many refills as a context of 256 bytes has room for.
    steps.extend((0..20).map(|extra| configure(least, 1000, extra)));
    each(&steps);
}

#[test]
fn priorities() {
    let mut steps = Vec::new();
    for priority in around(0, 254).into_iter().chain([255, 256]) {
        steps.push(invoke(busy::TCB + 3, Invocation::TcbSetPriority, &[priority], &[busy::TCB]));
        steps.push(invoke(busy::TCB + 3, Invocation::TcbSetMcPriority, &[priority], &[busy::TCB]));
        for most in [0, 254, 255, 256] {
            let caps = [busy::TCB, busy::SC + 3, busy::FAULT_HANDLER];
            steps.push(invoke(busy::TCB + 3, Invocation::TcbSetSchedParams, &[most, priority], &caps));
        }
    }
    each(&steps);
}

#[test]
fn objects_and_slots() {
    let retype = |kind: ObjectType, bits, offset, count| {
        let words = [kind as u64, bits, 0, 0, offset, count];
        invoke(slot::UNTYPED, Invocation::UntypedRetype, &words, &[slot::CNODE])
    };
    let last = (1 << world::RADIX) - 1;
    let mut steps = Vec::new();
    for bits in [0, 1, 3, 4, 6, 7, 8, 15, 16, 20, 21, 22, 42, 43, 47, 48, 63, 64, 65, u64::MAX] {
        let kinds = [ObjectType::Untyped, ObjectType::SchedContext, ObjectType::CNode, ObjectType::Endpoint];
        steps.extend(kinds.map(|kind| retype(kind, bits, busy::FIRST_FREE, 1)));
    }
    for offset in around(busy::FIRST_FREE, last) {
        steps.extend([0, 1, 2].map(|count| retype(ObjectType::Endpoint, 0, offset, count)));
    }
    let counts = around(1, RETYPE_FAN_OUT_LIMIT).into_iter().chain(60..70);
    steps.extend(counts.map(|count| retype(ObjectType::Endpoint, 0, busy::FIRST_FREE, count)));
    for depth in [0, 1, 6, 7, 8, 56, 57, 58, 63, 64, 65, 127, 128, u64::MAX] {
        let words = [busy::FIRST_FREE, depth, busy::ENDPOINT, depth, 15];
        steps.push(invoke(slot::CNODE, Invocation::CNodeCopy, &words, &[slot::CNODE]));
        steps.push(invoke(slot::CNODE, Invocation::CNodeDelete, &[busy::ENDPOINT, depth], &[]));
        // Two bits of a CNode of four slots.
        steps.push(invoke(
            busy::CNODE,
            Invocation::CNodeCopy,
            &[3, depth, busy::ENDPOINT, 64, 15],
            &[slot::CNODE],
        ));
    }
    each(&steps);
}

#[test]
fn domains_and_their_turns() {
    let configure = |index, domain, ticks| {
        invoke(slot::DOMAIN, Invocation::DomainScheduleConfigure, &[index, domain, ticks], &[])
    };
    let (turns, domains) = (NUM_DOMAIN_SCHEDULES as u64, NUM_DOMAINS as u64);
    let mut steps = Vec::new();
    for domain in around(0, domains - 1) {
        steps.push(invoke(slot::DOMAIN, Invocation::DomainSetSet, &[domain], &[busy::TCB + 3]));
        steps.push(configure(3, domain, 1000));
    }
    for index in around(0, turns - 1) {
        steps.push(configure(index, 1, 1000));
        steps.push(invoke(slot::DOMAIN, Invocation::DomainScheduleSetStart, &[index], &[]));
    }
    steps.extend(around(0, MAX_DOMAIN_DURATION).map(|ticks| configure(3, 1, ticks)));
    steps.extend(around(0, MAX_DOMAIN_DURATION).map(|ticks| configure(0, 0, ticks)));
    each(&steps);
}

#[test]
fn interrupts() {
    let free = busy::FIRST_FREE;
    let mut steps = Vec::new();
    for irq in around(0, MAX_IRQ).into_iter().chain([15, 16, 26, 27, 28, 32, 33, 1019, 1020, 1023]) {
        steps.push(invoke(
            slot::IRQ_CONTROL,
            Invocation::IrqIssueIrqHandler,
            &[irq, free, 64],
            &[slot::CNODE],
        ));
        for edge in [0, 1, 2] {
            let words = [irq, edge, free, 64];
            steps.push(invoke(
                slot::IRQ_CONTROL,
                Invocation::ArmIrqIssueIrqHandlerTrigger,
                &words,
                &[slot::CNODE],
            ));
        }
        for target in [0, 1, 7, 8] {
            let words = [irq, target, free, 64];
            steps.push(invoke(slot::IRQ_CONTROL, Invocation::ArmIrqIssueSgiSignal, &words, &[slot::CNODE]));
        }
        steps.push(invoke(busy::VCPU, Invocation::ArmVcpuAckVppi, &[irq], &[]));
    }
    each(&steps);
}

#[test]
fn virtual_cpus() {
    let last = sim::LIST_REGISTERS - 1;
    let mut requests = Vec::new();
    for number in around(0, 1023) {
        requests.push(number & 0xffff);
    }
    requests.extend(around(0, 31).map(|priority| 40 | (priority & 0xff) << 16));
    requests.extend(around(0, 1).map(|group| 40 | (group & 0xff) << 24));
    requests.extend(around(0, last).map(|at| 40 | (at & 0xff) << 32));
    let mut steps: Vec<Step> =
        requests.iter().map(|&word| invoke(busy::VCPU, Invocation::ArmVcpuInjectIrq, &[word], &[])).collect();
    for register in 0..32 {
        steps.push(invoke(busy::VCPU, Invocation::ArmVcpuReadReg, &[register], &[]));
        steps.push(invoke(busy::VCPU, Invocation::ArmVcpuWriteReg, &[register, 5], &[]));
    }
    let extended = |label, words: &[u64]| invoke_label(busy::VCPU, label, words, &[]);
    steps.extend(requests.iter().map(|&word| extended(extension::INJECT, &[word])));
    for first in around(0, extension::STATE_WORDS) {
        steps.extend(
            [0, 1, 2, extension::STATE_WORDS].map(|count| extended(extension::READ_STATE, &[first, count])),
        );
    }
    each(&steps);
    // What was injected is read back, every field of it.
    let mut pair = world::busy_system();
    for request in [40 | 17 << 16 | 1 << 24, 3 << 32 | 1023 | 31 << 16] {
        let at = request >> 32;
        assert!(is_taken(&mut pair, &extended(extension::INJECT, &[request])));
        for withdraw in [0, 1, 0] {
            assert!(is_taken(&mut pair, &extended(extension::LIST_REGISTER, &[at, withdraw])));
        }
    }
    assert!(!is_taken(&mut pair, &extended(extension::LIST_REGISTER, &[last + 1, 0])));
}

#[test]
fn registers_and_debugging() {
    let mut steps = Vec::new();
    for count in around(0, 36) {
        steps.push(invoke(busy::TCB + 1, Invocation::TcbReadRegisters, &[0, count.min(40)], &[]));
        let mut words = vec![0, count];
        words.extend(0..count.min(40));
        steps.push(invoke(busy::TCB + 1, Invocation::TcbWriteRegisters, &words, &[]));
    }
    for number in 0..16 {
        steps.push(invoke(busy::TCB + 1, Invocation::TcbGetBreakpoint, &[number], &[]));
        steps.push(invoke(busy::TCB + 1, Invocation::TcbUnsetBreakpoint, &[number], &[]));
        for (kind, bytes, access) in
            [(0, 0, 0), (1, 4, 0), (1, 8, 2), (0, 4, 0), (1, 3, 1), (2, 0, 0), (1, 4, 3)]
        {
            let words = [number, 0x1000, kind, bytes, access];
            steps.push(invoke(busy::TCB + 1, Invocation::TcbSetBreakpoint, &words, &[]));
        }
    }
    each(&steps);
}

/// Two threads whose budgets come back at the same time.
#[test]
fn equal_release_times() {
    const BUDGET: u64 = 30;
    const PERIOD: u64 = 1000;
    // Sporadic: the next refill comes a period after the last one, whenever it was used.
    let configure = |sc| {
        let words = [BUDGET, PERIOD, 0, 3, 1];
        invoke(slot::SCHED_CONTROL, Invocation::SchedControlConfigureFlags, &words, &[busy::SC + sc])
    };
    let suspend = |tcb| invoke(busy::TCB + tcb, Invocation::TcbSuspend, &[], &[]);
    // At one time.
    let resume = |tcb| Step { advance: 0, ..invoke(busy::TCB + tcb, Invocation::TcbResume, &[], &[]) };
    let priority = |to| invoke(slot::TCB, Invocation::TcbSetPriority, &[to], &[slot::TCB]);
    for (first, second) in [(0, 3), (3, 0)] {
        let mut pair = world::busy_system();
        for step in [
            priority(255),
            suspend(0),
            suspend(3),
            configure(0),
            configure(3),
            // It does not fault when its budget is used up.
            invoke(busy::TCB + 3, Invocation::TcbSetTimeoutEndpoint, &[], &[0]),
            resume(first),
            resume(second),
            priority(1),
        ] {
            pair.step(&step).unwrap_or_else(|error| panic!("{}\n{error}", describe(&step)));
        }
        // One uses up its budget, then the other one; then both have it again.
        for _ in 0..2 {
            pair.step(&Step::timer((BUDGET + 1) * sim::TICKS_PER_US)).unwrap();
        }
        let times: Vec<u64> = [first, second]
            .map(|at| tcb(&pair, busy::TCB + at))
            .into_iter()
            .filter_map(|tcb| pair.spec.sched_contexts.values().find(|sc| sc.tcb == Some(tcb)))
            .map(|sc| sc.refills[0].time)
            .collect();
        assert!(times.len() == 2 && times[0] == times[1] && times[0] > pair.spec.now, "{times:?}");
        pair.step(&Step::timer(PERIOD * sim::TICKS_PER_US)).unwrap();
    }
}

/// The thread of a slot of the initial CNode.
fn tcb(pair: &Pair, index: u64) -> Obj {
    match pair.spec.cap(Slot { holder: Holder::CNode(pair.root.0, pair.root.1), index }) {
        Some(Cap::Tcb { obj }) => obj,
        other => panic!("{other:?} is no thread"),
    }
}
