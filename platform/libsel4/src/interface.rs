// SPDX-License-Identifier: BSD-2-Clause
//! The interface as data, for bindings to other languages that generate theirs (rust-sel4, and what is made like libsel4):
//! system calls and invocations as XML, messages and faults as bit fields. Form: seL4's `libsel4/tools`; the content is
//! this library's tables, for one configuration, so nothing in it is conditional but absent system calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::methods::{self, Method, Parameter, SMC_CONTEXT, USER_CONTEXT};

const OPENING: &str = "<?xml version=\"1.0\"?>\n<!-- SPDX-License-Identifier: BSD-2-Clause -->\n";

/// A group of system calls: the options with which it exists, and its names. Numbers go on from -1 over all groups.
type Group = (&'static [&'static str], &'static str);

/// Calls of the interface proper.
const CALLS: &[Group] =
    &[(&[], "Call ReplyRecv NBSendRecv NBSendWait Send NBSend Recv NBRecv Wait NBWait Yield")];

/// Calls for debugging and measuring.
const DEBUG_CALLS: &[Group] = &[
    (&["PRINTING"], "DebugPutChar DebugDumpScheduler"),
    (&["DEBUG_BUILD"], "DebugHalt DebugCapIdentify DebugSnapshot DebugNameThread"),
    (&["DEBUG_BUILD", "ENABLE_SMP_SUPPORT"], "DebugSendIPI DebugGetThreadAffinity"),
    (&["DANGEROUS_CODE_INJECTION"], "DebugRun"),
    (
        &["ENABLE_BENCHMARKS"],
        "BenchmarkFlushCaches BenchmarkResetLog BenchmarkFinalizeLog BenchmarkSetLogBuffer BenchmarkNullSyscall",
    ),
    (&["BENCHMARK_TRACK_UTILISATION"], "BenchmarkGetThreadUtilisation BenchmarkResetThreadUtilisation"),
    (
        &["DEBUG_BUILD", "BENCHMARK_TRACK_UTILISATION"],
        "BenchmarkDumpAllThreadsUtilisation BenchmarkResetAllThreadsUtilisation",
    ),
    (&["KERNEL_X86_DANGEROUS_MSR"], "X86DangerousWRMSR X86DangerousRDMSR"),
    (&["VTX"], "VMEnter"),
    (&["SET_TLS_BASE_SELF"], "SetTLSBase"),
];

/// `api/syscall.xml`.
pub fn syscalls() -> String {
    let mut text = OPENING.to_owned() + "<syscalls>\n";
    // A kernel without MCS has other calls; none of ours is one.
    for (part, groups) in [("api-master", &[] as &[Group]), ("api-mcs", CALLS), ("debug", DEBUG_CALLS)] {
        text += &format!("    <{part}>\n");
        for (options, names) in groups {
            text += "        <config>\n";
            let options: String =
                options.iter().map(|name| format!("<config var=\"CONFIG_{name}\"/>")).collect();
            if !options.is_empty() {
                let all = if options.matches("<config").count() > 1 {
                    format!("<and>{options}</and>")
                } else {
                    options
                };
                text += &format!("            <condition>{all}</condition>\n");
            }
            for name in names.split(' ') {
                text += &format!("            <syscall name=\"{name}\"/>\n");
            }
            text += "        </config>\n";
        }
        text += &format!("    </{part}>\n");
    }
    text + "</syscalls>\n"
}

/// The files of invocations, in the order in which they are to be read: labels count up from file to file.
pub const OBJECT_FILES: [&str; 3] =
    ["interfaces/object-api.xml", "interfaces/object-api-sel4-arch.xml", "interfaces/object-api-arch.xml"];

/// Which of [`OBJECT_FILES`] an invocation is in.
fn file_of(label: &str) -> usize {
    if label.starts_with("ARMVSpace") || label.starts_with("ARMSMC") {
        1
    } else {
        2 * usize::from(label.starts_with("ARM"))
    }
}

/// The invocations of a configuration: [`OBJECT_FILES`] and their text.
pub fn objects(labels: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let sorted: BTreeMap<u64, Method> = methods::all()
        .into_iter()
        .filter_map(|method| Some((labels.get(method.label)?.as_u64()?, method)))
        .collect();
    let mut files: Vec<(&str, String)> = OBJECT_FILES
        .into_iter()
        .zip(["ObjectApi", "ObjectApiAarch64", "ObjectApiArm"])
        .map(|(path, name)| (path, format!("{OPENING}<api name=\"{name}\">\n")))
        .collect();
    for (name, fields) in [("seL4_UserContext", &USER_CONTEXT[..]), ("seL4_ARM_SMCContext", &SMC_CONTEXT)] {
        let members: String =
            fields.iter().map(|field| format!("        <member name=\"{field}\"/>\n")).collect();
        files[1].1 += &format!("    <struct name=\"{name}\">\n{members}    </struct>\n");
    }
    let mut open = ["", "", ""];
    for method in sorted.values() {
        let file = file_of(method.label);
        let text = &mut files[file].1;
        if open[file] != method.interface {
            close(text, open[file]);
            open[file] = method.interface;
            *text += &format!("    <interface name=\"{}\">\n", method.interface);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "        <method id=\"{}\" name=\"{}\">", method.label, method.name);
        for (direction, parameters) in [("in", &method.parameters), ("out", &method.results)] {
            for Parameter { name, ctype, .. } in parameters {
                let _ = writeln!(
                    text,
                    "            <param dir=\"{direction}\" name=\"{name}\" type=\"{ctype}\"/>"
                );
            }
        }
        *text += "        </method>\n";
    }
    for ((_, text), open) in files.iter_mut().zip(open) {
        close(text, open);
        *text += "</api>\n";
    }
    files
}

fn close(text: &mut String, interface: &str) {
    if !interface.is_empty() {
        *text += "    </interface>\n";
    }
}

/// `sel4/shared_types.pbf`: the words of which messages, rights and guards are made, highest bits first.
pub fn shared_types() -> String {
    "-- SPDX-License-Identifier: BSD-2-Clause\n\
     base 64\n\
     block seL4_MessageInfo {\n    field label 52\n    field capsUnwrapped 3\n    field extraCaps 2\n    field length 7\n}\n\
     block seL4_CapRights {\n    padding 60\n    field capAllowGrantReply 1\n    field capAllowGrant 1\n\
     \x20   field capAllowRead 1\n    field capAllowWrite 1\n}\n\
     block seL4_CNode_CapData {\n    field guard 58\n    field guardSize 6\n}\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel_abi::{Invocation, Syscall};

    #[test]
    fn system_calls_stand_in_the_order_of_their_numbers() {
        let groups = CALLS.iter().chain(DEBUG_CALLS);
        let names: Vec<&str> = groups.flat_map(|(_, names)| names.split(' ')).collect();
        for call in Syscall::ALL {
            let index = usize::try_from(-(*call as i64) - 1).unwrap();
            assert_eq!(names[index], format!("{call:?}"));
        }
    }

    /// Readers number the methods from 1 on, over all files.
    #[test]
    fn counting_the_methods_gives_their_labels() {
        for debug in [false, true] {
            let mut labels = Map::new();
            for (_, name, _) in Invocation::ALL.iter().filter(|(_, _, with_debug)| debug || !with_debug) {
                labels.insert((*name).into(), (labels.len() + 1).into());
            }
            let text: String = objects(&labels).into_iter().map(|(_, text)| text).collect();
            let ids: Vec<&str> =
                text.split("<method id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            for (index, id) in ids.iter().enumerate() {
                assert_eq!(labels[*id], index + 1, "{id}");
            }
            assert_eq!(ids.len(), labels.len());
            assert_eq!(text.matches("<interface").count(), text.matches("</interface>").count());
        }
    }
}
