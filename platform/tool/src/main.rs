// SPDX-License-Identifier: BSD-2-Clause
//! The `microkit` command: see the library's documentation for how it works.
//!
//! Errors go to standard error, warnings and a summary to standard output; the exit status is 1 when there is no image.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use microkit_tool::build::{Built, Failure, Request, build};
use microkit_tool::cli::{Arguments, ImageType};
use microkit_tool::sdk::Sdk;
use microkit_tool::{capdl, report, viper};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version are messages, too, but no failure. Nothing can be done about a closed output.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::System(diagnostics)) => {
            for diagnostic in diagnostics {
                eprintln!("{}", diagnostic.in_microkits_form());
            }
            ExitCode::FAILURE
        }
        Err(Failure::Other(error)) => {
            eprintln!("microkit: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sdk = Sdk::locate()?;
    let target = sdk.target(&arguments.board, &arguments.config)?;
    check_arguments(arguments)?;
    let built = build(&Request {
        system: &arguments.system,
        search: &arguments.search_path,
        board: &arguments.board,
        target: &target,
        kernel: arguments.override_kernel.as_deref(),
    })?;
    for warning in &built.system.warnings {
        println!("{warning}");
    }
    write_outputs(arguments, &built)?;
    summary(&built);
    Ok(())
}

fn check_arguments(arguments: &Arguments) -> Result<()> {
    if arguments.image_type == ImageType::Uimage {
        bail!("argument --image-type: building the output image as uimage is only supported for RISC-V");
    }
    if !arguments.system.is_file() {
        bail!("system description file '{}' does not exist", arguments.system.display());
    }
    if let Some(missing) = arguments.search_path.iter().find(|path| !path.is_dir()) {
        bail!("argument --search-path: '{}' is no directory", missing.display());
    }
    Ok(())
}

fn write_outputs(arguments: &Arguments, built: &Built) -> Result<()> {
    let image = match arguments.image_type {
        ImageType::Elf => &built.elf,
        ImageType::Binary | ImageType::Uimage => &built.image,
    };
    write(&arguments.output, image)?;
    write(&arguments.report, report::text(&built.model, &built.placement, built.task).as_bytes())?;
    if let Some(path) = &arguments.capdl_json {
        let specification = capdl::specification(&built.system, &built.model, built.table_levels);
        write(path, format!("{specification:#}\n").as_bytes())?;
    }
    if let Some(folder) = &arguments.viper_output {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
        let source = arguments.system.display().to_string();
        for (index, pd) in built.system.protection_domains.iter().enumerate() {
            let text = viper::text(&built.system, &built.model, index, &source);
            write(&folder.join(format!("{}.vpr", pd.name)), text.as_bytes())?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write '{}'", path.display()))
}

fn summary(built: &Built) {
    let objects = built.model.objects.last().map_or(0, |last| last.first + last.count);
    println!(
        "MICROKIT|SPEC: number of root objects = {objects}, spec footprint = {}",
        size(built.task.spec_size)
    );
    println!("MICROKIT|SPEC: initial task size = {}", size(built.task.size));
    println!("MICROKIT|LOADER: image file size = {}", size(built.image.len() as u64));
}

/// A size for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.2} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}
