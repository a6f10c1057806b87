// SPDX-License-Identifier: BSD-2-Clause
//! What can only be found with the programs and the memory layout at hand: message and place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Fixture, pd, program};

/// The first line of the message of a system that must be refused.
fn first_line(fixture: &Fixture, body: &str) -> String {
    fixture.error(body).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn missing_program_is_told() {
    let system = "<protection_domain name=\"x\">\n  <program_image path=\"none.elf\"/>\n</protection_domain>";
    let message = first_line(&Fixture::new(), system);
    assert_eq!(message, "test.system:3:3: error: unable to find program image: 'none.elf'");
}

#[test]
fn file_that_is_no_program_is_told() {
    let fixture = Fixture::new();
    fixture.file("a.elf", b"#!/bin/sh");
    let message = first_line(&fixture, &pd("x", "", ""));
    assert!(
        message.starts_with("test.system:3:1: error: failed to parse ELF 'a.elf' for PD 'x': "),
        "{message}"
    );
}

#[test]
fn program_for_another_machine_is_told() {
    let fixture = Fixture::new();
    fixture.file("a.elf", &program().machine(62).bytes());
    let message = first_line(&fixture, &pd("x", "", ""));
    assert!(message.ends_with("for PD 'x': not a program for AArch64"), "{message}");
}

#[test]
fn truncated_program_is_told_wherever_it_ends() {
    let fixture = Fixture::new();
    let whole = program().bytes();
    for len in (0..whole.len()).step_by(97) {
        fixture.file("a.elf", &whole[..len]);
        let message = first_line(&fixture, &pd("x", "", ""));
        assert!(message.starts_with("test.system:3:1: error: "), "{len}: {message}");
    }
}

#[test]
fn program_without_the_runtime_s_symbols_is_told() {
    let fixture = Fixture::new();
    fixture.file("a.elf", &program().without("microkit_pps").bytes());
    let message = first_line(&fixture, &pd("x", "", ""));
    assert_eq!(
        message,
        "test.system:3:1: error: could not find symbol 'microkit_pps' in ELF 'a.elf' for PD 'x'"
    );
}

#[test]
fn setvar_on_a_missing_symbol_is_told() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x1000\"/>\n{}",
        pd("x", "", "  <map mr=\"r\" vaddr=\"0x1000000\" setvar_vaddr=\"nowhere\"/>")
    );
    let message = first_line(&Fixture::new(), &system);
    assert_eq!(message, "test.system:5:3: error: could not find symbol 'nowhere' in ELF 'a.elf' for PD 'x'");
}

#[test]
fn setvar_on_a_symbol_of_another_size_is_told() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x1000\"/>\n{}",
        pd("x", "", "  <map mr=\"r\" vaddr=\"0x1000000\" setvar_vaddr=\"half\"/>")
    );
    let message = first_line(&Fixture::new(), &system);
    assert_eq!(
        message,
        "test.system:5:3: error: symbol 'half' in ELF 'a.elf' for PD 'x' has size 4 bytes, expected 8"
    );
}

#[test]
fn map_over_a_segment_is_told() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x1000\"/>\n{}",
        pd("x", "", "  <map mr=\"r\" vaddr=\"0x201000\"/>")
    );
    let message = first_line(&Fixture::new(), &system);
    assert!(
        message.starts_with(
            "test.system:5:3: error: map for 'r' has virtual address range [0x201000..0x202000)"
        )
    );
    assert!(message.contains("ELF segment at [0x200000..0x202000)"), "{message}");
}

#[test]
fn map_just_behind_a_segment_is_accepted() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x1000\"/>\n{}",
        pd("x", "", "<map mr=\"r\" vaddr=\"0x204000\"/>")
    );
    assert!(Fixture::new().build(&system).is_ok());
}

#[test]
fn program_that_reaches_into_its_stack_is_told() {
    let fixture = Fixture::new();
    let stack = 0xff_ffff_c000;
    fixture.file("a.elf", &program().segment(stack, stack, 6, &[1; 0x1000]).bytes());
    let message = first_line(&fixture, &pd("x", "", ""));
    assert!(message.starts_with("test.system:3:1: error: "), "{message}");
    assert!(message.contains("segment at [0xffffffc000..0xffffffd000)"), "{message}");
}

#[test]
fn all_errors_are_told_at_once() {
    let system = "<protection_domain name=\"x\"><program_image path=\"none.elf\"/></protection_domain>\n\
                  <protection_domain name=\"y\"><program_image path=\"neither.elf\"/></protection_domain>";
    let message = Fixture::new().error(system);
    assert!(message.contains("'none.elf'") && message.contains("'neither.elf'"), "{message}");
}

#[test]
fn region_over_the_kernel_is_told_with_what_is_free() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x2000\" phys_addr=\"0x60007000\"/>\n{}",
        pd("x", "", "<map mr=\"r\" vaddr=\"0x1000000\"/>")
    );
    let message = Fixture::new().error(&system);
    assert!(
        message.starts_with(
            "test.system:2:1: error: memory region 'r' at [0x60007000..0x60009000) cannot be allocated"
        ),
        "{message}"
    );
    assert!(
        message.contains("valid ranges within main memory:\n    [0x000060000000..0x000060002000)"),
        "{message}"
    );
    assert!(message.contains("valid ranges outside of main memory:\n    [0x000000000000..0x000060000000)"));
}

#[test]
fn region_over_the_initial_task_is_told() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x100000\" phys_addr=\"0x70000000\"/>\n{}",
        pd("x", "", "<map mr=\"r\" vaddr=\"0x1000000\"/>")
    );
    let message = first_line(&Fixture::new(), &system);
    assert!(message.starts_with("test.system:2:1: error: memory region 'r' at [0x70000000"), "{message}");
    assert!(message.contains("the initial task is at [0x70004000.."), "{message}");
}

#[test]
fn lack_of_memory_names_the_object() {
    let system = format!(
        "<memory_region name=\"big\" size=\"0x60000000\" page_size=\"0x200000\"/>\n{}",
        pd("x", "", "<map mr=\"big\" vaddr=\"0x10000000\"/>")
    );
    let message = Fixture::new().error(&system);
    assert!(message.starts_with("cannot allocate Page(2 MiB) 'mr_big["), "{message}");
    assert!(message.contains("out of memory"), "{message}");
}

#[test]
fn lack_of_contiguous_memory_is_told() {
    let system = format!(
        "<memory_region name=\"big\" size=\"0x50000000\" page_size=\"0x200000\"/>\n{}",
        pd("x", "", "<map mr=\"big\" vaddr=\"0x10000000\"/><setvar symbol=\"word\" region_paddr=\"big\"/>")
    );
    let message = first_line(&Fixture::new(), &system);
    assert!(
        message.starts_with("test.system:2:1: error: no contiguous main memory for region 'big'"),
        "{message}"
    );
}

#[test]
fn foreign_initialiser_is_told() {
    let fixture = Fixture::new();
    let name = format!("sdk/board/{}/release/elf/initialiser.elf", common::BOARD);
    fixture.file(&name, &common::elf::ElfBuilder::new(0).segment(0x20_0000, 0, 7, &[1; 16]).bytes());
    let message = first_line(&fixture, &pd("x", "", ""));
    assert!(message.contains("has no symbol 'system_spec_address'"), "{message}");
}
