// SPDX-License-Identifier: BSD-2-Clause
//! The JSON files of an SDK: what the kernel's interface looks like in one configuration. All numbers are
//! `kernel_abi`'s and the board's; here they only get the names and the form that tools and PDs expect.
//!
//! `gen_config.json` has one key that the reference SDK's has not, `BULKHEAD_EXTENSION`: the version of the kernel extension
//! (`docs/kernel-extension.md`), where the kernel has it. `platform_gen.json` says a few things more than the reference
//! SDK's, which tools may ignore: the greatest interrupt, the interrupts that the kernel keeps, the kernel's worst-case
//! execution time, and up to where devices do DMA.

use std::ops::Range;

use anyhow::Result;
use board::Board;
use kernel_abi as abi;
use kernel_abi::Invocation;
use kernel_abi::object as size;
use kernel_abi::object::AddressSpace;
use serde_json::{Map, Value, json};

use super::Config;

/// Whether our SDK is to have the kernel extension: not with `EXTENSION=off` in the environment.
pub fn extension() -> bool {
    std::env::var_os("EXTENSION").is_none_or(|value| value != "off")
}

/// All generated files, by their path below the configuration's folder.
///
/// # Errors
/// A value cannot be written as JSON.
pub fn all(board: &Board, config: Config, extension: bool) -> Result<Vec<(String, String)>> {
    let options = gen_config(board, config, extension);
    let labels = invocations(config);
    let sizes = object_sizes(board, config);
    let space = address_space_constants(board);
    let mut files = Vec::new();
    for (path, values) in [
        ("include/kernel/gen_config.json", &options),
        ("invocations_all.json", &labels),
        ("object_sizes.json", &sizes),
        ("address_space_constants.json", &space),
        ("platform_gen.json", &platform_gen(board)),
    ] {
        files.push((path.to_owned(), serde_json::to_string_pretty(values)? + "\n"));
    }
    let numbers = libsel4::Numbers { config: &options, labels: &labels, sizes: &sizes, space: &space };
    for (path, text) in libsel4::headers(numbers) {
        files.push((format!("include/{path}"), text));
    }
    Ok(files)
}

/// The names and values of a JSON object.
type Values = Map<String, Value>;

/// A JSON object written as one.
fn object(value: Value) -> Values {
    if let Value::Object(values) = value { values } else { Values::new() }
}

fn invocations(config: Config) -> Values {
    let mut labels = Values::new();
    for &(_, name, hardware_debug) in Invocation::ALL {
        if !hardware_debug || config.is_debug() {
            labels.insert(name.into(), (labels.len() + 1).into());
        }
    }
    labels
}

/// The shape of address spaces that follows from the board's physical addresses; a board has one that is known.
fn address_space(board: &Board) -> AddressSpace {
    AddressSpace::of(board.physical_address_bits.into()).unwrap_or(AddressSpace::BITS_40)
}

fn object_sizes(board: &Board, config: Config) -> Values {
    object(json!({
        "tcb": if config.is_debug() { size::TCB_BITS_HW_DEBUG } else { size::TCB_BITS },
        "endpoint": size::ENDPOINT_BITS,
        "notification": size::NOTIFICATION_BITS,
        "small_page": size::SMALL_PAGE_BITS,
        "large_page": size::LARGE_PAGE_BITS,
        "huge_page": size::HUGE_PAGE_BITS,
        "asid_pool": size::ASID_POOL_BITS,
        "asid_table": size::ASID_HIGH_BITS + 2,
        "slot": size::SLOT_BITS,
        "min_untyped_bits": size::MIN_UNTYPED_BITS,
        "max_untyped_bits": size::MAX_UNTYPED_BITS,
        "vspace": address_space(board).root_bits(),
        "reply": size::REPLY_BITS,
        "vcpu": size::VCPU_BITS,
        "page_table": size::PAGE_TABLE_BITS,
        "io_page_table": size::PAGE_TABLE_BITS,
    }))
}

fn address_space_constants(board: &Board) -> Values {
    object(json!({
        "page_table_index_bits": size::PAGE_TABLE_INDEX_BITS,
        "vspace_index_bits": address_space(board).root_index_bits,
        "vspace_user_top": board.vspace_user_top(),
    }))
}

fn platform_gen(board: &Board) -> Values {
    let ranges = |ranges: Vec<Range<u64>>| -> Vec<Value> {
        ranges.into_iter().map(|range| json!({"start": range.start, "end": range.end})).collect()
    };
    let irqs: Vec<Value> = board
        .kernel_irqs()
        .into_iter()
        .map(|(number, purpose)| json!({"number": number, "use": purpose}))
        .collect();
    let mut facts = object(json!({
        "devices": ranges(board.device_ranges()),
        "memory": ranges(board.ram_ranges()),
        "max_irq": board.gic.max_irq,
        "kernel_irqs": irqs,
        "wcet_us": board.kernel.wcet_us,
    }));
    if let Some(limit) = board.dma.limit {
        facts.insert("dma_limit".into(), limit.into());
    }
    facts
}

/// Options that no configuration of ours has; named because programs ask for them.
const OFF: &str = "\
ARCH_ARM_HYP ARCH_AARCH32 ARCH_RISCV32 ARCH_RISCV64 ARCH_X86_64 ARCH_IA32 ARCH_RISCV ARCH_X86 \
PLAT_QEMU_ARM_VIRT PLAT_BCM2711 PLAT_BCM2712 PLAT_BCM2837 PLAT_IMX8MM_EVK PLAT_IMX8MP_EVK PLAT_IMX8MQ_EVK PLAT_MAAXBOARD PLAT_ODROIDC2 \
PLAT_QEMU_RISCV_VIRT PLAT_ROCKPRO64 PLAT_SPIKE PLAT_STAR64 PLAT_ZYNQMP PLAT_PC99 PLAT_TX1 PLAT_TX2 PLAT_HIKEY \
ARM_CORTEX_A35 ARM_CORTEX_A53 ARM_CORTEX_A55 ARM_CORTEX_A57 ARM_CORTEX_A72 ARM_CORTEX_A76 ARCH_ARM_V7A ARCH_ARM_V7VE \
AARCH64_SERROR_IGNORE ARM_PA_SIZE_BITS_40 ARM_PA_SIZE_BITS_44 DEBUG_DISABLE_L2_CACHE DEBUG_DISABLE_L1_ICACHE DEBUG_DISABLE_L1_DCACHE \
DEBUG_DISABLE_BRANCH_PREDICTION AARCH64_VSPACE_S2_START_L1 \
ARM_HYP_ENABLE_VCPU_CP14_SAVE_AND_RESTORE ARM_SMMU DISABLE_WFI_WFE_TRAPS SMMU_INTERRUPT_ENABLE \
ARM_TLS_REG_TPIDRURO ARM_HAS_TLB_LOCK EXCEPTION_FASTPATH ENABLE_SMP_SUPPORT VERIFICATION_BUILD \
BINARY_VERIFICATION_BUILD BENCHMARK_GENERIC BENCHMARK_TRACK_KERNEL_ENTRIES BENCHMARK_TRACEPOINTS \
KERNEL_LOG_BUFFER COLOUR_PRINTING KERNEL_INVOCATION_REPORT_ERROR_IPC \
DANGEROUS_CODE_INJECTION DEBUG_DISABLE_PREFETCHERS SET_TLS_BASE_SELF EXPORT_VCNT_USER EXPORT_VTMR_USER \
VTIMER_UPDATE_VOFFSET \
PLAT_ALLWINNERA20 PLAT_AM335X PLAT_APQ8064 PLAT_ARIANE PLAT_BANANAPIF3 PLAT_CHESHIRE PLAT_EXYNOS4 PLAT_EXYNOS5 PLAT_FVP PLAT_HIFIVE \
PLAT_HIFIVE_P550 PLAT_IMX6 PLAT_IMX7 PLAT_IMX7_SABRE PLAT_IMX93 PLAT_ODROIDC4 PLAT_OMAP3 PLAT_POLARFIRE PLAT_QUARTZ64 PLAT_RK3568 \
PLAT_ROCKETCHIP PLAT_STM32MP2 PLAT_TK1 PLAT_TQMA8XQP1GB PLAT_ZYNQ7000 ARM_CORTEX_A7 ARM_CORTEX_A8 ARM_CORTEX_A9 ARM_CORTEX_A15 \
ARM_ERRATA_430973 ARM_ERRATA_773022 ARM_HIKEY_PREFETCHER_STBPFDIS ARM_HIKEY_PREFETCHER_STBPFRS ENABLE_A9_PREFETCHER TK1_SMMU \
AARCH32_FPU_ENABLE_CONTEXT_SWITCH KERNEL_OPT_LEVEL_OS KERNEL_OPT_LEVEL_O0 KERNEL_OPT_LEVEL_O1 KERNEL_OPT_LEVEL_O2 \
KERNEL_FWHOLE_PROGRAM KERNEL_OPTIMISATION_CLONE_FUNCTIONS CLZ_32 CLZ_64 CLZ_NO_BUILTIN CTZ_32 CTZ_64 CTZ_NO_BUILTIN";

fn gen_config(board: &Board, config: Config, extension: bool) -> Values {
    let debug = config.is_debug();
    let mut options = Values::new();
    for name in OFF.split_whitespace() {
        options.insert(name.into(), false.into());
    }
    let mut set = |name: &str, value: Value| options.insert(name.into(), value);
    for name in [
        "ARCH_AARCH64",
        "ARCH_ARM",
        "ARCH_ARM_V8A",
        "KERNEL_MCS",
        "ARM_ICACHE_VIPT",
        "ARM_HYPERVISOR_SUPPORT",
        "AARCH64_USER_CACHE_ENABLE",
        "ALLOW_SMC_CALLS",
        "ARM_TLS_REG_TPIDRU",
        "HAVE_FPU",
        "FASTPATH",
        "EXPORT_PCNT_USER",
        "KERNEL_OPT_LEVEL_O3",
    ] {
        set(name, true.into());
    }
    // Names of options for names of things.
    let option = |prefix: &str, name: &str| format!("{prefix}_{}", name.to_uppercase().replace('-', "_"));
    set(&option("PLAT", &board.kernel.platform), true.into());
    set(&option("ARM", &board.cpu), true.into());
    set(&format!("ARM_PA_SIZE_BITS_{}", board.physical_address_bits), true.into());
    set("EXPORT_PTMR_USER", board.timer.user_irq.is_some().into());
    set("ARM_GIC_V3_SUPPORT", (board.gic.version == 3).into());
    for name in ["DEBUG_BUILD", "HARDWARE_DEBUG_API", "PRINTING", "IRQ_REPORTING"] {
        set(name, debug.into());
    }
    let benchmark = config == Config::Benchmark;
    for name in ["ENABLE_BENCHMARKS", "BENCHMARK_TRACK_UTILISATION", "EXPORT_PMU_USER"] {
        set(name, benchmark.into());
    }
    set("NO_BENCHMARKS", (!benchmark).into());
    // There always is a fast path for signals; the reference names it in this configuration only.
    set("SIGNAL_FASTPATH", benchmark.into());
    // Numbers are text in this file.
    let mut number = |name: &str, value: u64| options.insert(name.into(), value.to_string().into());
    number("WORD_SIZE", 64);
    number("TIMER_FREQUENCY", board.timer.frequency);
    number("L1_CACHE_LINE_SIZE_BITS", 6);
    number("PADDR_USER_DEVICE_TOP", board.physical_top());
    number("ROOT_CNODE_SIZE_BITS", abi::ROOT_CNODE_SIZE_BITS);
    number("BOOT_THREAD_TIME_SLICE", abi::BOOT_THREAD_TIME_SLICE_MS);
    number("RETYPE_FAN_OUT_LIMIT", abi::RETYPE_FAN_OUT_LIMIT);
    number("MAX_NUM_WORK_UNITS_PER_PREEMPTION", abi::WORK_UNITS_PER_PREEMPTION.into());
    number("MAX_NUM_BOOTINFO_UNTYPED_CAPS", abi::bootinfo::MAX_UNTYPED as u64);
    number("NUM_DOMAINS", abi::NUM_DOMAINS as u64);
    number("NUM_DOMAIN_SCHEDULES", abi::NUM_DOMAIN_SCHEDULES as u64);
    number("NUM_PRIORITIES", abi::NUM_PRIORITIES as u64);
    number("MAX_NUM_NODES", board.cpus.into());
    number("KERNEL_WCET_SCALE", 1);
    number("KERNEL_STATIC_MAX_PERIOD_US", 0);
    number("MAX_NUM_TRACE_POINTS", 0);
    number("RESET_CHUNK_BITS", 16);
    number("KERNEL_STACK_BITS", 15);
    for name in ["OUTSTANDING_PREFETCHERS", "PREFETCHER_STRIDE", "PREFETCHER_NPFSTRM"] {
        number(&format!("ARM_HIKEY_{name}"), 0);
    }
    number("USER_STACK_TRACE_LENGTH", if debug { 16 } else { 0 });
    let tracked = if benchmark { "track_utilisation" } else { "none" };
    for (name, value) in [
        ("SEL4_ARCH", "aarch64"),
        ("ARCH", "arm"),
        ("ARM_MACH", ""),
        ("ARM_TLS_REG", "tpidru"),
        ("KERNEL_BENCHMARK", tracked),
        ("KERNEL_OPT_LEVEL", "-O3"),
    ] {
        options.insert(name.into(), value.into());
    }
    if extension {
        options.insert("BULKHEAD_EXTENSION".into(), abi::extension::VERSION.to_string().into());
    }
    for name in ["PLAT", "ARM_PLAT"] {
        options.insert(name.into(), board.kernel.platform.clone().into());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        super::super::board("qemu_virt_aarch64").unwrap()
    }

    #[test]
    fn labels_are_dense_and_move_up_without_the_debug_interface() {
        let (release, debug) = (invocations(Config::Release), invocations(Config::Debug));
        assert_eq!(release["UntypedRetype"], 1);
        assert_eq!(release["TCBSetTLSBase"], 16);
        assert_eq!(debug["TCBSetTLSBase"], 20);
        assert!(release.get("TCBSetBreakpoint").is_none());
        assert_eq!(release["ARMIRQIssueSGISignal"], release.len());
        assert_eq!(release["ARMIRQIssueSGISignal"], 61);
    }

    #[test]
    fn labels_are_those_that_the_kernel_decodes() {
        for config in Config::ALL {
            let labels = invocations(config);
            for &(invocation, name, _) in Invocation::ALL {
                if let Some(label) = labels.get(name) {
                    let decoded = Invocation::from_label(label.as_u64().unwrap(), config == Config::Debug);
                    assert_eq!(decoded, Some(invocation), "{name} in {}", config.name());
                }
            }
        }
    }

    #[test]
    fn board_is_described_like_the_reference_sdk_does() {
        let platform = platform_gen(&board());
        assert_eq!(platform["memory"], json!([{"start": 0x6000_0000_u64, "end": 0xc000_0000_u64}]));
        let devices = platform["devices"].as_array().unwrap();
        assert_eq!(devices[0], json!({"start": 0, "end": 0x800_0000}));
        assert_eq!(devices[3], json!({"start": 0x0803_1000, "end": 0x6000_0000_u64}));
        assert_eq!(address_space_constants(&board())["vspace_user_top"], 0xff_ffff_ffff_u64);
    }

    #[test]
    fn only_the_debug_configuration_prints_and_has_larger_threads() {
        assert_eq!(gen_config(&board(), Config::Debug, true)["PRINTING"], true);
        assert_eq!(gen_config(&board(), Config::Release, true)["PRINTING"], false);
        assert_eq!(object_sizes(&board(), Config::Debug)["tcb"], 12);
        assert_eq!(object_sizes(&board(), Config::Release)["tcb"], 11);
        assert_eq!(object_sizes(&board(), Config::Release)["asid_table"], 9);
    }

    #[test]
    fn the_benchmark_configuration_tracks_utilisation_and_is_a_release_otherwise() {
        let (release, benchmark) =
            (gen_config(&board(), Config::Release, true), gen_config(&board(), Config::Benchmark, true));
        assert_eq!(invocations(Config::Release), invocations(Config::Benchmark));
        assert_eq!(object_sizes(&board(), Config::Release), object_sizes(&board(), Config::Benchmark));
        let differ: Vec<&String> = release.keys().filter(|name| release[*name] != benchmark[*name]).collect();
        let expected = [
            "BENCHMARK_TRACK_UTILISATION",
            "ENABLE_BENCHMARKS",
            "EXPORT_PMU_USER",
            "KERNEL_BENCHMARK",
            "NO_BENCHMARKS",
            "SIGNAL_FASTPATH",
        ];
        assert_eq!(differ, expected);
        assert_eq!(benchmark["KERNEL_BENCHMARK"], "track_utilisation");
        assert_eq!(benchmark["NUM_DOMAINS"], "16");
        assert_eq!(benchmark["NUM_DOMAIN_SCHEDULES"], "100");
    }

    #[test]
    fn no_option_is_both_on_and_off() {
        let options = gen_config(&board(), Config::Release, true);
        for on in
            ["KERNEL_MCS", "ARM_HYPERVISOR_SUPPORT", "EXPORT_PTMR_USER", "ALLOW_SMC_CALLS", "ARCH_AARCH64"]
        {
            assert_eq!(options[on], true, "{on}");
        }
        assert_eq!(options["TIMER_FREQUENCY"], "62500000");
        assert_eq!(
            (&options["PLAT_QEMU_ARM_VIRT"], &options["PLAT"]),
            (&json!(true), &json!("qemu-arm-virt"))
        );
    }

    #[test]
    fn board_with_44_bit_addresses_has_four_levels_and_keeps_its_timer() {
        let board = super::super::board("rpi4b_2gb").unwrap();
        let options = gen_config(&board, Config::Release, true);
        for (name, value) in [
            ("ARM_PA_SIZE_BITS_44", true),
            ("ARM_PA_SIZE_BITS_40", false),
            ("ARM_CORTEX_A72", true),
            ("ARM_CORTEX_A53", false),
            ("PLAT_BCM2711", true),
            ("PLAT_QEMU_ARM_VIRT", false),
            ("EXPORT_PCNT_USER", true),
            ("EXPORT_PTMR_USER", false),
        ] {
            assert_eq!(options[name], value, "{name}");
        }
        assert_eq!(object_sizes(&board, Config::Release)["vspace"], 12);
        let constants = address_space_constants(&board);
        assert_eq!(constants["vspace_index_bits"], 9);
        assert_eq!(constants["vspace_user_top"], 0xfff_ffff_ffff_u64);
    }
}
