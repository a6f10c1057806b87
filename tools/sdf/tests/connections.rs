// SPDX-License-Identifier: BSD-2-Clause
//! What `link`, `serial`, `ring`, `call`, `watchdog` and templates stand for: symbols, rights and files of
//! `tests/sdf/valid/connections.xml`.

#![allow(clippy::unwrap_used, reason = "tests")]

use board::Board;
use sdf::{Platform, Resolved, SetvarValue, System, Variables};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn resolved(variables: &[(&str, &str)]) -> (Resolved, System) {
    let board = Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap();
    let text = std::fs::read_to_string(root().join("tests/sdf/valid/connections.xml")).unwrap();
    let variables: Variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let resolved = sdf::resolve("connections.xml", &text, &board, &variables).unwrap();
    let system = resolved.parse(&Platform::from_board(&board), &[]).unwrap();
    (resolved, system)
}

/// What each symbol of a domain gets: `map REGION PERMS`, `size N`, `paddr REGION`, `id N`.
fn symbols(system: &System, pd: &str) -> BTreeMap<String, String> {
    let pd_index = system.protection_domains.iter().position(|p| p.name == pd).unwrap();
    let pd = &system.protection_domains[pd_index];
    let region = |index: usize| &system.memory_regions[index];
    let meaning = |symbol: &str, value| match value {
        SetvarValue::PhysAddr(index) => format!("paddr {}", region(index).name),
        SetvarValue::Number(number) if symbol.ends_with("_size") => format!("size {number:#x}"),
        SetvarValue::Number(number) if symbol.ends_with("_ch") => {
            let end = system.ends_of(pd_index).find(|(own, _)| u64::from(own.id) == number);
            end.map_or("irq".to_owned(), |(own, peer)| {
                let verb = if own.pp { "calls" } else { "signals" };
                format!("{verb} {}", system.protection_domains[peer.pd].name)
            })
        }
        SetvarValue::Number(number) => {
            let map = pd.maps.iter().find(|map| map.vaddr == number).unwrap();
            format!("{} {}", region(map.region).name, map.perms)
        }
    };
    pd.setvars.iter().map(|setvar| (setvar.symbol.clone(), meaning(&setvar.symbol, setvar.value))).collect()
}

fn expect(got: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(symbol, meaning)| ((*symbol).to_owned(), (*meaning).to_owned())).collect();
    assert_eq!(*got, expected);
}

#[test]
fn a_client_gets_its_ends_symbols() {
    let (_, system) = resolved(&[]);
    expect(
        &symbols(&system, "client_0"),
        &[
            ("ram", "ram_0 rw"),
            ("blk_ch", "signals virt"),
            ("blk_link", "blk_0_link rw"),
            ("blk_link_size", "size 0x10000"),
            ("blk_data", "blk_0_data rw"),
            ("blk_data_size", "size 0x100000"),
            ("blk_rx_data", "blk_0_rx_data r"),
            ("blk_rx_data_size", "size 0x2000"),
            ("console_ch", "signals virt"),
            ("console_tx_queue", "console_0_tx_queue rw"),
            ("console_tx_data", "console_0_tx_data rw"),
            ("console_tx_data_size", "size 0x10000"),
            ("console_rx_queue", "console_0_rx_queue rw"),
            ("console_rx_data", "console_0_rx_data r"),
            ("console_rx_data_size", "size 0x1000"),
            ("rng_ch", "signals driver"),
            ("rng_queue", "rng_0_queue rw"),
            ("rng_data", "rng_0_data r"),
            ("rng_data_size", "size 0x1000"),
        ],
    );
}

#[test]
fn a_server_gets_numbered_symbols_and_what_it_may_not_map_as_an_address() {
    let (resolved, system) = resolved(&[]);
    let virt = symbols(&system, "virt");
    let of = |symbol: &str| virt.get(symbol).map(String::as_str);
    assert_eq!(of("driver_link"), Some("disk_link rw"));
    assert_eq!(of("driver_link_size"), Some("size 0x20000"));
    assert_eq!(of("driver_ch"), Some("signals driver"));
    assert_eq!(of("client0_link"), Some("blk_0_link rw"));
    assert_eq!(of("client0_ch"), Some("signals client_0"));
    assert_eq!(of("client0_data"), None);
    assert_eq!(of("client0_data_paddr"), Some("paddr blk_0_data"));
    assert_eq!(of("client1_data_paddr"), Some("paddr ram_1"));
    assert_eq!(of("client1_rx_data"), Some("blk_1_rx_data rw"));
    assert_eq!(of("client1_rx_data_paddr"), Some("paddr blk_1_rx_data"));
    assert_eq!(of("serial0_tx_data"), Some("console_0_tx_data r"));
    assert_eq!(of("serial1_rx_data"), Some("console_1_rx_data rw"));
    assert_eq!(of("watchdog_ch"), Some("signals supervisor"));
    let config = resolved.files.iter().find(|file| file.name == "virt_config.txt").unwrap();
    assert_eq!(
        config.content,
        "client0=partition:0\nclient0_data_size=1048576\nclient1=partition:1\nclient1_data_size=4194304\n"
    );
}

#[test]
fn a_driver_gets_its_one_link_without_prefix_and_produces_into_rings() {
    let (_, system) = resolved(&[]);
    expect(
        &symbols(&system, "driver"),
        &[
            ("regs", "registers rw"),
            ("dma", "dma rw"),
            ("dma_size", "size 0x10000"),
            ("dma_paddr", "paddr dma"),
            ("irq_ch", "irq"),
            ("link", "disk_link rw"),
            ("link_size", "size 0x20000"),
            ("virt_ch", "signals virt"),
            ("watchdog_ch", "signals supervisor"),
            ("client0_ch", "signals client_0"),
            ("client0_queue", "rng_0_queue rw"),
            ("client0_data", "rng_0_data rw"),
            ("client0_data_size", "size 0x1000"),
            ("client1_ch", "signals client_1"),
            ("client1_queue", "rng_1_queue rw"),
            ("client1_data", "rng_1_data rw"),
            ("client1_data_size", "size 0x1000"),
        ],
    );
}

#[test]
fn a_supervisor_knows_its_children_by_number_and_name() {
    let (resolved, system) = resolved(&[]);
    expect(
        &symbols(&system, "supervisor"),
        &[
            ("config", "supervisor_config r"),
            ("config_size", "size 0x22"),
            ("timer_ch", "calls timer"),
            ("child0_ch", "signals driver"),
            ("child5_ch", "signals virt"),
        ],
    );
    assert_eq!(symbols(&system, "timer"), BTreeMap::from([("irq_ch".to_owned(), "irq".to_owned())]));
    let config = resolved.files.iter().find(|file| file.name == "supervisor_config.txt").unwrap();
    assert_eq!(config.content, "child0=driver,restart\nchild5=virt\n".to_owned());
    let supervisor = system.protection_domain("supervisor").unwrap();
    let ids = supervisor.children.iter().map(|child| system.protection_domains[*child].child_id.unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), [0, 5, 1, 2]);
}

#[test]
fn variables_may_have_a_parameter_in_their_name() {
    let (_, system) = resolved(&[("PRIORITY_1", "199")]);
    assert_eq!(system.protection_domain("client_0").unwrap().priority, 200);
    assert_eq!(system.protection_domain("client_1").unwrap().priority, 199);
}

/// The plain text means the same to a tool that knows nothing of the dialect.
#[test]
fn the_plain_text_says_it_all() {
    let (resolved, system) = resolved(&[]);
    let folder = tempfile::tempdir().unwrap();
    for file in &resolved.files {
        std::fs::write(folder.path().join(&file.name), &file.content).unwrap();
    }
    let board = Board::load(&root().join("kernel-config/qemu_virt_aarch64.toml")).unwrap();
    let paths = [folder.path().to_owned()];
    let plain = sdf::parse("a.system", &resolved.text, &Platform::from_board(&board), &paths).unwrap();
    for pd in &system.protection_domains {
        assert_eq!(symbols(&plain, &pd.name), symbols(&system, &pd.name));
    }
}

#[test]
fn chosen_addresses_leave_a_page_between_and_large_regions_keep_large_pages() {
    let (_, system) = resolved(&[]);
    for pd in &system.protection_domains {
        let mut ranges: Vec<_> = pd
            .maps
            .iter()
            .map(|map| (map.vaddr, map.vaddr + system.memory_regions[map.region].size))
            .collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{}: {ranges:x?}", pd.name);
    }
    assert_eq!(system.memory_region("ram_0").unwrap().page_size, sdf::PageSize::Large);
}
