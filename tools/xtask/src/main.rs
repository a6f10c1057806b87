// SPDX-License-Identifier: BSD-2-Clause
//! The build behind the Makefile: `cargo xtask <command>`.
//!
//! One module a command; `paths` says where results are, `process` runs other programs.

#![forbid(unsafe_code)]

mod assure;
mod bare;
mod bench;
mod c;
mod cargo;
mod disk;
mod graph;
mod guest;
mod hostile;
mod image;
mod paths;
mod process;
mod root_task;
mod run;
mod sdk;
mod test;
mod u_boot;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Builds, runs and tests Bulkhead. The Makefile calls this; see `make help`.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch guest kernels and build their initramfs images.
    Fetch {
        /// Which; the default one if none is named; `all`.
        guests: Vec<String>,
    },
    /// Build the platform: a Microkit SDK in build/sdk/.
    Sdk {
        /// The board, a file of kernel-config/.
        #[arg(long, env = "BOARD", default_value = "qemu_virt_aarch64")]
        board: String,
        /// Build the one that tests take for somebody else's, in build/stand-in-sdk/, and print where it is.
        #[arg(long)]
        stand_in: bool,
    },
    /// Make the guests' disk.
    Disk {
        /// A copy of one's own, made if it is not there yet.
        #[arg(long, env = "DISK")]
        disk: Option<String>,
    },
    /// Draw a system description as SVG.
    Graph(graph::Options),
    /// Build a system image.
    Image(image::Options),
    /// Build a system, boot it in QEMU and connect the console.
    Run(run::Options),
    /// Boot a program for seL4 as the root task of our kernel.
    RootTask(root_task::Options),
    /// Run every test.
    Test(test::Options),
    /// Check format, lints and documentation, and run the host tests.
    Check,
    /// Measure, counting instructions.
    Bench(bench::Options),
    /// Boot a guest on QEMU without Bulkhead, for comparison.
    Bare(bare::Options),
    /// Plant bugs into a copy of the kernel, one at a time, and see that its tests find them.
    Planted(assure::planted::Options),
    /// Change the kernel's core at random places, and see that its tests notice.
    Mutants(assure::mutants::Options),
    /// Run the tests of the kernel's core and of the rings under Miri.
    Miri,
}

fn main() -> ExitCode {
    match run_command(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: Command) -> Result<()> {
    match command {
        Command::Fetch { guests } => fetch(&guests),
        Command::Sdk { board: _, stand_in: true } => {
            sdk::stand_in().map(|sdk| println!("{}", sdk.root.display()))
        }
        Command::Sdk { board, stand_in: false } => sdk::build(&board, &sdk::Config::ALL),
        Command::Disk { disk } => {
            let disk = disk.filter(|path| !path.is_empty());
            let disk = disk.map_or_else(disk::provide, |path| disk::own(Path::new(&path)))?;
            println!("{}", disk.display());
            Ok(())
        }
        Command::Graph(options) => graph::graph(&options).map(|file| println!("{}", file.display())),
        Command::Image(options) => image::build(&options).map(|image| println!("{}", image.file.display())),
        Command::Run(options) => run::run(&options),
        Command::RootTask(options) => root_task::run(&options),
        Command::Test(options) => test::test(&options),
        Command::Check => test::check(),
        Command::Bench(options) => bench::bench(&options),
        Command::Bare(options) => bare::run(&options),
        Command::Planted(options) => assure::planted::run(&options),
        Command::Mutants(options) => assure::mutants::run(&options),
        Command::Miri => assure::miri::run(),
    }
}

fn fetch(names: &[String]) -> Result<()> {
    let all = names.iter().any(|name| name == "all");
    let default = guest::KERNELS.first().filter(|_| names.is_empty());
    let named = guest::KERNELS.iter().filter(|kernel| all || names.iter().any(|name| name == kernel.name));
    for name in names.iter().filter(|name| *name != "all") {
        anyhow::ensure!(
            guest::find(name).is_some(),
            "no guest is called {name}; there are {}",
            guest::names()
        );
    }
    for kernel in default.into_iter().chain(named) {
        let guest = guest::fetch(kernel)?;
        println!("{}: {} ({})", guest.name, guest.image.display(), guest.package);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    #[test]
    fn command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }

    /// The Makefile passes on every variable that it exports, empty where the user has not set it.
    #[test]
    fn an_empty_variable_is_no_error() {
        let makefile = include_str!("../../../Makefile");
        let (_, optional) = makefile.split_once("all optional").expect("the Makefile names them");
        let (_, list) = optional.split_once("export ").expect("it exports them");
        let (list, _) = list.split_once("\n\n").expect("the list ends");
        let names: BTreeSet<&str> = list.split_whitespace().filter(|word| *word != "\\").collect();
        let mut tried = BTreeSet::new();
        for command in super::Arguments::command().get_subcommands() {
            for argument in command.get_arguments() {
                let variable = argument.get_env().and_then(|name| name.to_str());
                let Some(name) = variable.and_then(|name| names.get(name)) else { continue };
                let option = format!("--{}=", argument.get_long().expect("an option's name"));
                let error = super::Arguments::try_parse_from(["xtask", command.get_name(), &option]).err();
                let kind = error.map(|error| error.kind());
                assert!(
                    matches!(kind, None | Some(ErrorKind::MissingRequiredArgument)),
                    "{option}: {kind:?}"
                );
                tried.insert(*name);
            }
        }
        assert!(tried.contains("DISK") && tried.contains("DEVICE_TREE"), "{tried:?}");
    }
}
