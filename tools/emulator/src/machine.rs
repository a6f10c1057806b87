// SPDX-License-Identifier: BSD-2-Clause
//! The command line of QEMU for one machine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use board::{Board, Boot, Wiring};

use crate::devices::{Attachment, Devices};
use crate::program::INSTALLED;

/// What the machine starts.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A raw image, loaded and entered at a physical address: what the `microkit` tool writes.
    Image {
        /// The file.
        path: PathBuf,
        /// Where it is loaded and entered.
        address: u64,
    },
    /// The same by the machine's own firmware, which puts it where it likes.
    Firmware {
        /// The file.
        path: PathBuf,
    },
    /// A Linux kernel by QEMU's own boot loader.
    Linux {
        /// An arm64 `Image`.
        kernel: PathBuf,
        /// An initramfs.
        initrd: Option<PathBuf>,
        /// The kernel's command line.
        cmdline: String,
        /// A device tree in place of QEMU's own.
        device_tree: Option<PathBuf>,
    },
}

/// What a machine's time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// This machine's.
    #[default]
    Real,
    /// One instruction takes one nanosecond, idle time is skipped: every run is identical.
    Deterministic,
    /// One instruction takes one nanosecond, idle time passes in real time: for machines that wait for devices whose work
    /// is done by this machine. The number of instructions varies a little, with what happens while they wait.
    Instructions,
}

/// A machine to emulate.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The emulator: QEMU's program, by name or path.
    pub program: PathBuf,
    /// QEMU's `-machine`, for example `virt,virtualization=on`.
    pub machine: String,
    /// QEMU's `-cpu`.
    pub cpu: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// RAM in MiB.
    pub memory_mib: u64,
    /// What is started.
    pub payload: Payload,
    /// Disk, network, entropy.
    pub devices: Devices,
    /// How its disk is attached.
    pub attachment: Attachment,
    /// Which of its serial ports is the console; those before it are connected to nothing.
    pub serial_port: u32,
    /// What the machine's time is.
    pub time: Time,
    /// A TCG plugin with its arguments, as after `-plugin`.
    pub plugin: Option<String>,
    /// Further arguments.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// QEMU `virt` with EL2, the board that Bulkhead's images are built for, running the image at `path`.
    #[must_use]
    pub fn board(path: impl Into<PathBuf>, address: u64) -> Self {
        Self {
            program: INSTALLED.into(),
            machine: "virt,virtualization=on,dtb-randomness=off".into(),
            cpu: "cortex-a53".into(),
            cpus: 1,
            memory_mib: 2048,
            payload: Payload::Image { path: path.into(), address },
            devices: Devices::default(),
            attachment: Attachment::default(),
            serial_port: 0,
            time: Time::Real,
            plugin: None,
            extra: Vec::new(),
        }
    }

    /// The board of a description, running the image at `path`; `None` for one that is not emulated, or not with all of its
    /// memory. Boards that need a newer QEMU than this machine may have are to be given its `program`.
    #[must_use]
    pub fn of_board(board: &Board, path: impl Into<PathBuf>) -> Option<Self> {
        let emulator = board.emulator.as_ref()?;
        let path = path.into();
        let mut machine = Self::board(&path, board.loader.link_address);
        if emulator.boot == Boot::Firmware {
            // Where it puts things is the firmware's business; RAM begins at 0 on boards that have one.
            let top = board.ram_ranges().last().map_or(0, |range| range.end);
            if top > emulator.memory_mib << 20 {
                return None;
            }
            machine.payload = Payload::Firmware { path };
        }
        machine.attachment = match emulator.wiring {
            Wiring::Virtio => Attachment::Virtio,
            Wiring::SdCard => Attachment::SdCard,
        };
        machine.machine.clone_from(&emulator.machine);
        machine.cpu.clone_from(&board.cpu);
        machine.cpus = emulator.cpus.unwrap_or(board.cpus);
        machine.memory_mib = emulator.memory_mib;
        machine.serial_port = emulator.serial_port;
        Some(machine)
    }

    /// QEMU `virt` as a guest would see it: EL1, no hypervisor, running a Linux kernel.
    #[must_use]
    pub fn bare(
        kernel: impl Into<PathBuf>,
        initrd: impl Into<PathBuf>,
        cmdline: &str,
        memory_mib: u64,
    ) -> Self {
        Self {
            program: INSTALLED.into(),
            machine: "virt,dtb-randomness=off".into(),
            cpu: "cortex-a53".into(),
            cpus: 1,
            memory_mib,
            payload: Payload::Linux {
                kernel: kernel.into(),
                initrd: Some(initrd.into()),
                cmdline: cmdline.into(),
                device_tree: None,
            },
            devices: Devices::default(),
            attachment: Attachment::default(),
            serial_port: 0,
            time: Time::Real,
            plugin: None,
            extra: Vec::new(),
        }
    }

    /// The command that starts it: serial console on standard input and output, nothing else attached. Where `setpriv`
    /// exists the emulator dies with the thread that started it, so that a killed test leaves nothing behind.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = if on_path("setpriv") {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command
            .args(["-machine", &self.machine, "-cpu", &self.cpu])
            .args(["-smp", &self.cpus.to_string(), "-m", &format!("{}M", self.memory_mib)])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"])
            .args(["-chardev", "stdio,id=console,signal=off"]);
        for _ in 0..self.serial_port {
            command.args(["-serial", "null"]);
        }
        command.args(["-serial", "chardev:console"]);
        let icount = match self.time {
            Time::Real => None,
            Time::Deterministic => Some("shift=0,sleep=off"),
            Time::Instructions => Some("shift=0,sleep=on"),
        };
        if let Some(icount) = icount {
            command.args(["-icount", icount, "-rtc", "base=2026-01-01,clock=vm"]);
        }
        if let Some(plugin) = &self.plugin {
            command.args(["-plugin", plugin]);
        }
        match &self.payload {
            Payload::Image { path, address } => {
                let device = format!(
                    "loader,file={},addr={address:#x},cpu-num=0,force-raw=on",
                    escape(&path.display().to_string())
                );
                command.args(["-device", &device]);
            }
            Payload::Firmware { path } => {
                command.arg("-kernel").arg(path);
            }
            Payload::Linux { kernel, initrd, cmdline, device_tree } => {
                command.arg("-kernel").arg(kernel).args(["-append", cmdline]);
                if let Some(initrd) = initrd {
                    command.arg("-initrd").arg(initrd);
                }
                if let Some(tree) = device_tree {
                    command.arg("-dtb").arg(tree);
                }
            }
        }
        self.devices.apply(self.attachment, &mut command);
        command.args(&self.extra);
        command
    }
}

/// A comma inside a value of one of QEMU's option lists is doubled.
pub(crate) fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

/// Whether a program of this name is in PATH.
fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(machine: &Machine) -> Vec<String> {
        machine.command().get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn image_is_loaded_raw_at_its_address() {
        let arguments = arguments(&Machine::board("/tmp/a,b.img", 0x7000_0000));
        assert!(
            arguments
                .contains(&"loader,file=/tmp/a,,b.img,addr=0x70000000,cpu-num=0,force-raw=on".to_string())
        );
        assert!(arguments.iter().any(|argument| argument.contains("virtualization=on")));
    }

    #[test]
    fn board_that_boots_by_firmware_gets_the_image_as_its_kernel() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config");
        let board = |name: &str| Board::load(&folder.join(name)).unwrap();
        let machine = Machine::of_board(&board("rpi4b_2gb.toml"), "/tmp/x.img").unwrap();
        let arguments = arguments(&machine);
        let position = arguments.iter().position(|argument| argument == "-kernel").unwrap();
        assert_eq!(arguments[position + 1], "/tmp/x.img");
        assert!(arguments.contains(&"raspi4b".to_string()));
        assert!(Machine::of_board(&board("rpi4b_8gb.toml"), "x").is_none(), "more than it has");
    }

    #[test]
    fn bare_linux_gets_its_command_line_and_no_hypervisor() {
        let arguments = arguments(&Machine::bare("k", "i", "console=ttyAMA0 quiet", 512));
        assert!(arguments.contains(&"console=ttyAMA0 quiet".to_string()));
        assert!(arguments.contains(&"512M".to_string()));
        assert!(!arguments.iter().any(|argument| argument.contains("virtualization")));
    }

    #[test]
    fn only_a_deterministic_machine_counts_instructions_as_time() {
        let mut machine = Machine::board("x", 0);
        assert!(!arguments(&machine).contains(&"-icount".to_string()));
        machine.time = Time::Deterministic;
        assert!(arguments(&machine).contains(&"shift=0,sleep=off".to_string()));
    }
}
