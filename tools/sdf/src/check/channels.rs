// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts have one owner, channel ids are unique, protected calls go upwards.

use super::Findings;
use crate::model::{ChannelEnd, PdIndex, Pos, System};
use crate::problem::Problem;
use std::collections::BTreeSet;

pub(super) fn check(system: &System, findings: &mut Findings) {
    let name = |pd: PdIndex| system.protection_domains.get(pd).map_or(String::new(), |pd| pd.name.clone());
    let mut numbers = BTreeSet::new();
    let mut ids: BTreeSet<(PdIndex, u8)> = BTreeSet::new();
    let mut claim = |pd: PdIndex, id: u8, pos: Pos, findings: &mut Findings| {
        if !ids.insert((pd, id)) {
            findings.error(pos, Problem::DuplicateChannel { id, pd: name(pd) });
        }
    };
    for (index, pd) in system.protection_domains.iter().enumerate() {
        for irq in &pd.irqs {
            if !numbers.insert(irq.number) {
                findings.error(irq.pos, Problem::DuplicateIrq { irq: irq.number, pd: pd.name.clone() });
            }
            claim(index, irq.id, irq.pos, findings);
        }
    }
    for channel in &system.channels {
        let [a, b] = &channel.ends;
        claim(a.pd, a.id, a.pos, findings);
        claim(b.pd, b.id, b.pos, findings);
        calls_go_up(system, a, b, findings);
        calls_go_up(system, b, a, findings);
        if channel.ends.iter().all(|end| !end.pp && !end.notify) {
            findings.warn(channel.pos, Problem::MuteChannel(name(a.pd), name(b.pd)));
        }
    }
}

fn calls_go_up(system: &System, from: &ChannelEnd, to: &ChannelEnd, findings: &mut Findings) {
    let pds = &system.protection_domains;
    if let (true, Some(caller), Some(callee)) = (from.pp, pds.get(from.pd), pds.get(to.pd))
        && caller.priority >= callee.priority
    {
        let problem = Problem::PpPriority {
            caller: caller.name.clone(),
            caller_priority: caller.priority,
            callee: callee.name.clone(),
            callee_priority: callee.priority,
        };
        findings.error(from.pos, problem);
    }
}
