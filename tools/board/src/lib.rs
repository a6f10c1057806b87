// SPDX-License-Identifier: BSD-2-Clause
//! Board descriptions: kernel-config/*.toml parsed and checked.
