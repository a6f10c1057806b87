// SPDX-License-Identifier: BSD-2-Clause
//! The first thread: what the kernel makes at boot and tells it.
