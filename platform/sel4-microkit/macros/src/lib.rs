// SPDX-License-Identifier: BSD-2-Clause
//! The `protection_domain` attribute. Use it through `sel4_microkit::protection_domain`.

#![forbid(unsafe_code)]

use proc_macro::{TokenStream, TokenTree};

/// Makes a function `fn() -> impl Handler` the initialisation function of a protection domain.
///
/// Arguments, all optional: `stack_size = EXPR, heap_size = EXPR` in this order, each a constant `usize` in bytes.
/// Expands to `sel4_microkit::declare_protection_domain!` and the function itself.
#[proc_macro_attribute]
pub fn protection_domain(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let Some(name) = function_name(item.clone()) else {
        return "::core::compile_error!(\"#[protection_domain] belongs on a function\");"
            .parse()
            .unwrap_or_default();
    };
    // The name is an identifier and the attribute a token stream already, so this always parses.
    let declaration = format!("::sel4_microkit::declare_protection_domain! {{ init = {name}, {attribute} }}");
    let mut tokens: TokenStream = declaration.parse().unwrap_or_default();
    tokens.extend(item);
    tokens
}

/// The identifier after the first `fn` outside any group.
fn function_name(item: TokenStream) -> Option<String> {
    let mut tokens = item.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(ident) if ident.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}
