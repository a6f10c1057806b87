// SPDX-License-Identifier: BSD-2-Clause
//! Host tests: registers by table, behaviour by name, and arbitrary histories against a reference model.

mod behaviour;
mod machine;
mod properties;
mod reference;
mod reference_v3;
mod registers;
mod v3;
