// SPDX-License-Identifier: BSD-2-Clause
//! Checks over the whole of a system whose elements are sound each on its own.

mod channels;
pub(crate) mod ends;
mod maps;
mod names;
mod regions;

use crate::element::Finding;
use crate::limits::MAX_VCPUS;
use crate::model::{Pos, System};
use crate::platform::Platform;
use crate::problem::Problem;

pub(crate) use regions::promote_page_sizes;

/// What has been found so far.
#[derive(Default)]
struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, pos: Pos, problem: Problem) {
        self.errors.push((pos, problem));
    }

    fn warn(&mut self, pos: Pos, problem: Problem) {
        self.warnings.push((pos, problem));
    }
}

/// Errors and warnings; `root` is where the `system` element begins.
pub(crate) fn check(system: &System, platform: &Platform, root: Pos) -> (Vec<Finding>, Vec<Finding>) {
    let mut findings = Findings::default();
    counts(system, root, &mut findings);
    names::check(system, &mut findings);
    channels::check(system, &mut findings);
    regions::check(system, platform, &mut findings);
    maps::check(system, platform, &mut findings);
    (findings.errors, findings.warnings)
}

fn counts(system: &System, root: Pos, findings: &mut Findings) {
    if system.protection_domains.is_empty() {
        findings.error(root, Problem::NoPd);
    }
    let mut vcpus = 0;
    for vm in system.protection_domains.iter().filter_map(|pd| pd.virtual_machine.as_ref()) {
        vcpus += vm.vcpus.len();
        if vcpus > MAX_VCPUS {
            findings.error(vm.pos, Problem::TooManyVcpus(vcpus));
        }
    }
}
