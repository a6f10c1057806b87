// SPDX-License-Identifier: BSD-2-Clause
//! Raw seL4 bindings; labels and sizes come from the SDK's generated files.
#![no_std]
