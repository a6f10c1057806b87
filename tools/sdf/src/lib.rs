// SPDX-License-Identifier: BSD-2-Clause
//! The system description format: parse, check, resolve board names, write plain SDF.
