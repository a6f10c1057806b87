// SPDX-License-Identifier: BSD-2-Clause
//! The `microkit` tool: system description in, bootable image out (AArch64).
//!
//! The command line, the CSpace layout, the memory layout of programs and the symbols written into them are those of
//! Microkit 2.3. The steps, in order ([`build`]):
//!
//! 1. `sdf` parses and checks the system description; [`patch`] finds programs ([`elf`]) and checks their symbols.
//! 2. [`describe`] turns both into kernel objects and capabilities ([`model`], [`space`], [`layout`]).
//! 3. [`initialiser`] puts the description behind the initialiser; [`image`] lays the image out.
//! 4. [`place`] predicts the kernel's untypeds and the address of every object. Where a program is told an address that
//!    the tool has to choose, steps 2 to 4 are repeated with it.
//! 5. The image and a [`report`] are written.

#![forbid(unsafe_code)]

pub mod build;
pub mod capdl;
pub mod cli;
pub mod describe;
pub mod elf;
pub mod image;
pub mod initialiser;
pub mod layout;
pub mod model;
pub mod patch;
pub mod place;
pub mod report;
pub mod root_task;
pub mod sdk;
pub mod space;
pub mod viper;
