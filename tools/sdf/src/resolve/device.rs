// SPDX-License-Identifier: BSD-2-Clause
//! Names of the board's devices, or of what they are for, on `memory_region`, `irq` and, through the region, `map`.

use super::names::Resolver;
use super::value::render;
use crate::element::Element;
use crate::problem::ResolveFault;
use board::Device;
use std::collections::BTreeMap;

impl Resolver<'_, '_> {
    /// The device that an element names, if it names one and the board has it, and nothing that the device says is said
    /// again in `redundant`.
    fn device(
        &mut self,
        element: Element<'_>,
        values: &BTreeMap<&str, String>,
        redundant: &[&str],
    ) -> Option<(String, Device)> {
        let attribute = element.attribute("device")?;
        let name = values.get("device")?.clone();
        for other in redundant {
            if let Some(twice) = element.attribute(other) {
                let fault = ResolveFault::Redundant {
                    attribute: (*other).to_owned(),
                    element: element.name().to_owned(),
                    device: name.clone(),
                };
                self.stage.error(twice.pos, fault);
            }
        }
        let device = self.board.device(&name).cloned();
        if device.is_none() {
            let fault = ResolveFault::UnknownDevice {
                board: self.board.name.clone(),
                device: name.clone(),
                known: self
                    .board
                    .roles
                    .keys()
                    .chain(self.board.devices.keys())
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            self.stage.error(attribute.pos, fault);
        }
        Some((name, device?))
    }

    pub(super) fn device_region(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let redundant = ["phys_addr", "size", "page_size", "prefill_path", "prefill_bootinfo"];
        let Some((name, device)) = self.device(element, values, &redundant) else { return };
        let Some(registers) = device.registers() else {
            let pos = element.attribute("device").map_or(element.pos(), |device| device.pos);
            self.stage.error(pos, ResolveFault::NoRegisters(name));
            return;
        };
        let size = registers.end - registers.start;
        let plain =
            render("phys_addr", &format!("{:#x}", registers.start)) + &render("size", &format!("{size:#x}"));
        self.stage.edits.replace_attribute(element, "device", &plain);
    }

    pub(super) fn device_irq(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let Some((name, device)) = self.device(element, values, &["irq", "trigger"]) else { return };
        let index = match element.attribute("index") {
            None => 0,
            Some(_) => {
                let text = values.get("index").map_or("", String::as_str);
                match text.parse::<u64>() {
                    Ok(index) => index,
                    Err(_) => {
                        self.stage.take(element.number("index"));
                        return;
                    }
                }
            }
        };
        let irq = usize::try_from(index).ok().and_then(|index| device.irqs.get(index));
        let Some(irq) = irq else {
            let pos = element.attribute("index").or(element.attribute("device"));
            let pos = pos.map_or(element.pos(), |attribute| attribute.pos);
            self.stage
                .error(pos, ResolveFault::NoInterrupt { device: name, count: device.irqs.len(), index });
            return;
        };
        let plain = render("irq", &irq.number.to_string()) + &render("trigger", irq.trigger.as_str());
        self.stage.edits.replace_attribute(element, "device", &plain);
        self.stage.edits.remove_attribute(element, "index");
    }

    /// Registers must not be cached.
    pub(super) fn device_map(&mut self, element: Element<'_>, values: &BTreeMap<&str, String>) {
        let Some(device) = values.get("mr").and_then(|region| self.device_regions.get(region)) else {
            return;
        };
        if values.get("cached").is_none_or(|cached| cached == "true") {
            let fault = ResolveFault::CachedDevice { device: device.clone() };
            let pos = element.attribute("cached").map_or(element.pos(), |attribute| attribute.pos);
            self.stage.error(pos, fault);
        }
    }
}
