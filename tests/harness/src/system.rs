// SPDX-License-Identifier: BSD-2-Clause
//! Naming, building and booting a system.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use emulator::{Emulator, Machine};
use object::{Object, ObjectSymbol};

use crate::{Guest, root};

/// The board that systems are tested on.
const BOARD: &str = "qemu_virt_aarch64";

/// The same board with a GICv3.
const GICV3_BOARD: &str = "qemu_virt_aarch64_gicv3";

/// The second board.
const RASPBERRY_PI: &str = "rpi4b_2gb";

/// The Makefile's variables: those of the user's run are not meant for a test's.
const USERS_VARIABLES: &[&str] = &[
    "BOARD",
    "BOARDS",
    "VARIANT",
    "CONFIG",
    "SYSTEM",
    "KERNEL",
    "INITRD",
    "CMDLINE",
    "RAM",
    "VCPUS",
    "KERNEL_1",
    "INITRD_1",
    "CMDLINE_1",
    "RAM_1",
    "VCPUS_1",
    "DISK",
    "NET",
    "BLK_LAYOUT",
    "PARTITION_0",
    "PARTITION_1",
    "PORT_0",
    "PORT_1",
    "MICROKIT_SDK",
    "ROOT_TASK",
];

/// `xtask`, without a user's variables.
#[must_use]
pub fn xtask_program() -> Command {
    let mut command = match env::var_os("BULKHEAD_XTASK") {
        Some(xtask) => Command::new(xtask),
        None => {
            let mut cargo = Command::new("cargo");
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        }
    };
    for variable in USERS_VARIABLES {
        command.env_remove(variable);
    }
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// A command of `xtask`, which builds nothing that was built beforehand.
pub(crate) fn xtask(name: &str) -> Command {
    let mut command = xtask_program();
    command.arg(name);
    if env::var_os("BULKHEAD_NO_BUILD").is_some() {
        command.arg("--no-build");
    }
    command
}

/// An SDK that is not ours, and whether it is a real one: the user's (`MICROKIT_SDK`), or what stands in for one.
///
/// # Panics
/// It does not build.
#[must_use]
pub fn other_sdk() -> (String, bool) {
    if let Some(path) = env::var("MICROKIT_SDK").ok().filter(|path| !path.is_empty()) {
        return (path, true);
    }
    let path = root().join("build/stand-in-sdk").display().to_string();
    if env::var_os("BULKHEAD_NO_BUILD").is_none() {
        let output = xtask("sdk").arg("--stand-in").output().expect("xtask starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    (path, false)
}

/// The machine that boots the root task `tests/c/root/NAME.c` on our kernel, built now, in a configuration of the
/// platform, with a device tree (a file) or none.
///
/// # Panics
/// It does not build.
#[must_use]
pub fn root_task(name: &str, config: &str, device_tree: Option<&Path>) -> Machine {
    let mut command = xtask("root-task");
    command.arg("--build-only").arg(format!("--config={config}")).arg(format!("--root-task=test:{name}"));
    command.args(device_tree.map(|path| format!("--device-tree={}", path.display())));
    let output = command.output().expect("xtask starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = String::from_utf8_lossy(&output.stdout);
    board_machine(BOARD, None, Path::new(image.trim()))
}

/// The address of a symbol of the platform's kernel in a configuration.
///
/// # Panics
/// The kernel is not built, or has no such symbol.
#[must_use]
pub fn kernel_symbol(config: &str, name: &str) -> u64 {
    let file = root().join("build/sdk/board").join(BOARD).join(config).join("elf/sel4.elf");
    let image = fs::read(&file).expect("the kernel is built");
    let elf = object::File::parse(&*image).expect("an ELF file");
    elf.symbol_by_name(name).expect("the kernel has the symbol").address()
}

/// A system to be booted: a description and what `make run` could be told about it.
#[derive(Clone, Debug)]
pub struct System {
    board: &'static str,
    /// Another choice among the board's devices.
    variant: Option<&'static str>,
    /// Further arguments of `xtask image`.
    arguments: Vec<String>,
}

/// An emulated board with an image.
fn board_machine(name: &str, variant: Option<&str>, image: &Path) -> Machine {
    let file = root().join("kernel-config").join(format!("{name}.toml"));
    let mut board = board::Board::load(&file).expect("the board's description");
    if let Some(variant) = variant {
        board = board.variant(variant).expect("a variant of the board");
    }
    let mut machine = Machine::of_board(&board, image).expect("a board that is emulated");
    machine.program = emulator::program::of(&board, &root()).expect("a QEMU that has the board");
    machine
}

impl System {
    /// The system of a description, a path from the root of the checkout.
    #[must_use]
    pub fn of(description: &str) -> Self {
        Self {
            board: BOARD,
            variant: None,
            arguments: vec![format!("--system={description}"), "--config=release".into()],
        }
    }

    /// One guest with a console, from its initramfs.
    #[must_use]
    pub fn one_guest() -> Self {
        Self::of("tests/systems/one_guest.xml")
    }

    /// The default system: two guests with their disks, on one network.
    #[must_use]
    pub fn standard() -> Self {
        Self::of("system.xml")
    }

    /// With the debug configuration of the platform in place of `release`.
    #[must_use]
    pub fn debug(mut self) -> Self {
        self.arguments.retain(|argument| !argument.starts_with("--config="));
        self.arguments.push("--config=debug".into());
        self
    }

    /// For the emulator's board with a GICv3 in place of the GICv2.
    #[must_use]
    pub const fn gicv3(mut self) -> Self {
        self.board = GICV3_BOARD;
        self
    }

    /// For a Raspberry Pi 4.
    #[must_use]
    pub const fn raspberry_pi(mut self) -> Self {
        self.board = RASPBERRY_PI;
        self
    }

    /// For a Raspberry Pi 4 with another amount of memory, of 1, 2, 4 and 8 GiB.
    ///
    /// # Panics
    /// There is none with so much.
    #[must_use]
    pub fn raspberry_pi_of(mut self, gib: u32) -> Self {
        let names = ["rpi4b_1gb", RASPBERRY_PI, "rpi4b_4gb", "rpi4b_8gb"];
        let ending = format!("_{gib}gb");
        self.board = names.into_iter().find(|name| name.ends_with(&ending)).expect("a size that there is");
        self
    }

    /// For a variant of the board.
    #[must_use]
    pub fn variant(mut self, name: &'static str) -> Self {
        self.variant = Some(name);
        self.with(format!("--variant={name}"))
    }

    /// In configuration `benchmark` of the platform.
    #[must_use]
    pub fn benchmark(mut self) -> Self {
        self.arguments.retain(|argument| !argument.starts_with("--config="));
        self.with("--config=benchmark".into())
    }

    /// With a kernel that checks its invariants after every entry.
    #[must_use]
    pub fn paranoid(mut self) -> Self {
        self.arguments.retain(|argument| !argument.starts_with("--config="));
        self.with("--config=paranoid".into())
    }

    /// Built with another Microkit SDK.
    #[must_use]
    pub fn sdk(self, path: &str) -> Self {
        self.with(format!("--microkit-sdk={path}"))
    }

    /// With another kernel: the name of one that is fetched, or a path.
    #[must_use]
    pub fn kernel(self, kernel: &str) -> Self {
        self.with(format!("--kernel={kernel}"))
    }

    /// With another initramfs.
    #[must_use]
    pub fn initrd(self, path: &str) -> Self {
        self.with(format!("--initrd={path}"))
    }

    /// With another kernel command line.
    #[must_use]
    pub fn cmdline(self, cmdline: &str) -> Self {
        self.with(format!("--cmdline={cmdline}"))
    }

    /// With so many virtual CPUs.
    #[must_use]
    pub fn vcpus(self, count: u32) -> Self {
        self.with(format!("--vcpus={count}"))
    }

    /// With so much RAM, for example `256M`.
    #[must_use]
    pub fn ram(self, size: &str) -> Self {
        self.with(format!("--ram={size}"))
    }

    /// With a variable of the description set.
    #[must_use]
    pub fn define(self, name: &str, value: &str) -> Self {
        self.with(format!("--define={name}={value}"))
    }

    /// With a variable of the description set to the path of a file with this text.
    #[must_use]
    pub fn define_text(self, name: &str, text: &str) -> Self {
        self.with(format!("--define-text={name}={text}"))
    }

    fn with(mut self, argument: String) -> Self {
        self.arguments.push(argument);
        self
    }

    /// The folder that the system is built in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        (self.board, &self.arguments).hash(&mut hasher);
        root().join("build/test").join(format!("{:016x}", hasher.finish()))
    }

    /// Has the image built; returns what `xtask image` said, whether or not it succeeded.
    ///
    /// # Panics
    /// `xtask` cannot be started.
    #[must_use]
    pub fn try_build(&self) -> Output {
        let folder = self.folder();
        fs::create_dir_all(&folder).expect("a folder for the image");
        // Two tests may want the same system at the same time.
        let lock = File::create(folder.join("lock")).expect("a lock file");
        lock.lock().expect("the lock of the image's folder");
        let mut command = xtask("image");
        command.arg("--board").arg(self.board).args(&self.arguments).arg("--output").arg(&folder);
        command.output().expect("xtask starts")
    }

    /// The machine that boots this system, built now.
    ///
    /// # Panics
    /// It does not build.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let output = self.try_build();
        assert!(output.status.success(), "{:?}: {}", self.arguments, String::from_utf8_lossy(&output.stderr));
        board_machine(self.board, self.variant, &self.folder().join("loader.img"))
    }

    /// Builds and boots it.
    ///
    /// # Panics
    /// It does not build, or QEMU does not start.
    #[must_use]
    pub fn start(&self) -> Emulator {
        crate::start(&self.machine())
    }

    /// Builds and boots it, and waits for the shell of its first guest.
    ///
    /// # Panics
    /// As [`System::start`], or the guest does not come up.
    #[must_use]
    pub fn boot(&self) -> Guest {
        Guest::wait_ready(self.start())
    }
}
