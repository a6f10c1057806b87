// SPDX-License-Identifier: BSD-2-Clause
//! The other sides, for tests: guest memory, a driver, back ends, and a driver that does anything.

pub mod backends;
pub mod driver;
pub mod hostile;
mod ram;

pub use backends::{Disk, Network, Noise, Terminal};
pub use driver::{Buffer, DriverQueue, bring_up};
pub use ram::Ram;
