// SPDX-License-Identifier: BSD-2-Clause
//! Faults: the words of their messages, and `seL4_Fault_t`, a fault as one value.
//!
//! A `seL4_Fault_t` has its kind in word 0 and the fields of the message behind it, in the message's order.

use kernel_abi::fault as abi;

use crate::{Numbers, opening};

/// One kind of fault.
struct Fault {
    name: &'static str,
    number: u64,
    /// Option without which it does not exist.
    option: Option<&'static str>,
    /// Words of the message, by the names in the message; behind `=` the name in `seL4_Fault_t`, where it differs.
    words: &'static str,
}

const fn fault(name: &'static str, number: u64, option: Option<&'static str>, words: &'static str) -> Fault {
    Fault { name, number, option, words }
}

const HYPERVISOR: Option<&str> = Some("ARM_HYPERVISOR_SUPPORT");

/// All kinds, in the order of their numbers.
const FAULTS: &[Fault] = &[
    fault("NullFault", abi::NULL, None, ""),
    fault(
        "CapFault",
        abi::CAP_FAULT,
        None,
        "IP Addr InRecvPhase LookupFailureType BitsLeft=MR4 GuardMismatch_GuardFound=MR5 GuardMismatch_BitsFound=MR6",
    ),
    fault("UnknownSyscall", abi::UNKNOWN_SYSCALL, None, "X0 X1 X2 X3 X4 X5 X6 X7 FaultIP SP LR SPSR Syscall"),
    fault("UserException", abi::USER_EXCEPTION, None, "FaultIP SP=Stack SPSR Number Code"),
    fault(
        "DebugException",
        abi::DEBUG_EXCEPTION,
        Some("HARDWARE_DEBUG_API"),
        "FaultIP ExceptionReason TriggerAddress BreakpointNumber",
    ),
    fault("Timeout", abi::TIMEOUT, None, "Data=data Consumed=consumed"),
    fault("VMFault", abi::VM_FAULT, None, "IP Addr PrefetchFault FSR"),
    fault("VGICMaintenance", abi::VGIC_MAINTENANCE, HYPERVISOR, "IDX"),
    fault("VCPUFault", abi::VCPU_FAULT, HYPERVISOR, "HSR"),
    fault("VPPIEvent", abi::VPPI_EVENT, HYPERVISOR, "IRQ=irq"),
];

/// Words of a `seL4_Fault_t`: the longest message and the kind.
const FAULT_WORDS: u64 = abi::UNKNOWN_SYSCALL_LENGTH + 1;

impl Fault {
    /// Each word's name in the message and in `seL4_Fault_t`.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.words.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, word)))
    }
}

/// `sel4/sel4_arch/types.pbf`: `seL4_Fault_t` as bit fields, each block from its highest bits down.
pub fn bit_fields(numbers: Numbers<'_>) -> String {
    let there = || FAULTS.iter().filter(|fault| fault.option.is_none_or(|option| numbers.option(option)));
    let mut text = "-- SPDX-License-Identifier: BSD-2-Clause\nbase 64\n".to_owned();
    for fault in there() {
        text += &format!("block {} {{\n", fault.name);
        let unused = FAULT_WORDS - 1 - fault.fields().count() as u64;
        if unused > 0 {
            text += &format!("    padding {}\n", 64 * unused);
        }
        for (_, field) in fault.fields() {
            text += &format!("    field {field} 64\n");
        }
        text += "    padding 60\n    field seL4_FaultType 4\n}\n";
    }
    text += "tagged_union seL4_Fault seL4_FaultType {\n";
    for fault in there() {
        text += &format!("    tag {} {}\n", fault.name, fault.number);
    }
    text + "}\n"
}

/// Enumerations of the words of fault messages, and of the reply to a time-out.
pub fn formats() -> String {
    let mut text = String::new();
    for fault in FAULTS.iter().filter(|fault| !fault.words.is_empty()) {
        text += "\ntypedef enum {\n";
        for (index, (word, _)) in fault.fields().enumerate() {
            text += &format!("    seL4_{}_{word} = {index},\n", fault.name);
        }
        if fault.name == "CapFault" {
            text += "    seL4_CapFault_DepthMismatch_BitsFound = seL4_CapFault_GuardMismatch_GuardFound,\n";
        }
        let count = fault.fields().count();
        text +=
            &format!("    seL4_{0}_Length = {count},\n    sel4_pad_{0} = 0x7fffffffffffffff\n", fault.name);
        text += &format!("}} seL4_{}_Msg;\n", fault.name);
    }
    text += "\ntypedef enum {\n";
    for (index, register) in crate::methods::USER_CONTEXT.iter().take(abi::TIMEOUT_REPLY_WORDS).enumerate() {
        let name = match *register {
            "pc" => "FaultIP".to_owned(),
            "spsr" => "SPSR_EL1".to_owned(),
            other => other.to_uppercase(),
        };
        text += &format!("    seL4_TimeoutReply_{name} = {index},\n");
    }
    text += &format!("    seL4_TimeoutReply_Length = {},\n", abi::TIMEOUT_REPLY_WORDS);
    text + "    sel4_pad_TimeoutReply = 0x7fffffffffffffff\n} seL4_TimeoutReply_Msg;\n"
}

/// `sel4/faults.h`.
pub fn header(numbers: Numbers<'_>) -> String {
    let mut text = opening("Faults.")
        + "#pragma once\n\n#include <sel4/functions.h>\n#include <sel4/sel4_arch/constants.h>\n";
    let there: Vec<&Fault> =
        FAULTS.iter().filter(|fault| fault.option.is_none_or(|option| numbers.option(option))).collect();
    text += "\ntypedef enum {\n";
    for fault in &there {
        text += &format!("    seL4_Fault_{} = {},\n", fault.name, fault.number);
    }
    text += "} seL4_Fault_tag_t;\n\n";
    text += &format!("typedef struct {{\n    seL4_Uint64 words[{FAULT_WORDS}];\n}} seL4_Fault_t;\n");
    text += "\nLIBSEL4_INLINE_FUNC seL4_Uint64 seL4_Fault_get_seL4_FaultType(seL4_Fault_t fault)\n{\n    return fault.words[0];\n}\n\
             \nLIBSEL4_INLINE_FUNC int seL4_Fault_seL4_FaultType_equals(seL4_Fault_t fault, seL4_Uint64 type)\n{\n    return fault.words[0] == type;\n}\n";
    for fault in &there {
        accessors(&mut text, fault);
    }
    text += "\n/* The fault of a message, taken from the message registers. */\n\
             LIBSEL4_INLINE_FUNC seL4_Fault_t seL4_getFault(seL4_MessageInfo_t tag)\n{\n    switch (seL4_MessageInfo_get_label(tag)) {\n";
    for fault in there.iter().filter(|fault| !fault.words.is_empty()) {
        let words: Vec<String> =
            (0..fault.fields().count()).map(|index| format!("seL4_GetMR({index})")).collect();
        text += &format!(
            "    case seL4_Fault_{0}:\n        return seL4_Fault_{0}_new({1});\n",
            fault.name,
            words.join(", ")
        );
    }
    text += "    default:\n        return seL4_Fault_NullFault_new();\n    }\n}\n\
             \nLIBSEL4_INLINE_FUNC seL4_Fault_t seL4_getArchFault(seL4_MessageInfo_t tag)\n{\n    return seL4_getFault(tag);\n}\n";
    for fault in &there {
        text += &format!(
            "\nLIBSEL4_INLINE_FUNC seL4_Bool seL4_is{0}_tag(seL4_MessageInfo_t tag)\n{{\n    return seL4_MessageInfo_get_label(tag) == seL4_Fault_{0};\n}}\n",
            fault.name
        );
    }
    text + "\n/* A reply to a time-out fault: `length` registers to set, and whether the thread goes on. */\n\
            LIBSEL4_INLINE_FUNC seL4_MessageInfo_t seL4_TimeoutReply_new(seL4_Bool resume, seL4_UserContext regs, seL4_Word length)\n\
            {\n    const seL4_Word *words = (const seL4_Word *)&regs;\n    for (seL4_Word i = 0; i < length; i++) {\n        seL4_SetMR(i, words[i]);\n    }\n\
            \x20   return seL4_MessageInfo_new(!resume, 0, 0, length);\n}\n"
}

/// Constructor and getters of one kind of fault.
fn accessors(text: &mut String, fault: &Fault) {
    let name = fault.name;
    let parameters: Vec<String> = fault.fields().map(|(_, field)| format!("seL4_Uint64 {field}")).collect();
    let values: Vec<&str> = fault.fields().map(|(_, field)| field).collect();
    let values = if values.is_empty() { String::new() } else { format!(", {}", values.join(", ")) };
    let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
    *text += &format!(
        "\nLIBSEL4_INLINE_FUNC seL4_Fault_t seL4_Fault_{name}_new({parameters})\n{{\n    seL4_Fault_t fault = {{{{seL4_Fault_{name}{values}}}}};\n    return fault;\n}}\n"
    );
    for (index, (_, field)) in fault.fields().enumerate() {
        *text += &format!(
            "\nLIBSEL4_INLINE_FUNC seL4_Uint64 seL4_Fault_{name}_get_{field}(seL4_Fault_t fault)\n{{\n    return fault.words[{}];\n}}\n",
            index + 1
        );
    }
}
