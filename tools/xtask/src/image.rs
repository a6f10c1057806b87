// SPDX-License-Identifier: BSD-2-Clause
//! `xtask image`: from a system description to an image that a board boots.
//!
//! The description names devices of the board and variables; `sdf` resolves both into a plain system description,
//! which is written beside the image and given to the SDK's `microkit` tool with the folder of the PDs' ELF files.

mod variables;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use board::Board;
use clap::Args;

use crate::process::say;
use crate::sdk::{self, Sdk, user_build};
use crate::{c, cargo, paths};

/// What to build. Every option can also come from the environment, which is how the Makefile passes its variables.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// The board, a file of kernel-config/.
    #[arg(long, env = "BOARD", default_value = "qemu_virt_aarch64")]
    pub board: String,
    /// A variant of the board: another choice among its devices.
    #[arg(long, env = "VARIANT")]
    pub variant: Option<String>,
    /// The SDK's configuration.
    #[arg(long, env = "CONFIG", default_value = "release")]
    pub config: String,
    /// The system description.
    #[arg(long, env = "SYSTEM", default_value = "system.xml")]
    pub system: PathBuf,
    /// A Microkit SDK in place of our own.
    #[arg(long, env = "MICROKIT_SDK")]
    pub microkit_sdk: Option<String>,
    /// Name of a guest that can be fetched, or path of an arm64 kernel image.
    #[arg(long, env = "KERNEL")]
    pub kernel: Option<String>,
    /// Path of an initramfs, or `none`.
    #[arg(long, env = "INITRD")]
    pub initrd: Option<String>,
    /// The guest's kernel command line.
    #[arg(long, env = "CMDLINE")]
    pub cmdline: Option<String>,
    /// The guest's RAM, for example 512M.
    #[arg(long, env = "RAM")]
    pub ram: Option<String>,
    /// The guest's number of virtual CPUs.
    #[arg(long, env = "VCPUS")]
    pub vcpus: Option<String>,
    /// A further variable of the system description: NAME=VALUE.
    #[arg(long = "define", short = 'D')]
    pub definitions: Vec<String>,
    /// A further variable of the system description, NAME=TEXT: the path of a file with this text.
    #[arg(long = "define-text")]
    pub texts: Vec<String>,
    /// Folder of the results.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Take the SDK and the PDs as they are, without asking cargo whether they are up to date.
    #[arg(long)]
    pub no_build: bool,
}

impl Options {
    /// The board that the image is for.
    ///
    /// # Errors
    /// There is none of that name, or it has no such variant.
    pub fn description(&self) -> Result<Board> {
        let board = sdk::board(&self.board)?;
        Ok(match variables::set(self.variant.as_ref()) {
            Some(variant) => board.variant(variant)?,
            None => board,
        })
    }
}

/// What a description names of the devices that the emulator has to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A disk.
    pub disk: bool,
    /// A network.
    pub network: bool,
    /// A source of entropy.
    pub entropy: bool,
}

impl Needs {
    /// Those that the text of a description names, by what they are for or by themselves, and the board has.
    #[must_use]
    pub fn of(description: &str, board: &Board) -> Self {
        let names = |device: &str| description.contains(&format!("device=\"{device}\""));
        let needs = |name: &str| board.roles.get(name).is_some_and(|role| names(name) || names(&role.device));
        Self { disk: needs("disk"), network: needs("network"), entropy: needs("entropy") }
    }
}

/// An image that was built.
#[derive(Debug)]
pub struct Image {
    /// The image.
    pub file: PathBuf,
    /// The plain system description that it was built from.
    pub description: String,
    /// Whether the guests' first programs are our initramfs (whose shell, or whose disk's, is known).
    pub known_guest: bool,
    /// The devices that the description names: a guest's or a driver's, they have to be there.
    pub needs: Needs,
}

/// Builds an image with everything that it needs.
///
/// # Errors
/// A part does not build, or something is wrong with the description: said at its place.
pub fn build(options: &Options) -> Result<Image> {
    let board = options.description()?;
    let other_sdk = variables::set(options.microkit_sdk.as_ref()).map(PathBuf::from);
    let sdk = if options.no_build {
        let root = other_sdk.unwrap_or_else(sdk::ours);
        Sdk { root, board: options.board.clone(), config: options.config.clone() }
    } else {
        sdk::provide(other_sdk.as_deref(), &options.board, &options.config)?
    };
    let pds = pd_folder(&sdk);
    if !options.no_build {
        build_pds(&sdk)?;
    }
    let output = options.output.clone().unwrap_or_else(|| paths::build().join("image"));
    fs::create_dir_all(&output)?;
    let output = output.canonicalize()?;

    let source = paths::root().join(&options.system);
    let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    if c::named_in(&text) {
        c::build(&sdk, &pds)?;
    }
    let needs = Needs::of(&text, &board);
    let variables::Result { variables, known_guest } = variables::collect(options, needs, &output)?;
    let name = options.system.display().to_string();
    let refused = |problems: Vec<sdf::Diagnostic>| {
        for problem in &problems {
            eprintln!("{problem}");
        }
        if problems.iter().any(|problem| matches!(problem.problem, sdf::Problem::NotEnoughRam { .. })) {
            say(
                "the greatest part is guests' memory: RAM=256M makes it less for each, RAM_1=256M for guest 1 alone",
            );
        }
        anyhow::anyhow!("{name} has {} error(s)", problems.len())
    };
    let resolved = sdf::resolve(&name, &text, &board, &variables).map_err(refused)?;
    for generated in &resolved.files {
        fs::write(output.join(&generated.name), &generated.content)?;
    }
    // The tool checks all this again, but here a message shows the place in the description as it was written.
    let platform = sdf::Platform::from_sdk(&options.board, &sdk.folder())?;
    let search_paths = [output.clone(), pds.clone()];
    let system = resolved.parse(&platform, &search_paths).map_err(refused)?;
    resolved.check_programs(&system, &search_paths).map_err(refused)?;
    for warning in &system.warnings {
        eprintln!("{warning}");
    }
    let description = resolved.text;
    let plain = output.join("resolved.system");
    fs::write(&plain, &description)?;

    let file = output.join("loader.img");
    let log = output.join("microkit.log");
    say(format!("building the image {}", file.display()));
    let log_file = fs::File::create(&log)?;
    let mut tool = Command::new(sdk.tool());
    tool.env("MICROKIT_SDK", &sdk.root)
        .current_dir(paths::root())
        .arg(&plain)
        .args(["--board", &sdk.board, "--config", &sdk.config, "-o"])
        .arg(&file)
        .arg("-r")
        .arg(output.join("report.txt"))
        .arg("--search-path")
        .args(search_paths)
        .stdin(Stdio::null())
        .stdout(log_file);
    let status = tool.status().with_context(|| sdk.tool().display().to_string())?;
    if !status.success() {
        eprint!("{}", fs::read_to_string(&log).unwrap_or_default());
        bail!("the microkit tool refused {}", plain.display());
    }
    if let Some(firmware) = &board.firmware {
        let folder = output.join("card");
        fs::create_dir_all(&folder)?;
        fs::copy(&file, folder.join(&firmware.image))?;
        for (name, content) in &firmware.files {
            sdk::write(&folder.join(name), content)?;
        }
        say(format!("{} has what the board's firmware loads", folder.display()));
    }
    Ok(Image { file, description, known_guest, needs })
}

/// Where the PDs of an SDK's configuration are.
fn pd_folder(sdk: &Sdk) -> PathBuf {
    let folder = paths::build().join(&sdk.board).join(&sdk.config);
    if sdk.is_ours() { folder.join("pd") } else { folder.join(format!("pd-{}", sdk::mangled(&sdk.root))) }
}

/// Builds every PD of the workspace for an SDK.
///
/// # Errors
/// One does not build.
pub fn build_pds(sdk: &Sdk) -> Result<()> {
    say(format!("building the protection domains ({}, {})", sdk.board, sdk.config));
    let _lock = sdk::lock()?;
    let programs = cargo::protection_domains()?;
    let mut packages: Vec<String> = programs.iter().map(|program| program.package.clone()).collect();
    packages.dedup();
    let features = packages.iter().map(|package| format!("{package}/pd")).collect();
    let built = user_build(sdk, packages, features, vec![sdk::linker_script()]).run()?;
    let folder = pd_folder(sdk);
    fs::create_dir_all(&folder)?;
    for program in programs {
        let elf = built.get(&program.name).with_context(|| format!("cargo built no {}", program.name))?;
        sdk::install(elf, &folder.join(format!("{}.elf", program.name)))?;
    }
    Ok(())
}
