// SPDX-License-Identifier: BSD-2-Clause
//! Tests of the policy.

use proptest::prelude::*;

use crate::{Decision, MAX_CHILDREN, Policy, Settings};

const SETTINGS: Settings = Settings { restarts: 3, window: 100, deadline: 4, start: 10 };

/// `beats` beats in which the children in `alive` answer; who was late, in order, not restarted.
fn beats(policy: &mut Policy, beats: u64, alive: &[usize]) -> Vec<usize> {
    let mut late = Vec::new();
    for _ in 0..beats {
        late.extend(policy.beat(true));
        alive.iter().for_each(|child| policy.answered(*child));
    }
    late
}

#[test]
fn child_that_answers_is_left_alone() {
    let mut policy = Policy::new(SETTINGS, 0b11);
    assert_eq!(policy.to_be_asked(), 0b11);
    assert_eq!(beats(&mut policy, 1000, &[0, 1]), []);
}

#[test]
fn child_without_a_watchdog_channel_is_never_late() {
    let mut policy = Policy::new(SETTINGS, 0b10);
    assert_eq!(policy.to_be_asked(), 0b10);
    assert_eq!(beats(&mut policy, 1000, &[1]), []);
}

#[test]
fn hang_is_found_after_the_deadline_and_not_before() {
    let mut policy = Policy::new(SETTINGS, 1);
    assert_eq!(beats(&mut policy, 5, &[0]), []);
    assert_eq!(beats(&mut policy, SETTINGS.deadline - 1, &[]), []);
    assert_eq!(beats(&mut policy, 1, &[]), [0]);
}

#[test]
fn beats_of_a_machine_that_has_no_time_count_less() {
    let mut policy = Policy::new(SETTINGS, 1);
    assert_eq!(beats(&mut policy, 5, &[0]), []);
    let late: Vec<_> = (0..4 * SETTINGS.deadline - 1).filter_map(|_| policy.beat(false)).collect();
    assert_eq!(late, []);
    assert_eq!(policy.beat(false), Some(0), "but they count");
    policy.answered(0);
    assert_eq!(policy.beat(false), None);
    assert_eq!(beats(&mut policy, SETTINGS.deadline - 1, &[]), []);
    assert_eq!(beats(&mut policy, 1, &[]), [0]);
}

#[test]
fn starting_may_take_longer_than_answering() {
    let mut policy = Policy::new(SETTINGS, 1);
    assert_eq!(beats(&mut policy, SETTINGS.start - 1, &[]), []);
    assert_eq!(beats(&mut policy, 1, &[]), [0]);
    assert_eq!(policy.failed(0, false), Decision::Restart(1));
    assert_eq!(beats(&mut policy, SETTINGS.start - 1, &[]), []);
    assert_eq!(beats(&mut policy, 1, &[]), [0]);
}

#[test]
fn who_waits_for_a_hanging_server_is_not_restarted_with_it() {
    let mut policy = Policy::new(SETTINGS, 0b11);
    assert_eq!(beats(&mut policy, 1, &[0, 1]), []);
    // Child 1 waits for child 0, so neither answers.
    assert_eq!(beats(&mut policy, SETTINGS.deadline, &[]), [0]);
    assert_eq!(policy.failed(0, false), Decision::Restart(1));
    // It may take its time to start, and nobody else is blamed for waiting.
    assert_eq!(beats(&mut policy, SETTINGS.start - 1, &[]), []);
    policy.answered(0);
    policy.answered(1);
    assert_eq!(beats(&mut policy, 100, &[0, 1]), []);
    // A client that hangs by itself is found, too.
    assert_eq!(beats(&mut policy, SETTINGS.deadline, &[0]), [1]);
}

#[test]
fn a_server_is_restarted_before_a_client_that_was_silent_earlier() {
    let mut policy = Policy::new(SETTINGS, 0b11);
    assert_eq!(beats(&mut policy, 1, &[0, 1]), []);
    // The client is late by itself for a beat, and then waits for a server that hangs.
    assert_eq!(beats(&mut policy, 1, &[0]), []);
    assert_eq!(beats(&mut policy, SETTINGS.deadline, &[]), [0]);
}

#[test]
fn servers_that_are_late_in_turns_do_not_keep_a_client_from_being_restarted() {
    let mut policy = Policy::new(SETTINGS, 0b111);
    assert_eq!(beats(&mut policy, 1, &[0, 1, 2]), []);
    let mut late = Vec::new();
    for beat in 0..2 * SETTINGS.deadline {
        late.extend(beats(&mut policy, 1, &[[0, 1][beat as usize / 2 % 2]]));
    }
    assert_eq!(late, [2]);
}

#[test]
fn too_many_restarts_in_the_window_are_the_end() {
    let mut policy = Policy::new(SETTINGS, 1);
    for count in 1..=3 {
        assert_eq!(policy.failed(0, false), Decision::Restart(count));
        assert_eq!(beats(&mut policy, 10, &[0]), []);
    }
    assert_eq!(policy.failed(0, false), Decision::GiveUp);
    assert_eq!(policy.failed(0, false), Decision::Ignore);
    assert_eq!(policy.to_be_asked(), 0);
    assert_eq!(beats(&mut policy, 1000, &[]), []);
}

#[test]
fn restarts_long_ago_do_not_count() {
    let mut policy = Policy::new(SETTINGS, 1);
    for count in 1..50 {
        assert_eq!(policy.failed(0, false), Decision::Restart(count));
        assert_eq!(beats(&mut policy, 34, &[0]), []);
    }
}

#[test]
fn child_that_cannot_be_restarted_is_given_up_at_once() {
    let mut policy = Policy::new(SETTINGS, 0b11);
    assert_eq!(policy.failed(1, true), Decision::GiveUp);
    assert_eq!(policy.failed(0, false), Decision::Restart(1));
}

#[test]
fn without_restarts_every_failure_is_the_end() {
    let mut policy = Policy::new(Settings { restarts: 0, ..SETTINGS }, 1);
    assert_eq!(policy.failed(0, false), Decision::GiveUp);
}

#[test]
fn child_that_does_not_exist_is_ignored() {
    let mut policy = Policy::new(SETTINGS, 1);
    assert_eq!(policy.failed(MAX_CHILDREN, false), Decision::Ignore);
    policy.answered(MAX_CHILDREN);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However failures come, no window has more restarts than allowed.
    #[test]
    fn restarts_in_any_window_are_bounded(
        restarts in 0..=Settings::MOST_RESTARTS,
        window in 0u64..50,
        pauses in proptest::collection::vec(0u64..20, 1..60),
    ) {
        let settings = Settings { restarts, window, ..SETTINGS };
        let mut policy = Policy::new(settings, 0);
        let (mut now, mut times) = (0, Vec::new());
        for pause in pauses {
            beats(&mut policy, pause, &[]);
            now += pause;
            match policy.failed(0, false) {
                Decision::Restart(count) => {
                    times.push(now);
                    prop_assert_eq!(count, times.len() as u64);
                }
                Decision::GiveUp => {
                    // Not before the bound was reached.
                    let recent = times.iter().filter(|time| now - **time < window).count();
                    prop_assert!(recent >= restarts);
                    break;
                }
                Decision::Ignore => prop_assert!(false),
            }
        }
        for (index, time) in times.iter().enumerate() {
            let within = times.iter().skip(index).filter(|later| **later - time < window).count();
            prop_assert!(within <= restarts);
        }
    }
}
