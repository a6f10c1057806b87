// SPDX-License-Identifier: BSD-2-Clause
//! One pass over the text: what is wrong so far, and the edits to make.

use super::edit::{Edits, Trace};
use crate::diagnostic::Diagnostic;
use crate::element::Found;
use crate::lines::Lines;
use crate::model::Pos;
use crate::problem::Problem;

/// What every pass collects.
pub(super) struct Stage<'a> {
    pub(super) source: &'a str,
    pub(super) edits: Edits,
    pub(super) errors: Vec<Diagnostic>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, edits: Edits::default(), errors: Vec::new() }
    }

    pub(super) fn error(&mut self, pos: Pos, problem: impl Into<Problem>) {
        self.errors.push(Diagnostic::error(self.source, pos, problem.into()));
    }

    pub(super) fn take<T>(&mut self, found: Found<T>) -> Option<T> {
        found.map_err(|(pos, problem)| self.error(pos, problem)).ok()
    }
}

/// The passes so far: the original, and each text made from the one before.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    texts: Vec<String>,
    traces: Vec<Trace>,
}

impl Chain {
    pub(super) fn new(original: &str) -> Self {
        Self { texts: vec![original.to_owned()], traces: Vec::new() }
    }

    /// The latest text.
    pub(super) fn text(&self) -> &str {
        self.texts.last().map_or("", String::as_str)
    }

    pub(super) fn push(&mut self, (text, trace): (String, Trace)) {
        self.texts.push(text);
        self.traces.push(trace);
    }

    /// Moves places in the latest text to where they come from in the original, and sorts by them.
    pub(super) fn place(&self, diagnostics: &mut [Diagnostic]) {
        let lines: Vec<Lines<'_>> = self.texts.iter().map(|text| Lines::new(text)).collect();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        for diagnostic in &mut *diagnostics {
            let (mut offset, mut used_at) = (last.offset(diagnostic.pos), None);
            for (index, trace) in self.traces.iter().enumerate().rev() {
                let len = self.texts.get(index + 1).map_or(0, String::len);
                let (origin, used) = trace.origin(offset, len);
                offset = origin;
                used_at = used.or(used_at);
            }
            diagnostic.pos = first.pos(offset);
            diagnostic.used_at = used_at.map(|offset| first.pos(offset));
        }
        diagnostics.sort_by_key(|diagnostic| (diagnostic.pos, diagnostic.used_at));
    }
}
