// SPDX-License-Identifier: BSD-2-Clause
//! Edits of a text, and the way back from places in the result to places in the original.

use crate::element::Element;
use std::ops::Range;

/// Replacements of disjoint ranges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    list: Vec<Edit>,
}

#[derive(Clone, Debug)]
struct Edit {
    range: Range<usize>,
    new: String,
    /// Where in the original the new text comes from.
    origin: usize,
}

impl Edits {
    /// Puts `new` where `range` was, followed by as many line ends as `old` had more, so that rows stay.
    pub(crate) fn replace(&mut self, range: Range<usize>, old: &str, new: String) {
        let lines = |text: &str| text.matches('\n').count();
        let missing = lines(old).saturating_sub(lines(&new));
        self.list.push(Edit { origin: range.start, range, new: new + &"\n".repeat(missing) });
    }

    pub(crate) fn remove(&mut self, range: Range<usize>, old: &str) {
        self.replace(range, old, String::new());
    }

    pub(crate) fn insert(&mut self, at: usize, new: String) {
        self.insert_from(at, new, at);
    }

    /// Inserts text that something at `origin` asked for.
    pub(crate) fn insert_from(&mut self, at: usize, new: String, origin: usize) {
        self.list.push(Edit { range: at..at, new, origin });
    }

    /// Takes an element out, with its line if nothing else is on it.
    pub(crate) fn remove_line(&mut self, element: Element<'_>) {
        let range = element.range();
        let blank = element.indent().len();
        // With the line end before it.
        let start = if blank > 0 { range.start.saturating_sub(blank + 1) } else { range.start };
        self.list.push(Edit { range: start..range.end, new: String::new(), origin: range.start });
    }

    /// Inserts `new` as a last line of an element.
    pub(crate) fn append_child(&mut self, element: Element<'_>, new: &str, origin: usize) {
        let Some(end_tag) = element.text().rfind("</") else { return };
        let before = element.text().get(..end_tag).unwrap_or("");
        let blank = before.get(before.rfind('\n').map_or(0, |at| at + 1)..).unwrap_or("");
        let at = element.range().start + end_tag;
        if before.contains('\n') && blank.chars().all(|c| c == ' ' || c == '\t') {
            self.insert_from(at, format!("    {new}\n{blank}"), origin);
        } else {
            self.insert_from(at, new.to_owned(), origin);
        }
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

    /// Adds an attribute (with a space in front) before all others.
    pub(crate) fn add_attribute(&mut self, element: Element<'_>, new: String) {
        let name_end = element.text().find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
        let at = element.range().start + name_end.unwrap_or(0);
        self.insert_from(at, new, element.range().start);
    }

    /// The edited text, and the way back.
    pub(crate) fn apply(mut self, text: &str) -> (String, Trace) {
        self.list.sort_by_key(|edit| (edit.range.start, edit.range.end));
        let mut result = Traced::default();
        let mut next = 0;
        for edit in &self.list {
            result.copy(text, next..edit.range.start, None);
            result.make(&edit.new, edit.origin, None);
            next = edit.range.end;
        }
        result.copy(text, next..text.len(), None);
        result.finish()
    }
}

/// A text that is put together from pieces of another and new ones.
#[derive(Default)]
pub(crate) struct Traced {
    text: String,
    trace: Trace,
}

impl Traced {
    /// Appends a piece of the original; `used_at` is where a template with it was used.
    pub(crate) fn copy(&mut self, original: &str, range: Range<usize>, used_at: Option<usize>) {
        let start = range.start;
        self.piece(original.get(range).unwrap_or(""), start, true, used_at);
    }

    /// Appends something new that `origin` stands for.
    pub(crate) fn make(&mut self, new: &str, origin: usize, used_at: Option<usize>) {
        self.piece(new, origin, false, used_at);
    }

    fn piece(&mut self, text: &str, origin: usize, copied: bool, used_at: Option<usize>) {
        if !text.is_empty() {
            self.trace.pieces.push(Piece { start: self.text.len(), origin, copied, used_at });
            self.text.push_str(text);
            self.trace.end = origin + if copied { text.len() } else { 0 };
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn finish(self) -> (String, Trace) {
        (self.text, self.trace)
    }
}

/// The way back from an edited text to its original.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// In the order of the edited text.
    pieces: Vec<Piece>,
    /// Offset in the original of the end.
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Offset in the edited text.
    start: usize,
    /// Offset in the original.
    origin: usize,
    /// The text is the original's; otherwise all of it comes from `origin`.
    copied: bool,
    used_at: Option<usize>,
}

impl Trace {
    /// Offset in the original of an offset in the edited text and, for a piece of a template, of the element that used it.
    pub(crate) fn origin(&self, offset: usize, len: usize) -> (usize, Option<usize>) {
        let after = self.pieces.partition_point(|piece| piece.start <= offset);
        match after.checked_sub(1).and_then(|index| self.pieces.get(index)) {
            Some(_) if offset >= len => (self.end, None),
            Some(piece) if piece.copied => (piece.origin + (offset - piece.start), piece.used_at),
            Some(piece) => (piece.origin, piece.used_at),
            None => (0, None),
        }
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
        edits.insert_from(12, "?".to_owned(), 3);
        edits.insert(13, "!".to_owned());
        let (edited, trace) = edits.apply(text);
        assert_eq!(edited, "ab\ncdLONGERe?f!");
        // Kept text maps to itself, new text to where it comes from.
        for (offset, origin) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 6),
            (4, 7),
            (5, 8),
            (10, 8),
            (11, 11),
            (12, 3),
            (13, 12),
            (14, 13),
            (15, 13),
        ] {
            assert_eq!(trace.origin(offset, edited.len()).0, origin, "offset {offset}");
        }
    }

    #[test]
    fn an_insertion_where_a_replacement_begins_comes_first() {
        let mut edits = Edits::default();
        edits.replace(1..2, "b", "X".to_owned());
        edits.insert(1, "-".to_owned());
        assert_eq!(edits.apply("abc").0, "a-Xc");
    }
}
