// SPDX-License-Identifier: BSD-2-Clause
//! Drives the specification and the implementation side by side and compares their states.
