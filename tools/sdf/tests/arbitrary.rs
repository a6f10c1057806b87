// SPDX-License-Identifier: BSD-2-Clause
//! Whatever the text, the parser and the resolver answer and do not panic, and what they accept keeps its promises.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use proptest::prelude::*;
use sdf::{Diagnostic, Platform, System, Variables};
use std::path::Path;
use std::sync::LazyLock;

static BOARD: LazyLock<Board> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config/qemu_virt_aarch64.toml");
    Board::load(&path).unwrap()
});

/// Parses and resolves; checks what holds for every answer.
fn digest(text: &str) {
    let platform = Platform::from_board(&BOARD);
    answer_is_sound(sdf::parse("a.system", text, &platform, &[]), text, &platform);
    let resolved = sdf::resolve("a.xml", text, &BOARD, &Variables::new());
    match resolved {
        Ok(resolved) => {
            answer_is_sound(resolved.parse(&platform, &[]), text, &platform);
        }
        Err(errors) => answer_is_sound(Err(errors), text, &platform),
    }
}

fn answer_is_sound(answer: Result<System, Vec<Diagnostic>>, text: &str, platform: &Platform) {
    match answer {
        Ok(system) => promises_hold(&system, platform),
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in &errors {
                let rows = text.split('\n').count();
                assert!(
                    (1..=rows).contains(&usize::try_from(error.pos.row).unwrap()),
                    "{error} of {rows} rows"
                );
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// What the documentation of the model says, and the tool relies on.
fn promises_hold(system: &System, platform: &Platform) {
    assert!(!system.protection_domains.is_empty() && system.protection_domains.len() <= sdf::limits::MAX_PDS);
    for (index, pd) in system.protection_domains.iter().enumerate() {
        assert_eq!(pd.parent.is_some(), pd.child_id.is_some());
        assert!(pd.parent.is_none_or(|parent| parent < index));
        assert!(pd.children.iter().all(|child| system.protection_domains[*child].parent == Some(index)));
        assert!(pd.priority < 255 && pd.budget_us >= platform.min_budget_us && pd.budget_us <= pd.period_us);
        assert!(!pd.program_image.path.as_os_str().is_empty());
        let limit = platform.pd_map_limit(pd.stack_size);
        assert!(pd.maps.iter().all(|map| map.vaddr + system.memory_regions[map.region].size <= limit));
        let vm_maps = pd.virtual_machine.iter().flat_map(|vm| &vm.maps);
        for map in pd.maps.iter().chain(vm_maps) {
            assert!(map.vaddr.is_multiple_of(system.memory_regions[map.region].page_size.bytes()));
        }
        assert!(pd.virtual_machine.iter().all(|vm| !vm.vcpus.is_empty()));
        assert!(pd.user_caps.iter().all(|cap| (1..64).contains(&cap.slot)));
        let symbols: std::collections::BTreeSet<_> = pd.setvars.iter().map(|setvar| &setvar.symbol).collect();
        assert_eq!(symbols.len(), pd.setvars.len());
    }
    for region in &system.memory_regions {
        assert!(region.size > 0 && region.size.is_multiple_of(region.page_size.bytes()));
        assert!(region.phys_addr.is_none_or(|address| address.is_multiple_of(region.page_size.bytes())));
    }
}

const ELEMENTS: &[&str] = &[
    "system",
    "protection_domain",
    "program_image",
    "map",
    "irq",
    "ioport",
    "setvar",
    "virtual_machine",
    "vcpu",
    "memory_region",
    "channel",
    "end",
    "cspace",
    "cap_tcb",
    "cap_sc",
    "cap_vspace",
    "io_address_space",
    "domains",
    "domain",
    "domain_schedule",
    "schedule_entry",
    "schedule_end_marker",
    "config",
    "entry",
    "template",
    "use",
    "link",
    "data",
    "serial",
    "ring",
    "call",
    "watchdog",
    "other",
];

const ATTRIBUTES: &[&str] = &[
    "name",
    "priority",
    "budget",
    "period",
    "passive",
    "stack_size",
    "cpu",
    "smc",
    "fpu",
    "domain",
    "id",
    "setvar_id",
    "path",
    "path_for_symbols",
    "mr",
    "vaddr",
    "perms",
    "cached",
    "setvar_vaddr",
    "setvar_size",
    "setvar_prefill_size",
    "irq",
    "trigger",
    "pin",
    "pcidev",
    "symbol",
    "region_paddr",
    "size",
    "page_size",
    "phys_addr",
    "prefill_path",
    "prefill_bootinfo",
    "pd",
    "pp",
    "notify",
    "slot",
    "start_index",
    "index_shift",
    "duration",
    "device",
    "index",
    "count",
    "when",
    "value",
    "template",
    "parameters",
    "client",
    "server",
    "consumer",
    "producer",
    "server_ch",
    "config",
    "region",
    "setvar_paddr",
];

const VALUES: &[&str] = &[
    "",
    "a",
    "b",
    "0",
    "1",
    "2",
    "61",
    "62",
    "63",
    "64",
    "255",
    "256",
    "0x1000",
    "0x1001",
    "0x200000",
    "0x40000000",
    "0xffffffb000",
    "0xffffffffff",
    "0xfffffffffffff000",
    "0xffffffffffffffff",
    "18446744073709551616",
    "-1",
    "true",
    "false",
    "r",
    "rw",
    "wx",
    "level",
    "edge",
    "fdt",
    "1 us",
    "5 ticks",
    "0 us",
    "pl011",
    "generic_timer",
    "gicv",
    "${A}",
    "${A:-1}",
    "${A-}",
    "$",
    "4K",
    "16777216G",
    "monitor",
    "&lt;&quot;",
    "é€",
    "&#10;",
    "a.x",
    "b.x0",
    "a.x*",
    "b.x*",
    "rw paddr",
    "none",
    "a == a",
    "a=1 b",
    "${a}",
    "${A_${a}:-${b}}",
];

/// An element with attributes and children that mostly belong together.
fn element() -> impl Strategy<Value = String> {
    let attribute =
        (0..ATTRIBUTES.len(), 0..VALUES.len()).prop_map(|(name, value)| (ATTRIBUTES[name], VALUES[value]));
    let attributes = prop::collection::btree_map(attribute, Just(()), 0..6).prop_map(|pairs| {
        let mut seen = std::collections::BTreeSet::new();
        let unique = pairs.into_keys().filter(move |(name, _)| seen.insert(*name));
        unique.map(|(name, value)| format!(" {name}=\"{value}\"")).collect::<String>()
    });
    let tag = (0..ELEMENTS.len(), attributes).prop_map(|(name, attributes)| (ELEMENTS[name], attributes));
    let leaf = tag.clone().prop_map(|(name, attributes)| format!("<{name}{attributes} />"));
    leaf.prop_recursive(4, 24, 6, move |inner| {
        (tag.clone(), prop::collection::vec(inner, 0..6), prop::bool::weighted(0.1)).prop_map(
            |((name, attributes), children, text)| {
                let text = if text { "text" } else { "\n" };
                format!("<{name}{attributes}>{text}{}</{name}>", children.concat())
            },
        )
    })
}

/// Small systems near the border of what is accepted: three regions, one to three domains.
fn near_system() -> impl Strategy<Value = String> {
    let size = prop::sample::select(vec!["0x1000", "0x2000", "0x200000", "0x400000", "0x400800"]);
    let address =
        prop::option::weighted(0.3, prop::sample::select(vec!["0x9000000", "0x9001000", "0x40000000"]));
    let vaddr = prop::sample::select(vec![
        "0x1000",
        "0x200000",
        "0x400000",
        "0x601000",
        "0x10000000",
        "0xffffffb000",
    ]);
    let map = (0..3u8, prop::option::weighted(0.7, vaddr)).prop_map(|(region, vaddr)| {
        let vaddr = vaddr.map_or(String::new(), |vaddr| format!(" vaddr=\"{vaddr}\""));
        format!("<map mr=\"r{region}\"{vaddr} />")
    });
    let end = (0..3u8, 0..8u8, prop::bool::weighted(0.2))
        .prop_map(|(pd, id, pp)| format!("<end pd=\"p{pd}\" id=\"{id}\" pp=\"{pp}\" />"));
    let connections = prop::sample::select(vec![
        "<link name='l' client='p0.a' server='p1.b0'><data name='d' size='4K' client='rw' server='r' /></link>",
        "<link name='m' client='p1.a' server='p2.b*' size='64K'><data name='d' region='r0' client='none' server='paddr' /></link>",
        "<serial name='s' client='p0.c' server='p2.b*' tx_size='8K' />",
        "<ring name='r' consumer='p2.r' producer='p0.b0' />",
        "<call client='p0.t' server='p1' />",
        "<call client='p1.t' server='p0' />",
        "<template name='t' parameters='n'><call client='p${n}.u' server='p2' /></template><use template='t' n='0' />",
    ]);
    let parts = (
        prop::collection::vec((size, address), 3),
        prop::collection::vec((0..3u8, prop::collection::vec(map, 0..3), 0..3u8), 1..4),
        prop::collection::vec((end.clone(), end), 0..2),
        prop::collection::vec(connections, 0..3),
    );
    parts.prop_map(|(regions, pds, channels, connections)| {
        let mut text = String::from("<system>\n");
        for (i, (size, address)) in regions.iter().enumerate() {
            let fixed = address.map_or(String::new(), |address| format!(" phys_addr=\"{address}\""));
            text += &format!("<memory_region name=\"r{i}\" size=\"{size}\"{fixed} />\n");
        }
        for (i, (priority, maps, vcpus)) in pds.iter().enumerate() {
            text += &format!("<protection_domain name=\"p{i}\" priority=\"{priority}\">");
            text += &format!("<program_image path=\"p\" />{}", maps.concat());
            if *vcpus > 0 {
                let vcpus: String = (0..*vcpus).map(|id| format!("<vcpu id=\"{id}\" />")).collect();
                text += &format!("<virtual_machine name=\"v{i}\">{vcpus}</virtual_machine>");
            }
            text += "</protection_domain>\n";
        }
        for (a, b) in &channels {
            text += &format!("<channel>{a}{b}</channel>\n");
        }
        text + &connections.concat() + "</system>\n"
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        digest(&text);
    }

    #[test]
    fn any_tree_of_known_words_is_answered(children in prop::collection::vec(element(), 0..8)) {
        digest(&format!("<system>\n{}\n</system>", children.join("\n")));
    }

    #[test]
    fn accepted_systems_keep_the_models_promises(text in near_system()) {
        digest(&text);
    }

    #[test]
    fn a_file_with_one_part_missing_is_answered(at in 0usize..4000, len in 1usize..40) {
        let text = include_str!("../../../system.xml");
        let keep = |i: usize| text.get(..i).unwrap_or(text);
        let (start, end) = ((0..=at).rev().find(|i| text.is_char_boundary(*i)), (at + len..).find(|i| text.is_char_boundary(*i)));
        let cut = format!("{}{}", keep(start.unwrap_or(0)), text.get(end.unwrap_or(0)..).unwrap_or(""));
        digest(&cut);
    }
}

#[test]
fn deep_nesting_is_answered() {
    for name in ["protection_domain", "channel", "link", "template", "other"] {
        let depth = 20_000;
        let text = format!(
            "<system>{}{}</system>",
            format!("<{name}>").repeat(depth),
            format!("</{name}>").repeat(depth)
        );
        digest(&text);
    }
}

#[test]
fn empty_and_odd_files_are_answered() {
    for text in [
        "",
        "\n",
        "\u{feff}<system/>",
        "\0",
        "<",
        "<system",
        "<system xmlns='x'/>",
        "<a:system/>",
        "\r\n<system>\r\n</system>",
    ] {
        digest(text);
    }
}
