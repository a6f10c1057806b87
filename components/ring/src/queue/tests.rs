// SPDX-License-Identifier: BSD-2-Clause
//! Behaviour of both sides of a queue together.
