// SPDX-License-Identifier: BSD-2-Clause
//! Attribute values: variables and size suffixes.

use super::Variables;
use super::names::Resolver;
use crate::element::Element;
use crate::problem::ResolveFault;
use std::collections::BTreeMap;

/// Attributes that hold an address or a number of bytes.
const BYTES: [&str; 7] = ["size", "page_size", "phys_addr", "vaddr", "stack_size", "tx_size", "rx_size"];

/// Defaults of variables in defaults of variables, at most.
const MAX_DEPTH: usize = 16;

impl Resolver<'_, '_> {
    /// All attribute values of an element, resolved.
    pub(super) fn values<'d>(&mut self, element: Element<'d>) -> BTreeMap<&'d str, String> {
        let mut values = BTreeMap::new();
        for attribute in element.raw_attributes().filter(|attribute| attribute.name() != "when") {
            let name = attribute.name();
            let resolved = substitute(attribute.value(), self.variables)
                .and_then(|value| if BYTES.contains(&name) { expand_suffix(value) } else { Ok(value) });
            let value = match resolved {
                Ok(value) => value,
                Err(fault) => {
                    let pos = element.attribute(name).map_or(element.pos(), |attribute| attribute.pos);
                    self.stage.error(pos, fault);
                    attribute.value().to_owned()
                }
            };
            values.insert(name, value);
        }
        values
    }

    /// Writes the resolved values where they differ from the original; attributes of the dialect are edited as a whole
    /// elsewhere.
    pub(super) fn edit_values(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let dialect = ["device", "index", "when"];
        for attribute in element.raw_attributes().filter(|a| !dialect.contains(&a.name())) {
            match values.get(attribute.name()) {
                Some(value) if value != attribute.value() => {
                    self.stage.edits.replace(attribute.range_value(), attribute.value(), escape(value));
                }
                _ => {}
            }
        }
    }
}

/// ` name="value"`
pub(super) fn render(name: &str, value: &str) -> String {
    format!(" {name}=\"{}\"", escape(value))
}

pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\r' | '\t' => escaped.push_str(&format!("&#{};", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Whether a `when` lets its element stand: `a == b` and `a != b` compare, anything else is true unless it is empty, `0`,
/// `no` or `false`.
pub(super) fn is_true(condition: &str) -> bool {
    if let Some((left, right)) = condition.split_once("==") {
        left.trim() == right.trim()
    } else if let Some((left, right)) = condition.split_once("!=") {
        left.trim() != right.trim()
    } else {
        !matches!(condition, "" | "0" | "no" | "false")
    }
}

/// Replaces variables, as a shell would.
pub(super) fn substitute(text: &str, variables: &Variables) -> Result<String, ResolveFault> {
    substitute_to_depth(text, variables, 0)
}

fn substitute_to_depth(text: &str, variables: &Variables, depth: usize) -> Result<String, ResolveFault> {
    let malformed = || ResolveFault::Variable(text.to_owned());
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let inside = after.strip_prefix('{').ok_or_else(malformed)?;
        let end = closing_brace(inside).ok_or_else(malformed)?;
        let (inside, after) = inside.split_at_checked(end).ok_or_else(malformed)?;
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
        let (name, default) = inside.split_at_checked(end).ok_or_else(malformed)?;
        if name.is_empty() {
            return Err(malformed());
        }
        let value = variables.get(name).cloned();
        // The default is looked at only when it is used.
        let value = if let Some(default) = default.strip_prefix(":-") {
            match value.filter(|value| !value.is_empty()) {
                Some(value) => value,
                None => substitute_to_depth(default, variables, depth + 1)?,
            }
        } else if let Some(default) = default.strip_prefix('-') {
            match value {
                Some(value) => value,
                None => substitute_to_depth(default, variables, depth + 1)?,
            }
        } else if default.is_empty() {
            value.ok_or_else(|| ResolveFault::Unset(name.to_owned()))?
        } else {
            return Err(malformed());
        };
        result.push_str(&value);
        rest = after.get(1..).unwrap_or("");
    }
    result.push_str(rest);
    Ok(result)
}

/// Where the `}` is that closes what `text` is the inside of.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut dollar = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' if dollar => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        // The second of two is a dollar sign and nothing more.
        dollar = c == '$' && !dollar;
    }
    None
}

/// `64K` and the like to a plain number; everything else stays, for the parser to judge.
fn expand_suffix(value: String) -> Result<String, ResolveFault> {
    let Some((digits, shift)) = [('K', 10), ('M', 20), ('G', 30)]
        .into_iter()
        .find_map(|(suffix, shift)| Some((value.strip_suffix(suffix)?, shift)))
    else {
        return Ok(value);
    };
    let bytes = digits.replace('_', "").parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    match bytes {
        Some(bytes) if digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(format!("{bytes:#x}")),
        _ => Err(ResolveFault::Size(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_replaced_as_in_a_shell() {
        let vars = variables(&[("A", "1"), ("EMPTY", ""), ("D", "$x{")]);
        for (text, expected) in [
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${A}", "x1y1"),
            ("${A:-9}", "1"),
            ("${B:-9}", "9"),
            ("${B:-}", ""),
            ("${EMPTY:-9}", "9"),
            ("${EMPTY-9}", ""),
            ("${B-9}", "9"),
            ("$${A}", "${A}"),
            ("${D}", "$x{"),
            ("${B:-${A}}!", "1!"),
            ("${A:-${B}}", "1"),
            ("${B-${EMPTY:-x${C-y}}}", "xy"),
            ("${B:-$${A}", "${A"),
        ] {
            assert_eq!(substitute(text, &vars).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(substitute("${B}", &vars), Err(ResolveFault::Unset("B".to_owned())));
        for text in ["$", "$A", "${A", "${}", "${A:9}", "${A+9}", "${:-x}", "${Ä}", "${B:-${A}"] {
            assert_eq!(substitute(text, &vars), Err(ResolveFault::Variable(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn defaults_in_defaults_are_bounded() {
        let nested = |depth: usize| "${B:-".repeat(depth) + "x" + &"}".repeat(depth);
        assert_eq!(substitute(&nested(MAX_DEPTH), &variables(&[])).as_deref(), Ok("x"));
        assert!(substitute(&nested(MAX_DEPTH + 1), &variables(&[])).is_err());
    }

    #[test]
    fn conditions_compare_or_say_yes() {
        for (condition, expected) in [
            ("", false),
            ("0", false),
            ("no", false),
            ("false", false),
            ("1", true),
            ("x", true),
            ("a == a", true),
            ("a==b", false),
            (" == ", true),
            ("a != b", true),
            ("a != a", false),
        ] {
            assert_eq!(is_true(condition), expected, "{condition}");
        }
    }

    #[test]
    fn size_suffixes_are_powers_of_1024() {
        let expand = |text: &str| expand_suffix(text.to_owned());
        assert_eq!(expand("4K").as_deref(), Ok("0x1000"));
        assert_eq!(expand("512M").as_deref(), Ok("0x20000000"));
        assert_eq!(expand("1_0G").as_deref(), Ok("0x280000000"));
        assert_eq!(expand("0x1000").as_deref(), Ok("0x1000"));
        assert_eq!(expand("512m").as_deref(), Ok("512m"), "left to the parser");
        for bad in ["K", "xM", "-1M", "+1M", "0x10K", "99999999999999999999G", "17179869184G"] {
            assert_eq!(expand(bad), Err(ResolveFault::Size(bad.to_owned())), "{bad}");
        }
    }
}
