// SPDX-License-Identifier: BSD-2-Clause
//! `sdf check`, `sdf resolve` and `sdf graph`: the library on the command line.
//!
//! Messages go to standard error as `file:row:col: error: ...`; the exit status is 1 when there was an error.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use board::Board;
use clap::{Args, Parser, Subcommand};
use sdf::{Diagnostic, Platform, System, Variables};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Checks system descriptions and resolves the names of a board's devices in them.
#[derive(Parser)]
#[command(name = "sdf")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a description.
    Check(Common),
    /// Check a description and write it as plain SDF for a Microkit SDK.
    Resolve {
        #[command(flatten)]
        common: Common,
        /// File to write; files that it needs are written next to it.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Draw a description as SVG.
    Graph {
        #[command(flatten)]
        common: Common,
        /// File to write.
        #[arg(short, long)]
        output: PathBuf,
    },
}

/// What to write once a description is found sound.
enum Output<'a> {
    Nothing,
    Plain(&'a Path),
    Graph(&'a Path),
}

#[derive(Args)]
struct Common {
    /// The description.
    file: PathBuf,
    /// Description of the board.
    #[arg(long)]
    board: PathBuf,
    /// board/<board>/<config> folder of an SDK whose kernel the system is for; without it, the board's facts hold.
    #[arg(long)]
    sdk: Option<PathBuf>,
    /// Look into the programs, too: whether they have the symbols that the description sets.
    #[arg(long)]
    programs: bool,
    /// Value of a ${NAME}.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// Where prefill files are, besides the current folder.
    #[arg(long = "search-path", value_name = "FOLDER")]
    search_paths: Vec<PathBuf>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Check(common) => common.run(&Output::Nothing),
        Command::Resolve { common, output } => common.run(&Output::Plain(output)),
        Command::Graph { common, output } => common.run(&Output::Graph(output)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Common {
    /// Whether the description is sound; if so `output` is written.
    fn run(&self, output: &Output<'_>) -> Result<bool> {
        let board = Board::load(&self.board)?;
        let platform = match &self.sdk {
            Some(folder) => Platform::from_sdk(&board.name, folder)?,
            None => Platform::from_board(&board),
        };
        let name = self.file.display().to_string();
        let text = std::fs::read_to_string(&self.file).with_context(|| name.clone())?;
        let variables: Variables = self.variables.iter().cloned().collect();
        let resolved = match sdf::resolve(&name, &text, &board, &variables) {
            Ok(resolved) => resolved,
            Err(errors) => {
                print(&errors);
                return Ok(false);
            }
        };
        let parsed = match output {
            Output::Graph(_) => resolved.parse_without_files(&platform),
            Output::Nothing | Output::Plain(_) => resolved.parse(&platform, &self.search_paths),
        };
        let system = match parsed {
            Ok(system) => system,
            Err(errors) => {
                print(&errors);
                return Ok(false);
            }
        };
        if self.programs
            && let Err(errors) = resolved.check_programs(&system, &self.search_paths)
        {
            print(&errors);
            return Ok(false);
        }
        print(&system.warnings);
        match output {
            Output::Nothing => {}
            Output::Plain(output) => {
                write(output, &resolved.text)?;
                for file in &resolved.files {
                    write(&output.with_file_name(&file.name), &file.content)?;
                }
            }
            Output::Graph(output) => write(output, &sdf::graph(&system, &board, &name))?,
        }
        println!("{name}: {}", summary(&system));
        Ok(true)
    }
}

fn print(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        eprintln!("{diagnostic}");
    }
}

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn summary(system: &System) -> String {
    let vms = system.protection_domains.iter().filter(|pd| pd.virtual_machine.is_some()).count();
    format!(
        "{} protection domains, {vms} virtual machines, {} channels, {} memory regions",
        system.protection_domains.len(),
        system.channels.len(),
        system.memory_regions.len()
    )
}
