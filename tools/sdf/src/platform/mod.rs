// SPDX-License-Identifier: BSD-2-Clause
//! What the checks have to know about the kernel and the machine below a system.
//!
//! Filled from an SDK's generated JSON files, whichever SDK that is, or from a board description.

#[cfg(test)]
mod tests;

use board::Board;
use serde_json::Value;
use std::ops::Range;
use std::path::Path;

/// Facts of one board in one kernel configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Board name, for messages.
    pub name: String,
    /// RAM that the kernel hands out (physical, ascending, disjoint). Empty when not known: then nothing is refused.
    pub ram: Vec<Range<u64>>,
    /// Everything else that user level may map (physical, ascending, disjoint). The holes are the kernel's devices.
    pub device: Vec<Range<u64>>,
    /// Last byte of user virtual memory (`seL4_UserVSpaceTop`, inclusive).
    pub vspace_user_top: u64,
    /// The kernel runs virtual machines.
    pub hypervisor: bool,
    /// The kernel allows secure monitor calls.
    pub smc: bool,
    /// Cores that the kernel uses.
    pub cores: u32,
    /// Largest interrupt number.
    pub max_irq: u32,
    /// First physical address that no device reaches by itself: where regions end whose address a program is told.
    pub dma_limit: u64,
    /// Interrupts that the kernel keeps for itself, each with what for.
    pub kernel_irqs: Vec<(u32, String)>,
    /// Least budget that the kernel accepts, microseconds (twice its worst-case execution time).
    pub min_budget_us: u64,
    /// Longest period that the kernel can count, microseconds.
    pub max_period_us: u64,
    /// Domains (`NUM_DOMAINS`).
    pub num_domains: u64,
    /// Entries of the domain schedule (`NUM_DOMAIN_SCHEDULES`).
    pub num_domain_schedules: u64,
}

/// Largest INTID that any GIC without extended ranges has (Arm IHI 0048B 2.2.1), for SDKs that do not say.
const GIC_MAX_IRQ: u32 = 1019;
/// Worst-case execution time of the kernel on boards whose SDK does not say, microseconds.
const DEFAULT_WCET_US: u64 = 10;

/// A file of an SDK that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not JSON.
    #[error("{file}: {source}")]
    Json {
        /// File.
        file: &'static str,
        /// Position and reason.
        source: serde_json::Error,
    },
    /// A fact is not there, or not of the expected kind.
    #[error("{file}: '{key}' is missing or no {expected}")]
    Key {
        /// File.
        file: &'static str,
        /// Key.
        key: String,
        /// Kind.
        expected: &'static str,
    },
    /// Not AArch64.
    #[error("gen_config.json: the architecture is '{0}', only aarch64 is supported")]
    Architecture(String),
}

const PLATFORM_GEN: &str = "platform_gen.json";
const GEN_CONFIG: &str = "gen_config.json";
const ADDRESS_SPACE: &str = "address_space_constants.json";

impl Platform {
    /// Reads the files of one `board/<board>/<config>` folder of an SDK.
    ///
    /// # Errors
    /// When a file cannot be read, or as [`Platform::from_json`].
    pub fn from_sdk(name: &str, folder: &Path) -> Result<Self, PlatformError> {
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read_to_string(&path)
                .map_err(|source| PlatformError::Read { path: path.display().to_string(), source })
        };
        Self::from_json(
            name,
            &read(PLATFORM_GEN)?,
            &read("include/kernel/gen_config.json")?,
            &read(ADDRESS_SPACE)?,
        )
    }

    /// Takes the facts from the text of `platform_gen.json`, `gen_config.json` and `address_space_constants.json`.
    ///
    /// `platform_gen.json` may say more than the reference SDK's: `max_irq` (number), `kernel_irqs` (array of
    /// `{number, use}`), `wcet_us` and `dma_limit` (numbers); without these, architectural limits hold.
    ///
    /// # Errors
    /// When a fact is missing or malformed.
    pub fn from_json(
        name: &str,
        platform_gen: &str,
        gen_config: &str,
        address_space_constants: &str,
    ) -> Result<Self, PlatformError> {
        let platform_gen = Json::parse(PLATFORM_GEN, platform_gen)?;
        let config = Json::parse(GEN_CONFIG, gen_config)?;
        let address_space = Json::parse(ADDRESS_SPACE, address_space_constants)?;
        let architecture = config.text("SEL4_ARCH")?;
        if architecture != "aarch64" {
            return Err(PlatformError::Architecture(architecture));
        }
        let hypervisor = config.flag("ARM_HYPERVISOR_SUPPORT");
        let wcet_us = platform_gen.optional_number("wcet_us").unwrap_or(DEFAULT_WCET_US);
        let wcet_us = wcet_us.saturating_mul(config.optional_number("KERNEL_WCET_SCALE").unwrap_or(1));
        Ok(Self {
            name: name.to_owned(),
            ram: platform_gen.ranges("memory")?,
            device: platform_gen.ranges("devices")?,
            vspace_user_top: address_space.number("vspace_user_top")?,
            hypervisor,
            smc: config.flag("ALLOW_SMC_CALLS"),
            cores: u32::try_from(config.number("MAX_NUM_NODES")?).unwrap_or(u32::MAX),
            max_irq: platform_gen
                .optional_number("max_irq")
                .and_then(|irq| u32::try_from(irq).ok())
                .unwrap_or(GIC_MAX_IRQ),
            kernel_irqs: platform_gen.kernel_irqs().unwrap_or_else(|| architectural_kernel_irqs(hypervisor)),
            dma_limit: platform_gen.optional_number("dma_limit").unwrap_or(u64::MAX),
            min_budget_us: wcet_us.saturating_mul(2),
            max_period_us: max_period_us(config.optional_number("TIMER_FREQUENCY").unwrap_or(0)),
            num_domains: config.number("NUM_DOMAINS")?,
            num_domain_schedules: config.optional_number("NUM_DOMAIN_SCHEDULES").unwrap_or(0),
        })
    }

    /// Takes the facts from a board description, for a kernel in its usual configuration: to check a system without an
    /// SDK.
    #[must_use]
    pub fn from_board(board: &Board) -> Self {
        Self {
            name: board.name.clone(),
            ram: board.ram_ranges(),
            device: board.device_ranges(),
            vspace_user_top: board.vspace_user_top(),
            hypervisor: true,
            smc: true,
            cores: board.cpus,
            max_irq: board.gic.max_irq,
            kernel_irqs: board
                .kernel_irqs()
                .into_iter()
                .map(|(irq, owner)| (irq, owner.to_owned()))
                .collect(),
            dma_limit: board.dma.limit.unwrap_or(u64::MAX),
            min_budget_us: board.kernel.wcet_us.saturating_mul(2),
            max_period_us: max_period_us(board.timer.frequency),
            num_domains: if board.cpus == 1 { 16 } else { 1 },
            num_domain_schedules: 100,
        }
    }

    /// Virtual address of the IPC buffer: the top page of user space.
    #[must_use]
    pub fn ipc_buffer(&self) -> u64 {
        self.vspace_user_top & !0xfff
    }

    /// First address above a protection domain's stack: below the IPC buffer and one guard page.
    #[must_use]
    pub fn stack_top(&self) -> u64 {
        self.ipc_buffer().saturating_sub(0x1000)
    }

    /// Exclusive upper limit for mappings in a protection domain with this stack.
    #[must_use]
    pub fn pd_map_limit(&self, stack_size: u64) -> u64 {
        self.stack_top().saturating_sub(stack_size)
    }

    /// Exclusive upper limit for mappings in a virtual machine.
    #[must_use]
    pub fn vm_map_limit(&self) -> u64 {
        self.vspace_user_top.saturating_add(1)
    }

    /// First address in `range` that user level cannot get; `None` when all of it can be had, or nothing is known.
    #[must_use]
    pub fn first_unavailable(&self, range: &Range<u64>) -> Option<u64> {
        if self.ram.is_empty() && self.device.is_empty() {
            return None;
        }
        let mut next = range.start;
        while next < range.end {
            let covering = self.ram.iter().chain(&self.device).find(|known| known.contains(&next));
            match covering {
                Some(known) => next = known.end,
                None => return Some(next),
            }
        }
        None
    }
}

/// An eighth of what fits into 64 bits of timer ticks, so that sums of a few periods do not overflow in the kernel.
fn max_period_us(timer_frequency: u64) -> u64 {
    u64::MAX / 8 / timer_frequency.div_ceil(1_000_000).max(1)
}

/// What seL4 keeps on every AArch64 board with a GIC.
fn architectural_kernel_irqs(hypervisor: bool) -> Vec<(u32, String)> {
    let irqs: &[(u32, &str)] = if hypervisor {
        &[
            (25, "GIC maintenance interrupt"),
            (26, "kernel's timer"),
            (27, "virtual timer of the running vCPU"),
        ]
    } else {
        &[(27, "kernel's timer")]
    };
    irqs.iter().map(|(irq, owner)| (*irq, (*owner).to_owned())).collect()
}

/// One JSON file with its name for messages.
struct Json {
    file: &'static str,
    value: Value,
}

impl Json {
    fn parse(file: &'static str, text: &str) -> Result<Self, PlatformError> {
        let value = serde_json::from_str(text).map_err(|source| PlatformError::Json { file, source })?;
        Ok(Self { file, value })
    }

    fn key_error(&self, key: &str, expected: &'static str) -> PlatformError {
        PlatformError::Key { file: self.file, key: key.to_owned(), expected }
    }

    fn text(&self, key: &str) -> Result<String, PlatformError> {
        let text = self.value.get(key).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.key_error(key, "text"))
    }

    /// Numbers may be written as such or as text, as the kernel's configuration does.
    fn optional_number(&self, key: &str) -> Option<u64> {
        let value = self.value.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    fn number(&self, key: &str) -> Result<u64, PlatformError> {
        self.optional_number(key).ok_or_else(|| self.key_error(key, "number"))
    }

    fn flag(&self, key: &str) -> bool {
        self.value.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn ranges(&self, key: &str) -> Result<Vec<Range<u64>>, PlatformError> {
        let error = || self.key_error(key, "array of {start, end}");
        let items = self.value.get(key).and_then(Value::as_array).ok_or_else(error)?;
        let mut ranges = Vec::with_capacity(items.len());
        for item in items {
            let number = |name: &str| item.get(name).and_then(Value::as_u64).ok_or_else(error);
            ranges.push(number("start")?..number("end")?);
        }
        ranges.retain(|range| range.start < range.end);
        ranges.sort_by_key(|range| range.start);
        Ok(ranges)
    }

    fn kernel_irqs(&self) -> Option<Vec<(u32, String)>> {
        let items = self.value.get("kernel_irqs")?.as_array()?;
        items
            .iter()
            .map(|item| {
                let number = u32::try_from(item.get("number")?.as_u64()?).ok()?;
                Some((number, item.get("use")?.as_str()?.to_owned()))
            })
            .collect()
    }
}
