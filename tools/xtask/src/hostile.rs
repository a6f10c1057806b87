// SPDX-License-Identifier: BSD-2-Clause
//! The bare-metal guest of the tests (`tests/guests/hostile`): built like the kernel, found like a stock guest.

use std::path::PathBuf;

use anyhow::Result;

use crate::cargo::{Build, TARGET_KERNEL};
use crate::{paths, sdk};

/// Builds it; it is `build/guests/hostile/Image`.
///
/// # Errors
/// It does not build.
pub fn build() -> Result<PathBuf> {
    let build = Build {
        packages: vec!["hostile-guest".into()],
        target: Some(TARGET_KERNEL),
        folder: "guests".into(),
        ..Build::default()
    };
    let folder = paths::guests().join("hostile");
    std::fs::create_dir_all(&folder)?;
    let image = folder.join("Image");
    // The linker writes the flat image already.
    sdk::install(&build.run_for("hostile-guest")?, &image)?;
    Ok(image)
}
