// SPDX-License-Identifier: BSD-2-Clause
//! Threads that behave as protection domains do (event loops, signals, exits of a virtual CPU) take the kernel's fast
//! paths, every one of them often, and the states that these leave are the specification's.
//!
//! `REFINE_SEQUENCES` and `REFINE_SEED` as in `random.rs`.

use kernel_abi::{Invocation, MessageInfo, Syscall, extension, ipc};
use kernel_core::fastpath::Path;
use kernel_core::sim::HW_DEBUG;
use kernel_refine::random::{self, Rng, describe};
use kernel_refine::world::{self, busy, invoke, invoke_label, slot};
use kernel_refine::{Pair, Step};
use kernel_spec::fault::Fault;
use kernel_spec::{Event, Obj, ThreadState};

const UNBADGED: u64 = busy::ENDPOINT;
/// An interrupt that signals the first notification.
const IRQ: u64 = 33;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The busy system with plain budgets for all threads (`slices`: without periods), two of them bound to notifications, interrupts for one of them.
fn event_loops(passive: bool, domains: bool, exits: bool, slices: bool) -> Pair {
    use Invocation::*;
    let mut pair = world::busy_system();
    let configure = |sc, budget, period| {
        invoke(slot::SCHED_CONTROL, SchedControlConfigureFlags, &[budget, period, 2, 9, 0], &[sc])
    };
    let mut steps = vec![
        configure(busy::SC, 500_000, 500_000),
        configure(busy::SC + 3, 400_000, if slices { 400_000 } else { 1_000_000 }),
        configure(busy::SC + 1, 300_000, if slices { 300_000 } else { 700_000 }),
        invoke(busy::TCB, TcbBindNotification, &[], &[busy::NOTIFICATION + 1]),
        invoke(busy::TCB + 1, TcbBindNotification, &[], &[busy::NOTIFICATION]),
        invoke(busy::SC + 1, SchedContextBind, &[], &[busy::TCB + 1]),
    ];
    if !passive {
        steps.push(configure(busy::SC + 2, 200_000, 200_000));
        steps.push(invoke(busy::SC + 2, SchedContextBind, &[], &[busy::TCB + 2]));
    }
    if domains {
        // The supervisor and the guest in one domain, the others in another.
        let turn = |index, domain, ticks| {
            invoke(slot::DOMAIN, DomainScheduleConfigure, &[index, domain, ticks], &[])
        };
        steps.extend((0..3).map(|i| invoke(slot::DOMAIN, DomainSetSet, &[1], &[busy::TCB + i])));
        steps.extend([turn(0, 0, 1500), turn(1, 1, 2500)]);
        steps.push(invoke(slot::DOMAIN, DomainScheduleSetStart, &[0], &[]));
    }
    if exits {
        steps.push(invoke(busy::TCB + 3, TcbSetFlags, &[0, extension::EXITS], &[]));
    }
    for (number, step) in steps.iter().enumerate() {
        let caller = pair.spec.current;
        pair.enter(step);
        assert!(world::succeeded(&pair, caller, step), "step {number} was refused");
    }
    pair
}

fn message(rng: &mut Rng, call: Syscall, x0: u64, x6: u64, x8: u64) -> Step {
    let mut regs = [0; 9];
    for reg in &mut regs[2..6] {
        let most = rng.pick(&[40, 1000]);
        *reg = rng.below(most);
    }
    (regs[0], regs[6], regs[8]) = (x0, x6, x8);
    regs[1] =
        MessageInfo::new(rng.pick(&[0, 0, 0, 1, 2]), 0, 0, rng.pick(&[0, 0, 1, 2, 3, 4, 5, 16, 120, 127])).0;
    let mut step = Step::syscall(call, regs);
    step.buffer = (4..20).map(|i| (ipc::IPC_BUFFER_MSG + 8 * i, rng.below(1000))).collect();
    step
}

/// What a protection domain does next.
fn step(pair: &Pair, rng: &mut Rng) -> Step {
    use Invocation::*;
    let current = pair.spec.current;
    let place = |tcb: Obj| pair.spec.tcbs.keys().position(|&other| other == tcb).unwrap_or(0) as u64;
    if current.is_none() || rng.percent(6) {
        let event = if rng.percent(70) { Event::Interrupt(IRQ) } else { Event::Timer };
        return Step { event, ..Step::timer(0) };
    }
    let me = current.map_or(0, place);
    // The initial thread has the lowest priority, lets the others go on and does not wait.
    let waits = me != 0 || rng.percent(2);
    let reply = busy::REPLY + me.saturating_sub(1) % 4;
    let notification = busy::BADGED_NOTIFICATION + rng.below(3);
    let endpoint = [UNBADGED, busy::ENDPOINT + 1, busy::FAULT_HANDLER][rng.below(3) as usize];
    // The first and second are bound to one.
    let endpoint = match me {
        1 if rng.percent(25) => busy::NOTIFICATION + 1,
        2 if rng.percent(25) => busy::NOTIFICATION,
        _ => endpoint,
    };
    let guest = busy::TCB + 3;
    if me == 4 && rng.percent(60) {
        let fault = match rng.below(5) {
            0 => {
                let access = 0x9200_0000 | rng.number() & 0x1ff_ffff;
                let syndrome = rng.pick(&[0x93, access]);
                Fault::Vm { address: rng.number(), prefetch: false, syndrome }
            }
            1 => {
                let access = 0x6200_0000 | rng.number() & 0x1ff_ffff;
                Fault::Vcpu { syndrome: rng.pick(&[7, access]) }
            }
            2 => Fault::Vppi { irq: 27 },
            3 => Fault::UnknownSyscall { number: rng.number() },
            _ => Fault::VgicMaintenance { index: rng.below(4) },
        };
        return Step { event: Event::Fault(fault), ..Step::timer(0) };
    }
    // Monitors answer.
    let exit = |tcb: &kernel_spec::state::Tcb| {
        matches!(tcb.fault, Some(Fault::Exit { .. } | Fault::UnknownSyscall { .. }))
            && matches!(tcb.state, ThreadState::BlockedOnReply { .. })
    };
    if (1..4).contains(&me) && pair.spec.tcbs.values().any(exit) && rng.percent(60) {
        return message(rng, Syscall::ReplyRecv, busy::FAULT_HANDLER, reply, 0);
    }
    if me == 0 && rng.percent(40) {
        return invoke(busy::TCB + rng.below(4), TcbResume, &[], &[]);
    }
    match rng.below(if waits { 100 } else { 50 }) {
        0..=17 => {
            let call = if rng.percent(50) { Syscall::Send } else { Syscall::NBSend };
            message(rng, call, notification, 0, 0)
        }
        18..=22 => {
            let count = rng.pick(&[1, 3, 4, 5, 26, 36, 36, 37]);
            invoke(guest, TcbReadRegisters, &[0, count], &[])
        }
        23..=30 => {
            let count = rng.pick(&[0, 1, 2, 3, 5, 26, 34, 36]);
            let mut words = vec![0, count];
            words.extend((0..count).map(|_| rng.number()));
            if let Some(spsr) = words.get_mut(4) {
                *spsr = rng.pick(&[0x3c5, 0x3c4, 0x1f, *spsr]);
            }
            if rng.percent(10) {
                words.pop();
            }
            invoke(guest, TcbWriteRegisters, &words, &[])
        }
        31..=34 => {
            let request = rng.below(1024) | rng.below(33) << 16 | rng.below(2) << 24 | rng.below(5) << 32;
            invoke(busy::VCPU, ArmVcpuInjectIrq, &[request], &[])
        }
        35..=38 => invoke(busy::VCPU, ArmVcpuAckVppi, &[rng.pick(&[27, 27, 28, 1 << 40])], &[]),
        39..=40 => invoke(busy::IRQ, IrqAckIrq, &[], &[]),
        41..=42 => {
            let (first, count) = rng.pick(&[(20, 2), (18, 4), (24, 4), (25, 4), (24, 5), (26, 4), (29, 1)]);
            invoke_label(busy::VCPU, extension::vcpu::READ_STATE, &[first, count], &[])
        }
        43..=45 => invoke(busy::TCB + rng.below(4), TcbResume, &[], &[]),
        46..=49 => message(rng, Syscall::NBSend, reply, 0, 0),
        50..=62 => message(rng, Syscall::Recv, endpoint, reply, 0),
        63..=72 => message(rng, Syscall::NBSendRecv, endpoint, reply, notification),
        73..=77 => {
            let mut ack = message(rng, Syscall::NBSendRecv, endpoint, reply, busy::IRQ);
            ack.regs[1] = MessageInfo::new(IrqAckIrq.label(HW_DEBUG).unwrap_or(0), 0, 0, 0).0;
            ack
        }
        78..=86 => message(rng, Syscall::ReplyRecv, endpoint, reply, 0),
        _ => {
            let server = busy::BADGED_ENDPOINT + rng.below(2);
            message(rng, Syscall::Call, server, 0, 0)
        }
    }
}

#[test]
fn event_loops_take_the_fast_paths_and_refine() {
    let (sequences, first) = (setting("REFINE_SEQUENCES", 16), setting("REFINE_SEED", 1));
    let mut taken = [0; Path::COUNT];
    for seed in first..first + sequences {
        let mut rng = Rng::new(seed);
        let start = event_loops(seed % 4 == 0, seed % 3 == 0, seed % 5 != 0, seed % 2 == 0);
        let mut pair = start.clone();
        let mut done: Vec<Step> = Vec::new();
        for _ in 0..1500 {
            if done.len() == 300 {
                for (sum, more) in taken.iter_mut().zip(pair.core.taken) {
                    *sum += more;
                }
                pair = start.clone();
                done.clear();
            }
            let mut step = step(&pair, &mut rng);
            step.advance = match rng.below(100) {
                0..=89 => rng.below(60),
                90..=98 => rng.below(3000),
                _ => rng.below(60_000_000),
            };
            done.push(step.clone());
            if let Err(error) = random::guarded(&mut pair, &step) {
                let last: Vec<String> = done.iter().rev().take(12).rev().map(describe).collect();
                panic!("seed {seed}, step {}\n{}\n{error}", done.len(), last.join("\n"));
            }
        }
    }
    println!("{taken:?}");
    for (path, &count) in taken.iter().enumerate() {
        assert!(count >= sequences, "fast path {path} was taken {count} times: {taken:?}");
    }
}
