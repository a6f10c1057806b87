// SPDX-License-Identifier: BSD-2-Clause
//! All steps from a system description to an image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use sdf::{Diagnostic, Prefill, RegionIndex, System};
use system_spec::boot::{BootLayout, untypeds};
use system_spec::format::Header;
use system_spec::{Untyped, fingerprint, symbols};

use crate::describe::{Input, describe};
use crate::elf::Elf;
use crate::image::{Kernel, Layout, RootTask};
use crate::initialiser;
use crate::model::Model;
use crate::patch::{self, Programs};
use crate::place::{self, Placement};
use crate::report::InitialTask;
use crate::sdk::KernelConfig;

/// What to build, and from what.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The system description.
    pub system: &'a Path,
    /// Where to look for files that it names.
    pub search: &'a [PathBuf],
    /// Name of the board, for messages.
    pub board: &'a str,
    /// Folder of the SDK's board and configuration.
    pub target: &'a Path,
    /// Another kernel than the SDK's.
    pub kernel: Option<&'a Path>,
}

/// Why there is no image.
#[derive(Debug)]
pub enum Failure {
    /// The system description is wrong.
    System(Vec<Diagnostic>),
    /// Something else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<Box<Diagnostic>> for Failure {
    fn from(error: Box<Diagnostic>) -> Self {
        Self::System(vec![*error])
    }
}

/// An image and everything known about it.
#[derive(Debug)]
pub struct Built {
    /// The system.
    pub system: System,
    /// Objects and records.
    pub model: Model,
    /// Levels of page tables below the root of an address space.
    pub table_levels: u8,
    /// Where objects will be.
    pub placement: Placement,
    /// Where the initial task will be.
    pub task: InitialTask,
    /// The image, to be loaded at the loader's address.
    pub image: Vec<u8>,
    /// The image as an ELF file.
    pub elf: Vec<u8>,
}

/// Everything that stays the same when addresses change.
struct Parts<'a> {
    source: String,
    system: &'a System,
    config: &'a KernelConfig,
    programs: Programs,
    prefills: BTreeMap<RegionIndex, Vec<u8>>,
    monitor: Elf,
    function_names: Vec<u8>,
    initialiser: Elf,
    loader: Elf,
    kernel: Kernel,
}

/// One try with certain addresses.
struct Attempt {
    model: Model,
    header: Header,
    task: RootTask,
    spec_size: u64,
    layout: Layout,
    untypeds: Vec<Untyped>,
}

/// Most tries until chosen addresses do not change the layout that they were chosen for.
const MAX_TRIES: usize = 4;

/// Builds an image.
///
/// # Errors
/// What is wrong with the system description, its programs or the SDK.
pub fn build(request: &Request<'_>) -> Result<Built, Failure> {
    let config = KernelConfig::read(request.board, request.target)?;
    let source = request.system.display().to_string();
    let text = std::fs::read_to_string(request.system)
        .with_context(|| format!("cannot read system description '{source}'"))?;
    let system = sdf::parse(&source, &text, &config.platform, request.search).map_err(Failure::System)?;
    let programs =
        Programs::read(&system, &source, &config.platform, request.search).map_err(Failure::System)?;
    let parts = Parts::read(request, source, &system, &config, programs)?;

    let mut chosen = BTreeMap::new();
    for _ in 0..MAX_TRIES {
        let attempt = parts.attempt(&chosen)?;
        let wanted =
            place::choose(parts.system, &parts.source, &attempt.untypeds, parts.config.platform.dma_limit)?;
        if wanted == chosen {
            return parts.finish(attempt);
        }
        chosen = wanted;
    }
    Err(anyhow!("the memory layout does not settle: addresses of regions keep moving it").into())
}

impl<'a> Parts<'a> {
    fn read(
        request: &Request<'_>,
        source: String,
        system: &'a System,
        config: &'a KernelConfig,
        programs: Programs,
    ) -> Result<Self> {
        let elf = |path: &Path| {
            Elf::read(path).map_err(|reason| anyhow!("failed to read '{}': {reason}", path.display()))
        };
        let sdk_elf = |name: &str| elf(&request.target.join("elf").join(name));
        let kernel_elf = match request.kernel {
            Some(path) => elf(path)?,
            None => sdk_elf("sel4.elf")?,
        };
        let kernel = Kernel::new(&kernel_elf).with_context(|| format!("'{}'", kernel_elf.path.display()))?;
        let mut monitor = sdk_elf("monitor.elf")?;
        let function_names = if config.printing && monitor.symbol("function_names").is_some() {
            let functions: Vec<_> = programs.images.iter().map(|elf| elf.functions().to_vec()).collect();
            symbols::write(&functions)
        } else {
            Vec::new()
        };
        patch::monitor(&mut monitor, system, &config.platform, &function_names)?;
        Ok(Self {
            source,
            system,
            config,
            programs,
            prefills: prefills(system)?,
            monitor,
            function_names,
            initialiser: sdk_elf("initialiser.elf")?,
            loader: sdk_elf("loader.elf")?,
            kernel,
        })
    }

    fn attempt(&self, chosen: &BTreeMap<RegionIndex, u64>) -> Result<Attempt> {
        let images = self.programs.patched(self.system, chosen);
        // In whole pages, and one more where a segment begins inside one.
        let pages = |len: usize| (len as u64).next_multiple_of(0x1000) + 0x1000;
        let image_bytes = |elf: &Elf| elf.segments.iter().map(|s| pages(s.data.len())).sum::<u64>();
        let data_bound = self.prefills.values().map(|bytes| pages(bytes.len())).sum::<u64>()
            + images.iter().chain([&self.monitor]).map(image_bytes).sum::<u64>()
            + pages(self.function_names.len());
        let description = describe(Input {
            system: self.system,
            config: self.config,
            programs: &images,
            monitor: &self.monitor,
            symbols: &self.function_names,
            prefills: &self.prefills,
            chosen,
            initialiser_end: initialiser::end_bound(&self.initialiser, data_bound),
        });
        let header = Header { window: description.window, ..Header::default() };
        let (task, spec_size) = initialiser::assemble(&self.initialiser, &description.model, header)?;
        let ram = &self.config.platform.ram;
        let layout = Layout::new(&self.loader, &self.kernel, &task, ram)?;
        let untypeds = untypeds(&BootLayout {
            ram,
            device: &self.config.platform.device,
            kernel: self.kernel.image.clone(),
            boot: self.kernel.boot.clone(),
            user_image: layout.root_task..layout.root_task + task.bytes.len() as u64,
            user_vaddr: task.vaddr,
            sizes: self.config.root_sizes(),
        })?
        .to_vec();
        if untypeds.len() > self.config.max_untypeds {
            bail!(
                "the kernel can report {} untypeds, needed are {}",
                self.config.max_untypeds,
                untypeds.len()
            );
        }
        Ok(Attempt { model: description.model, header, task, spec_size, layout, untypeds })
    }

    /// Checks that everything gets its memory, then writes the image.
    fn finish(&self, attempt: Attempt) -> Result<Built, Failure> {
        let Attempt { model, header, task, layout, untypeds, spec_size } = attempt;
        let task_end = layout.root_task + task.bytes.len() as u64;
        let taken = [("kernel", self.kernel.image.clone()), ("initial task", layout.root_task..task_end)];
        let errors = place::check_fixed(self.system, &self.source, &untypeds, &taken);
        if !errors.is_empty() {
            return Err(Failure::System(errors));
        }
        let placement = place::allocate(&model, &untypeds).map_err(|reason| anyhow!(reason))?;
        let used: u64 = model.content.mappings.iter().map(|m| u64::from(m.count)).sum();
        let slots = u64::from(model.objects.last().map_or(0, |last| last.first + last.count)) + used;
        if slots + (task.bytes.len() as u64 >> 12) + 1024 > 1 << self.config.root_cnode_radix {
            return Err(anyhow!("the system has too many objects ({slots}) for the initial task").into());
        }
        let prediction = fingerprint(untypeds.iter().copied()).to_le_bytes();
        let header = Header { prediction, ..header };
        let (task, _) = initialiser::assemble(&self.initialiser, &model, header)?;
        let image = layout.write(&self.kernel, &task);
        let elf = layout.wrap_elf(&image);
        let size = task.bytes.len() as u64;
        let task = InitialTask { paddr: layout.root_task, vaddr: task.vaddr, size, spec_size };
        let table_levels = self.config.table_levels;
        Ok(Built { system: self.system.clone(), model, table_levels, placement, task, image, elf })
    }
}

/// Reads the files that regions begin with.
fn prefills(system: &System) -> Result<BTreeMap<RegionIndex, Vec<u8>>> {
    let mut prefills = BTreeMap::new();
    for (index, region) in system.memory_regions.iter().enumerate() {
        if let Some(Prefill::File { path, len }) = &region.prefill {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
            if bytes.len() as u64 != *len {
                bail!("'{}' changed while it was read", path.display());
            }
            prefills.insert(index, bytes);
        }
    }
    Ok(prefills)
}
