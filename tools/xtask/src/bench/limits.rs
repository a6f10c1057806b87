// SPDX-License-Identifier: BSD-2-Clause
//! The limits of the round trips, `tests/limits/calls.txt`: what a test holds them to, so that they do not creep up.
//!
//! A line `name ticks` for each row: ticks of the counter for all its rounds, exact integers that are the same in every
//! run. `make limits` measures and lowers those that have become cheaper.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::paths;
use crate::process::say;

/// Its size depends on the length of paths, a little: held to what the design allows, 4 M instructions, as it is.
const FIXED: &str = "boot_to_first_pd";

fn file() -> PathBuf {
    paths::root().join("tests/limits/calls.txt")
}

/// Lowers the limits to these rows (name, ticks), where they are lower, and adds rows that are new.
pub fn tighten(rows: &[(String, u64)]) -> Result<()> {
    let file = file();
    let old = fs::read_to_string(&file).unwrap_or_default();
    let new = tightened(&old, rows)?;
    for (name, ticks) in rows {
        let limit = limits(&new)?.get(name).copied().unwrap_or(0);
        if *ticks > limit {
            say(format!("{name} takes {ticks} ticks, more than its limit of {limit}, which is kept"));
        }
    }
    fs::write(&file, new).with_context(|| file.display().to_string())
}

fn limits(text: &str) -> Result<BTreeMap<String, u64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, ticks) = line.split_once(' ').with_context(|| format!("a limit: {line}"))?;
            Ok((name.to_string(), ticks.parse().with_context(|| format!("a limit: {line}"))?))
        })
        .collect()
}

fn tightened(old: &str, rows: &[(String, u64)]) -> Result<String> {
    let mut limits = limits(old)?;
    for (name, ticks) in rows {
        let limit = limits.entry(name.clone()).or_insert(*ticks);
        if name != FIXED {
            *limit = (*limit).min(*ticks);
        }
    }
    let comments = old.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n"));
    let lines = limits.iter().map(|(name, ticks)| format!("{name} {ticks}\n"));
    Ok(comments.chain(lines).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_only_go_down_and_new_rows_are_added() {
        let row = |name: &str, ticks| (name.to_string(), ticks);
        let old = "# comment\na 10\nb 20\nboot_to_first_pd 100\n";
        let new = tightened(old, &[row("a", 9), row("b", 21), row("c", 5), row(FIXED, 50)]).unwrap();
        assert_eq!(new, "# comment\na 9\nb 20\nboot_to_first_pd 100\nc 5\n");
        assert!(tightened("a ten\n", &[]).is_err());
    }
}
