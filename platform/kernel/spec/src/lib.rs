// SPDX-License-Identifier: BSD-2-Clause
//! The abstract executable specification of the kernel.
