// SPDX-License-Identifier: BSD-2-Clause
//! The platform below a VMM: protection domains, faults, children, timer, console, SMC. Each test boots a small system
//! of `tests/systems` whose PDs (`tests/pds`) print lines that begin with `TEST`.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use harness::{Emulator, System};

const TIMEOUT: Duration = Duration::from_secs(120);

/// Boots a system on a machine whose time is its instructions, so that nothing is late because the host is busy. Not for
/// systems that wait for input: such a machine, with nothing to do and no time-out pending, never looks at its input.
fn boot(name: &str, debug: bool) -> Emulator {
    let system = System::of(&format!("tests/systems/{name}.xml"));
    let mut machine = if debug { system.debug().machine() } else { system.machine() };
    machine.time = harness::Time::Deterministic;
    harness::start(&machine)
}

/// Waits for texts in this order.
fn expect(emulator: &mut Emulator, patterns: &[&str]) {
    for pattern in patterns {
        if let Err(error) = emulator.expect(pattern, TIMEOUT) {
            panic!("{error}");
        }
    }
}

/// The PDs whose faults the monitor reported, in this order.
fn faulting_pds(text: &str) -> Vec<&str> {
    let reports = text.lines().filter_map(|line| line.split_once("MON|ERROR: faulting PD: "));
    reports.map(|(_, name)| name).collect()
}

#[test]
fn debug_platform_prints_and_release_is_silent() {
    let mut debug = boot("hello", true);
    expect(&mut debug, &["hello|INFO: hello", "TEST hello from hello"]);
    let release = boot("hello", false);
    release.console().wait_quiet(Duration::from_secs(3), Duration::from_secs(10));
    assert_eq!(release.console().text(), "");
}

#[test]
fn every_kind_of_fault_is_reported_and_takes_nobody_else() {
    let mut emulator = boot("crashes", true);
    expect(&mut emulator, &["TEST survivor alive"]);
    let text = emulator.console().text();
    let reports = faulting_pds(&text);
    for name in [
        "crash_null",
        "crash_write",
        "crash_jump",
        "crash_stack",
        "crash_undefined",
        "crash_syscall",
        "crash_capability",
        "crash_panic",
        "crash_channel",
        "crash_error",
    ] {
        assert_eq!(reports.iter().filter(|report| **report == name).count(), 1, "{name}: {text}");
    }
    assert!(text.contains("stack overflow"), "{text}");
    assert!(text.contains("as told"), "the panic's message: {text}");
    // Where it was, by the function's name.
    assert!(text.contains("crash::"), "{text}");
}

#[test]
fn faults_in_release_take_nobody_else_either() {
    let mut emulator = boot("crashes", false);
    expect(&mut emulator, &["TEST survivor alive"]);
}

#[test]
fn parent_gets_its_childrens_faults_restarts_and_stops_them() {
    for debug in [false, true] {
        let mut emulator = boot("hierarchy", debug);
        expect(
            &mut emulator,
            &["TEST child 1 fault 1: VmFault", "TEST child 1 fault 3", "TEST child 1 stopped"],
        );
        expect(
            &mut emulator,
            &["TEST child 2 fault 1: VmFault", "TEST child 2 fault 3", "TEST child 2 stopped"],
        );
        expect(&mut emulator, &["TEST survivor alive"]);
        assert!(!emulator.console().text().contains("MON|ERROR"), "{}", emulator.console().text());
    }
}

/// Both clients of the timer's system get their time-outs, in whatever order.
fn timer_clients_pass(emulator: &mut Emulator) {
    let mut passed = ["first", "second"].map(|name| format!("TEST {name} passed")).to_vec();
    while !passed.is_empty() {
        let patterns: Vec<&str> = passed.iter().map(String::as_str).collect();
        match emulator.expect_any(&patterns, TIMEOUT) {
            Ok(index) => drop(passed.remove(index)),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!emulator.console().text().contains("failed"), "{}", emulator.console().text());
}

#[test]
fn timer_serves_several_clients_at_the_right_time() {
    let mut emulator = boot("timer", false);
    timer_clients_pass(&mut emulator);
}

/// As real boards have it: started at EL3, with a GIC whose interrupts come out of reset in the secure group.
#[test]
fn interrupts_arrive_through_a_gic_with_the_security_extension() {
    let mut machine = System::of("tests/systems/timer.xml").machine();
    machine.time = harness::Time::Deterministic;
    machine.machine = machine.machine.replacen("virt,", "virt,secure=on,", 1);
    assert!(machine.machine.contains("secure=on"), "{}", machine.machine);
    let mut emulator = harness::start(&machine);
    timer_clients_pass(&mut emulator);
}

/// From a timer's deadline until the PD that it interrupts runs, in instructions: of this machine, whose time is its
/// instructions, a tick is sixteen.
#[test]
fn an_interrupt_does_not_wait_long_whatever_other_pds_do() {
    let mut emulator = boot("latency", false);
    expect(&mut emulator, &["TEST latency ", " ticks"]);
    let text = emulator.console().text();
    let ticks = text.split("TEST latency ").nth(1).and_then(|rest| rest.split(' ').next());
    let instructions = 16 * ticks.unwrap().parse::<u64>().unwrap();
    println!("longest interrupt latency: {instructions} instructions");
    assert!(instructions < 25_000, "{instructions}");
}

#[test]
fn a_parent_debugs_its_child_in_hardware() {
    let mut emulator = boot("debug", true);
    expect(
        &mut emulator,
        &[
            "TEST debug label 4 reason 3 first code 0",
            "TEST debug label 4 reason 1 number 0 there true code 0",
            "TEST debug label 4 reason 2 after 3 code 0",
            "TEST debug label 4 reason 2 after 6 code 0",
            "TEST debug label 4 reason 0 number 6 there true code 0",
            "TEST debug label 4 reason 3 last with 42 code 0",
        ],
    );
}

#[test]
fn the_benchmark_platform_boots_as_the_release_one_does() {
    let mut machine = System::of("tests/systems/timer.xml").benchmark().machine();
    machine.time = harness::Time::Deterministic;
    let mut emulator = harness::start(&machine);
    expect(&mut emulator, &["TEST first passed"]);
}

#[test]
fn interrupts_and_time_work_with_a_gicv3() {
    let mut machine = System::of("tests/systems/timer.xml").gicv3().machine();
    machine.time = harness::Time::Deterministic;
    let mut emulator = harness::start(&machine);
    timer_clients_pass(&mut emulator);
}

/// A board's description says whether it does.
#[test]
fn the_physical_timer_faults_where_user_level_does_not_have_it() {
    let system = System::of("tests/systems/physical_timer.xml").debug();
    for (system, has_it) in [(system.clone(), true), (system.raspberry_pi(), false)] {
        let mut machine = system.machine();
        machine.time = harness::Time::Deterministic;
        let mut emulator = harness::start(&machine);
        expect(&mut emulator, &["TEST survivor alive"]);
        let text = emulator.console().text();
        let all = ["read_ctl", "read_cval", "read_tval", "write_ctl", "write_cval", "write_tval"];
        let expected = if has_it { &[][..] } else { &all };
        assert_eq!(faulting_pds(&text), expected, "{text}");
        let reason = "VCPUFault: system register or system instruction (ESR 0x62";
        assert_eq!(text.matches(reason).count(), expected.len(), "{text}");
    }
}

#[test]
fn firmware_answers_a_pd_that_may_issue_smcs() {
    let mut emulator = boot("smc", false);
    expect(&mut emulator, &["TEST psci version 1."]);
}

#[test]
fn console_tags_lines_and_gives_the_input_to_who_has_the_focus() {
    console_works(&System::of("tests/systems/console.xml"));
}

#[test]
fn the_raspberry_pis_mini_uart_is_a_console_as_well() {
    console_works(&System::of("tests/systems/console.xml").raspberry_pi().variant("mini_uart"));
}

fn console_works(system: &System) {
    let mut emulator = system.start();
    expect(&mut emulator, &["hello from first"]);
    expect(&mut emulator, &["hello from second"]);
    let text = emulator.console().text();
    assert!(
        text.lines().any(|line| line.starts_with("first") && line.contains("hello from first")),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.starts_with("second") && line.contains("hello from second")),
        "{text}"
    );
    // The escape key's help, then the second client.
    emulator.send("\u{1d}h").unwrap();
    expect(&mut emulator, &["console: Ctrl-]"]);
    emulator.send("\u{1d}1").unwrap();
    expect(&mut emulator, &["second"]);
    emulator.send("some words\r").unwrap();
    expect(&mut emulator, &["some words"]);
    let line = emulator.console().text();
    let line = line.lines().rfind(|line| line.contains("some words")).unwrap();
    assert!(line.starts_with("second"), "{line}");
}

#[test]
fn two_pds_get_addresses_and_answers_from_the_emulators_network() {
    let mut machine = System::of("tests/systems/network.xml").machine();
    machine.devices.network = Some("user".into());
    let mut emulator = harness::start(&machine);
    expect(&mut emulator, &["passed", "passed"]);
    let text = emulator.console().text();
    for name in ["first", "second"] {
        assert!(text.contains(&format!("TEST {name} copies are right")), "{text}");
        assert!(text.contains(&format!("TEST {name} passed")), "{text}");
    }
    assert!(!text.contains("failed"), "{text}");
}

#[test]
fn every_function_of_the_c_interface_is_called_by_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let header = std::fs::read_to_string(root.join("platform/libmicrokit/include/microkit.h")).unwrap();
    let mut programs = String::new();
    for file in std::fs::read_dir(root.join("tests/c")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c") {
            programs += &std::fs::read_to_string(path).unwrap();
        }
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = |text: &str| -> std::collections::BTreeSet<String> {
        let called = text.match_indices('(').map(|(at, _)| text[..at].rsplit(|c| !is_name(c)).next());
        called.flatten().filter(|name| name.starts_with("microkit_")).map(Into::into).collect()
    };
    let (defined, called) = (names(&header), names(&programs));
    let missing: Vec<_> =
        defined.difference(&called).filter(|name| !name.starts_with("microkit_internal_")).collect();
    assert!(defined.len() > 25 && missing.is_empty(), "{missing:?} of {} functions", defined.len());
}

#[test]
fn programs_in_c_have_the_whole_interface() {
    for debug in [false, true] {
        let mut emulator = boot("c", debug);
        emulator.expect("TEST parent stopped the child after 0000000000000003", TIMEOUT).unwrap();
        emulator.console().wait_quiet(Duration::from_secs(3), Duration::from_secs(60));
        let text = emulator.console().text();
        assert!(!text.contains("FAILED"), "{text}");
        for line in [
            "TEST server serves 0000000000000000",
            "TEST peer has PSCI version 0000000000010001",
            "TEST peer was interrupted 0000000000000003",
            "TEST client begins with 0000000000000068",
            "TEST client was answered 000000000000001e",
            "TEST client was notified 0000000000000003",
            "TEST parent has a guest with 000000000000002a",
            "TEST parent has a guest with 000000000000002b",
            "TEST child starts 0000000000000003",
            "TEST parent saw a fault at 0000000000000030",
            "TEST parent keeps a child from the FPU 0000000000000007",
        ] {
            assert!(text.contains(line), "no {line:?} in {text}");
        }
        assert_eq!(text.matches("TEST child starts").count(), 3, "{text}");
        let complaint = "client microkit_notify: invalid channel given '40'";
        for line in [complaint, "client prints <200 4000000000>"] {
            assert_eq!(text.contains(line), debug, "only a kernel that prints shows it: {text}");
        }
    }
}

/// The numbers in brackets behind a word.
fn numbers(line: &str, word: &str) -> Vec<u64> {
    let list = line.split(&format!("{word} [")).nth(1).unwrap().split(']').next().unwrap();
    list.split(", ").map(|number| number.parse().unwrap()).collect()
}

#[test]
fn domains_have_their_turns_whoever_is_in_them() {
    let mut emulator = boot("domains", false);
    for (name, own, others) in [("first", 4000, 10_000), ("second", 10_000, 4000)] {
        emulator.expect(&format!("TEST {name} turns"), TIMEOUT).unwrap();
        emulator.console().wait_quiet(Duration::from_secs(1), TIMEOUT);
        let text = emulator.console().text();
        let line = text.lines().find(|line| line.contains(&format!("TEST {name} turns"))).unwrap();
        for (word, wanted) in [("turns", own), ("breaks", others)] {
            let found = numbers(line, word);
            assert!(found.iter().all(|&time| time.abs_diff(wanted) < 50), "{wanted} microseconds: {line}");
        }
    }
}

#[test]
fn any_root_task_boots_on_the_kernel() {
    let mut machine = harness::root_task("root_task", "debug", None);
    machine.time = harness::Time::Deterministic;
    let mut emulator = harness::start(&machine);
    emulator.expect("TEST root task ends with 0000000000000000", TIMEOUT).unwrap();
    let text = emulator.console().text();
    assert!(!text.contains("FAILED"), "{text}");
    for line in ["needed translation tables: 0000000000000002", "was called with 0000000000001235"] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert!(text.contains("was given extra boot information: 0000000000000000"), "{text}");
}

#[test]
fn a_root_task_gets_the_device_tree_in_boot_information() {
    // The emulator's own description of the machine.
    let tree = std::env::temp_dir().join(format!("bulkhead-{}.dtb", std::process::id()));
    let dump = format!("virt,virtualization=on,dumpdtb={}", tree.display());
    let status = std::process::Command::new("timeout")
        .args(["60", "qemu-system-aarch64", "-nodefaults", "-display", "none", "-machine", &dump])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the emulator writes its device tree");
    let machine = harness::root_task("root_task", "debug", Some(&tree));
    let mut emulator = harness::start(&machine);
    emulator.expect("TEST root task ends with 0000000000000000", TIMEOUT).unwrap();
    let text = emulator.console().text();
    std::fs::remove_file(&tree).unwrap();
    assert!(!text.contains("FAILED"), "{text}");
    assert!(text.contains("TEST root task was given a device tree of linux,dummy-virt"), "{text}");
}
