// SPDX-License-Identifier: BSD-2-Clause
//! GICv2 as a guest sees it: distributor model and list-register policy.
#![no_std]
