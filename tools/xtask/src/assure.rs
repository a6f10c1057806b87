// SPDX-License-Identifier: BSD-2-Clause
//! Whether the kernel's tests would notice: `xtask planted` (bugs of the kinds that kernels have had), `xtask mutants`
//! (mutation testing) and `xtask miri`. What they showed is in `docs/assurance.md`.

pub mod miri;
pub mod mutants;
pub mod planted;

/// Lengths of the refinement tests with which a wrong kernel is looked for first: together they take seconds.
const QUICK: [(&str, &str); 4] =
    [("REFINE_SEQUENCES", "3"), ("REFINE_STEPS", "500"), ("REFINE_DEPTH", "-1"), ("REFINE_SHORTEN", "no")];
