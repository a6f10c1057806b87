// SPDX-License-Identifier: BSD-2-Clause
//! One XML element and the typed reading of its attributes.
//!
//! Every reading gives either a value or a [`Finding`]; the parser collects the findings and goes on.

use crate::limits::{MAX_ID, MAX_NAME_LEN};
use crate::lines::Lines;
use crate::model::Pos;
use crate::problem::{Fault, Problem};
use roxmltree::Node;
use std::ops::Range;

/// A problem and where it is.
pub(crate) type Finding = (Pos, Problem);
/// A value or what is wrong with it.
pub(crate) type Found<T> = Result<T, Finding>;

/// An attribute's value and where it begins.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'d> {
    pub(crate) value: &'d str,
    pub(crate) pos: Pos,
}

/// An element of the file.
#[derive(Clone, Copy)]
pub(crate) struct Element<'d> {
    node: Node<'d, 'd>,
    lines: &'d Lines<'d>,
}

impl<'d> Element<'d> {
    pub(crate) fn new(node: Node<'d, 'd>, lines: &'d Lines<'d>) -> Self {
        Self { node, lines }
    }

    pub(crate) fn name(self) -> &'d str {
        self.node.tag_name().name()
    }

    /// Where the element begins.
    pub(crate) fn pos(self) -> Pos {
        self.lines.pos(self.node.range().start)
    }

    /// Bytes of the element in the file, from `<` to `>`.
    pub(crate) fn range(self) -> Range<usize> {
        self.node.range()
    }

    /// The element as written.
    pub(crate) fn text(self) -> &'d str {
        self.node.document().input_text().get(self.node.range()).unwrap_or("")
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Element<'d>> + use<'d> {
        self.node.children().filter(Node::is_element).map(move |node| Element { node, lines: self.lines })
    }

    /// The element itself and all below, in file order.
    pub(crate) fn descendants(self) -> impl Iterator<Item = Element<'d>> + use<'d> {
        self.node.descendants().filter(Node::is_element).map(move |node| Element { node, lines: self.lines })
    }

    /// Bytes between the start tag and the end tag.
    pub(crate) fn inner(self) -> Range<usize> {
        match (self.node.first_child(), self.node.last_child()) {
            (Some(first), Some(last)) => first.range().start..last.range().end,
            _ => self.node.range().end..self.node.range().end,
        }
    }

    /// White space before the element on its line; nothing when something else is before it.
    pub(crate) fn indent(self) -> &'d str {
        let before = self.node.document().input_text().get(..self.node.range().start).unwrap_or("");
        let line = before.trim_end_matches([' ', '\t']);
        if line.is_empty() || line.ends_with('\n') { before.get(line.len()..).unwrap_or("") } else { "" }
    }

    pub(crate) fn parent(self) -> Option<Element<'d>> {
        let node = self.node.parent_element()?;
        Some(Element { node, lines: self.lines })
    }

    pub(crate) fn parent_name(self) -> &'d str {
        self.node.parent_element().map_or("", |parent| parent.tag_name().name())
    }

    /// Raw attributes with their byte ranges.
    pub(crate) fn raw_attributes(self) -> impl Iterator<Item = roxmltree::Attribute<'d, 'd>> {
        self.node.attributes()
    }

    pub(crate) fn attribute(self, name: &str) -> Option<Attribute<'d>> {
        let attribute = self.node.attributes().find(|a| a.name() == name && a.namespace().is_none())?;
        Some(Attribute { value: attribute.value(), pos: self.lines.pos(attribute.range().start) })
    }

    /// A fault of this element, at `pos`.
    pub(crate) fn fault(self, pos: Pos, fault: Fault) -> Finding {
        (pos, Problem::Element { element: self.name().to_owned(), fault })
    }

    /// Every attribute that is not in `known`.
    pub(crate) fn unknown_attributes(self, known: &'static [&'static str]) -> Vec<Finding> {
        self.node
            .attributes()
            .filter(|a| a.namespace().is_some() || !known.contains(&a.name()))
            .map(|a| {
                let fault = Fault::InvalidAttribute { name: a.name().to_owned(), known: known.join(", ") };
                self.fault(self.lines.pos(a.range().start), fault)
            })
            .collect()
    }

    /// Text directly in this element, other than white space, with what it follows.
    pub(crate) fn stray_text(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut after: Option<&str> = None;
        for node in self.node.children() {
            if node.is_element() {
                after = Some(node.tag_name().name());
            } else if node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty()) {
                let problem = match after {
                    Some(name) => Problem::TextAfter(name.to_owned()),
                    None => Problem::TextIn(self.name().to_owned()),
                };
                let text = node.text().unwrap_or("");
                let blank = text.len() - text.trim_start().len();
                findings.push((self.lines.pos(node.range().start + blank), problem));
            }
        }
        findings
    }

    pub(crate) fn required(self, name: &'static str) -> Found<Attribute<'d>> {
        self.attribute(name).ok_or_else(|| {
            (self.pos(), Problem::MissingAttribute { attribute: name, element: self.name().to_owned() })
        })
    }

    /// A required name: not empty, short enough to be kept whole.
    pub(crate) fn name_attribute(self) -> Found<&'d str> {
        let Attribute { value, pos } = self.required("name")?;
        if value.is_empty() {
            return Err(self.fault(pos, Fault::Empty("name")));
        }
        if value.len() > MAX_NAME_LEN {
            return Err(self.fault(pos, Fault::NameTooLong { name: value.to_owned(), len: value.len() }));
        }
        Ok(value)
    }

    /// A required attribute that must say something.
    pub(crate) fn filled(self, name: &'static str) -> Found<&'d str> {
        let Attribute { value, pos } = self.required(name)?;
        if value.is_empty() { Err(self.fault(pos, Fault::Empty(name))) } else { Ok(value) }
    }

    pub(crate) fn boolean(self, name: &'static str, default: bool) -> Found<bool> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute { value: "true", .. }) => Ok(true),
            Some(Attribute { value: "false", .. }) => Ok(false),
            Some(Attribute { pos, .. }) => Err(self.fault(pos, Fault::Boolean(name))),
        }
    }

    /// A number in decimal or `0x` form, underscores allowed.
    pub(crate) fn number(self, name: &str) -> Found<Option<u64>> {
        self.attribute(name).map(|attribute| self.parse_number(attribute)).transpose()
    }

    pub(crate) fn parse_number(self, attribute: Attribute<'d>) -> Found<u64> {
        parse_number(attribute.value).map_err(|reason| self.integer_problem(attribute, reason, false))
    }

    /// A required number in plain decimal form, as in interrupt numbers and ids.
    pub(crate) fn required_decimal(self, name: &'static str) -> Found<(i64, Pos)> {
        let attribute = self.required(name)?;
        let value = attribute
            .value
            .parse::<i64>()
            .map_err(|error| self.integer_problem(attribute, error.to_string(), true))?;
        Ok((value, attribute.pos))
    }

    /// The required attribute `id`: 0 to [`MAX_ID`].
    pub(crate) fn id(self) -> Found<u8> {
        let (id, pos) = self.required_decimal("id")?;
        if id < 0 {
            return Err(self.fault(pos, Fault::IdNegative));
        }
        u8::try_from(id).ok().filter(|id| *id <= MAX_ID).ok_or_else(|| self.fault(pos, Fault::IdTooLarge))
    }

    fn integer_problem(self, attribute: Attribute<'d>, reason: String, decimal: bool) -> Finding {
        let problem = Problem::Integer {
            value: attribute.value.to_owned(),
            element: self.name().to_owned(),
            reason,
            decimal,
        };
        (attribute.pos, problem)
    }
}

/// A number in decimal or `0x` form, underscores allowed anywhere.
pub(crate) fn parse_number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse::<u64>(),
    }
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_with_underscores() {
        assert_eq!(parse_number("12"), Ok(12));
        assert_eq!(parse_number("0x1_0"), Ok(16));
        assert_eq!(parse_number("1_000"), Ok(1000));
        assert_eq!(parse_number("0xffff_ffff_ffff_ffff"), Ok(u64::MAX));
        assert_eq!(parse_number("0x200_000sd").unwrap_err(), "invalid digit found in string");
        for bad in ["", "-1", "0x", "0X10", "1.0", " 1", "18446744073709551616", "４"] {
            assert!(parse_number(bad).is_err(), "{bad}");
        }
    }
}
