// SPDX-License-Identifier: BSD-2-Clause
//! A guest that does what no sane guest does (`tests/guests/hostile`): it gets architectural answers or is stopped
//! alone; a neighbour does not notice; nothing leaks from one guest to another.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use harness::disk::guests_disk;
use harness::peer::ADDRESS;
use harness::{Devices, Disk, Emulator, Guest, Machine, System, root};

const TIMEOUT: Duration = Duration::from_secs(200);

fn image() -> String {
    root().join("build/guests/hostile/Image").display().to_string()
}

/// One guest, which is the hostile one.
fn alone(words: &str) -> System {
    System::one_guest().kernel(&image()).initrd("none").ram("64M").cmdline(words)
}

/// A Linux guest, whose shell has the input, and the hostile guest beside it.
fn beside_linux(words: &str) -> System {
    System::of("tests/systems/two_guests.xml")
        .define("KERNEL_1", &image())
        .define("INITRD_1", "")
        .define("RAM_1", "64M")
        .define_text("CMDLINE_FILE_1", words)
}

fn expect(emulator: &mut Emulator, pattern: &str) {
    if let Err(error) = emulator.expect(pattern, TIMEOUT) {
        panic!("{error}");
    }
}

/// Runs the guest's own tests and checks that all went well.
fn passes(emulator: &mut Emulator) {
    expect(emulator, "HOSTILE DONE ");
    expect(emulator, "skipped");
    let text = emulator.console().text();
    assert!(!text.contains(" FAIL "), "{text}");
    assert!(text.contains(" 0 failed,"), "{text}");
    expect(emulator, "guest powered off");
}

#[test]
fn expectations_hold_on_the_bare_machine() {
    for gic in ["2", "3"] {
        let mut machine = Machine::bare(image(), "", "mode=all", 256);
        machine.machine = format!("{},gic-version={gic}", machine.machine);
        if let harness::Payload::Linux { initrd, .. } = &mut machine.payload {
            *initrd = None;
        }
        let mut emulator = harness::start(&machine);
        expect(&mut emulator, "HOSTILE DONE ");
        expect(&mut emulator, "skipped");
        let text = emulator.console().text();
        assert!(text.contains(" 0 failed,"), "GICv{gic}: {text}");
    }
}

#[test]
fn odd_guest_gets_architectural_answers() {
    passes(&mut alone("mode=all").start());
}

#[test]
fn odd_guest_gets_architectural_answers_from_a_debug_platform() {
    passes(&mut alone("mode=all").debug().start());
}

fn two_vcpus(system: System) {
    let mut emulator = system.vcpus(2).start();
    passes(&mut emulator);
    let text = emulator.console().text();
    assert!(text.contains("TEST psci.cpu_off ok"), "the second vCPU took part: {text}");
}

#[test]
fn two_vcpus_get_architectural_answers() {
    two_vcpus(alone("mode=all"));
}

#[test]
fn two_vcpus_with_a_gicv3_get_architectural_answers() {
    two_vcpus(alone("mode=all").gicv3());
}

/// Whatever was active or pending before a reset is not missing after it.
#[test]
fn interrupts_of_a_gicv3_arrive_after_a_reset_in_the_middle_of_some() {
    let mut emulator = alone("mode=reset-active").gicv3().start();
    for _ in 0..3 {
        expect(&mut emulator, "TEST gic.works_after_a_boot ok");
        expect(&mut emulator, "TEST gic.two_interrupts_are_active ok");
        expect(&mut emulator, "guest reboots");
    }
}

#[test]
fn every_call_with_any_register_harms_nobody_else_in_release() {
    sweep(&beside_linux("mode=sweep"));
}

#[test]
fn every_call_with_any_register_harms_nobody_else_in_debug() {
    sweep(&beside_linux("mode=sweep").debug());
}

/// The neighbour works while the hostile guest sweeps HVC and SMC, and after.
fn sweep(system: &System) {
    let mut guest = system.boot().tagged("vmm_0|");
    for round in 0..5 {
        assert_eq!(guest.run(&format!("echo $(({round} + 1))")), (round + 1).to_string());
    }
    let console = guest.console().clone();
    console
        .expect_any(Default::default(), &["HOSTILE DONE "], TIMEOUT)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(guest.run("dmesg | grep -c -i -E 'oops|BUG:|Unable to handle'"), "0");
    let text = console.text();
    assert!(!text.contains(" FAIL "), "{text}");
    assert!(text.contains("TEST sweep.smc ok") && text.contains("TEST sweep.hvc ok"), "{text}");
}

#[test]
fn hopeless_guest_is_stopped_alone_with_a_report() {
    for death in ["jump", "device", "tables"] {
        let mut guest = beside_linux(&format!("die={death}")).boot().tagged("vmm_0|");
        let console = guest.console().clone();
        console
            .expect_any(Default::default(), &["guest stopped"], TIMEOUT)
            .unwrap_or_else(|error| panic!("die={death}: {error}"));
        assert_eq!(guest.run("echo alive $((40 + 2))"), "alive 42", "die={death}");
        assert!(console.text().contains("sp_el0"), "die={death}: the registers: {}", console.text());
    }
}

#[test]
fn guests_that_never_let_go_do_not_starve_their_neighbour() {
    for death in ["spin", "storm", "vectors", "wfi"] {
        let mut guest = beside_linux(&format!("die={death}")).boot().tagged("vmm_0|");
        assert_eq!(guest.run("echo alive $((40 + 2))"), "alive 42", "die={death}");
        guest.run("sleep 2");
    }
}

/// What the kernel does not switch between vCPUs must be trapped or switched by somebody.
#[test]
fn nothing_leaks_from_one_guest_into_another() {
    leaks(System::of("tests/systems/two_guests.xml"), 10);
}

/// Here the CPU interface is in system registers.
#[test]
fn nothing_leaks_from_one_guest_with_a_gicv3_into_another() {
    leaks(System::of("tests/systems/two_guests.xml").gicv3(), 4);
}

fn leaks(system: System, seconds: u32) {
    let mut emulator = system
        .kernel(&image())
        .initrd("none")
        .ram("64M")
        .cmdline(&format!("mode=leak-write seconds={}", 2 * seconds))
        .define("KERNEL_1", &image())
        .define("INITRD_1", "")
        .define("RAM_1", "64M")
        .define_text("CMDLINE_FILE_1", &format!("mode=leak-read seconds={seconds}"))
        .start();
    expect(&mut emulator, "TEST leak.nothing_of_the_other_guest ");
    expect(&mut emulator, "HOSTILE DONE ");
    let text = emulator.console().text();
    assert!(text.contains("LEAK-WRITE"), "the other guest wrote: {text}");
    assert!(text.contains("TEST leak.nothing_of_the_other_guest ok"), "{text}");
    assert!(!text.contains("LEAK "), "{text}");
}

#[test]
fn memory_is_scrubbed_at_reboot() {
    let mut emulator = alone("mode=scrub").start();
    for _ in 0..3 {
        expect(&mut emulator, "TEST memory.scrubbed ");
        expect(&mut emulator, "FILLED");
        expect(&mut emulator, "guest reboots");
    }
    assert!(!emulator.console().text().contains("memory.scrubbed FAIL"), "{}", emulator.console().text());
}

/// A neighbour's disk is verified, and its network used, while every virtqueue of the hostile guest is abused. Whoever
/// serves both has nothing to restart, and says of each offence what it was, but not for ever.
fn virtqueues(layout: &str) {
    let system = System::standard()
        .define("BLK_LAYOUT", layout)
        .define("KERNEL_1", &image())
        .define("INITRD_1", "")
        .define("RAM_1", "64M")
        .define_text("CMDLINE_FILE_1", "mode=virtio");
    let mut machine = system.machine();
    machine.devices =
        Devices { disk: Some(Disk::discarding(guests_disk())), network: Some("user".into()), entropy: true };
    let mut guest = Guest::wait_all_ready(harness::start(&machine), 1);
    let console = guest.console().clone();
    let command = "fio --name=verify --filename=/root/verify --size=16m --rw=randwrite --bsrange=4k-64k \
                   --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 > /tmp/fio; echo $?";
    let mut rounds = 0;
    while rounds == 0 || !console.text().contains("HOSTILE DONE ") {
        assert_eq!(guest.run_within(command, TIMEOUT), "0", "{}", guest.run("cat /tmp/fio"));
        assert_eq!(guest.run(&format!("ping -q -c 2 {ADDRESS} > /dev/null; echo $?")), "0");
        rounds += 1;
        assert!(rounds < 20, "it does not end: {}", console.last_lines());
    }
    let text = console.text();
    assert!(!text.contains(" FAIL "), "{text}");
    for device in ["block", "net", "console", "entropy"] {
        assert!(text.contains(&format!("TEST virtio.{device}.works_at_last ok")), "{device}: {text}");
    }
    // One word for each of the first offences of a device.
    let words = text.lines().filter(|line| line.contains("stopped until it is reset")).count();
    assert!((4..=4 * 8).contains(&words), "{words} messages");
    for bad in ["restart", "panicked", "guest stopped", "it is off"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    assert_eq!(guest.run("dmesg | grep -c -i -E 'oops|BUG:|Unable to handle|I/O error'"), "0");
}

#[test]
fn abused_virtqueues_harm_nobody_else() {
    virtqueues("isolated");
}

#[test]
fn abused_virtqueues_harm_nobody_else_where_the_disk_reaches_guest_memory() {
    virtqueues("direct");
}
