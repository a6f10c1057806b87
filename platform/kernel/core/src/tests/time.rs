// SPDX-License-Identifier: BSD-2-Clause
//! Budgets, periods and turns.

use super::world::{DOMAIN, World};
use crate::layout::queued;
use crate::machine::Machine as _;
use crate::sim::TICKS_PER_US;
use kernel_abi::{Invocation, Syscall};

fn pass(world: &mut World, us: u64) {
    world.kernel.m.clock += us * TICKS_PER_US;
    world.kernel.handle_interrupt(None);
}

#[test]
fn thread_without_budget_waits_for_its_period_and_comes_back() {
    let (mut world, main) = World::new();
    let (_, worker) = world.thread(200, 300, 1000);
    world.run(worker);
    world.kernel.now = world.kernel.m.clock;
    world.kernel.handle_interrupt(None);
    assert_eq!(world.kernel.current, worker);
    pass(&mut world, 301);
    assert_eq!(world.kernel.current, main);
    assert_eq!(worker.queued(&world.kernel.m), queued::RELEASE);
    assert!(world.kernel.m.deadline <= 1001 * TICKS_PER_US);
    pass(&mut world, 300);
    assert_eq!(world.kernel.current, main);
    pass(&mut world, 400);
    assert_eq!(world.kernel.current, worker);
}

#[test]
fn used_time_never_exceeds_the_budget_in_a_period() {
    let (mut world, _) = World::new();
    let (_, worker) = world.thread(200, 200, 1000);
    world.run(worker);
    world.kernel.handle_interrupt(None);
    let mut used = 0;
    let passes = if cfg!(miri) { 500 } else { 10_000 };
    for _ in 0..passes {
        let before = world.kernel.current;
        pass(&mut world, 10);
        if before == worker {
            used += 10;
        }
    }
    // Of 10 us each at most a fifth, one overrun of a step a period.
    assert!((passes * 19 / 10..=passes * 22 / 10).contains(&used), "{used} us");
}

#[test]
fn equals_take_turns() {
    let (mut world, main) = World::new();
    let (_, other) = world.thread(100, 1000, 1000);
    world.run(main);
    other.set_state(&mut world.kernel.m, crate::layout::State::Running);
    world.kernel.enqueue_last(other);
    let mut turns = Vec::new();
    for _ in 0..6 {
        pass(&mut world, 1001);
        turns.push(world.kernel.current);
    }
    assert_eq!(turns, [other, main, other, main, other, main]);
}

#[test]
fn yield_gives_the_turn_away() {
    let (mut world, main) = World::new();
    let (_, other) = world.thread(100, 1000, 1000);
    world.run(main);
    other.set_state(&mut world.kernel.m, crate::layout::State::Running);
    world.kernel.enqueue_last(other);
    world.syscall(Syscall::Yield, &[], 0);
    assert_eq!(world.kernel.current, other);
    world.syscall(Syscall::Yield, &[], 0);
    assert_eq!(world.kernel.current, main);
}

#[test]
fn refills_always_add_up_to_the_budget() {
    let (mut world, _) = World::new();
    let (_, worker) = world.thread(200, 400, 1000);
    let sc = worker.sched_context(&world.kernel.m).unwrap();
    sc.set_max_refills(&mut world.kernel.m, 8);
    world.run(worker);
    world.kernel.handle_interrupt(None);
    let mut seed = 12345u64;
    for _ in 0..if cfg!(miri) { 200 } else { 5000 } {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        pass(&mut world, seed >> 57);
        let m = &world.kernel.m;
        let later: u64 = (0..sc.later_count(m)).map(|n| sc.later(m, n).amount).sum();
        assert_eq!(sc.first_amount(m) + later, sc.budget(m));
    }
}

#[test]
fn event_of_a_virtual_cpu_is_told_even_when_the_budget_ends_with_it() {
    let (mut world, main) = World::new();
    let (ep, at) = world.endpoint();
    let (reply, _) = world.reply();
    let (_, handler) = world.thread(200, 1000, 1000);
    let slot = main.slot(crate::layout::TcbSlot::FaultHandler);
    slot.set_cap(&mut world.kernel.m, crate::Cap::Endpoint { at, badge: 9, rights: 15 });
    world.run(handler);
    world.syscall(Syscall::Recv, &[ep], reply);
    assert_eq!(world.kernel.current, main);
    world.kernel.m.clock += 5000 * TICKS_PER_US;
    world.kernel.handle_vcpu_event(crate::fault::Fault::VppiEvent { irq: 27 });
    assert_eq!(world.kernel.current, handler);
    assert_eq!(handler.reg(&world.kernel.m, 2), 27);
}

#[test]
fn a_thread_runs_in_the_turns_of_its_domain_only() {
    let (mut world, root) = World::new();
    let (index, other) = world.thread(200, 1000, 1000);
    let tcb = world.invoke(DOMAIN, Invocation::DomainSetSet, &[1], &[index]);
    let turns = [[0, 0, 700], [1, 1, 300], [2, 0, 50]];
    for turn in turns {
        assert_eq!(world.invoke(DOMAIN, Invocation::DomainScheduleConfigure, &turn, &[]).0, 0);
    }
    assert_eq!(tcb.0, 0);
    assert_eq!(world.invoke(index, Invocation::TcbResume, &[], &[]).0, 0);
    assert_eq!(world.kernel.current, root, "its priority is higher, but it is not its turn");
    assert_eq!(world.invoke(DOMAIN, Invocation::DomainScheduleSetStart, &[0], &[]).0, 0);
    let mut end = world.kernel.now;
    // After the third turn comes an end marker.
    for (ticks, runs) in [(700, root), (300, other), (50, root), (700, root), (300, other)] {
        end += ticks;
        assert_eq!(world.kernel.current, runs);
        assert!(world.kernel.m.deadline <= end);
        world.kernel.m.clock = end - 1;
        world.kernel.handle_interrupt(None);
        assert_eq!(world.kernel.current, runs, "one tick before the end");
        world.kernel.m.clock = end;
        world.kernel.handle_interrupt(None);
    }
}

#[test]
fn a_turn_without_threads_is_idle_and_ends() {
    let (mut world, _) = World::new();
    for turn in [[0, 0, 700], [1, 5, 300]] {
        assert_eq!(world.invoke(DOMAIN, Invocation::DomainScheduleConfigure, &turn, &[]).0, 0);
    }
    assert_eq!(world.invoke(DOMAIN, Invocation::DomainScheduleSetStart, &[1], &[]).0, 0);
    assert_eq!(world.kernel.current, world.kernel.idle);
    assert_eq!(world.kernel.m.deadline, world.kernel.now + 300);
    world.kernel.m.clock += 300;
    world.kernel.handle_interrupt(None);
    assert_eq!(world.kernel.current, world.kernel.idle, "turn 2 is an end marker, 1 the start");
}

/// seL4 keeps the schedule's last turn as its end: it can neither be set nor be the start.
#[test]
fn the_last_turn_is_an_end_marker_for_ever() {
    let (mut world, _) = World::new();
    let last = kernel_abi::NUM_DOMAIN_SCHEDULES as u64 - 1;
    let mut domain = |label, words: &[u64]| world.invoke(DOMAIN, label, words, &[]).0;
    assert_eq!(domain(Invocation::DomainScheduleConfigure, &[last, 0, 500]), 4, "RangeError");
    assert_eq!(domain(Invocation::DomainScheduleConfigure, &[last - 1, 0, 500]), 0);
    assert_eq!(domain(Invocation::DomainScheduleSetStart, &[last]), 1, "InvalidArgument: an end marker");
    assert_eq!(domain(Invocation::DomainScheduleSetStart, &[last + 1]), 4, "RangeError");
    assert_eq!(domain(Invocation::DomainScheduleSetStart, &[last - 1]), 0);
}

#[test]
fn utilisation_is_counted_between_entries_and_exits() {
    use kernel_abi::ipc::IPC_BUFFER_MSG;
    let (mut world, main) = World::new();
    let (index, other) = world.thread(200, 1000, 1000);
    let own = world.free();
    world.kernel.insert_root(crate::Cap::Thread { at: main }, world.slot(own));
    let buffer = world.give_buffer(main);
    let entry = |world: &mut World, call: Syscall, x0: u64| {
        world.kernel.count_entry();
        world.syscall(call, &[x0, 0], 0);
        world.kernel.count_exit();
        main.reg(&world.kernel.m, 0)
    };
    assert_eq!(entry(&mut world, Syscall::BenchmarkResetLog, 0), 0);
    entry(&mut world, Syscall::BenchmarkNullSyscall, 0);
    // The other thread runs for a while (cycles of this machine are accesses to memory).
    world.kernel.count_entry();
    world.run(other);
    world.kernel.leave();
    world.kernel.count_exit();
    world.kernel.m.steps.set(world.kernel.m.steps.get() + 5000);
    world.kernel.count_entry();
    world.kernel.suspend(other);
    world.kernel.leave();
    world.kernel.count_exit();
    assert_eq!(world.kernel.current, main);
    let told =
        |world: &World| [0, 1, 3, 9, 12].map(|i| world.kernel.m.load(buffer.add(IPC_BUFFER_MSG + 8 * i)));
    entry(&mut world, Syscall::BenchmarkGetThreadUtilisation, index);
    let [cycles, schedules, entries, total, total_entries] = told(&world);
    assert!((5000..6000).contains(&cycles), "{cycles}");
    assert_eq!((schedules, entries, total_entries), (1, 1, 3));
    assert!(total > cycles);
    entry(&mut world, Syscall::BenchmarkGetThreadUtilisation, own);
    assert!(told(&world)[0] < 5000, "the rest was the other's");
    entry(&mut world, Syscall::BenchmarkResetThreadUtilisation, index);
    entry(&mut world, Syscall::BenchmarkFinalizeLog, 0);
    entry(&mut world, Syscall::BenchmarkGetThreadUtilisation, index);
    assert_eq!(told(&world)[..3], [0, 0, 0]);
    assert_eq!(entry(&mut world, Syscall::BenchmarkSetLogBuffer, 0), 3);
}
