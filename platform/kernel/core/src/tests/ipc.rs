// SPDX-License-Identifier: BSD-2-Clause
//! Messages, replies, signals, faults.

use super::world::World;
use crate::cap::Cap;
use crate::fault::Fault;
use crate::hardware_debug::DebugEvent;
use crate::layout::{State, TcbSlot};
use kernel_abi::context::stored;
use kernel_abi::{Invocation, MessageInfo, Syscall, fault};

#[test]
fn call_to_a_passive_server_lends_time_and_the_reply_returns_it() {
    let (mut world, client) = World::new();
    let (ep, _) = world.endpoint();
    let (reply, _) = world.reply();
    let (_, server) = world.thread(200, 1000, 1000);
    let sc = server.sched_context(&world.kernel.m).unwrap();
    world.run(server);
    world.syscall(Syscall::Recv, &[ep], reply);
    assert_eq!(world.kernel.current, client);
    // The server gives its own context away: from now on it is passive.
    world.kernel.unbind_sc_from_tcb(sc);
    let lent = client.sched_context(&world.kernel.m);

    world.syscall(Syscall::Call, &[ep, MessageInfo::new(7, 0, 0, 2).0, 11, 22], 0);
    assert_eq!(world.kernel.current, server);
    assert_eq!(server.sched_context(&world.kernel.m), lent);
    assert_eq!(client.state(&world.kernel.m), State::BlockedOnReply);
    assert_eq!(MessageInfo(server.reg(&world.kernel.m, 1)).label(), 7);
    assert_eq!((server.reg(&world.kernel.m, 2), server.reg(&world.kernel.m, 3)), (11, 22));

    world.syscall(Syscall::ReplyRecv, &[ep, MessageInfo::new(8, 0, 0, 1).0, 33], reply);
    assert_eq!(world.kernel.current, client);
    assert_eq!(client.sched_context(&world.kernel.m), lent);
    assert_eq!(server.sched_context(&world.kernel.m), None);
    assert_eq!(server.state(&world.kernel.m), State::BlockedOnReceive);
    assert_eq!(MessageInfo(client.reg(&world.kernel.m, 1)).label(), 8);
    assert_eq!(client.reg(&world.kernel.m, 2), 33);
}

#[test]
fn signal_to_a_bound_thread_reaches_it_in_its_endpoint() {
    let (mut world, main) = World::new();
    let (ep, _) = world.endpoint();
    let (reply, _) = world.reply();
    let (ntfn, at) = world.notification();
    let (_, waiter) = world.thread(200, 1000, 1000);
    at.set_bound_tcb(&mut world.kernel.m, Some(waiter));
    waiter.set_bound_notification(&mut world.kernel.m, Some(at));
    world.run(waiter);
    world.syscall(Syscall::Recv, &[ep], reply);
    assert_eq!(world.kernel.current, main);
    let slot = world.slot(ntfn);
    slot.set_cap(&mut world.kernel.m, Cap::Notification { at, badge: 4, rights: 3 });
    world.syscall(Syscall::Send, &[ntfn, 0], 0);
    assert_eq!(world.kernel.current, waiter);
    assert_eq!(waiter.reg(&world.kernel.m, 0), 4);
    assert_eq!(waiter.reply(&world.kernel.m), None);
}

#[test]
fn fault_goes_to_the_handler_and_its_answer_restarts_the_thread() {
    let (mut world, main) = World::new();
    let (ep, at) = world.endpoint();
    let (reply, _) = world.reply();
    let (_, handler) = world.thread(200, 1000, 1000);
    let slot = main.slot(TcbSlot::FaultHandler);
    slot.set_cap(&mut world.kernel.m, Cap::Endpoint { at, badge: 9, rights: 15 });
    world.run(handler);
    world.syscall(Syscall::Recv, &[ep], reply);
    assert_eq!(world.kernel.current, main);
    world.kernel.set_user_pc(main, 0x1234);
    world.kernel.handle_fault(Fault::Vm { address: 0xdead_0000, fsr: 0x9200_0046, prefetch: false });
    assert_eq!(world.kernel.current, handler);
    let m = &world.kernel.m;
    assert_eq!(handler.reg(m, 0), 9);
    let info = MessageInfo(handler.reg(m, 1));
    assert_eq!((info.label(), info.length()), (fault::VM_FAULT, 4));
    assert_eq!([2, 3, 4, 5].map(|r| handler.reg(m, r)), [0x1234, 0xdead_0000, 0, 0x9200_0046]);
    world.syscall(Syscall::ReplyRecv, &[ep, 0], reply);
    assert_eq!(world.kernel.current, main);
    assert_eq!(main.state(&world.kernel.m), State::Running);
    assert_eq!(main.reg(&world.kernel.m, stored::PC), 0x1234);
}

#[test]
fn hypervisor_call_of_a_guest_is_a_fault_whatever_x7_says() {
    for x7 in [-14i64, -12, -1, -3, -6, -11, 0, 5] {
        let (mut world, main) = World::new();
        let (ep, at) = world.endpoint();
        let (reply, _) = world.reply();
        let (_, handler) = world.thread(200, 1000, 1000);
        let slot = main.slot(TcbSlot::FaultHandler);
        slot.set_cap(&mut world.kernel.m, Cap::Endpoint { at, badge: 9, rights: 15 });
        world.run(handler);
        world.syscall(Syscall::Recv, &[ep], reply);
        main.set_reg(&mut world.kernel.m, 7, x7 as u64);
        main.set_reg(&mut world.kernel.m, stored::PC, 0x1004);
        world.kernel.handle_guest_hvc();
        assert_eq!(world.kernel.current, handler);
        assert_eq!(MessageInfo(handler.reg(&world.kernel.m, 1)).label(), fault::UNKNOWN_SYSCALL);
        assert_eq!(world.kernel.user_pc(main), 0x1000);
    }
}

#[test]
fn call_to_an_empty_slot_faults_and_a_nonblocking_send_does_nothing() {
    let (mut world, main) = World::new();
    world.syscall(Syscall::NBSend, &[900, 0], 0);
    assert_eq!(world.kernel.current, main);
    assert_eq!(main.state(&world.kernel.m), State::Running);
    world.syscall(Syscall::Call, &[0xffff_ffff, 0], 0);
    // Nobody handles its faults: it stops.
    assert_eq!(main.state(&world.kernel.m), State::Inactive);
    assert_eq!(world.kernel.current, world.kernel.idle);
}

#[test]
fn breakpoints_are_checked_and_told_apart() {
    let (mut world, _) = World::new();
    let (index, tcb) = world.thread(50, 1000, 1000);
    let mut set = |words: [u64; 5]| world.invoke(index, Invocation::TcbSetBreakpoint, &words, &[]);
    use kernel_abi::error::{ALIGNMENT_ERROR, INVALID_ARGUMENT, RANGE_ERROR};
    for (words, answer) in [
        ([10, 0x1000, 1, 0, 0], (RANGE_ERROR, 0)),
        ([6, 0x1000, 1, 0, 0], (INVALID_ARGUMENT, 0)),
        ([5, 0x1000, 0, 8, 0], (INVALID_ARGUMENT, 0)),
        ([0, 0x1000, 2, 0, 0], (INVALID_ARGUMENT, 2)),
        ([0, 1 << 40, 1, 0, 0], (INVALID_ARGUMENT, 1)),
        ([0, 0x1000, 1, 4, 0], (INVALID_ARGUMENT, 3)),
        ([0, 0x1000, 1, 0, 1], (INVALID_ARGUMENT, 4)),
        ([6, 0x1000, 0, 3, 0], (INVALID_ARGUMENT, 3)),
        ([6, 0x1000, 0, 8, 3], (INVALID_ARGUMENT, 4)),
        ([6, 0x1000, 0, 8, 2], (0, 0)),
        ([7, 0x1008, 0, 2, 1], (0, 0)),
        ([0, 0x2000, 1, 0, 0], (0, 0)),
        ([3, 0x2004, 1, 0, 0], (0, 0)),
    ] {
        let (label, word) = set(words);
        assert_eq!((label, if label == 0 { 0 } else { word }), answer, "{words:x?}");
    }
    assert_eq!(set([6, 0x1004, 0, 8, 2]).0, ALIGNMENT_ERROR);
    world.run(tcb);
    tcb.set_reg(&mut world.kernel.m, stored::PC, 0x2004);
    for (event, kept) in [
        (DebugEvent::Breakpoint, [1, 0x2004, 3]),
        (DebugEvent::Watchpoint(0x1005), [0, 0x1005, 6]),
        (DebugEvent::Watchpoint(0x1009), [0, 0x1009, 7]),
        (DebugEvent::BreakRequest, [3, 0, 0]),
    ] {
        world.run(tcb);
        // Without a handler it stops; what it stopped for was noted.
        let m = &world.kernel.m;
        assert!(tcb.is_debugged(m));
        world.kernel.handle_debug(event);
        let m = &world.kernel.m;
        assert_eq!([tcb.fault0(m), tcb.fault1(m), tcb.fault2(m)], kept, "{event:?}");
        assert_eq!(tcb.state(m), State::Inactive);
    }
}

#[test]
fn software_generated_interrupts_are_sent_by_capability() {
    use super::world::{IRQ_CONTROL, ROOT};
    use kernel_abi::error::{INVALID_ARGUMENT, RANGE_ERROR};
    let (mut world, _) = World::new();
    let slot = world.free();
    let mut issue = |sgi, target| {
        world.invoke(IRQ_CONTROL, Invocation::ArmIrqIssueSgiSignal, &[sgi, target, slot, 64], &[ROOT])
    };
    assert_eq!(issue(16, 0), (RANGE_ERROR, 0));
    assert_eq!(issue(0, 8), (INVALID_ARGUMENT, 1));
    assert_eq!(issue(7, 3).0, 0);
    // As a notification: it has no invocations, whatever the label says.
    world.syscall(Syscall::Send, &[slot, MessageInfo::new(77, 0, 0, 0).0], 0);
    world.syscall(Syscall::NBSend, &[slot, 0], 0);
    assert_eq!(world.kernel.m.sgis, [(7, 3), (7, 3)]);
}
