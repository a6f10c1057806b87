// SPDX-License-Identifier: BSD-2-Clause
//! `channel` and `end`.

use super::Parser;
use crate::element::Element;
use crate::model::{Channel, ChannelEnd, SetvarValue};
use crate::problem::Fault;

impl Parser<'_> {
    pub(super) fn channel(&mut self, element: Element<'_>) {
        self.expect_attributes(element, &[]);
        let mut ends = Vec::new();
        let mut count = 0usize;
        for child in element.children() {
            if child.name() == "end" {
                count += 1;
                ends.extend(self.end(child));
            } else {
                self.invalid_element(child);
            }
        }
        if count != 2 {
            self.fault(element, element.pos(), Fault::EndCount);
        }
        let Ok(ends) = <[ChannelEnd; 2]>::try_from(ends) else { return };
        if ends.iter().all(|end| end.pp) {
            self.fault(element, element.pos(), Fault::Bidirectional);
        }
        self.system.channels.push(Channel { ends, pos: element.pos() });
    }

    fn end(&mut self, element: Element<'_>) -> Option<ChannelEnd> {
        self.expect_leaf(element, &["pd", "id", "pp", "notify", "setvar_id"]);
        let pd = self.take(element.required("pd")).and_then(|name| {
            let pd = self.names.pds.get(name.value).copied();
            if pd.is_none() {
                self.fault(element, name.pos, Fault::InvalidPd(name.value.to_owned()));
            }
            pd
        });
        let id = self.take(element.id());
        let pp = self.take(element.boolean("pp", false));
        let notify = self.take(element.boolean("notify", true));
        let end = ChannelEnd { pd: pd?, id: id?, pp: pp?, notify: notify?, pos: element.pos() };
        self.setvar(end.pd, element, "setvar_id", SetvarValue::Number(end.id.into()));
        Some(end)
    }
}
