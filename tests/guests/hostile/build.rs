// SPDX-License-Identifier: BSD-2-Clause
//! Links the guest at its load address and lets the linker write the flat image.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bins=-T{folder}/guest.ld");
    println!("cargo:rustc-link-arg-bins=--oformat=binary");
    println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    println!("cargo:rerun-if-changed=guest.ld");
}
