// SPDX-License-Identifier: BSD-2-Clause
//! The protection-domain runtime: Handler, Channel, Child, vCPU and deferred actions.
#![no_std]
