// SPDX-License-Identifier: BSD-2-Clause
//! Boots whole systems in the emulator and talks to their console.
