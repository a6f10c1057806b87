// SPDX-License-Identifier: BSD-2-Clause
//! From our dialect to plain SDF, which any Microkit SDK accepts.
//!
//! What the dialect adds to SDF 2.3 is described, element by element, in `docs/system-description.md`. The text is edited
//! in place, in four passes, so that comments stay and every message can be given at its place in the original:
//!
//! 1. [`template`]: `template` and `use`;
//! 2. [`names`]: what concerns one element alone: `${NAME}`, `when`, sizes like `64K`, `device="..."`, `count="N"`;
//! 3. [`connect`]: what connects protection domains: `link`, `serial`, `ring`, `call`, `watchdog`; `config`; regions and
//!    channels written inside a protection domain;
//! 4. [`assign`]: addresses and numbers that were left out.

mod assign;
mod connect;
mod device;
mod edit;
mod names;
mod roles;
mod stage;
mod template;
#[cfg(test)]
mod tests;
mod value;

use crate::diagnostic::Diagnostic;
use crate::element::Element;
use crate::lines::Lines;
use crate::model::System;
use crate::parse::Files;
use crate::platform::Platform;
use board::Board;
use edit::{Edits, Trace};
use stage::{Chain, Stage};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Values of `${NAME}`.
pub type Variables = BTreeMap<String, String>;

/// A file that a resolved description needs beside it, on a search path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Name, without folder.
    pub name: String,
    /// Content.
    pub content: String,
}

/// A plain system description made from one in our dialect.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The plain description.
    pub text: String,
    /// Files to write next to it.
    pub files: Vec<GeneratedFile>,
    source: String,
    chain: Chain,
}

/// Resolves a description in our dialect. A plain one comes out unchanged, but for the comment at its end.
///
/// # Errors
/// Everything that is wrong with the first pass that finds something wrong, in file order; never empty.
pub fn resolve(
    source_name: &str,
    text: &str,
    board: &Board,
    variables: &Variables,
) -> Result<Resolved, Vec<Diagnostic>> {
    let mut chain = Chain::new(text);
    let mut files = Vec::new();
    let variables = &roles::variables(board, variables);
    pass(&mut chain, source_name, |stage, root, text| template::expand(stage, root, text, variables))?;
    pass(&mut chain, source_name, |stage, root, text| {
        names::resolve(stage, root, board, variables);
        std::mem::take(&mut stage.edits).apply(text)
    })?;
    pass(&mut chain, source_name, |stage, root, text| {
        files = connect::connect(stage, root);
        std::mem::take(&mut stage.edits).apply(text)
    })?;
    pass(&mut chain, source_name, |stage, root, text| {
        assign::assign(stage, root, &files);
        std::mem::take(&mut stage.edits).apply(text)
    })?;
    let mut note = Edits::default();
    let end = chain.text().len();
    note.insert(end, format!("<!-- Made from {} for {}. -->\n", comment_safe(source_name), board.name));
    chain.push(note.apply(chain.text()));
    Ok(Resolved { text: chain.text().to_owned(), files, source: source_name.to_owned(), chain })
}

/// Makes the next text of the latest one.
fn pass(
    chain: &mut Chain,
    source: &str,
    make: impl for<'d> FnOnce(&mut Stage<'_>, Element<'d>, &'d str) -> (String, Trace),
) -> Result<(), Vec<Diagnostic>> {
    let mut stage = Stage::new(source);
    let made = {
        let text = chain.text();
        let lines = Lines::new(text);
        let document = match crate::parse::document(source, text) {
            Ok(document) => document,
            Err(mut errors) => {
                chain.place(&mut errors);
                return Err(errors);
            }
        };
        let root = Element::new(document.root_element(), &lines);
        make(&mut stage, root, text)
    };
    if stage.errors.is_empty() {
        chain.push(made);
        Ok(())
    } else {
        chain.place(&mut stage.errors);
        Err(stage.errors)
    }
}

/// Two dashes end a comment.
fn comment_safe(text: &str) -> String {
    text.replace("--", "-_")
}

impl Resolved {
    /// Parses and checks the plain description; messages are placed in the original.
    ///
    /// # Errors
    /// As [`crate::parse()`].
    pub fn parse(&self, platform: &Platform, search_paths: &[PathBuf]) -> Result<System, Vec<Diagnostic>> {
        self.parse_with(platform, Files { search_paths, generated: &self.files, optional: false })
    }

    /// The same where the files that regions are prefilled from need not exist: to draw the system, say.
    ///
    /// # Errors
    /// As [`crate::parse()`].
    pub fn parse_without_files(&self, platform: &Platform) -> Result<System, Vec<Diagnostic>> {
        self.parse_with(platform, Files { search_paths: &[], generated: &self.files, optional: true })
    }

    fn parse_with(&self, platform: &Platform, files: Files<'_>) -> Result<System, Vec<Diagnostic>> {
        match crate::parse::parse(&self.source, &self.text, platform, files) {
            Ok(mut system) => {
                let faults = crate::check::ends::check(&system).into_iter();
                let mut errors: Vec<_> =
                    faults.map(|(pos, problem)| Diagnostic::error(&self.source, pos, problem)).collect();
                self.chain.place(&mut errors);
                self.chain.place(&mut system.warnings);
                if errors.is_empty() { Ok(system) } else { Err(errors) }
            }
            Err(mut errors) => {
                self.chain.place(&mut errors);
                Err(errors)
            }
        }
    }

    /// Checks that the programs have the symbols that the description sets, and wait for none that it does not.
    /// `system` is what [`Resolved::parse`] gave.
    ///
    /// # Errors
    /// Everything that is wrong, placed in the original; never empty.
    pub fn check_programs(&self, system: &System, search_paths: &[PathBuf]) -> Result<(), Vec<Diagnostic>> {
        let mut errors = crate::programs::check(&self.source, system, search_paths);
        self.chain.place(&mut errors);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
