// SPDX-License-Identifier: BSD-2-Clause
//! What can be wrong with the dialect's additions: devices, variables, counts, configuration.

/// What is wrong with a name of the board, a variable or another element of our dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveFault {
    /// The board has no such device.
    #[error("board '{board}' has no device '{device}'")]
    UnknownDevice {
        /// Board.
        board: String,
        /// Device.
        device: String,
        /// What it has.
        known: String,
    },
    /// A region for a device without registers.
    #[error("device '{0}' has no memory-mapped registers")]
    NoRegisters(String),
    /// An interrupt that the device does not have.
    #[error("device '{device}' has {count} interrupts, index {index} does not exist")]
    NoInterrupt {
        /// Device.
        device: String,
        /// How many it has.
        count: usize,
        /// What was asked for.
        index: u64,
    },
    /// The device says it already.
    #[error("attribute '{attribute}' of '{element}' comes from the device '{device}'")]
    Redundant {
        /// Attribute.
        attribute: String,
        /// Element.
        element: String,
        /// Device.
        device: String,
    },
    /// An element that names no device.
    #[error("attribute 'device' is not known on '{0}'")]
    DeviceHere(String),
    /// A device whose registers would be cached.
    #[error("registers of device '{device}' are mapped cached")]
    CachedDevice {
        /// Device.
        device: String,
    },
    /// A variable without a value.
    #[error("variable '{0}' is not set and has no default")]
    Unset(String),
    /// Not a variable.
    #[error("malformed variable '{0}'")]
    Variable(String),
    /// A size that is none.
    #[error("malformed size '{0}'")]
    Size(String),
    /// A count out of range.
    #[error("count must be between 1 and {max}, got '{value}'")]
    Count {
        /// What was found.
        value: String,
        /// The most.
        max: u32,
    },
    /// vCPUs that are numbered and counted, but each is told the same.
    #[error("attribute '{0}' cannot be repeated for every vcpu of a 'count'")]
    CountWith(String),
    /// Not a configuration entry.
    #[error("malformed configuration entry '{0}'")]
    ConfigEntry(String),
    /// Nothing to hand over.
    #[error("config has no entry")]
    ConfigEmpty,
    /// An entry given twice.
    #[error("configuration entry '{0}' is given twice")]
    ConfigTwice(String),
}
