// SPDX-License-Identifier: BSD-2-Clause
//! Refinement: the implementation does what the specification says.
//!
//! [`Pair`] holds a specification (`kernel-spec`) and an implementation (`kernel-core` on a simulated machine) in the
//! same initial state. A [`Step`] is what a user or the hardware does: registers and IPC buffer are filled, the
//! clock moves, the kernel is entered. After every step the abstraction of the implementation's memory
//! ([`abstraction`]) must equal the specification's state, and the implementation's [`invariants`] must hold; nothing that the
//! [`hardware`] may remember is out of date.
//!
//! [`integrity`] compares the state before and after an entry: only what the [`authority`] model allows may differ.
//! [`partition`] is a system for that.
//!
//! [`random`] makes up steps, hostile ones included; a failing sequence is shortened before it is shown. Tests in
//! `tests/` run random sequences and all short sequences over small sets of steps. `REFINE_SEQUENCES` and
//! `REFINE_STEPS` make them longer, `REFINE_SEED` repeats one; `REFINE_SHORTEN=no` shows them as they are.
#![forbid(unsafe_code)]

pub mod abstraction;
pub mod authority;
pub mod compare;
pub mod hardware;
pub mod integrity;
pub mod invariants;
pub mod pair;
pub mod partition;
pub mod random;
pub mod world;

pub use pair::{Pair, Step};
