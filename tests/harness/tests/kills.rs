// SPDX-License-Identifier: BSD-2-Clause
//! The default system under load, with its drivers, virtualisers and VMMs killed through the emulator's debugger: between
//! taking something to do and waiting again, by a fault, by an endless loop, and, those that have rings, by a fault after
//! writing over all of them.
//!
//! Guests' tools are the judges: fio verifies what it wrote, and what went to this machine over TCP and came back has its
//! checksum.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::debugger::Debugger;
use harness::disk::guests_disk;
use harness::peer::{ADDRESS, Peer};
use harness::terminal;
use harness::victim::{Junk, Victim, Way, next};
use harness::{Devices, Disk, Guest, System};

const LONG: Duration = Duration::from_secs(400);
/// How long a PD may take to come to an instruction that it comes to each time.
const SOON: Duration = Duration::from_secs(120);
/// Between a restart and the next kill.
const PAUSE: Duration = Duration::from_millis(1000);
/// Events that are followed, to know how many points one has.
const EVENTS: usize = 6;
/// Most events that are passed over for a longer one: there are four a second at which a PD only tells its watchdog that it
/// runs.
const TRIES: usize = 8;
/// The same where the point matters.
const SWEEP_TRIES: usize = 100;
/// Most instructions of one that are followed. Emulated time goes on while the debugger steps, and the kernel takes it from
/// the PD's budget: after many steps a server could keep its callers waiting for longer than the watchdog lets them.
const STEPS: usize = 1000;
/// The same for a VMM, whose program runs in the other one too: the machine stops at what both come to.
const VMM_STEPS: usize = 300;
const VMM_TRIES: usize = 4;
/// Most points of a VMM's event.
const VMM_POINTS: usize = 20;
/// Most points of an event that a sweep looks for.
const MOST: usize = 100;
/// Most kills of a sweep until the guests are asked whether they have noticed.
const AT_ONCE: usize = 60;

/// PDs and their programs.
const VICTIMS: [(&str, &str); 9] = [
    ("blk_driver", "virtio_blk_driver"),
    ("blk_virt", "blk_virt"),
    ("net_driver", "virtio_net_driver"),
    ("net_switch", "net_switch"),
    ("uart_driver", "uart_driver"),
    ("serial_virt", "serial_virt"),
    ("timer_driver", "timer_driver"),
    ("rng_driver", "virtio_rng_driver"),
    ("rtc_driver", "pl031_driver"),
];

fn victim(name: &str, program: &str) -> Victim {
    let file = harness::root().join(format!("build/qemu_virt_aarch64/release/pd/{program}.elf"));
    Victim::new(name, &file).unwrap()
}

/// The default system, but that PDs may be restarted as often as it takes, and that a hang is found sooner. Gives where its
/// debugger port is, too.
fn boot(test: &str) -> (Guest, PathBuf) {
    let supervision = [("RESTARTS", "16"), ("WINDOW", "1"), ("DEADLINE", "16"), ("START", "80")];
    let system =
        supervision.iter().fold(System::standard(), |system, (name, value)| system.define(name, value));
    let mut machine = system.machine();
    let (port, argument) = terminal::port(test);
    machine.extra = vec!["-gdb".into(), argument.into()];
    // The emulator flushes a disk that is kept whenever the debugger stops the machine, which takes its time.
    let disk = Disk::discarding(guests_disk());
    machine.devices = Devices { disk: Some(disk), network: Some("user".into()), entropy: true };
    (Guest::wait_all_ready(harness::start(&machine), 2), port)
}

/// What a guest does until there is a file `/tmp/stop`: each line a loop of its own. A loop that fails says so in
/// `/tmp/failed`; each round of a loop adds a line to `/tmp/rounds`.
const LOAD: &[(&str, &str)] = &[
    (
        "disk",
        "fio --name=verify --filename=/root/verify --size=2m --rw=randwrite --bsrange=4k-64k --ioengine=libaio \
         --iodepth=8 --direct=1 --fsync=32 --verify=crc32c --verify_fatal=1 --do_verify=1 > /tmp/fio",
    ),
    (
        "stream",
        "nc -N ADDRESS PORT < /root/file > /root/back 2> /tmp/stream && md5sum --quiet -c /root/sum >> /tmp/stream 2>&1 \
         || { cmp /root/file /root/back >> /tmp/stream 2>&1; false; }",
    ),
    ("clock", "cat /sys/class/rtc/rtc0/time > /dev/null && sleep 0.5"),
    ("entropy", "test $(head -c 2k /dev/hwrng | wc -c) = 2048 && sleep 0.5"),
    ("console", "echo tick > /dev/console && echo tick > /dev/hvc0 && sleep 0.5"),
];

/// Starts the load in the guest that has the input.
fn start_load(guest: &mut Guest, port: u16) {
    let run = |guest: &mut Guest, command: &str| guest.run_within(command, LONG);
    run(
        guest,
        "for i in $(seq 60); do ip -4 -o addr show dev eth0 scope global | grep -q inet && break; sleep 0.5; done",
    );
    run(guest, "rm -f /tmp/stop /tmp/failed /tmp/rounds; head -c 256k /dev/urandom > /root/file");
    run(guest, "md5sum /root/file | sed s,file,back, > /root/sum");
    for (name, command) in LOAD {
        let command = command.replace("ADDRESS", ADDRESS).replace("PORT", &port.to_string());
        let looped = format!(
            "( {{ while ! [ -e /tmp/stop ]; do {{ {command}; }} || {{ echo {name} >> /tmp/failed; break; }}; \
             echo {name} >> /tmp/rounds; done; echo {name} >> /tmp/ended; }} & )"
        );
        run(guest, &looped);
    }
}

/// How often each loop has gone round, and what has failed.
fn rounds(guest: &mut Guest) -> String {
    guest
        .run_within("echo rounds: $(sort /tmp/rounds | uniq -c) failed: $(cat /tmp/failed 2>/dev/null && cat /tmp/stream)", LONG)
}

/// Ends the load of the guest that has the input: nothing has failed, each loop has gone round, and the kernel has not
/// complained.
fn end_load(guest: &mut Guest) {
    let before = rounds(guest);
    println!("while PDs were killed: {before}");
    assert!(before.lines().any(|line| line.trim_end().ends_with("failed:")), "{before}");
    // After whatever was done to the system, each goes round at least once more.
    guest.run_within("mv /tmp/rounds /tmp/before", LONG);
    let begin = Instant::now();
    loop {
        let after = rounds(guest);
        assert!(after.lines().any(|line| line.trim_end().ends_with("failed:")), "{after}");
        if LOAD.iter().all(|(name, _)| after.contains(name)) {
            println!("afterwards, in {} s: {after}", begin.elapsed().as_secs());
            break;
        }
        assert!(
            begin.elapsed() < LONG,
            "before: {before}; after: {after}; {}",
            guest.run("ps; cat /tmp/fio")
        );
        std::thread::sleep(Duration::from_secs(2));
    }
    let count = LOAD.len();
    guest.run_within(
        &format!("touch /tmp/stop; for i in $(seq 600); do [ $(wc -l < /tmp/ended) = {count} ] && break; sleep 0.5; done"),
        LONG,
    );
    assert_eq!(guest.run("cat /tmp/failed 2>/dev/null"), "");
    // That a guest was kept waiting is no error: the machine crawls while it stops at breakpoints.
    let pattern = "oops|BUG:|Unable to handle|I/O error|hung task|EXT4-fs error|transmit queue 0 timed out";
    assert_eq!(guest.run(&format!("dmesg | grep -i -E '{pattern}' | grep -v 'soft lockup'")), "");
}

/// Names and programs of the PDs to be killed: all, or those that `VICTIMS` of the environment names.
fn wanted() -> Vec<(&'static str, &'static str)> {
    let only = std::env::var("VICTIMS").ok().filter(|names| !names.is_empty());
    let is_wanted = |name: &str| only.as_ref().is_none_or(|names| names.split(',').any(|one| one == name));
    let wanted: Vec<_> = VICTIMS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    assert!(!wanted.is_empty());
    wanted
}

/// How many points some events have, fewest first.
fn lengths(machine: &mut Debugger, victim: &Victim) -> [usize; EVENTS] {
    let mut lengths = [0; EVENTS];
    for length in &mut lengths {
        victim.wait_event(machine, SOON).unwrap();
        *length = victim.walk(machine, STEPS, STEPS, SOON).unwrap();
    }
    lengths.sort_unstable();
    println!("{}: points of events: {lengths:?}", victim.name);
    lengths
}

fn ways(victim: &Victim, random: u64) -> Vec<Way> {
    let junk = [Junk::Byte(0xff), Junk::Random(random), Junk::Byte(0)][random as usize % 3];
    let mut ways = vec![Way::Fault, Way::Loop];
    if victim.has_rings() {
        ways.push(Way::Scribble(junk));
    }
    ways
}

/// Kills a victim at a point of an event, and waits for its next life. Gives the point's number, counted from 0: less than
/// `aim` if `tries` events had fewer.
fn kill(machine: &mut Debugger, victim: &Victim, way: Way, aim: usize, tries: usize) -> usize {
    // The last one that was killed takes up its work.
    machine.run(PAUSE).unwrap();
    let reached = victim.reach(machine, aim, STEPS, tries, SOON).unwrap();
    let begin = Instant::now();
    let killed = victim.kill(machine, way).unwrap();
    victim
        .wait_reborn(machine, &killed, LONG)
        .unwrap_or_else(|error| panic!("{way:?} at point {reached}: {error}"));
    let taken = begin.elapsed().as_millis();
    println!("{}: {way:?} at point {reached}, wanted {aim}, restarted in {taken} ms", victim.name);
    reached
}

/// Kills each victim `points` times in each way, at random moments.
fn sample(machine: &mut Debugger, points: usize, seed: u64) {
    let mut state = seed;
    for (name, program) in wanted() {
        let victim = &victim(name, program);
        let lengths = lengths(machine, victim);
        for _ in 0..points {
            for way in ways(victim, next(&mut state)) {
                // Somewhere in one of the longer events: the short ones may be the watchdog's.
                let length = lengths[EVENTS / 2 + next(&mut state) as usize % (EVENTS / 2)];
                let aim = next(&mut state) as usize % length.max(1);
                kill(machine, victim, way, aim, TRIES);
            }
        }
    }
}

/// Whether a kill, or a victim, is among those that have passed.
fn has_passed(passed: &str, name: &str) -> bool {
    passed.lines().any(|line| line.split(',').next() == Some(name))
}

/// Kills a victim at those of the points, in each way, that have not passed, and adds them to what is done. Gives whether
/// that is all: the points have come to an end, or nothing that the victim does has so many. Otherwise it is enough for once.
fn sweep_one(
    machine: &mut Debugger,
    victim: &Victim,
    points: impl Iterator<Item = usize>,
    passed: &str,
    done: &mut Vec<String>,
) -> bool {
    for aim in points {
        let named = |way| (way, format!("{}: {way:?} at point {aim}", victim.name));
        let left: Vec<_> = ways(victim, aim as u64).into_iter().map(named).collect();
        let left: Vec<_> = left.into_iter().filter(|(_, name)| !has_passed(passed, name)).collect();
        let mut missed = !left.is_empty();
        for (way, name) in left {
            if done.len() >= AT_ONCE {
                return false;
            }
            let reached = kill(machine, victim, way, aim, SWEEP_TRIES);
            missed &= reached < aim;
            done.push(if reached < aim { format!("{name}, but only {reached}") } else { name });
        }
        if missed {
            println!("{}: no event comes to point {aim}", victim.name);
            return true;
        }
    }
    true
}

/// Kills each victim in each way at every `stride`-th point of an event, of the first `most`. What it has done is kept in
/// `build/sweep/passed`, so that it goes on there if it is run again.
fn sweep(stride: usize, most: usize) {
    let file = harness::root().join("build/sweep/passed");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut passed = std::fs::read_to_string(&file).unwrap_or_default();
    let end = |name: &str| format!("{name}: every {stride} of {most} points");
    let wanted = wanted();
    while wanted.iter().any(|(name, _)| !has_passed(&passed, &end(name))) {
        let mut done = Vec::new();
        under_load("sweep", |machine| {
            for (name, program) in wanted.iter().filter(|(name, _)| !has_passed(&passed, &end(name))) {
                // The system has been built, and so the program.
                let victim = victim(name, program);
                let ended = sweep_one(machine, &victim, (0..most).step_by(stride), &passed, &mut done);
                if !ended {
                    break;
                }
                done.push(end(name));
            }
        });
        // Only now is it known that the guests have seen nothing.
        done.iter().for_each(|name| passed += &format!("{name}\n"));
        std::fs::write(&file, &passed).unwrap();
    }
}

/// Boots the system, lets PDs be killed while both guests work, and sees whether they have noticed.
fn under_load(test: &str, kill: impl FnOnce(&mut Debugger)) {
    let (mut guest, port) = boot(test);
    let host = Peer::echoing().unwrap();
    for number in [0, 1] {
        start_load(guest.focus(number), host.port);
    }
    let mut machine = Debugger::connect(&port).unwrap();
    kill(&mut machine);
    machine.detach().unwrap();
    for number in [0, 1] {
        end_load(guest.regain(number));
    }
    let text = guest.console().text();
    assert!(!text.contains("given up") && !text.contains("vmm_0: ") && !text.contains("vmm_1: "), "{text}");
}

/// A number of the environment.
fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map_or(default, |value| value.parse().unwrap())
}

/// `KILLS` is the number of times that each is killed in each way, `SEED` decides where. With `STRIDE` it is at every so
/// manieth point instead, of the first `MOST` of an event.
#[test]
fn drivers_and_virtualisers_die_under_load_and_guests_see_a_pause() {
    match number("STRIDE", 0) {
        0 => under_load("kills", |machine| {
            sample(machine, number("KILLS", 1) as usize, number("SEED", 1));
        }),
        stride => sweep(stride as usize, number("MOST", MOST as u64) as usize),
    }
}

#[test]
fn vmm_dies_and_takes_only_its_own_guest_with_it() {
    let (mut guest, port) = boot("kills-vmm");
    let host = Peer::echoing().unwrap();
    start_load(guest.focus(0), host.port);
    let vmm = victim("vmm_1", "vmm");
    let mut state = number("SEED", 1);
    let mut kept = Vec::new();
    for (life, way) in [(1, Way::Fault), (2, Way::Loop), (3, Way::Scribble(Junk::Byte(0xff)))] {
        let file = format!("/root/kept{life}");
        guest.focus(1).run_within(&format!("head -c 200k /dev/urandom > {file}; sync"), LONG);
        kept.push((file.clone(), guest.run_within(&format!("md5sum < {file}"), LONG)));
        // Busy with its disk.
        guest.run("( while dd if=/dev/zero of=/root/busy bs=64k count=64 oflag=direct > /dev/null 2>&1; do :; done & )");
        let mark = guest.console().mark();
        let mut machine = Debugger::connect(&port).unwrap();
        let begin = Instant::now();
        let aim = next(&mut state) as usize % VMM_POINTS;
        let reached = vmm.reach(&mut machine, aim, VMM_STEPS, VMM_TRIES, SOON).unwrap();
        println!("{way:?} at point {reached}, reached in {} ms", begin.elapsed().as_millis());
        let killed = vmm.kill(&mut machine, way).unwrap();
        vmm.wait_reborn(&mut machine, &killed, LONG).unwrap();
        machine.detach().unwrap();
        let ready = format!("vmm_1| {}", harness::READY_MARKER);
        guest
            .console()
            .expect_any(mark, &[&ready], harness::BOOT_TIMEOUT)
            .unwrap_or_else(|error| panic!("{error}"));
        guest.focus(1).run_within("stty cols 1000; rm -f /root/busy", LONG);
        for (file, sum) in &kept {
            assert_eq!(guest.run_within(&format!("md5sum < {file}"), LONG), *sum, "{file}");
        }
        assert_eq!(guest.run("findmnt -rn -o SOURCE,FSTYPE,OPTIONS / | cut -d, -f1"), "/dev/vda ext4 rw");
    }
    end_load(guest.regain(0));
    assert!(!guest.console().text().contains("vmm_0: "));
}
