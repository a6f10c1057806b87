// SPDX-License-Identifier: BSD-2-Clause
//! `xtask sdk`: builds the platform and lays it out as a Microkit SDK in `build/sdk/`.
//!
//! ```text
//! build/sdk/bin/microkit                      the tool
//! build/sdk/VERSION
//! build/sdk/board/BOARD/CONFIG/elf/           sel4.elf loader.elf initialiser.elf monitor.elf
//!                              lib/           libmicrokit.a microkit.ld
//!                              include/       microkit.h sel4/ interfaces/ kernel/gen_config.{h,json}
//!                              *.json         what the kernel's interface looks like in this configuration
//! ```

mod files;
mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use board::Board;

use crate::cargo::{Build, TARGET_KERNEL, TARGET_USER};
use crate::paths;
use crate::process::say;

pub use stand_in::stand_in;

/// The Microkit release whose SDK ours takes the place of.
const MICROKIT_VERSION: &str = "2.3.0";

/// A configuration of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Config {
    /// Prints, checks, has the debug system calls.
    Debug,
    /// Silent.
    Release,
    /// Silent; tracks how much each thread runs, and exports the performance counters.
    Benchmark,
    /// As `debug`, with a kernel that checks its invariants after every entry. For tests: no part of an SDK.
    Paranoid,
}

impl Config {
    /// Those of an SDK.
    pub const ALL: [Self; 3] = [Self::Debug, Self::Release, Self::Benchmark];

    /// Whether it has the debug system calls and the hardware debug interface.
    #[must_use]
    pub const fn is_debug(self) -> bool {
        matches!(self, Self::Debug | Self::Paranoid)
    }

    /// The name of its folder in an SDK.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
            Self::Benchmark => "benchmark",
            Self::Paranoid => "paranoid",
        }
    }
}

/// An SDK, for one board and configuration.
#[derive(Clone, Debug)]
pub struct Sdk {
    /// The SDK's folder.
    pub root: PathBuf,
    /// Name of the board.
    pub board: String,
    /// Name of the configuration.
    pub config: String,
}

impl Sdk {
    /// The folder of the board and configuration.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join("board").join(&self.board).join(&self.config)
    }

    /// The tool that builds images.
    #[must_use]
    pub fn tool(&self) -> PathBuf {
        self.root.join("bin/microkit")
    }

    /// Whether it is the one that is built from `platform/`.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.root == ours()
    }
}

/// Keeps other runs from building meanwhile: configurations share cargo's folders, and what one run built must not be
/// installed by another. Held until it is dropped.
///
/// # Errors
/// There is no lock file to be had.
pub fn lock() -> Result<fs::File> {
    fs::create_dir_all(paths::build())?;
    let file = fs::File::create(paths::build().join("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Where our own SDK is.
#[must_use]
pub fn ours() -> PathBuf {
    paths::build().join("sdk")
}

/// The description of a board.
///
/// # Errors
/// There is none of that name, or it contradicts itself.
pub fn board(name: &str) -> Result<Board> {
    Board::load(&board_file(name)?).with_context(|| format!("the board {name}"))
}

/// The file of a board: in the folder that the user names (`BOARDS`), else in `kernel-config/`.
fn board_file(name: &str) -> Result<PathBuf> {
    let file = format!("{name}.toml");
    if let Some(folder) = std::env::var_os("BOARDS").filter(|folder| !folder.is_empty()) {
        let folder =
            Path::new(&folder).canonicalize().with_context(|| format!("BOARDS={}", folder.display()))?;
        if folder.join(&file).is_file() {
            return Ok(folder.join(file));
        }
    }
    Ok(paths::root().join("kernel-config").join(file))
}

/// The SDK to build with: somebody else's, or ours, which is built now.
///
/// # Errors
/// Ours does not build; the other one is none, or does not have the board and configuration.
pub fn provide(other: Option<&Path>, board: &str, config: &str) -> Result<Sdk> {
    let root = match other {
        Some(path) => path.canonicalize().with_context(|| format!("MICROKIT_SDK={}", path.display()))?,
        None => {
            let known = Config::ALL.into_iter().chain([Config::Paranoid]);
            let wanted = known.into_iter().find(|known| known.name() == config);
            let wanted = wanted
                .with_context(|| format!("CONFIG={config}: our platform has debug, release and benchmark"))?;
            build(board, &[wanted])?;
            ours()
        }
    };
    let sdk = Sdk { root, board: board.into(), config: config.into() };
    ensure!(
        sdk.folder().is_dir() && sdk.tool().is_file(),
        "{} is no Microkit SDK with the board {board} and the configuration {config}",
        sdk.root.display()
    );
    Ok(sdk)
}

/// Builds our SDK for a board and some configurations.
///
/// # Errors
/// A part does not build.
pub fn build(board_name: &str, configs: &[Config]) -> Result<()> {
    build_as(board_name, configs, files::extension())
}

/// The same, with the kernel extension or without.
fn build_as(board_name: &str, configs: &[Config], extension: bool) -> Result<()> {
    let _lock = lock()?;
    let board = board(board_name)?;
    let root = ours();
    fs::create_dir_all(root.join("bin"))?;
    write(&root.join("VERSION"), &format!("{MICROKIT_VERSION}\n"))?;
    say("building the platform: microkit tool");
    let tool = Build { packages: vec!["microkit-tool".into()], folder: "host".into(), ..Build::default() };
    install(&tool.run_for("microkit")?, &root.join("bin/microkit"))?;
    for &config in configs {
        let folder = root.join("board").join(board_name).join(config.name());
        build_config(&board, config, extension, &folder)?;
    }
    Ok(())
}

fn build_config(board: &Board, config: Config, extension: bool, folder: &Path) -> Result<()> {
    say(format!(
        "building the platform: kernel, loader, initialiser, monitor ({}, {})",
        board.name,
        config.name()
    ));
    for part in ["elf", "lib"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let elf = folder.join("elf");
    let include = folder.join("include");
    let interface = board.family.as_ref().map(|family| interface(family, config.name()));
    for (name, text) in files::all(board, config, extension)? {
        // Programs are not built by where memory is.
        let shared = interface.as_ref().filter(|_| name != "platform_gen.json");
        for folder in [Some(&folder.to_path_buf()), shared].into_iter().flatten() {
            let path = folder.join(&name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            write(&path, &text)?;
        }
    }
    let library = paths::root().join("platform/libmicrokit");
    install(&library.join("include/microkit.h"), &include.join("microkit.h"))?;
    install(&library.join("microkit.ld"), &folder.join("lib/microkit.ld"))?;

    let kernel = Build {
        packages: vec!["kernel".into()],
        features: {
            let mut features = match config {
                Config::Debug => vec!["kernel/debug".to_string()],
                Config::Release => vec![],
                Config::Benchmark => vec!["kernel/benchmark".into()],
                Config::Paranoid => vec!["kernel/paranoid".into()],
            };
            if extension {
                features.push("kernel/extension".into());
            }
            features
        },
        target: Some(TARGET_KERNEL),
        folder: "platform".into(),
        environment: vec![("BOARD_FILE", board_file(&board.name)?.into())],
        ..Build::default()
    };
    install(&kernel.run_for("kernel")?, &elf.join("sel4.elf"))?;
    let loader =
        Build { packages: vec!["loader".into()], features: vec![], target: Some(TARGET_USER), ..kernel };
    install(&loader.run_for("loader")?, &elf.join("loader.elf"))?;

    let sdk = Sdk { root: ours(), board: board.name.clone(), config: config.name().into() };
    let initialiser = user_build(&sdk, vec!["initialiser".into()], vec![], vec![]);
    install(&initialiser.run_for("initialiser")?, &elf.join("initialiser.elf"))?;
    let monitor = user_build(&sdk, vec!["monitor".into()], vec![], vec![linker_script()]);
    install(&monitor.run_for("monitor")?, &elf.join("monitor.elf"))?;
    let library = user_build(&sdk, vec!["libmicrokit".into()], vec![], vec![]);
    install(&library.run_for("microkit")?, &folder.join("lib/libmicrokit.a"))
}

/// The linker's argument for protection domains in Rust: the script that goes with their runtime. (An SDK's own one goes
/// with its `libmicrokit.a`.)
#[must_use]
pub fn linker_script() -> std::ffi::OsString {
    let script = paths::root().join("platform/sel4-microkit/microkit.ld");
    format!("-T{}", script.display()).into()
}

/// A build of programs that use an SDK's system-call interface.
pub fn user_build<'a>(
    sdk: &Sdk,
    packages: Vec<String>,
    features: Vec<String>,
    link_arguments: Vec<std::ffi::OsString>,
) -> Build<'a> {
    // Builds with another SDK's constants are kept apart, so that changing to and fro rebuilds nothing.
    let vendor = if sdk.is_ours() { "ours".to_string() } else { mangled(&sdk.root) };
    // Those for boards of a family are the same.
    let family = board(&sdk.board).ok().filter(|_| sdk.is_ours()).and_then(|board| board.family);
    let (root, board) = match family {
        Some(family) => (paths::build().join(FAMILIES), family),
        None => (sdk.root.clone(), sdk.board.clone()),
    };
    Build {
        packages,
        features,
        target: Some(TARGET_USER),
        folder: format!("{board}-{}-{vendor}", sdk.config),
        like: Some("-ours"),
        link_arguments,
        environment: vec![
            ("MICROKIT_SDK", root.into()),
            ("MICROKIT_BOARD", board.into()),
            ("MICROKIT_CONFIG", sdk.config.clone().into()),
        ],
    }
}

/// Below `build/`: as an SDK's, what the kernel's interface looks like to programs on the boards of a family.
const FAMILIES: &str = "families";

fn interface(family: &str, config: &str) -> PathBuf {
    paths::build().join(FAMILIES).join("board").join(family).join(config)
}

/// A path as one file name.
pub fn mangled(path: &Path) -> String {
    path.display()
        .to_string()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
        .collect()
}

/// Writes a file unless it already says that, so that nothing is built again without need.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// Copies a file unless the copy is already there and equal. The copy appears at once, never half written.
pub fn install(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| from.display().to_string())?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    fs::copy(from, &partial).with_context(|| to.display().to_string())?;
    fs::rename(&partial, to).with_context(|| to.display().to_string())
}
