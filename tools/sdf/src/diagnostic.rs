// SPDX-License-Identifier: BSD-2-Clause
//! Messages with a place in the source file.

use crate::model::Pos;
use crate::problem::Problem;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The system cannot be built.
    Error,
    /// The system can be built, but probably not as meant.
    Warning,
}

/// One message about a system description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// File name as the caller gave it.
    pub source: String,
    /// Where in it.
    pub pos: Pos,
    /// Where the template was used that this is in.
    pub used_at: Option<Pos>,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(source: &str, pos: Pos, problem: Problem) -> Self {
        Self { source: source.to_owned(), pos, used_at: None, severity: Severity::Error, problem }
    }

    /// A warning.
    #[must_use]
    pub fn warning(source: &str, pos: Pos, problem: Problem) -> Self {
        Self { source: source.to_owned(), pos, used_at: None, severity: Severity::Warning, problem }
    }
}

impl Diagnostic {
    /// An error in the form of Microkit's own tool, whose beginning scripts and tests know: `Error: message:
    /// file:row:col`, and on the last line what to do.
    #[must_use]
    pub fn in_microkits_form(&self) -> String {
        let mut text = format!("Error: {}: {}:{}", self.problem, self.source, self.pos);
        if let Some(help) = self.problem.help() {
            text += "\n  help: ";
            text += &help;
        }
        text
    }
}

/// `file:row:col: error: message`, where a template was used, and on the last line what to do.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: {}", self.source, self.pos, self.problem)?;
        if let Some(used_at) = self.used_at {
            write!(f, "\n  in the template as used at {}:{used_at}", self.source)?;
        }
        match self.problem.help() {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}
