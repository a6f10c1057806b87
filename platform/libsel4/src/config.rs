// SPDX-License-Identifier: BSD-2-Clause
//! Configuration options as preprocessor symbols: `CONFIG_NAME`, 1 where an option is on, absent where it is off.

use serde_json::Value;

use crate::{Numbers, opening};

/// `kernel/gen_config.h`. Build scripts search it line by line, so each definition has two spaces before the value and
/// options that are off are named in a comment, as in the reference SDK.
pub fn kernel(numbers: Numbers<'_>) -> String {
    let mut text = opening("The kernel's configuration.") + "#pragma once\n\n";
    for (name, value) in numbers.config {
        text += &match value {
            Value::Bool(true) => format!("#define CONFIG_{name}  1\n"),
            Value::Bool(false) => format!("/* disabled: CONFIG_{name} */\n"),
            Value::String(value) if value.is_empty() => format!("#define CONFIG_{name}\n"),
            Value::String(value) => format!("#define CONFIG_{name}  {value}\n"),
            other => format!("#define CONFIG_{name}  {other}\n"),
        };
    }
    text
}

/// `sel4/gen_config.h`: how this library is made. Invocations are inline functions; there is one thread in each address
/// space, so the pointer to its IPC buffer is an ordinary variable.
pub fn library() -> String {
    opening("The library's configuration.")
        + "#pragma once\n\n#define CONFIG_LIB_SEL4_INLINE_INVOCATIONS  1\n#define CONFIG_LIB_SEL4_DEFAULT_FUNCTION_ATTRIBUTES  1\n"
}

/// `sel4/gen_config.json`: the same for programs.
pub fn library_json() -> String {
    let mut options = serde_json::Map::new();
    for name in ["INLINE_INVOCATIONS", "DEFAULT_FUNCTION_ATTRIBUTES"] {
        options.insert(format!("LIB_SEL4_{name}"), true.into());
    }
    for name in ["PUBLIC_SYMBOLS", "STUBS_USE_IPC_BUFFER_ONLY", "USE_THREAD_LOCALS"] {
        options.insert(format!("LIB_SEL4_{name}"), false.into());
    }
    options.insert("LIB_SEL4_FUNCTION_ATTRIBUTE".into(), "inline".into());
    options.insert("LIB_SEL4_PRINT_INVOCATION_ERRORS".into(), "0".into());
    format!("{:#}\n", Value::Object(options))
}

/// `sel4/config.h`: both.
pub fn both() -> String {
    opening("All configuration options.")
        + "#pragma once\n\n#include <kernel/gen_config.h>\n#include <sel4/gen_config.h>\n"
}
