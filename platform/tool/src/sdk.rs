// SPDX-License-Identifier: BSD-2-Clause
//! The SDK folder: which boards and configurations it has, and what its generated files say about the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use system_spec::boot::RootSizes;

use crate::model::Kind;

/// An SDK.
#[derive(Clone, Debug)]
pub struct Sdk {
    root: PathBuf,
}

impl Sdk {
    /// The SDK named by `MICROKIT_SDK`, otherwise the one this program is part of (`bin/microkit`).
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn locate() -> Result<Self> {
        let root = match std::env::var_os("MICROKIT_SDK") {
            Some(root) => PathBuf::from(root),
            None => {
                let program = std::env::current_exe().context("cannot find out where this program is")?;
                let program = program.canonicalize().unwrap_or(program);
                program.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
            }
        };
        if !root.is_dir() {
            bail!("SDK directory '{}' does not exist.", root.display());
        }
        Ok(Self { root })
    }

    /// The SDK in `root`.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Names of the boards, sorted.
    ///
    /// # Errors
    /// When the SDK has none.
    pub fn boards(&self) -> Result<Vec<String>> {
        folders(&self.root.join("board"))
    }

    /// Names of a board's configurations, sorted.
    ///
    /// # Errors
    /// When the board is unknown.
    pub fn configs(&self, board: &str) -> Result<Vec<String>> {
        folders(&self.root.join("board").join(board))
    }

    /// The folder of one board and configuration.
    ///
    /// # Errors
    /// When either is unknown; the message lists what there is.
    pub fn target(&self, board: &str, config: &str) -> Result<PathBuf> {
        let boards = self.boards()?;
        if !boards.iter().any(|known| known == board) {
            bail!("argument --board: invalid choice: '{board}' (choose from: {})", boards.join(", "));
        }
        let configs = self.configs(board)?;
        if !configs.iter().any(|known| known == config) {
            bail!("argument --config: invalid choice: '{config}' (choose from: {})", configs.join(", "));
        }
        Ok(self.root.join("board").join(board).join(config))
    }
}

fn folders(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot list '{}'", path.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Sizes of kernel objects, as log2 of bytes (`object_sizes.json`).
#[derive(Clone, Debug, Deserialize)]
struct ObjectSizes {
    tcb: u8,
    endpoint: u8,
    notification: u8,
    reply: u8,
    slot: u8,
    small_page: u8,
    large_page: u8,
    page_table: u8,
    vspace: u8,
    #[serde(default)]
    vcpu: u8,
}

/// One kernel configuration, as far as the tool has to know it.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// What the checks of a system description need.
    pub platform: sdf::Platform,
    /// Kernel and monitor print.
    pub printing: bool,
    /// Protection domains get their own TCB.
    pub benchmark: bool,
    /// Ticks of the kernel's timer per second.
    pub timer_frequency: u64,
    /// log2 of the slots of the root task's CNode.
    pub root_cnode_radix: u8,
    /// Most untypeds that the kernel reports.
    pub max_untypeds: usize,
    /// Levels of page tables below an address space's top.
    pub table_levels: u8,
    sizes: ObjectSizes,
}

impl KernelConfig {
    /// Reads the generated files of an SDK's board and configuration.
    ///
    /// # Errors
    /// When a file cannot be read or lacks something.
    pub fn read(board: &str, target: &Path) -> Result<Self> {
        let platform = sdf::Platform::from_sdk(board, target)?;
        let options: BTreeMap<String, serde_json::Value> =
            read_json(&target.join("include/kernel/gen_config.json"))?;
        let flag = |name: &str| options.get(name).and_then(serde_json::Value::as_bool).unwrap_or(false);
        let number = |name: &str| {
            options
                .get(name)
                .and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
                .ok_or_else(|| anyhow!("gen_config.json: '{name}' is missing or no number"))
        };
        let short_stage2 = flag("ARM_HYPERVISOR_SUPPORT") && flag("ARM_PA_SIZE_BITS_40");
        Ok(Self {
            platform,
            printing: flag("PRINTING"),
            benchmark: flag("ENABLE_BENCHMARKS"),
            timer_frequency: number("TIMER_FREQUENCY").unwrap_or(0),
            root_cnode_radix: number("ROOT_CNODE_SIZE_BITS")?.min(63) as u8,
            max_untypeds: number("MAX_NUM_BOOTINFO_UNTYPED_CAPS").unwrap_or(230) as usize,
            table_levels: if short_stage2 { 2 } else { 3 },
            sizes: read_json(&target.join("object_sizes.json"))?,
        })
    }

    /// log2 of the bytes of an object.
    #[must_use]
    pub fn size_bits(&self, kind: Kind) -> u8 {
        let sizes = &self.sizes;
        match kind {
            Kind::Tcb => sizes.tcb,
            Kind::Endpoint => sizes.endpoint,
            Kind::Notification => sizes.notification,
            Kind::CNode { radix } => radix + sizes.slot,
            Kind::SchedContext => crate::layout::SCHED_CONTEXT_BITS,
            Kind::Reply => sizes.reply,
            Kind::VSpace => sizes.vspace,
            Kind::SmallPage => sizes.small_page,
            Kind::LargePage => sizes.large_page,
            Kind::PageTable => sizes.page_table,
            Kind::Vcpu => sizes.vcpu,
        }
    }

    /// Sizes of the root task's objects.
    #[must_use]
    pub fn root_sizes(&self) -> RootSizes {
        RootSizes {
            cnode_bits: self.root_cnode_radix + self.sizes.slot,
            tcb_bits: self.sizes.tcb,
            vspace_bits: self.sizes.vspace,
            table_levels: self.table_levels,
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("'{}'", path.display()))
}
