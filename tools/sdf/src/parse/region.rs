// SPDX-License-Identifier: BSD-2-Clause
//! `memory_region`.

use super::Parser;
use crate::element::{Attribute, Element};
use crate::model::{MemoryRegion, PageSize, Prefill};
use crate::problem::Fault;
use std::path::{Path, PathBuf};

const ATTRIBUTES: &[&str] = &["name", "size", "page_size", "phys_addr", "prefill_path", "prefill_bootinfo"];

/// Kinds of boot information that exist on another architecture only.
const X86_BOOTINFO: [&str; 5] = ["x86_vbe", "x86_mbmmap", "x86_acpi_rsdp", "x86_framebuffer", "x86_tsc_freq"];

impl Parser<'_> {
    pub(super) fn memory_region(&mut self, element: Element<'_>) {
        self.expect_leaf(element, ATTRIBUTES);
        let name = self.take(element.name_attribute()).unwrap_or_default().to_owned();
        let explicit_page_size = self.page_size(element);
        let page_size = explicit_page_size.unwrap_or_default();
        let prefill = self.prefill(element);
        let size = self.size(element, page_size, prefill.as_ref());
        let phys_addr = self.take(element.number("phys_addr")).flatten();
        if let (Some(address), Some(attribute)) = (phys_addr, element.attribute("phys_addr"))
            && !address.is_multiple_of(page_size.bytes())
        {
            self.fault(element, attribute.pos, Fault::PhysAlignment);
        }
        self.system.memory_regions.push(MemoryRegion {
            name,
            size,
            page_size,
            page_size_explicit: explicit_page_size.is_some(),
            phys_addr,
            contiguous: phys_addr.is_some(),
            prefill,
            pos: element.pos(),
        });
    }

    fn page_size(&mut self, element: Element<'_>) -> Option<PageSize> {
        let attribute = element.attribute("page_size")?;
        let bytes = self.take(element.parse_number(attribute))?;
        let page_size = PageSize::ALL.into_iter().find(|size| size.bytes() == bytes);
        if page_size.is_none() {
            self.fault(element, attribute.pos, Fault::PageSize(bytes));
        }
        page_size
    }

    /// The prefill that the element asks for; an empty file stands for one that is at fault, so that this is not taken
    /// for a region without prefill.
    fn prefill(&mut self, element: Element<'_>) -> Option<Prefill> {
        let broken = Some(Prefill::File { path: PathBuf::new(), len: 0 });
        match (element.attribute("prefill_path"), element.attribute("prefill_bootinfo")) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.fault(element, element.pos(), Fault::PrefillBoth);
                broken
            }
            (Some(path), None) => self.prefill_file(element, path).or(broken),
            (None, Some(Attribute { value: "fdt", .. })) => Some(Prefill::DeviceTree),
            (None, Some(kind)) => {
                let fault = if X86_BOOTINFO.contains(&kind.value) {
                    Fault::X86Only("x86 boot information")
                } else {
                    Fault::BootInfo(kind.value.to_owned())
                };
                self.fault(element, kind.pos, fault);
                broken
            }
        }
    }

    fn prefill_file(&mut self, element: Element<'_>, attribute: Attribute<'_>) -> Option<Prefill> {
        let name = attribute.value;
        if let Some(file) = self.files.generated.iter().find(|file| file.name == name) {
            let len = u64::try_from(file.content.len()).unwrap_or(u64::MAX);
            return Some(Prefill::File { path: PathBuf::from(name), len });
        }
        let Some(path) = crate::find_file(Path::new(name), self.files.search_paths) else {
            if self.files.optional {
                return Some(Prefill::File { path: PathBuf::from(name), len: 1 });
            }
            self.fault(element, attribute.pos, Fault::PrefillMissing(name.to_owned()));
            return None;
        };
        match std::fs::metadata(&path).map(|metadata| metadata.len()) {
            Ok(0) => self.fault(element, attribute.pos, Fault::PrefillEmpty(name.to_owned())),
            Ok(len) => return Some(Prefill::File { path, len }),
            Err(_) => self.fault(element, attribute.pos, Fault::PrefillUnreadable(name.to_owned())),
        }
        None
    }

    /// The size as given, or as the prefill needs it.
    fn size(&mut self, element: Element<'_>, page_size: PageSize, prefill: Option<&Prefill>) -> u64 {
        let page = page_size.bytes();
        let Some(attribute) = element.attribute("size") else {
            return match prefill {
                Some(Prefill::File { len, .. }) => len.div_ceil(page).saturating_mul(page),
                Some(Prefill::DeviceTree) => page,
                None => {
                    self.fault(element, element.pos(), Fault::SizeMissing);
                    0
                }
            };
        };
        let Some(size) = self.take(element.parse_number(attribute)) else { return 0 };
        if size == 0 {
            self.fault(element, attribute.pos, Fault::SizeZero);
        } else if !size.is_multiple_of(page) {
            self.fault(element, attribute.pos, Fault::SizeNotMultiple);
        } else if let Some(Prefill::File { len, .. }) = prefill
            && *len > size
        {
            self.fault(element, attribute.pos, Fault::PrefillTooBig { file: *len, region: size });
        }
        size
    }
}
