// SPDX-License-Identifier: BSD-2-Clause
//! Where things are: the folders of the checkout and of `build/`.

use std::path::{Path, PathBuf};

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Everything that is built or fetched, except what cargo puts under `target/`.
#[must_use]
pub fn build() -> PathBuf {
    root().join("build")
}

/// Guest kernels and initramfs images.
#[must_use]
pub fn guests() -> PathBuf {
    build().join("guests")
}
