// SPDX-License-Identifier: BSD-2-Clause
//! `domains`: declared scheduling domains and their fixed schedule.

use super::Parser;
use crate::element::{Element, Found, parse_number};
use crate::model::{Domain, DomainConfig, Duration, ScheduleEntry};
use crate::problem::{Fault, Problem};
use std::collections::BTreeMap;

impl Parser<'_> {
    pub(super) fn domains(&mut self, element: Element<'_>) {
        self.expect_attributes(element, &[]);
        if self.platform.cores > 1 {
            self.error(element.pos(), Problem::DomainsOnSmp);
        } else if self.platform.num_domains < 2 {
            return self.error(element.pos(), Problem::OneDomain);
        }
        let mut declared = Vec::new();
        let mut schedule = None;
        for child in element.children() {
            match child.name() {
                "domain" => declared.push(child),
                "domain_schedule" if schedule.is_some() => {
                    self.fault(element, child.pos(), Fault::ScheduleTwice);
                }
                "domain_schedule" => schedule = Some(child),
                name => {
                    self.error(
                        child.pos(),
                        Problem::DomainElement { name: name.to_owned(), parent: "domains" },
                    );
                }
            }
        }
        let domains = self.declared_domains(element, &declared);
        let mut config = DomainConfig {
            domains,
            schedule: Vec::new(),
            start_index: 0,
            index_shift: None,
            pos: element.pos(),
        };
        match schedule {
            Some(schedule) => self.domain_schedule(schedule, &mut config),
            None => self.fault(element, element.pos(), Fault::NoSchedule),
        }
        self.system.domains = Some(config);
    }

    fn declared_domains(&mut self, parent: Element<'_>, elements: &[Element<'_>]) -> Vec<Domain> {
        let max = self.platform.num_domains;
        let mut by_name: BTreeMap<String, Option<u64>> = BTreeMap::new();
        let mut named = Vec::new();
        for element in elements {
            self.expect_leaf(*element, &["name", "id"]);
            let name = self.take(element.filled("name"));
            let id = self.take(element.number("id"));
            let (Some(name), Some(id)) = (name, id) else { continue };
            if by_name.contains_key(name) {
                self.fault(*element, element.pos(), Fault::DomainNameTwice(name.to_owned()));
                continue;
            }
            if let Some(id) = id.filter(|id| *id >= max) {
                self.fault(*element, element.pos(), Fault::DomainId { id, max });
            }
            let twin =
                by_name.iter().find(|(_, other)| id.is_some() && **other == id).map(|(n, _)| n.clone());
            if let (Some(twin), Some(id)) = (twin, id) {
                self.fault(*element, element.pos(), Fault::DomainIdTwice { name: twin, id });
            }
            by_name.insert(name.to_owned(), id);
            named.push((name.to_owned(), id, element.pos()));
        }
        let mut taken: Vec<u64> = named.iter().filter_map(|(_, id, _)| *id).collect();
        let mut domains = Vec::new();
        for (name, id, pos) in named {
            let chosen = id.or_else(|| (0..max).find(|candidate| !taken.contains(candidate)));
            let Some(id) = chosen.and_then(|id| u8::try_from(id).ok()) else {
                self.fault(parent, parent.pos(), Fault::TooManyDomains(max));
                break;
            };
            taken.push(id.into());
            domains.push(Domain { name, id, pos });
        }
        domains
    }

    fn domain_schedule(&mut self, element: Element<'_>, config: &mut DomainConfig) {
        self.expect_attributes(element, &["start_index", "index_shift"]);
        config.start_index = self.take(element.number("start_index")).flatten().unwrap_or(0);
        config.index_shift = self.take(element.number("index_shift")).flatten();
        let max = self.platform.num_domain_schedules;
        let mut sound = true;
        for child in element.children() {
            let entry = match child.name() {
                "schedule_entry" => {
                    self.expect_leaf(child, &["domain", "duration"]);
                    self.take(schedule_entry(child, &config.domains))
                }
                "schedule_end_marker" => {
                    self.expect_leaf(child, &[]);
                    Some(ScheduleEntry::EndMarker)
                }
                name => {
                    let problem = Problem::DomainElement { name: name.to_owned(), parent: "domain_schedule" };
                    self.error(child.pos(), problem);
                    None
                }
            };
            sound &= entry.is_some();
            config.schedule.extend(entry);
        }
        let len = config.schedule.len();
        let length = u64::try_from(len).unwrap_or(u64::MAX);
        if length >= max {
            self.error(element.pos(), Problem::LongSchedule(max));
        } else if sound {
            let start = config.start_index;
            let first = usize::try_from(start).ok().and_then(|start| config.schedule.get(start));
            match first {
                None => self.fault(element, element.pos(), Fault::ScheduleStart { start, len }),
                Some(ScheduleEntry::EndMarker) => {
                    self.fault(element, element.pos(), Fault::ScheduleStartIsEnd(start));
                }
                Some(ScheduleEntry::Run { .. }) => {}
            }
        }
        if let Some(shift) = config.index_shift
            && shift.saturating_add(length) >= max
        {
            self.fault(element, element.pos(), Fault::ScheduleShift { shift, len, max });
        }
    }
}

fn schedule_entry(element: Element<'_>, domains: &[Domain]) -> Found<ScheduleEntry> {
    let name = element.required("domain")?;
    let duration = element.required("duration")?;
    let domain = domains
        .iter()
        .find(|domain| domain.name == name.value)
        .ok_or_else(|| element.fault(name.pos, Fault::ScheduleDomain(name.value.to_owned())))?;
    let text = duration.value;
    let (count, unit) = text
        .split_once(' ')
        .ok_or_else(|| element.fault(duration.pos, Fault::DurationUnitMissing(text.to_owned())))?;
    let count = parse_number(count).map_err(|reason| {
        let problem = Problem::Integer {
            value: count.to_owned(),
            element: element.name().to_owned(),
            reason,
            decimal: false,
        };
        (duration.pos, problem)
    })?;
    if count == 0 {
        return Err(element.fault(duration.pos, Fault::DurationZero(text.to_owned())));
    }
    let duration = match unit {
        "us" => Duration::Microseconds(count),
        "ticks" => Duration::Ticks(count),
        _ => return Err(element.fault(duration.pos, Fault::DurationUnit(text.to_owned()))),
    };
    Ok(ScheduleEntry::Run { domain: domain.id, duration })
}
