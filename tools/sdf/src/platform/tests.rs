// SPDX-License-Identifier: BSD-2-Clause
//! Facts from an SDK's files, the reference SDK's and ours.

use super::{Platform, PlatformError};
use board::Board;

/// What `gen_config.json` of the reference SDK says of a system's concern.
const CONFIG: &str = r#"{"SEL4_ARCH": "aarch64", "ARM_HYPERVISOR_SUPPORT": true, "ALLOW_SMC_CALLS": true,
    "MAX_NUM_NODES": "1", "NUM_DOMAINS": "16", "NUM_DOMAIN_SCHEDULES": "100", "KERNEL_WCET_SCALE": "1",
    "TIMER_FREQUENCY": "62500000"}"#;
const REFERENCE: &str = r#"{"devices": [{"start": 0, "end": 134217728}, {"start": 134221824, "end": 134283264},
    {"start": 134287360, "end": 134414336}, {"start": 134418432, "end": 1610612736},
    {"start": 3221225472, "end": 1099511627776}], "memory": [{"start": 1610612736, "end": 3221225472}]}"#;
const ADDRESS_SPACE: &str =
    r#"{"page_table_index_bits": 9, "vspace_user_top": 1099511627775, "vspace_index_bits": 10}"#;

fn board() -> Platform {
    let text = include_str!("../../../../kernel-config/qemu_virt_aarch64.toml");
    Platform::from_board(&Board::parse("board.toml", text).unwrap())
}

#[test]
fn reference_sdk_and_board_description_agree() {
    let sdk = Platform::from_json("qemu_virt_aarch64", REFERENCE, CONFIG, ADDRESS_SPACE).unwrap();
    // The reference SDK does not say how many interrupts there are.
    assert_eq!(sdk.max_irq, 1019);
    assert_eq!(sdk, Platform { max_irq: 1019, ..board() });
}

#[test]
fn our_sdk_says_more() {
    let more = REFERENCE.replacen(
        '{',
        r#"{"max_irq": 287, "wcet_us": 25, "kernel_irqs": [{"number": 26, "use": "timer"}],"#,
        1,
    );
    let sdk =
        Platform::from_json("board", &more, &CONFIG.replace("\"1\",", "\"4\","), ADDRESS_SPACE).unwrap();
    assert_eq!((sdk.max_irq, sdk.min_budget_us, sdk.cores), (287, 200, 4));
    assert_eq!(sdk.kernel_irqs, [(26, "timer".to_owned())]);
}

#[test]
fn address_space_ends_below_stack_guard_and_ipc_buffer() {
    let platform = board();
    assert_eq!(platform.ipc_buffer(), 0xff_ffff_f000);
    assert_eq!(platform.stack_top(), 0xff_ffff_e000);
    assert_eq!(platform.pd_map_limit(0x2000), 0xff_ffff_c000);
    assert_eq!(platform.vm_map_limit(), 0x100_0000_0000);
}

#[test]
fn memory_can_span_ram_and_devices_but_not_the_kernels_pages() {
    let platform = board();
    assert_eq!(platform.first_unavailable(&(0x5fff_f000..0x6000_1000)), None);
    assert_eq!(platform.first_unavailable(&(0x0800_1000..0x0801_0000)), None);
    assert_eq!(platform.first_unavailable(&(0x0800_1000..0x0801_0001)), Some(0x0801_0000));
    assert_eq!(platform.first_unavailable(&(0xff_ffff_f000..0x100_0000_1000)), Some(0x100_0000_0000));
    let unknown = Platform { ram: vec![], device: vec![], ..platform };
    assert_eq!(unknown.first_unavailable(&(0..u64::MAX)), None);
}

#[test]
fn unusable_files_are_refused_with_their_name() {
    let read = |platform: &str, config: &str, space: &str| {
        Platform::from_json("board", platform, config, space).unwrap_err().to_string()
    };
    assert!(read("{", CONFIG, ADDRESS_SPACE).starts_with("platform_gen.json: "));
    assert_eq!(
        read("{}", CONFIG, ADDRESS_SPACE),
        "platform_gen.json: 'memory' is missing or no array of {start, end}"
    );
    assert_eq!(
        read(REFERENCE, CONFIG, "{}"),
        "address_space_constants.json: 'vspace_user_top' is missing or no number"
    );
    let other = CONFIG.replace("aarch64", "riscv64");
    assert!(matches!(
        Platform::from_json("board", REFERENCE, &other, ADDRESS_SPACE),
        Err(PlatformError::Architecture(name)) if name == "riscv64"
    ));
    let missing = Platform::from_sdk("board", "no/such/folder".as_ref()).unwrap_err().to_string();
    assert!(missing.starts_with("no/such/folder/"), "{missing}");
}
