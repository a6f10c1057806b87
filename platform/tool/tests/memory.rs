// SPDX-License-Identifier: BSD-2-Clause
//! Memory: symbols written, content of pages, addresses, the image as the loader reads it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Fixture, KERNEL_PHYS, KERNEL_VIRT, LOADER, pd};
use microkit_tool::build::Built;
use system_spec::Spec;
use system_spec::record::{Frame, Mapping, Source};

/// The image as the loader sees it.
struct Header {
    words: [u64; 8],
    regions: Vec<[u64; 4]>,
    data: usize,
}

impl Header {
    fn read(image: &[u8]) -> Self {
        const AT: usize = 0x3000;
        let word = |index: usize| u64::from_le_bytes(image[AT + index * 8..][..8].try_into().unwrap());
        let words = std::array::from_fn(word);
        let count = words[7] as usize;
        let regions =
            (0..count).map(|region| std::array::from_fn(|field| word(8 + region * 4 + field))).collect();
        Self { words, regions, data: AT + 64 + count * 32 }
    }

    fn region<'a>(&self, image: &'a [u8], index: usize) -> &'a [u8] {
        let [_, size, offset, _] = self.regions[index];
        &image[self.data + offset as usize..][..size as usize]
    }
}

/// The root task's bytes, and the description and data in them.
fn root_task(built: &Built) -> Vec<u8> {
    Header::read(&built.image).region(&built.image, 0).to_vec()
}

fn data(task: &[u8]) -> &[u8] {
    let word = |at: usize| u64::from_le_bytes(task[at..][..8].try_into().unwrap());
    let start = (word(0x110) - 0x20_0000) as usize;
    &task[start..start + word(0x118) as usize]
}

/// The mapping of an address space at `vaddr`, if there is one.
fn mapping(built: &Built, vspace: &str, vaddr: u64) -> Option<Mapping> {
    let content = &built.model.content;
    content
        .mappings
        .iter()
        .find(|m| {
            let end = m.vaddr + (u64::from(m.count) << m.frame_bits);
            built.model.name_of(m.vspace) == vspace && (m.vaddr..end).contains(&vaddr)
        })
        .copied()
}

/// One page of a program, taken from the image.
fn page(built: &Built, vspace: &str, vaddr: u64) -> Vec<u8> {
    let mapping = mapping(built, vspace, vaddr).unwrap();
    let Frame::Image(first) = mapping.frame else { panic!("{mapping:?} has no content") };
    let task = root_task(built);
    let page = first as usize + ((vaddr - mapping.vaddr) >> 12) as usize;
    data(&task)[page * 0x1000..][..0x1000].to_vec()
}

fn word(page: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(page[at..][..8].try_into().unwrap())
}

#[test]
fn symbols_of_a_program_are_written() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x2000\"/>{}{}\
         <channel><end pd=\"x\" id=\"3\" pp=\"true\"/><end pd=\"y\" id=\"5\"/></channel>",
        pd(
            "x",
            "passive=\"true\"",
            "<irq irq=\"40\" id=\"1\"/><map mr=\"r\" vaddr=\"0x1000000\" setvar_vaddr=\"word\" setvar_size=\"word2\"/>"
        ),
        pd("y", "priority=\"1\"", "")
    );
    let built = Fixture::new().build(&system).unwrap();
    let x = page(&built, "vspace_x", 0x20_2000);
    assert_eq!(&x[..3], b"x\0\0");
    assert_eq!(x[64], 1, "passive");
    assert_eq!([72, 80, 88, 96].map(|at| word(&x, at)), [1 << 1, 1 << 3, 1 << 3, 0]);
    let setvars = page(&built, "vspace_x", 0x20_3000);
    assert_eq!([word(&setvars, 0), word(&setvars, 8)], [0x100_0000, 0x2000]);
    let y = page(&built, "vspace_y", 0x20_2000);
    assert_eq!(y[64], 0);
    assert_eq!([72, 80, 88].map(|at| word(&y, at)), [0, 1 << 5, 0]);
}

#[test]
fn symbols_may_be_looked_up_in_another_file() {
    let fixture = Fixture::new();
    let stripped = common::program().without("word").bytes();
    fixture.file("stripped.elf", &stripped);
    let system = "<memory_region name=\"r\" size=\"0x1000\"/><protection_domain name=\"x\">\
                  <program_image path=\"stripped.elf\" path_for_symbols=\"a.elf\"/>\
                  <map mr=\"r\" vaddr=\"0x1000000\" setvar_vaddr=\"word\"/></protection_domain>";
    let built = fixture.build(system).unwrap();
    assert_eq!(word(&page(&built, "vspace_x", 0x20_3000), 0), 0x100_0000);
}

#[test]
fn symbols_of_the_monitor_are_written() {
    let vm = "<virtual_machine name=\"guest\"><vcpu id=\"0\"/><vcpu id=\"1\"/></virtual_machine>";
    let system =
        format!("{}{}", pd("first", "stack_size=\"0x1000\"", ""), pd("second", "priority=\"1\"", vm));
    let built = Fixture::new().build(&system).unwrap();
    let tables = page(&built, "vspace_monitor", 0x20_1000);
    assert_eq!([word(&tables, 0), word(&tables, 8)], [2, 2]);
    assert_eq!([word(&tables, 0x100), word(&tables, 0x108)], [0xff_ffff_d000, 0xff_ffff_c000]);
    let names = page(&built, "vspace_monitor", 0x20_2000);
    assert_eq!((&names[..6], &names[64..71]), (&b"first\0"[..], &b"second\0"[..]));
    let vms = page(&built, "vspace_monitor", 0x20_3000);
    assert_eq!((&vms[..6], &vms[64..70]), (&b"guest\0"[..], &b"guest\0"[..]));
    assert_eq!(word(&tables, 0x10), 0, "a release kernel prints no function names");
}

#[test]
fn monitor_of_a_printing_kernel_gets_function_names() {
    let built = Fixture::new().build_config(&pd("x", "", ""), "debug", None).unwrap();
    let tables = page(&built, "vspace_monitor", 0x20_1000);
    let names = page(&built, "vspace_monitor", word(&tables, 0x10));
    let names = &names[..word(&tables, 0x18) as usize];
    assert_eq!(system_spec::symbols::find(names, 0, 0x20_0044), Some(("work", 4)));
}

#[test]
fn pages_of_a_program_have_its_rights_and_zero_pages_are_fresh() {
    let fixture = Fixture::new();
    let program = common::program().segment(0x20_8000, 0x20_8000, 6, &[0; 0x3000]);
    fixture.file("a.elf", &program.bytes());
    let built = fixture.build(&pd("x", "", "")).unwrap();
    let rights = |vaddr| mapping(&built, "vspace_x", vaddr).map(|m| (m.write, m.execute));
    assert_eq!(rights(0x20_0000), Some((false, true)));
    assert_eq!(rights(0x20_1000), Some((false, true)));
    assert_eq!(rights(0x20_2000), Some((true, false)));
    assert_eq!(rights(0x20_4000), None);
    assert_eq!(page(&built, "vspace_x", 0x20_1000), [[0x55; 0x800], [0; 0x800]].concat());
    let fresh = mapping(&built, "vspace_x", 0x20_8000).unwrap();
    assert!(matches!(fresh.frame, Frame::Object(_)));
    assert_eq!(fresh.count, 3);
}

#[test]
fn prefilled_small_pages_come_with_the_image_and_the_rest_is_fresh() {
    let fixture = Fixture::new();
    fixture.file("data.bin", &[7; 0x1801]);
    let system = format!(
        "<memory_region name=\"r\" size=\"0x4000\" prefill_path=\"data.bin\"/>{}{}",
        pd("x", "", "<map mr=\"r\" vaddr=\"0x1000000\" setvar_prefill_size=\"word\"/>"),
        pd("y", "", "<map mr=\"r\" vaddr=\"0x3000000\" perms=\"r\"/>")
    );
    let built = fixture.build(&system).unwrap();
    assert_eq!(page(&built, "vspace_x", 0x100_1000), [&[7; 0x801][..], &[0; 0x7ff]].concat());
    assert_eq!(
        mapping(&built, "vspace_x", 0x100_0000).unwrap().frame,
        mapping(&built, "vspace_y", 0x300_0000).unwrap().frame
    );
    let rest = |vspace, vaddr| mapping(&built, vspace, vaddr).map(|m| (m.count, m.copy, m.write));
    assert_eq!(rest("vspace_x", 0x100_2000), Some((2, false, true)));
    assert_eq!(rest("vspace_y", 0x300_2000), Some((2, true, false)));
    assert_eq!(word(&page(&built, "vspace_x", 0x20_3000), 0), 0x1801);
    assert!(built.model.content.fills.is_empty());
}

#[test]
fn one_file_is_shared_by_readers_only() {
    let fixture = Fixture::new();
    fixture.file("data.bin", &[7; 0x1000]);
    let regions = "<memory_region name=\"r\" prefill_path=\"data.bin\"/><memory_region name=\"s\" prefill_path=\"data.bin\"/>";
    let frames = |perms: &str| {
        let maps = format!(
            "<map mr=\"r\" vaddr=\"0x1000000\" perms=\"r\"/><map mr=\"s\" vaddr=\"0x2000000\" perms=\"{perms}\"/>"
        );
        let built = fixture.build(&format!("{regions}{}", pd("x", "", &maps))).unwrap();
        [0x100_0000, 0x200_0000].map(|vaddr| mapping(&built, "vspace_x", vaddr).unwrap().frame)
    };
    let [r, s] = frames("r");
    assert_eq!(r, s);
    let [r, s] = frames("rw");
    assert_ne!(r, s);
}

#[test]
fn prefilled_large_and_fixed_pages_are_copied() {
    let fixture = Fixture::new();
    fixture.file("data.bin", &[9; 0x1234]);
    let system = format!(
        "<memory_region name=\"l\" size=\"0x200000\" page_size=\"0x200000\" prefill_path=\"data.bin\"/>\
         <memory_region name=\"f\" size=\"0x2000\" phys_addr=\"0xa0000000\" prefill_path=\"data.bin\"/>{}",
        pd("x", "", "<map mr=\"l\" vaddr=\"0x1000000\"/><map mr=\"f\" vaddr=\"0x3000000\"/>")
    );
    let built = fixture.build(&system).unwrap();
    let task = root_task(&built);
    let fills = &built.model.content.fills;
    assert_eq!(fills.len(), 2);
    for fill in fills {
        let Source::Data(at) = fill.source else { panic!("{fill:?}") };
        assert_eq!((fill.offset, fill.len), (0, 0x1234));
        assert_eq!(data(&task)[at as usize..][..0x1234], [9; 0x1234]);
    }
    assert_eq!(fills[0].source, fills[1].source, "the file is there once");
    let fixed = built.model.objects.iter().find(|objects| objects.name == "mr_f").unwrap();
    assert_eq!(built.placement.paddr(fixed.first), Some(0xa000_0000));
}

#[test]
fn address_told_to_a_program_is_where_the_region_will_be() {
    let system = format!(
        "<memory_region name=\"r\" size=\"0x400000\" page_size=\"0x200000\"/>{}",
        pd("x", "", "<map mr=\"r\" vaddr=\"0x1000000\"/><setvar symbol=\"word\" region_paddr=\"r\"/>")
    );
    let built = Fixture::new().build(&system).unwrap();
    let told = word(&page(&built, "vspace_x", 0x20_3000), 0);
    let region = built.model.objects.iter().find(|objects| objects.name == "mr_r").unwrap();
    assert_eq!(region.paddr, Some(told));
    assert_eq!(built.placement.paddr(region.first + 1), Some(told + 0x20_0000));
    assert_eq!(told % 0x20_0000, 0);
}

#[test]
fn description_in_the_image_is_the_model() {
    let built = Fixture::new().build(&pd("x", "", "")).unwrap();
    let task = root_task(&built);
    let start = (word(&task, 0x100) - 0x20_0000) as usize;
    let spec = Spec::read(&task[start..start + word(&task, 0x108) as usize]).unwrap();
    let threads: Vec<_> = spec.threads().collect::<Result<_, _>>().unwrap();
    assert_eq!(threads, built.model.content.threads);
    let slots: Vec<_> = spec.slots().collect::<Result<_, _>>().unwrap();
    assert_eq!(slots, built.model.content.slots);
    assert!(spec.header.window >= 0x20_0000 + task.len() as u64 + 0x2000);
}

#[test]
fn root_task_runs_where_it_lies_in_the_image() {
    let built = Fixture::new().build(&pd("x", "", "")).unwrap();
    let header = Header::read(&built.image);
    let [magic, size, kernel_entry, start, end, offset, entry, count] = header.words;
    assert_eq!((magic, kernel_entry, entry, count), (0x5e14_dead_14de_5ead, KERNEL_VIRT, 0x20_0000, 2));
    assert_eq!(size as usize, built.image.len() - 0x3000);
    let [task, kernel] = [header.regions[0], header.regions[1]];
    assert_eq!((task[0], task[0] + task[1], task[3]), (start, end, 1));
    assert_eq!(start, LOADER + header.data as u64 + task[2], "in place");
    assert_eq!(start % 0x1000, 0);
    assert_eq!(0x20_0000u64.wrapping_add(offset), start);
    assert_eq!((kernel[0], kernel[1]), (KERNEL_PHYS, 0x5000));
    assert_eq!(header.region(&built.image, 1), [0x11; 0x5000]);
    assert_eq!(&built.image[..0x3000], [0x22; 0x3000]);
}

#[test]
fn image_as_elf_has_the_same_bytes() {
    let built = Fixture::new().build(&pd("x", "", "")).unwrap();
    let elf = microkit_tool::elf::Elf::parse("x".as_ref(), &built.elf).unwrap();
    assert_eq!((elf.entry, elf.segments.len()), (LOADER, 1));
    assert_eq!((elf.segments[0].vaddr, &elf.segments[0].data), (LOADER, &built.image));
}

#[test]
fn root_task_is_copied_when_the_image_is_outside_main_memory() {
    let fixture = Fixture::new();
    let at = 0x5000_0000;
    let loader = common::elf::ElfBuilder::new(at).segment(at, at, 7, &[0x22; 0x3000]);
    fixture.file(&format!("sdk/board/{}/release/elf/loader.elf", common::BOARD), &loader.bytes());
    let built = fixture.build(&pd("x", "", "")).unwrap();
    let header = Header::read(&built.image);
    assert_eq!(header.words[3], KERNEL_PHYS + 0x8000, "right behind the kernel");
    assert_eq!(header.regions[0][0], header.words[3]);
}

#[test]
fn another_kernel_can_be_used() {
    let fixture = Fixture::new();
    let kernel = common::elf::ElfBuilder::new(KERNEL_VIRT)
        .segment(KERNEL_VIRT, KERNEL_PHYS, 7, &[0x66; 0x1000])
        .symbol("ki_boot_end", KERNEL_VIRT, 0)
        .symbol("ki_end", KERNEL_VIRT + 0x1000, 0);
    fixture.file("other.elf", &kernel.bytes());
    let built = fixture.build_config(&pd("x", "", ""), "release", Some("other.elf")).unwrap();
    assert_eq!(Header::read(&built.image).region(&built.image, 1), [0x66; 0x1000]);
}
