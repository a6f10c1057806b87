// SPDX-License-Identifier: BSD-2-Clause
//! `irq`. The forms that only x86 has are refused with that reason.

use super::Parser;
use crate::element::{Element, Found};
use crate::model::{Irq, PdIndex, SetvarValue, Trigger};
use crate::platform::Platform;
use crate::problem::{Fault, Problem};

/// Interrupt numbers below this are software-generated (Arm IHI 0048B 2.2.1).
const SOFTWARE_IRQS: u32 = 16;

impl Parser<'_> {
    pub(super) fn irq(&mut self, element: Element<'_>, pd: PdIndex) {
        for (attribute, form) in [("pin", "x86 I/O APIC IRQ"), ("pcidev", "x86 MSI IRQ")] {
            if element.attribute(attribute).is_some() {
                self.fault(element, element.pos(), Fault::X86Only(form));
                return;
            }
        }
        self.expect_leaf(element, &["irq", "id", "trigger", "setvar_id"]);
        let number = self.take(number(element, self.platform));
        let id = self.take(element.id());
        let trigger = self.take(trigger(element));
        let (Some(number), Some(id), Some(trigger)) = (number, id, trigger) else { return };
        if number < SOFTWARE_IRQS {
            self.warn(element.pos(), Problem::SoftwareIrq(number));
        }
        self.setvar(pd, element, "setvar_id", SetvarValue::Number(id.into()));
        if let Some(pd) = self.system.protection_domains.get_mut(pd) {
            pd.irqs.push(Irq { number, id, trigger, pos: element.pos() });
        }
    }
}

fn number(element: Element<'_>, platform: &Platform) -> Found<u32> {
    let attribute = element.required("irq")?;
    let irq: u32 = attribute.value.parse().map_err(|error: std::num::ParseIntError| {
        let problem = Problem::Integer {
            value: attribute.value.to_owned(),
            element: element.name().to_owned(),
            reason: error.to_string(),
            decimal: true,
        };
        (attribute.pos, problem)
    })?;
    if irq > platform.max_irq {
        return Err(element.fault(attribute.pos, Fault::IrqTooLarge { irq, max: platform.max_irq }));
    }
    match platform.kernel_irqs.iter().find(|(number, _)| *number == irq) {
        Some((_, owner)) => {
            Err(element.fault(attribute.pos, Fault::IrqReserved { irq, owner: owner.clone() }))
        }
        None => Ok(irq),
    }
}

fn trigger(element: Element<'_>) -> Found<Trigger> {
    match element.attribute("trigger") {
        None => Ok(Trigger::Level),
        Some(attribute) => match attribute.value {
            "level" => Ok(Trigger::Level),
            "edge" => Ok(Trigger::Edge),
            _ => Err(element.fault(attribute.pos, Fault::Trigger)),
        },
    }
}
