// SPDX-License-Identifier: BSD-2-Clause
//! A made-up SDK and made-up programs in a scratch folder.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod elf;

use std::fs;
use std::path::PathBuf;

use elf::ElfBuilder;
use microkit_tool::build::{Built, Failure, Request, build};
use tempfile::TempDir;

pub const KERNEL_PHYS: u64 = 0x6000_0000;
pub const KERNEL_VIRT: u64 = 0xff_c000_0000;
pub const LOADER: u64 = 0x7000_0000;
pub const BOARD: &str = "test_board";

/// Symbols that every program has, each with its size.
pub const PD_SYMBOLS: [(&str, u64); 6] = [
    ("microkit_name", 64),
    ("microkit_passive", 1),
    ("microkit_irqs", 8),
    ("microkit_notifications", 8),
    ("microkit_pps", 8),
    ("microkit_ioports", 8),
];

pub struct Fixture {
    pub folder: TempDir,
}

impl Fixture {
    /// An SDK with one board and its release configuration, and the program `a.elf`.
    pub fn new() -> Self {
        let fixture = Self { folder: TempDir::new().unwrap() };
        for config in ["debug", "release"] {
            fixture.config(config);
        }
        fixture.file("a.elf", &program().bytes());
        fixture
    }

    fn config(&self, config: &str) {
        let target = format!("sdk/board/{BOARD}/{config}");
        let json = [
            (
                "platform_gen.json",
                r#"{"devices": [{"start": 0, "end": 1610612736}, {"start": 3221225472, "end": 1099511627776}],
                    "memory": [{"start": 1610612736, "end": 3221225472}]}"#,
            ),
            (
                "object_sizes.json",
                r#"{"tcb": 11, "endpoint": 4, "notification": 6, "small_page": 12, "large_page": 21, "asid_pool": 12,
                    "asid_table": 9, "slot": 5, "min_untyped_bits": 4, "max_untyped_bits": 47, "vspace": 13, "reply": 5,
                    "vcpu": 12, "page_table": 12, "huge_page": 30}"#,
            ),
            (
                "address_space_constants.json",
                r#"{"page_table_index_bits": 9, "vspace_user_top": 1099511627775, "vspace_index_bits": 10}"#,
            ),
        ];
        for (name, text) in json {
            self.file(&format!("{target}/{name}"), text.as_bytes());
        }
        let options = serde_json::json!({
            "SEL4_ARCH": "aarch64", "ARM_HYPERVISOR_SUPPORT": true, "ARM_PA_SIZE_BITS_40": true,
            "ALLOW_SMC_CALLS": true, "MAX_NUM_NODES": "1", "NUM_DOMAINS": "16", "NUM_DOMAIN_SCHEDULES": "100",
            "TIMER_FREQUENCY": "62500000", "ROOT_CNODE_SIZE_BITS": "17", "KERNEL_MCS": true,
            "MAX_NUM_BOOTINFO_UNTYPED_CAPS": "230", "PRINTING": config == "debug",
        });
        self.file(&format!("{target}/include/kernel/gen_config.json"), options.to_string().as_bytes());
        let kernel = ElfBuilder::new(KERNEL_VIRT)
            .segment(KERNEL_VIRT, KERNEL_PHYS, 7, &[0x11; 0x5000])
            .symbol("ki_boot_end", KERNEL_VIRT + 0x2000, 0)
            .symbol("ki_end", KERNEL_VIRT + 0x8000, 0);
        let loader = ElfBuilder::new(LOADER).segment(LOADER, LOADER, 7, &[0x22; 0x3000]);
        let initialiser = ElfBuilder::new(0x20_0000)
            .segment(0x20_0000, 0x20_0000, 7, &[0x33; 0x2345])
            .symbol("system_spec_address", 0x20_0100, 8)
            .symbol("system_spec_size", 0x20_0108, 8)
            .symbol("system_data_address", 0x20_0110, 8)
            .symbol("system_data_size", 0x20_0118, 8);
        let monitor = ElfBuilder::new(0x20_0000)
            .segment(0x20_0000, 0x20_0000, 5, &[0x44; 0x1000])
            .segment(0x20_1000, 0x20_1000, 6, &[0; 0x3000])
            .symbol("pd_names_len", 0x20_1000, 8)
            .symbol("vm_names_len", 0x20_1008, 8)
            .symbol("function_names", 0x20_1010, 8)
            .symbol("function_names_size", 0x20_1018, 8)
            .symbol("pd_stack_bottom_addrs", 0x20_1100, 512)
            .symbol("pd_names", 0x20_2000, 4096)
            .symbol("vm_names", 0x20_3000, 4096);
        for (name, elf) in
            [("sel4", kernel), ("loader", loader), ("initialiser", initialiser), ("monitor", monitor)]
        {
            self.file(&format!("{target}/elf/{name}.elf"), &elf.bytes());
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Builds a system whose elements are `body`, for the release configuration.
    pub fn build(&self, body: &str) -> Result<Built, Failure> {
        self.build_config(body, "release", None)
    }

    pub fn build_config(&self, body: &str, config: &str, kernel: Option<&str>) -> Result<Built, Failure> {
        self.file("test.system", format!("<system>\n{body}\n</system>\n").as_bytes());
        let target = self.path(&format!("sdk/board/{BOARD}/{config}"));
        let search = [self.folder.path().to_path_buf()];
        build(&Request {
            system: &self.path("test.system"),
            search: &search,
            board: BOARD,
            target: &target,
            kernel: kernel.map(|name| self.path(name)).as_deref(),
        })
    }

    /// The message of a build that must fail, without the scratch folder's name.
    pub fn error(&self, body: &str) -> String {
        let text = match self.build(body) {
            Ok(_) => panic!("the system was accepted"),
            Err(Failure::System(diagnostics)) => {
                diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            }
            Err(Failure::Other(error)) => format!("{error:#}"),
        };
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// A program with all symbols, one of them (`word`) for setvars, and one of a wrong size (`half`).
pub fn program() -> ElfBuilder {
    let mut elf = ElfBuilder::new(0x20_0040).segment(0x20_0000, 0x20_0000, 5, &[0x55; 0x1800]).segment(
        0x20_2000,
        0x20_2000,
        6,
        &[0; 0x2000],
    );
    let mut address = 0x20_2000;
    for (name, size) in PD_SYMBOLS {
        elf = elf.symbol(name, address, size);
        address += size.next_multiple_of(8);
    }
    elf.symbol("word", 0x20_3000, 8)
        .symbol("word2", 0x20_3008, 8)
        .symbol("half", 0x20_3010, 4)
        .function("work", 0x20_0040, 0x40)
}

/// A protection domain that runs `a.elf`.
pub fn pd(name: &str, attributes: &str, children: &str) -> String {
    format!(
        "<protection_domain name=\"{name}\" {attributes}>\n<program_image path=\"a.elf\"/>\n{children}\n</protection_domain>"
    )
}
