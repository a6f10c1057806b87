// SPDX-License-Identifier: BSD-2-Clause
//! Edits of a text, kept so that places in the result can be traced back.

use crate::element::Element;
use std::ops::Range;

/// Replacements of disjoint ranges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    list: Vec<(Range<usize>, String)>,
}

impl Edits {
    /// Puts `new` where `range` was, followed by as many line ends as `old` had more, so that rows stay.
    pub(crate) fn replace(&mut self, range: Range<usize>, old: &str, new: String) {
        let lines = |text: &str| text.matches('\n').count();
        let missing = lines(old).saturating_sub(lines(&new));
        self.list.push((range, new + &"\n".repeat(missing)));
    }

    pub(crate) fn remove(&mut self, range: Range<usize>, old: &str) {
        self.replace(range, old, String::new());
    }

    pub(crate) fn insert(&mut self, at: usize, new: String) {
        self.list.push((at..at, new));
    }

    /// Takes an attribute out of its element, with the white space before it.
    pub(crate) fn remove_attribute(&mut self, element: Element<'_>, name: &str) {
        self.replace_attribute(element, name, "");
    }

    /// Puts `new` (with a space in front of each attribute) in the place of an attribute.
    pub(crate) fn replace_attribute(&mut self, element: Element<'_>, name: &str, new: &str) {
        let Some(attribute) = element.raw_attributes().find(|a| a.name() == name) else { return };
        let range = attribute.range();
        let before = element.text().get(..range.start.saturating_sub(element.range().start)).unwrap_or("");
        let blank = before.len() - before.trim_end_matches([' ', '\t']).len();
        let old = element.text().get(range.start - element.range().start..).unwrap_or("");
        let old = old.get(..range.len()).unwrap_or("");
        self.replace(range.start - blank..range.end, old, new.to_owned());
    }

    /// The edited text.
    pub(crate) fn apply(&mut self, text: &str) -> String {
        self.list.sort_by_key(|(range, _)| range.start);
        let mut result = String::with_capacity(text.len());
        let mut next = 0;
        for (range, new) in &self.list {
            result.push_str(text.get(next..range.start).unwrap_or(""));
            result.push_str(new);
            next = range.end;
        }
        result.push_str(text.get(next..).unwrap_or(""));
        result
    }

    /// Offset in the original of an offset in the edited text; after [`Edits::apply`]. What an edit put in comes from
    /// where the edit is.
    pub(crate) fn origin(&self, offset: usize) -> usize {
        let (mut edited, mut original) = (0, 0);
        for (range, new) in &self.list {
            let kept = range.start - original;
            if offset < edited + kept {
                break;
            }
            edited += kept;
            original = range.end;
            if offset < edited + new.len() {
                return range.start;
            }
            edited += new.len();
        }
        original + (offset - edited)
    }
}

#[cfg(test)]
mod tests {
    use super::Edits;

    #[test]
    fn edits_keep_rows_and_trace_back() {
        let text = "ab<x\n>cd<y>ef";
        let mut edits = Edits::default();
        edits.replace(8..11, "<y>", "LONGER".to_owned());
        edits.replace(2..6, "<x\n>", String::new());
        edits.insert(13, "!".to_owned());
        assert_eq!(edits.apply(text), "ab\ncdLONGERef!");
        // Kept text maps to itself, new text to the start of what it replaces.
        for (offset, origin) in [(0, 0), (1, 1), (2, 2), (3, 6), (4, 7), (5, 8), (10, 8), (11, 11), (13, 13)]
        {
            assert_eq!(edits.origin(offset), origin, "offset {offset}");
        }
    }
}
