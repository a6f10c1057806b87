// SPDX-License-Identifier: BSD-2-Clause
//! Generates the numbers that belong to one SDK, board and configuration.
//!
//! Input: the JSON files in `$MICROKIT_SDK/board/$MICROKIT_BOARD/$MICROKIT_CONFIG`. Output: `$OUT_DIR/generated.rs` with
//! the modules `config`, `invocation_label` and `object_bits` and a few constants.
//!
//! A build for the target without these variables is refused: a PD with another configuration's labels does nothing
//! but wrong invocations. A build for the host (tests, documentation) issues no system call, so there the
//! files of a made-up configuration are enough: labels numbered in list order, the sizes of a 40-bit hypervisor
//! kernel, printing off.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every invocation a wrapper of this crate uses. One that the SDK does not know gets label 0 (invalid invocation),
/// which every kernel refuses.
const LABELS: &[&str] = &[
    "UntypedRetype",
    "TCBReadRegisters",
    "TCBWriteRegisters",
    "TCBCopyRegisters",
    "TCBConfigure",
    "TCBSetPriority",
    "TCBSetMCPriority",
    "TCBSetSchedParams",
    "TCBSetTimeoutEndpoint",
    "TCBSetIPCBuffer",
    "TCBSetSpace",
    "TCBSuspend",
    "TCBResume",
    "TCBBindNotification",
    "TCBUnbindNotification",
    "TCBSetBreakpoint",
    "TCBGetBreakpoint",
    "TCBUnsetBreakpoint",
    "TCBConfigureSingleStepping",
    "TCBSetTLSBase",
    "TCBSetFlags",
    "CNodeRevoke",
    "CNodeDelete",
    "CNodeCancelBadgedSends",
    "CNodeCopy",
    "CNodeMint",
    "CNodeMove",
    "CNodeMutate",
    "CNodeRotate",
    "IRQIssueIRQHandler",
    "IRQAckIRQ",
    "IRQSetIRQHandler",
    "IRQClearIRQHandler",
    "DomainSetSet",
    "DomainScheduleConfigure",
    "DomainScheduleSetStart",
    "SchedControlConfigureFlags",
    "SchedContextBind",
    "SchedContextUnbind",
    "SchedContextUnbindObject",
    "SchedContextConsumed",
    "SchedContextYieldTo",
    "ARMVSpaceClean_Data",
    "ARMVSpaceInvalidate_Data",
    "ARMVSpaceCleanInvalidate_Data",
    "ARMVSpaceUnify_Instruction",
    "ARMSMCCall",
    "ARMPageTableMap",
    "ARMPageTableUnmap",
    "ARMPageMap",
    "ARMPageUnmap",
    "ARMPageClean_Data",
    "ARMPageInvalidate_Data",
    "ARMPageCleanInvalidate_Data",
    "ARMPageUnify_Instruction",
    "ARMPageGetAddress",
    "ARMASIDControlMakePool",
    "ARMASIDPoolAssign",
    "ARMVCPUSetTCB",
    "ARMVCPUInjectIRQ",
    "ARMVCPUReadReg",
    "ARMVCPUWriteReg",
    "ARMVCPUAckVPPI",
    "ARMIRQIssueIRQHandlerTrigger",
    "ARMIRQIssueIRQHandlerTriggerCore",
    "ARMIRQIssueSGISignal",
];

/// Boolean options that become `config::NAME`; absent means false.
const BOOLEANS: &[&str] = &[
    "ALLOW_SMC_CALLS",
    "ARM_HYPERVISOR_SUPPORT",
    "DEBUG_BUILD",
    "ENABLE_BENCHMARKS",
    "EXPORT_PCNT_USER",
    "EXPORT_PTMR_USER",
    "EXPORT_VCNT_USER",
    "HARDWARE_DEBUG_API",
    "KERNEL_MCS",
    "PRINTING",
];

/// Numeric options that become `config::NAME`, with the value used when the file has none.
const NUMBERS: &[(&str, u64)] =
    &[("BULKHEAD_EXTENSION", 0), ("MAX_NUM_BOOTINFO_UNTYPED_CAPS", 230), ("MAX_NUM_NODES", 1)];

/// Object sizes that become `object_bits::NAME`, with the host build's value.
const OBJECT_BITS: &[(&str, u64)] = &[
    ("tcb", 11),
    ("endpoint", 4),
    ("notification", 6),
    ("small_page", 12),
    ("large_page", 21),
    ("huge_page", 30),
    ("asid_pool", 12),
    ("slot", 5),
    ("min_untyped_bits", 4),
    ("max_untyped_bits", 47),
    ("vspace", 13),
    ("reply", 5),
    ("vcpu", 12),
    ("page_table", 12),
];

fn main() {
    for name in ["MICROKIT_SDK", "MICROKIT_BOARD", "MICROKIT_CONFIG"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let text = match sdk_directory() {
        Some(directory) => generate(&Source::from_sdk(&directory)),
        None if target_is_host() => generate(&Source::host()),
        None => fail(
            "MICROKIT_SDK, MICROKIT_BOARD and MICROKIT_CONFIG must name an SDK's configuration: \
             a program for the target needs the labels of the kernel it will run on",
        ),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("generated.rs");
    if let Err(error) = fs::write(&out, text) {
        fail(&format!("{}: {error}", out.display()));
    }
}

/// Prints `message` as the reason and ends the build.
fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}

fn target_is_host() -> bool {
    env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os != "none")
}

fn sdk_directory() -> Option<PathBuf> {
    let sdk = env::var_os("MICROKIT_SDK")?;
    let board = env::var_os("MICROKIT_BOARD")?;
    let config = env::var_os("MICROKIT_CONFIG")?;
    Some(Path::new(&sdk).join("board").join(board).join(config))
}

/// The contents of the SDK's files, reduced to what the crate uses.
struct Source {
    config: BTreeMap<String, Value>,
    labels: BTreeMap<String, u64>,
    object_bits: BTreeMap<String, u64>,
    vspace_user_top: u64,
}

impl Source {
    fn from_sdk(directory: &Path) -> Self {
        let config = read(&first_existing(directory, &["include/kernel/gen_config.json", "gen_config.json"]));
        let labels = read(&first_existing(directory, &["invocations_all.json"]));
        let object_bits = read(&first_existing(directory, &["object_sizes.json"]));
        let constants_path = first_existing(directory, &["address_space_constants.json"]);
        let constants = numbers(&constants_path, read(&constants_path));
        let Some(&vspace_user_top) = constants.get("vspace_user_top") else {
            fail(&format!("{}: no vspace_user_top", constants_path.display()));
        };
        if config.get("KERNEL_MCS") != Some(&Value::Bool(true)) {
            fail("this SDK's kernel is not an MCS kernel (KERNEL_MCS is not set)");
        }
        Self {
            config,
            labels: numbers(directory, labels),
            object_bits: numbers(directory, object_bits),
            vspace_user_top,
        }
    }

    fn host() -> Self {
        Self {
            config: BTreeMap::from([
                ("KERNEL_MCS".into(), Value::Bool(true)),
                ("ARM_HYPERVISOR_SUPPORT".into(), Value::Bool(true)),
            ]),
            labels: LABELS.iter().zip(1..).map(|(name, label)| ((*name).into(), label)).collect(),
            object_bits: OBJECT_BITS.iter().map(|(name, bits)| ((*name).into(), *bits)).collect(),
            vspace_user_top: 0xff_ffff_ffff,
        }
    }
}

/// The first of `names` that exists in `directory`, watched for changes.
fn first_existing(directory: &Path, names: &[&str]) -> PathBuf {
    for name in names {
        let path = directory.join(name);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
            return path;
        }
    }
    fail(&format!(
        "{}: not found in {} (is MICROKIT_SDK a complete SDK?)",
        names.join(" or "),
        directory.display()
    ))
}

fn read(path: &Path) -> BTreeMap<String, Value> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => fail(&format!("{}: {error}", path.display())),
    };
    match serde_json::from_str(&text) {
        Ok(map) => map,
        Err(error) => fail(&format!("{}: {error}", path.display())),
    }
}

/// Numbers stand as JSON numbers or, in `gen_config.json`, as decimal strings.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn numbers(path: &Path, map: BTreeMap<String, Value>) -> BTreeMap<String, u64> {
    map.into_iter()
        .map(|(name, value)| match number(&value) {
            Some(value) => (name, value),
            None => fail(&format!("{}: {name} is not a number", path.display())),
        })
        .collect()
}

fn generate(source: &Source) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, source);
    text
}

fn write_all(text: &mut String, source: &Source) -> std::fmt::Result {
    writeln!(text, "/// Options of the kernel configuration this crate was built for.\npub mod config {{")?;
    for name in BOOLEANS {
        let value = source.config.get(*name) == Some(&Value::Bool(true));
        writeln!(text, "    /// `{name}`.\n    pub const {name}: bool = {value};")?;
    }
    for (name, default) in NUMBERS {
        let value = source.config.get(*name).and_then(number).unwrap_or(*default);
        writeln!(text, "    /// `{name}`.\n    pub const {name}: usize = {value};")?;
    }
    writeln!(text, "}}\n")?;

    writeln!(
        text,
        "/// Invocation labels of this configuration; 0 where it lacks the invocation.\n\
         #[allow(non_upper_case_globals, reason = \"seL4's names\")]\n\
         pub mod invocation_label {{"
    )?;
    writeln!(text, "    /// Not an invocation.\n    pub const InvalidInvocation: u32 = 0;")?;
    for name in LABELS {
        let label = source.labels.get(*name).copied().unwrap_or(0);
        writeln!(text, "    /// `{name}`.\n    pub const {name}: u32 = {label};")?;
    }
    writeln!(text, "}}\n")?;

    writeln!(
        text,
        "/// Object sizes of this configuration as powers of two (bytes).\npub mod object_bits {{"
    )?;
    for (name, _) in OBJECT_BITS {
        // An EL1 kernel has no VCPU object; zero then.
        let bits = source.object_bits.get(*name).copied().unwrap_or(0);
        let upper = name.to_uppercase();
        writeln!(text, "    /// `{name}`.\n    pub const {upper}: usize = {bits};")?;
    }
    writeln!(text, "}}\n")?;

    writeln!(
        text,
        "/// The last byte that a user address space can map.\n\
         #[allow(non_upper_case_globals, reason = \"seL4's name\")]\n\
         pub const seL4_UserVSpaceTop: u64 = {:#x};",
        source.vspace_user_top
    )
}
