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
    /// Two templates with one name.
    #[error("template '{0}' is defined twice")]
    TemplateTwice(String),
    /// A template inside another element.
    #[error("a template must be a child of 'system'")]
    TemplateHere,
    /// A name that no template has.
    #[error("there is no template '{name}'")]
    UnknownTemplate {
        /// Name.
        name: String,
        /// What there is.
        known: String,
    },
    /// Templates that use each other without end.
    #[error("templates are used more than {0} deep")]
    TemplateDepth(usize),
    /// Templates that use each other too often.
    #[error("the description is longer than {0} bytes with its templates expanded")]
    TemplateSize(usize),
    /// Not a parameter of a template.
    #[error("malformed or repeated parameter '{0}'")]
    Parameter(String),
    /// A parameter without value.
    #[error("parameter '{0}' of the template is not given and has no default")]
    ParameterMissing(String),
    /// Not a configuration entry.
    #[error("malformed configuration entry '{0}'")]
    ConfigEntry(String),
    /// An entry for a protection domain that takes none.
    #[error("protection domain '{pd}' has no config for the entry '{entry}'")]
    NoConfig {
        /// Protection domain.
        pd: String,
        /// Name of the entry.
        entry: String,
    },
    /// Nothing to hand over.
    #[error("config has no entry")]
    ConfigEmpty,
    /// An entry given twice.
    #[error("configuration entry '{0}' is given twice")]
    ConfigTwice(String),
}
