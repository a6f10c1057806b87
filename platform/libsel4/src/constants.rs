// SPDX-License-Identifier: BSD-2-Clause
//! Headers of numbers: system calls, invocation labels, object sizes, virtual CPU registers, message formats.

use kernel_abi::Syscall;
use kernel_abi::vcpu::VcpuReg;
use serde_json::{Map, Value};

use crate::{Numbers, fault, opening};

/// `sel4/syscall.h`.
pub fn syscalls() -> String {
    let mut text = opening("Numbers of system calls.") + "#pragma once\n\ntypedef enum {\n";
    for call in Syscall::ALL {
        text += &format!("    seL4_Sys{call:?} = {},\n", *call as i64);
    }
    text + "} seL4_Syscall_ID;\n"
}

/// `sel4/invocation.h`.
pub fn labels(labels: &Map<String, Value>) -> String {
    let mut sorted: Vec<(u64, &str)> =
        labels.iter().filter_map(|(name, label)| Some((label.as_u64()?, name.as_str()))).collect();
    sorted.sort_unstable();
    let mut text = opening("Labels of invocations.")
        + "#pragma once\n\nenum invocation_label {\n    InvalidInvocation = 0,\n";
    for (label, name) in &sorted {
        text += &format!("    {name} = {label},\n");
    }
    let count = sorted.last().map_or(0, |(label, _)| label + 1);
    text + &format!("    nInvocationLabels = {count}\n}};\n")
}

/// C names of the virtual CPU's registers, in index order.
const VCPU_REGISTERS: [&str; VcpuReg::ALL.len()] = [
    "SCTLR",
    "CPACR",
    "TTBR0",
    "TTBR1",
    "TCR",
    "MAIR",
    "AMAIR",
    "CIDR",
    "ACTLR",
    "AFSR0",
    "AFSR1",
    "ESR",
    "FAR",
    "PAR",
    "VBAR",
    "TPIDR_EL1",
    "VMPIDR_EL2",
    "SP_EL1",
    "ELR_EL1",
    "SPSR_EL1",
    "CNTV_CTL",
    "CNTV_CVAL",
    "CNTVOFF",
    "CNTKCTL_EL1",
];

/// Object sizes: C name, name in `object_sizes.json`.
const SIZES: &[(&str, &str)] = &[
    ("seL4_PageBits", "small_page"),
    ("seL4_LargePageBits", "large_page"),
    ("seL4_HugePageBits", "huge_page"),
    ("seL4_SlotBits", "slot"),
    ("seL4_TCBBits", "tcb"),
    ("seL4_EndpointBits", "endpoint"),
    ("seL4_NotificationBits", "notification"),
    ("seL4_ReplyBits", "reply"),
    ("seL4_PageTableBits", "page_table"),
    ("seL4_VSpaceBits", "vspace"),
    ("seL4_ASIDPoolBits", "asid_pool"),
    ("seL4_IOPageTableBits", "io_page_table"),
    ("seL4_VCPUBits", "vcpu"),
    ("seL4_ARM_VCPUBits", "vcpu"),
    ("seL4_MinUntypedBits", "min_untyped_bits"),
    ("seL4_MaxUntypedBits", "max_untyped_bits"),
];

/// `sel4/sel4_arch/constants.h`.
pub fn arch(numbers: Numbers<'_>) -> String {
    let mut text = opening("Sizes, registers and message formats of AArch64.")
        + "#pragma once\n\n#include <sel4/config.h>\n\n";
    let number = |map: &Map<String, Value>, name: &str| map.get(name).and_then(Value::as_u64);
    for (name, key) in SIZES {
        if let Some(bits) = number(numbers.sizes, key) {
            text += &format!("#define {name} {bits}\n");
        }
    }
    text += "\n#define seL4_WordSizeBits 3\n#define seL4_WordBits 64\n#define seL4_PageTableEntryBits 3\n\
             #define seL4_VSpaceEntryBits 3\n";
    for (name, key) in
        [("seL4_PageTableIndexBits", "page_table_index_bits"), ("seL4_VSpaceIndexBits", "vspace_index_bits")]
    {
        if let Some(bits) = number(numbers.space, key) {
            text += &format!("#define {name} {bits}\n");
        }
    }
    text += &format!(
        "#define seL4_ASIDPoolIndexBits {}\n#define seL4_NumASIDPoolsBits {}\n#define seL4_IPCBufferSizeBits {}\n\
         #define seL4_FastMessageRegisters {}\n#define seL4_MinSchedContextBits {}\n\
         #define seL4_CoreSchedContextBytes {}\n#define seL4_RefillSizeBytes {}\n",
        kernel_abi::object::ASID_POOL_INDEX_BITS,
        kernel_abi::object::ASID_HIGH_BITS,
        kernel_abi::ipc::IPC_BUFFER_BITS,
        kernel_abi::ipc::MSG_REGISTERS,
        kernel_abi::object::MIN_SCHED_CONTEXT_BITS,
        kernel_abi::object::SCHED_CONTEXT_CORE_BYTES,
        kernel_abi::object::REFILL_BYTES,
    );
    if let Some(top) = number(numbers.space, "vspace_user_top") {
        text += &format!(
            "\n/* The last byte that a user address space can map. */\n#define seL4_UserVSpaceTop {top:#x}\n"
        );
        text += "#define seL4_UserTop seL4_UserVSpaceTop\n";
    }
    text += "\n#define seL4_DataFault 0\n#define seL4_InstructionFault 1\n";
    if numbers.option("ENABLE_BENCHMARKS") {
        text += "#define seL4_LogBufferSize (1ul << 20)\n";
    }
    text += "\n#ifndef __ASSEMBLER__\n\ntypedef enum {\n";
    for (index, name) in VCPU_REGISTERS.iter().enumerate() {
        text += &format!("    seL4_VCPUReg_{name} = {index},\n");
    }
    text += &format!("    seL4_VCPUReg_Num = {},\n", VCPU_REGISTERS.len());
    text += "    sel4_pad_VCPUReg = 0x7fffffffffffffff\n} seL4_VCPUReg;\n";
    text + &fault::formats() + "\n#endif\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_kernels_indices() {
        assert_eq!(VCPU_REGISTERS[VcpuReg::Cpacr as usize], "CPACR");
        assert_eq!(VCPU_REGISTERS[VcpuReg::Vmpidr as usize], "VMPIDR_EL2");
        assert_eq!(VCPU_REGISTERS[VcpuReg::Cntkctl as usize], "CNTKCTL_EL1");
    }

    #[test]
    fn system_calls_have_the_kernels_numbers() {
        let text = syscalls();
        assert!(text.contains("seL4_SysCall = -1,\n"));
        assert!(text.contains("seL4_SysNBSendWait = -4,\n"));
    }

    #[test]
    fn labels_are_those_of_the_configuration() {
        let Value::Object(map) = serde_json::json!({"B": 2, "A": 7}) else { unreachable!() };
        assert!(labels(&map).contains("    B = 2,\n    A = 7,\n    nInvocationLabels = 8\n"));
    }
}
