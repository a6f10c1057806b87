// SPDX-License-Identifier: BSD-2-Clause
//! Many threads in one queue, and among those that wait for time, against plain lists.

use super::world::World;
use crate::kernel::Kernel;
use crate::layout::{Endpoint, State, Tcb, queue_state};
use crate::sim::SimMachine;

const THREADS: usize = if cfg!(miri) { 12 } else { 300 };
const STEPS: usize = if cfg!(miri) { 100 } else { 20_000 };

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn threads() -> (World, Vec<Tcb>) {
    let (mut world, _) = World::new();
    let threads = (0..THREADS).map(|_| world.thread(0, 0, 0).1).collect();
    (world, threads)
}

/// The threads of an endpoint's queue, forwards, and its ranks' last ones, backwards; all links back checked.
fn queue(kernel: &Kernel<SimMachine>, endpoint: Endpoint) -> (Vec<Tcb>, Vec<Tcb>) {
    let m = &kernel.m;
    let mut threads = Vec::new();
    let mut next = Tcb::at(crate::PhysAddr(endpoint.head_word(m) & !queue_state::MASK));
    while let Some(tcb) = next {
        assert_eq!(tcb.queue_prev(m), threads.last().copied());
        threads.push(tcb);
        next = tcb.queue_next(m);
    }
    assert_eq!(endpoint.tail(m), threads.last().copied());
    let mut ranks = Vec::new();
    let mut next = endpoint.tail(m);
    while let Some(tcb) = next {
        assert_eq!(tcb.worse_rank(m), ranks.last().copied());
        ranks.push(tcb);
        next = tcb.better_rank(m);
    }
    (threads, ranks)
}

#[test]
fn threads_wait_best_first_and_first_come_first_served_among_equals() {
    let (mut world, threads) = threads();
    let (_, endpoint) = world.endpoint();
    let kernel = &mut world.kernel;
    let mut random = Random(1);
    let mut model: Vec<Tcb> = Vec::new();
    let place = |kernel: &Kernel<SimMachine>, model: &[Tcb], priority| {
        model.iter().position(|other| other.priority(&kernel.m) < priority).unwrap_or(model.len())
    };
    for step in 0..STEPS {
        let tcb = threads[random.below(THREADS as u64) as usize];
        let priority = random.below(6) * 50;
        match (model.iter().position(|&other| other == tcb), random.below(3)) {
            (None, _) => {
                tcb.set_priority(&mut kernel.m, priority);
                tcb.set_state(&mut kernel.m, State::BlockedOnSend);
                tcb.set_blocked_on(&mut kernel.m, endpoint.addr().0);
                kernel.endpoint_insert(endpoint, queue_state::SEND, tcb);
                model.insert(place(kernel, &model, priority), tcb);
            }
            (Some(at), 0) => {
                model.remove(at);
                kernel.change_waiting_priority(tcb, priority);
                model.insert(place(kernel, &model, priority), tcb);
            }
            (Some(at), _) => {
                model.remove(at);
                kernel.endpoint_remove(endpoint, tcb);
                tcb.set_state(&mut kernel.m, State::Inactive);
            }
        }
        let (found, mut ranks) = queue(kernel, endpoint);
        assert_eq!(found, model, "step {step}");
        ranks.reverse();
        let last_of_ranks: Vec<Tcb> = model
            .chunk_by(|one, other| one.priority(&kernel.m) == other.priority(&kernel.m))
            .map(|rank| *rank.last().unwrap())
            .collect();
        assert_eq!(ranks, last_of_ranks, "step {step}");
    }
}

/// How deep the right sides are at most, and whether every thread is where it belongs.
fn check_heap(kernel: &Kernel<SimMachine>, tcb: Tcb) -> u64 {
    let m = &kernel.m;
    let (left, right) = (tcb.release_left(m), tcb.release_right(m));
    let [left, right] = [left, right].map(|later| {
        later.map_or(0, |later| {
            assert_eq!(later.release_up(m), Some(tcb));
            let key = |tcb: Tcb| (tcb.release_time(m), tcb.release_order(m));
            assert!(key(tcb) < key(later));
            check_heap(kernel, later)
        })
    });
    assert!(left >= right);
    assert_eq!(tcb.release_reach(m), right + 1);
    right + 1
}

#[test]
fn threads_come_due_in_order_of_time_and_then_of_coming() {
    let (mut world, threads) = threads();
    let kernel = &mut world.kernel;
    let mut random = Random(2);
    let mut model: Vec<(u64, u64, Tcb)> = Vec::new();
    let mut longest = 0;
    for step in 0..STEPS as u64 {
        let tcb = threads[random.below(THREADS as u64) as usize];
        let before = kernel.m.steps.get();
        if let Some(at) = model.iter().position(|&(.., other)| other == tcb) {
            kernel.dequeue(tcb);
            model.remove(at);
        } else if random.below(8) == 0 && !model.is_empty() {
            let first = model.remove(0).2;
            assert_eq!(kernel.release_root, Some(first), "step {step}");
            kernel.dequeue(first);
        } else {
            let time = random.below(40);
            kernel.release_insert(tcb, time);
            model.push((time, step, tcb));
            model.sort_unstable();
        }
        longest = longest.max(kernel.m.steps.get() - before);
        assert_eq!(kernel.release_root, model.first().map(|first| first.2), "step {step}");
        if let Some(root) = kernel.release_root {
            assert!(check_heap(kernel, root) <= u64::from((model.len() + 1).ilog2()), "step {step}");
        }
    }
    // Far from what a list would take.
    println!("{THREADS} threads that wait for time: {longest} steps at most");
    assert!(longest < 300, "{longest}");
}

fn send(kernel: &mut Kernel<SimMachine>, endpoint: Endpoint, tcb: Tcb, badge: u64, priority: u64) {
    tcb.set_priority(&mut kernel.m, priority);
    tcb.set_state(&mut kernel.m, State::BlockedOnSend);
    tcb.set_blocked_on(&mut kernel.m, endpoint.addr().0);
    tcb.set_blocked_badge(&mut kernel.m, badge);
    kernel.endpoint_insert(endpoint, queue_state::SEND, tcb);
}

/// Who waits in the endpoint with a badge.
fn with_badge(kernel: &Kernel<SimMachine>, endpoint: Endpoint, badge: u64) -> Vec<Tcb> {
    let (threads, _) = queue(kernel, endpoint);
    threads.into_iter().filter(|tcb| tcb.blocked_badge(&kernel.m) == badge).collect()
}

#[test]
fn cancelling_the_sends_of_a_badge_goes_on_where_it_was_stopped() {
    let (mut world, threads) = threads();
    let (_, endpoint) = world.endpoint();
    let kernel = &mut world.kernel;
    for (at, tcb) in threads.iter().enumerate() {
        send(kernel, endpoint, *tcb, u64::from(at % 10 == 0), 5);
    }
    // An interrupt waits at every look.
    kernel.m.pending = true;
    let mut tries = 1;
    while kernel.cancel_badged_sends(endpoint, 1).is_err() {
        tries += 1;
        assert!(tries < threads.len(), "no progress");
    }
    println!("{tries} tries for {} threads, every tenth with the badge", threads.len());
    assert!(tries > 2 || cfg!(miri));
    assert_eq!(with_badge(kernel, endpoint, 1), []);
    let left = threads.len() - threads.len().div_ceil(10);
    assert_eq!(with_badge(kernel, endpoint, 0).len(), left, "nobody else was sent on");
}

/// Between its tries senders leave, come, change priority, and other badges are cancelled: when it says that it is done, nobody
/// waits with the badge.
#[test]
fn cancelling_is_complete_whatever_happens_between_its_tries() {
    let (mut world, threads) = threads();
    let (_, endpoint) = world.endpoint();
    let kernel = &mut world.kernel;
    let mut random = Random(3);
    for tcb in &threads {
        send(kernel, endpoint, *tcb, random.below(40), random.below(4));
    }
    kernel.m.pending = true;
    let (mut done, mut stopped) = (0, 0);
    for _ in 0..STEPS / 4 {
        let tcb = threads[random.below(THREADS as u64) as usize];
        let waits = tcb.state(&kernel.m) == State::BlockedOnSend;
        match random.below(6) {
            0 if waits => {
                kernel.endpoint_remove(endpoint, tcb);
                tcb.set_state(&mut kernel.m, State::Inactive);
            }
            1 if waits => kernel.change_waiting_priority(tcb, random.below(4)),
            0..4 if !waits => {
                kernel.suspend(tcb);
                send(kernel, endpoint, tcb, random.below(40), random.below(4));
            }
            _ => {
                // Another one, in between, begins the search anew.
                let badge = if random.below(30) == 0 { 3 } else { done % 3 };
                match kernel.cancel_badged_sends(endpoint, badge) {
                    Ok(()) => {
                        done += 1;
                        assert_eq!(with_badge(kernel, endpoint, badge), []);
                    }
                    Err(_) => stopped += 1,
                }
            }
        }
        if let Some(begun) = kernel.cancelling {
            let (threads, _) = queue(kernel, endpoint);
            let next = threads.iter().position(|&tcb| tcb == begun.next).expect("somebody who waits");
            assert!(threads[..next].iter().all(|tcb| tcb.blocked_badge(&kernel.m) != begun.badge));
        }
    }
    println!("{done} calls done, {stopped} stopped");
    assert!(cfg!(miri) || done > 10 && stopped > 10, "{done} done, {stopped} stopped");
}
