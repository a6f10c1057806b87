// SPDX-License-Identifier: BSD-2-Clause
//! `interfaces/sel4_client.h`: one inline function for each invocation that the configuration has.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::methods::{self, Kind, Method, Parameter, Place, places};

/// Message registers that travel in CPU registers.
const FAST: usize = kernel_abi::ipc::MSG_REGISTERS as usize;

/// The header.
pub fn header(labels: &Map<String, Value>) -> String {
    let mut text = crate::opening("Invocations, one function each.");
    text.push_str("#pragma once\n\n#include <sel4/invocation.h>\n#include <sel4/syscalls.h>\n");
    for method in methods::all().iter().filter(|method| labels.contains_key(method.label)) {
        // Writing to a String cannot fail.
        let _ = function(&mut text, method);
    }
    text
}

/// Whether results come back in a structure beside the error.
fn has_struct(method: &Method) -> bool {
    method.results.iter().any(|result| !matches!(result.kind, Kind::Context(_)))
}

fn function(text: &mut String, method: &Method) -> std::fmt::Result {
    let name = format!("{}_{}", method.interface, method.name);
    let structured = has_struct(method);
    if structured {
        writeln!(text, "\ntypedef struct {name} {{\n    int error;")?;
        for result in &method.results {
            writeln!(text, "    {} {};", result.ctype, result.name)?;
        }
        writeln!(text, "}} {name}_t;")?;
    }
    let result_type = if structured { format!("{name}_t") } else { "seL4_Error".to_owned() };
    let mut parameters = vec![format!("{} _service", method.interface)];
    for parameter in &method.parameters {
        let star = if matches!(parameter.kind, Kind::Context(_)) { "*" } else { "" };
        parameters.push(format!("{} {star}{}", parameter.ctype, parameter.name));
    }
    for result in method.results.iter().filter(|result| matches!(result.kind, Kind::Context(_))) {
        parameters.push(format!("{} *{}", result.ctype, result.name));
    }
    writeln!(text, "\nLIBSEL4_INLINE {result_type} {name}({})\n{{", parameters.join(", "))?;
    arguments(text, method)?;
    if structured {
        writeln!(text, "    {name}_t result;\n    result.error = error;")?;
    }
    results(text, method)?;
    writeln!(text, "    return {};\n}}", if structured { "result" } else { "error" })
}

fn value(parameter: &Parameter, place: Place) -> String {
    let Parameter { name, kind, .. } = parameter;
    let value = match kind {
        Kind::Rights => format!("{name}.words[0]"),
        Kind::Bits(64) => return format!("(seL4_Word){name}"),
        Kind::Bits(bits) => format!("((seL4_Word){name} & {:#x})", (1_u64 << bits) - 1),
        Kind::Capability | Kind::Context(_) => (*name).to_owned(),
    };
    if place.shift > 0 { format!("{value} << {}", place.shift) } else { value }
}

/// Puts capabilities and words where they travel, and makes the call.
fn arguments(text: &mut String, method: &Method) -> std::fmt::Result {
    let capabilities = method.parameters.iter().filter(|parameter| parameter.kind == Kind::Capability);
    let mut count = 0;
    for capability in capabilities {
        writeln!(text, "    seL4_SetCap({count}, {});", capability.name)?;
        count += 1;
    }
    let (places, words) = places(&method.parameters);
    let mut values: Vec<Vec<String>> = vec![Vec::new(); words];
    for (parameter, place) in method.parameters.iter().zip(places) {
        let Some(place) = place else { continue };
        if let Kind::Context(fields) = parameter.kind {
            for (index, field) in fields.iter().enumerate() {
                values[place.word + index].push(format!("{}->{field}", parameter.name));
            }
        } else {
            values[place.word].push(value(parameter, place));
        }
    }
    let word = |index: usize| values.get(index).map_or_else(|| "0".to_owned(), |parts| parts.join(" | "));
    writeln!(text, "    seL4_Word mr[{FAST}] = {{{}}};", (0..FAST).map(word).collect::<Vec<_>>().join(", "))?;
    for index in FAST..words {
        writeln!(text, "    seL4_SetMR({index}, {});", word(index))?;
    }
    writeln!(
        text,
        "    seL4_Error error = sel4_invoke(_service, seL4_MessageInfo_new({}, 0, {count}, {words}), mr);",
        method.label
    )
}

/// Fetches results; of a failed call, registers that describe the error are in the IPC buffer.
fn results(text: &mut String, method: &Method) -> std::fmt::Result {
    let get = |word: usize| if word < FAST { format!("mr[{word}]") } else { format!("seL4_GetMR({word})") };
    let (places, _) = places(&method.results);
    for (result, place) in method.results.iter().zip(places) {
        let Some(place) = place else { continue };
        match result.kind {
            Kind::Context(fields) => {
                writeln!(text, "    if (error == seL4_NoError) {{")?;
                for (index, field) in fields.iter().enumerate() {
                    writeln!(text, "        {}->{field} = {};", result.name, get(place.word + index))?;
                }
                writeln!(text, "    }}")?;
            }
            Kind::Bits(64) => writeln!(text, "    result.{} = {};", result.name, get(place.word))?,
            Kind::Bits(bits) => writeln!(
                text,
                "    result.{} = ({} >> {}) & {:#x};",
                result.name,
                get(place.word),
                place.shift,
                (1_u64 << bits) - 1
            )?,
            Kind::Capability | Kind::Rights => {}
        }
    }
    Ok(())
}
