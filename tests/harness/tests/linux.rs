// SPDX-License-Identifier: BSD-2-Clause
//! Stock Linux kernels under Bulkhead: to a shell, commands, reboot, power off.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use harness::{Guest, System};

fn power_off(mut guest: Guest) {
    guest.send("poweroff\n");
    guest.expect("guest powered off");
}

/// What every guest must be able to do, whatever its kernel.
fn boots_and_works(system: &System, release: &str) {
    let mut guest = system.boot();
    assert!(guest.run("uname -r").starts_with(release));
    assert_eq!(guest.run("nproc"), "1");
    assert_eq!(guest.run("echo $((6 * 7))"), "42");
    let memory: u64 = guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo").parse().unwrap();
    assert!((400_000..=524_288).contains(&memory), "{memory} KiB of 512 MiB");
    // Time passes: a sleep ends, and took about as long as the guest's own clock says.
    guest.run("sleep 1");
    let dmesg = guest.run("dmesg | grep -c -i -E 'oops|panic|BUG:|Unable to handle|stall'");
    assert_eq!(dmesg, "0", "{}", guest.run("dmesg | grep -i -E 'oops|panic|BUG:|Unable|stall'"));
    power_off(guest);
}

#[test]
fn debian_12_standard_kernel_boots_and_works() {
    boots_and_works(&System::one_guest(), "6.1.");
}

#[test]
fn debian_12_cloud_kernel_boots_and_works() {
    boots_and_works(&System::one_guest().kernel("debian-12-cloud"), "6.1.");
}

#[test]
fn debian_13_standard_kernel_boots_and_works() {
    boots_and_works(&System::one_guest().kernel("debian-13"), "6.12.");
}

#[test]
fn debian_13_cloud_kernel_boots_and_works() {
    boots_and_works(&System::one_guest().kernel("debian-13-cloud"), "6.12.");
}

#[test]
fn debug_platform_boots_the_same_guest() {
    boots_and_works(&System::one_guest().debug(), "6.1.");
}

#[test]
fn machine_looks_like_qemu_virt() {
    let mut guest = System::one_guest().boot();
    let interrupts = guest.run("cat /proc/interrupts");
    assert!(interrupts.contains("GICv2") || interrupts.contains("GIC-0"), "{interrupts}");
    assert!(interrupts.contains("arch_timer"), "{interrupts}");
    assert!(interrupts.contains("uart-pl011"), "{interrupts}");
    let dmesg = guest.run("dmesg");
    assert!(dmesg.contains("psci: PSCIv1."), "{dmesg}");
    assert!(dmesg.contains("CPU: All CPU(s) started at EL1"), "{dmesg}");
    assert!(dmesg.contains("rtc-pl031"), "{dmesg}");
    assert_eq!(guest.run("tty"), "/dev/ttyAMA0");
    power_off(guest);
}

#[test]
fn reboot_boots_again_with_clean_memory_and_poweroff_ends() {
    let mut guest = System::one_guest().boot();
    guest.run("echo before > /tmp/mark; sync");
    guest.send("reboot\n");
    guest.expect_shell();
    assert_eq!(guest.run("cat /tmp/mark 2>/dev/null || echo gone"), "gone");
    assert!(guest.run("cut -d. -f1 /proc/uptime").parse::<u32>().unwrap() < 60);
    power_off(guest);
}

#[test]
fn two_vcpus_share_the_core() {
    let mut guest = System::one_guest().vcpus(2).boot();
    assert_eq!(guest.run("nproc"), "2");
    assert_eq!(
        guest.run("taskset 2 sh -c 'cut -d\" \" -f39 /proc/self/stat'"),
        "1",
        "a task on the second vCPU"
    );
    // Inter-processor interrupts in both directions: a pipe between the two, written and read in turns.
    let lines = guest.run("taskset 1 seq 1 20000 | taskset 2 sh -c 'cat | wc -l'");
    assert_eq!(lines, "20000");
    // A vCPU goes away and comes back (PSCI CPU_OFF, CPU_ON).
    guest.run("echo 0 > /sys/devices/system/cpu/cpu1/online");
    assert_eq!(guest.run("nproc"), "1");
    guest.run("echo 1 > /sys/devices/system/cpu/cpu1/online");
    assert_eq!(guest.run("nproc"), "2");
    power_off(guest);
}

#[test]
fn long_output_and_input_lose_nothing() {
    let mut guest = System::one_guest().boot();
    let printed = guest.run("seq 1 3000");
    let expected: Vec<String> = (1..=3000).map(|n| n.to_string()).collect();
    let lines: Vec<&str> = printed.lines().map(|line| line.rsplit(' ').next().unwrap_or(line)).collect();
    assert_eq!(lines, expected);
    // Typed faster than the guest reads.
    let word = "0123456789abcdef".repeat(12);
    assert_eq!(guest.run(&format!("printf %s {word} | wc -c")), word.len().to_string());
    power_off(guest);
}

#[test]
fn sizes_of_ram_are_what_was_asked_for() {
    let mut guest = System::one_guest().ram("192M").cmdline("console=ttyAMA0 quiet").boot();
    let memory: u64 = guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo").parse().unwrap();
    assert!((100_000..=196_608).contains(&memory), "{memory} KiB of 192 MiB");
    assert!(guest.run("cat /proc/cmdline").contains("quiet"));
    power_off(guest);
}
