// SPDX-License-Identifier: BSD-2-Clause
//! The domain schedule.

use sdf::{DomainConfig, Duration, ScheduleEntry};
use system_spec::record::DomainStep;

use super::Builder;

impl Builder<'_> {
    /// Writes the schedule into the kernel's table from the declared index on, then starts it.
    pub(super) fn domain_schedule(&mut self, domains: &DomainConfig) {
        let shift = domains.index_shift.unwrap_or(0) as u32;
        let frequency = self.input.config.timer_frequency;
        for (index, entry) in (shift..).zip(&domains.schedule) {
            let (domain, ticks) = match *entry {
                ScheduleEntry::Run { domain, duration: Duration::Ticks(ticks) } => (domain, ticks),
                ScheduleEntry::Run { domain, duration: Duration::Microseconds(us) } => {
                    (domain, (u128::from(us) * u128::from(frequency) / 1_000_000).max(1) as u64)
                }
                ScheduleEntry::EndMarker => (0, 0),
            };
            self.model.content.domains.push(DomainStep::Entry { index, domain, ticks });
        }
        self.model.content.domains.push(DomainStep::Start(shift + domains.start_index as u32));
    }
}
