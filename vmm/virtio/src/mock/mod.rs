// SPDX-License-Identifier: BSD-2-Clause
//! The other sides, for tests: guest memory, a driver, back ends.
