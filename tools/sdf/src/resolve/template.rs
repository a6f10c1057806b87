// SPDX-License-Identifier: BSD-2-Clause
//! `template` and `use`: parts of a description that come several times.
//!
//! ```xml
//! <template name="guest" parameters="n ram=512M">
//!     <memory_region name="guest_${n}_ram" size="${ram}" />
//! </template>
//! <use template="guest" n="0" />
//! <use template="guest" n="1" ram="1G" />
//! ```
//! Each `use` becomes a copy of what is in the template, with `${parameter}` replaced in attribute values. This comes
//! before variables: `${RAM_${n}:-512M}` asks for the variable `RAM_0` or `RAM_1`.

use super::Variables;
use super::edit::{Trace, Traced};
use super::stage::Stage;
use super::value::{escape, is_true, substitute};
use crate::element::Element;
use crate::problem::{Fault, ResolveFault};
use std::collections::BTreeMap;
use std::ops::Range;

/// Templates in templates, at most.
const MAX_DEPTH: usize = 8;
/// Bytes of the expanded text, at most.
const MAX_TEXT: usize = 1 << 22;

/// Attributes of `use` that are no parameters.
const OWN: [&str; 2] = ["template", "when"];

struct Template<'d> {
    element: Element<'d>,
    /// Names with their defaults.
    parameters: Vec<(&'d str, Option<&'d str>)>,
}

type Values<'d> = BTreeMap<&'d str, String>;

struct Expander<'a, 's, 'd> {
    stage: &'a mut Stage<'s>,
    text: &'d str,
    variables: &'a Variables,
    templates: BTreeMap<&'d str, Template<'d>>,
    result: Traced,
    /// The result is too long already.
    full: bool,
}

/// The text with every `use` replaced.
pub(super) fn expand<'d>(
    stage: &mut Stage<'_>,
    root: Element<'d>,
    text: &'d str,
    variables: &Variables,
) -> (String, Trace) {
    let mut expander = Expander {
        stage,
        text,
        variables,
        templates: BTreeMap::new(),
        result: Traced::default(),
        full: false,
    };
    expander.collect(root);
    expander.walk(root, 0..text.len(), &Values::new(), None, 0);
    expander.result.finish()
}

impl<'d> Expander<'_, '_, 'd> {
    fn collect(&mut self, root: Element<'d>) {
        for element in root.children().filter(|element| element.name() == "template") {
            for finding in element.unknown_attributes(&["name", "parameters"]) {
                self.stage.take::<()>(Err(finding));
            }
            for finding in element.stray_text() {
                self.stage.take::<()>(Err(finding));
            }
            let Some(name) = self.stage.take(element.name_attribute()) else { continue };
            let parameters = self.parameters(element);
            if self.templates.insert(name, Template { element, parameters }).is_some() {
                self.stage.error(element.pos(), ResolveFault::TemplateTwice(name.to_owned()));
            }
        }
    }

    fn parameters(&mut self, element: Element<'d>) -> Vec<(&'d str, Option<&'d str>)> {
        let mut parameters: Vec<(&str, Option<&str>)> = Vec::new();
        let Some(attribute) = element.attribute("parameters") else { return parameters };
        for word in attribute.value.split_ascii_whitespace() {
            let (name, default) = word.split_once('=').map_or((word, None), |(n, d)| (n, Some(d)));
            let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                && !OWN.contains(&name)
                && parameters.iter().all(|(other, _)| *other != name);
            if sound {
                parameters.push((name, default));
            } else {
                self.stage.error(attribute.pos, ResolveFault::Parameter(word.to_owned()));
            }
        }
        parameters
    }

    /// Appends `range` of the text, which is in `element`, expanded.
    fn walk(
        &mut self,
        element: Element<'d>,
        range: Range<usize>,
        values: &Values<'_>,
        used_at: Option<usize>,
        depth: usize,
    ) {
        let mut next = range.start;
        for found in element.descendants() {
            // What is in a template or a `use` is not of this copy.
            if found.range().start < next || found.range().start < range.start {
                continue;
            }
            match found.name() {
                "template" => {
                    self.result.copy(self.text, next..found.range().start, used_at);
                    next = found.range().end;
                    if found.parent_name() != "system" || depth > 0 {
                        self.stage.error(found.pos(), ResolveFault::TemplateHere);
                    }
                }
                "use" => {
                    self.result.copy(self.text, next..found.range().start, used_at);
                    next = found.range().end;
                    self.use_template(found, values, used_at, depth);
                }
                _ => next = self.attributes(found, next, values, used_at),
            }
            if self.full {
                return;
            }
        }
        self.result.copy(self.text, next..range.end, used_at);
        if self.result.len() > MAX_TEXT {
            self.full = true;
            self.stage.error(element.pos(), ResolveFault::TemplateSize(MAX_TEXT));
        }
    }

    /// Appends the start tag of `element` as far as parameters are in it; gives where to go on.
    fn attributes(
        &mut self,
        element: Element<'d>,
        mut next: usize,
        values: &Values<'_>,
        used_at: Option<usize>,
    ) -> usize {
        if values.is_empty() {
            return next;
        }
        for attribute in element.raw_attributes() {
            let range = attribute.range_value();
            let Some(raw) = self.text.get(range.clone()) else { continue };
            let replaced = parameters_replaced(raw, values, escape);
            if replaced != raw {
                self.result.copy(self.text, next..range.start, used_at);
                self.result.make(&replaced, range.start, used_at);
                next = range.end;
            }
        }
        next
    }

    fn use_template(
        &mut self,
        element: Element<'d>,
        outer: &Values<'_>,
        used_at: Option<usize>,
        depth: usize,
    ) {
        let value = |text: &str| parameters_replaced(text, outer, str::to_owned);
        for child in element.children() {
            let problem = crate::Problem::InvalidElement { name: child.name().into(), parent: "use".into() };
            self.stage.error(child.pos(), problem);
        }
        for finding in element.stray_text() {
            self.stage.take::<()>(Err(finding));
        }
        if let Some(when) = element.attribute("when") {
            match substitute(&value(when.value), self.variables) {
                Ok(condition) if is_true(&condition) => {}
                Ok(_) => return,
                Err(fault) => return self.stage.error(when.pos, fault),
            }
        }
        let Some(name) = self.stage.take(element.required("template")) else { return };
        let Some(template) = self.templates.get(name.value) else {
            let known = self.templates.keys().copied().collect::<Vec<_>>().join(", ");
            self.stage.error(name.pos, ResolveFault::UnknownTemplate { name: name.value.to_owned(), known });
            return;
        };
        if depth == MAX_DEPTH {
            self.stage.error(element.pos(), ResolveFault::TemplateDepth(MAX_DEPTH));
            return;
        }
        let mut values = Values::new();
        for (parameter, default) in &template.parameters {
            let given = element.attribute(parameter).map(|given| value(given.value));
            // A default may use the parameters before it.
            let default = default.map(|default| parameters_replaced(default, &values, str::to_owned));
            match given.or(default) {
                Some(given) => {
                    values.insert(parameter, given);
                }
                None => {
                    self.stage.error(element.pos(), ResolveFault::ParameterMissing((*parameter).to_owned()))
                }
            }
        }
        let known: Vec<&str> = OWN.into_iter().chain(template.parameters.iter().map(|(n, _)| *n)).collect();
        for attribute in element.raw_attributes().filter(|a| !known.contains(&a.name())) {
            let fault =
                Fault::InvalidAttribute { name: attribute.name().to_owned(), known: known.join(", ") };
            let pos = element.attribute(attribute.name()).map_or(element.pos(), |a| a.pos);
            self.stage.take::<()>(Err(element.fault(pos, fault)));
        }
        let template = template.element;
        let used_at = used_at.or(Some(element.range().start));
        self.walk(template, template.inner(), &values, used_at, depth + 1);
    }
}

/// The text with every `${name}` of a parameter replaced.
fn parameters_replaced(text: &str, values: &Values<'_>, write: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        result.push_str(before);
        let parameter = from.strip_prefix("${").and_then(|inside| inside.split_once('}'));
        let value = parameter.and_then(|(name, after)| Some((values.get(name)?, after)));
        if let Some((value, after)) = value {
            result.push_str(&write(value));
            rest = after;
        } else {
            // `$$` is a dollar sign, whatever follows.
            let len = if from.starts_with("$$") { 2 } else { 1 };
            result.push_str(from.get(..len).unwrap_or(""));
            rest = from.get(len..).unwrap_or("");
        }
    }
    result + rest
}
