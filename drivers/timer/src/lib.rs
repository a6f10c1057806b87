// SPDX-License-Identifier: BSD-2-Clause
//! Timer driver PD: one-shot and periodic time-outs on the generic physical timer.
#![no_std]
