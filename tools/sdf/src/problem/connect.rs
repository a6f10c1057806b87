// SPDX-License-Identifier: BSD-2-Clause
//! What can be wrong with what connects protection domains.

/// What is wrong with a `link`, `serial`, `ring`, `call` or `watchdog`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFault {
    /// An end that names nobody.
    #[error("end '{end}' names no protection domain")]
    UnknownEnd {
        /// What was found.
        end: String,
        /// Who there is.
        known: String,
    },
    /// Not the beginning of a symbol.
    #[error("malformed prefix in end '{0}'")]
    Prefix(String),
    /// A protection domain connected with itself.
    #[error("both ends are in protection domain '{0}'")]
    SamePd(String),
    /// Two connections with the same symbols.
    #[error("'{prefix}' of protection domain '{pd}' is connected already, by {by}")]
    SlotTaken {
        /// Protection domain.
        pd: String,
        /// Prefix of its symbols.
        prefix: String,
        /// By whom.
        by: String,
    },
    /// Clients whose numbers do not count from 0.
    #[error("protection domain '{pd}' has '{prefix}' but no '{missing}'")]
    Gap {
        /// Protection domain.
        pd: String,
        /// Prefix of its symbols.
        prefix: String,
        /// The one below.
        missing: String,
    },
    /// No name for the channel's symbol.
    #[error("nothing names the symbol in '{pd}' for the channel's number")]
    ChannelSymbol {
        /// Protection domain.
        pd: String,
        /// Attribute that can.
        attribute: &'static str,
    },
    /// An entry without name.
    #[error("nothing names the configuration entry in '{0}'")]
    ConfigPrefix(String),
    /// Unknown rights.
    #[error("rights must be 'none' or words of 'r', 'rw' and 'paddr', got '{0}'")]
    Rights(String),
    /// Both sides of a data region may write it.
    #[error("both sides of '{0}' may write it")]
    TwoWriters(String),
    /// Nothing can get into a data region.
    #[error("neither side of '{0}' may write it or is told its physical address")]
    NobodyWrites(String),
    /// Two data regions of a link with one name.
    #[error("data '{0}' is given twice")]
    DataTwice(String),
    /// A region has a size of its own.
    #[error("the size is that of region '{0}'")]
    SizeOfRegion(String),
    /// A region whose size only its file knows.
    #[error("region '{0}' has no size")]
    RegionWithoutSize(String),
    /// Not enough room.
    #[error("size {size:#x} is too small, at least {min:#x} are needed")]
    TooSmall {
        /// What was found.
        size: u64,
        /// The least.
        min: u64,
    },
    /// Indices wrap around at the size.
    #[error("the size of a ring must be a power of two, got {0:#x}")]
    PowerOfTwo(u64),
    /// Shared memory of one.
    #[error("'{region}' has one end: only '{pd}' maps it")]
    OneEnd {
        /// Region.
        region: String,
        /// Who maps it.
        pd: String,
    },
    /// Two programs take a region for different things.
    #[error("{what} differ: '{region}' is {one}, but {other}")]
    EndsDiffer {
        /// Region.
        region: String,
        /// In what.
        what: &'static str,
        /// Symbol and protection domain of one end.
        one: String,
        /// Of the other.
        other: String,
    },
    /// A program that is told half of what it has to know.
    #[error("program of '{pd}' waits for '{symbol}', which is not set although '{because}' is")]
    Unset {
        /// Protection domain.
        pd: String,
        /// What is missing.
        symbol: String,
        /// What is there.
        because: String,
    },
    /// A watchdog without anybody who watches.
    #[error("protection domain '{0}' has no parent that could watch it")]
    WatchdogAtTop(String),
}

impl ConnectFault {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        let text = match self {
            Self::UnknownEnd { known, .. } => {
                return format!("write pd or pd.prefix; the protection domains are {known}");
            }
            Self::Prefix(_) => {
                "write pd.prefix with a prefix of letters, digits and '_', or pd.prefix* for the next number"
            }
            Self::SamePd(_) => "a protection domain shares its own memory anyway: name another at one end",
            Self::SlotTaken { .. } => {
                "choose the next number, or leave it to the tool by writing * in place of it"
            }
            Self::Gap { .. } => "numbers count from 0: close the gap, or write * in place of the number",
            Self::ChannelSymbol { attribute, .. } => {
                return format!("add {attribute}=\"...\", or a prefix to the end");
            }
            Self::ConfigPrefix(_) => "give the end a prefix, or write an entry in the config itself",
            Self::Rights(_) => "for example \"rw\", \"r paddr\", \"paddr\" or \"none\"",
            Self::TwoWriters(_) => {
                "bytes have one writer: give the other side \"r\", and use a region for each direction"
            }
            Self::NobodyWrites(_) => "give one side \"rw\"",
            Self::DataTwice(_) => "rename one of them",
            Self::SizeOfRegion(_) => "remove it, or remove region",
            Self::RegionWithoutSize(_) => "give the region a size",
            Self::TooSmall { .. } => "raise it or leave it out",
            Self::PowerOfTwo(_) => "round it up",
            Self::OneEnd { .. } => {
                "map it into the other end, or use link, serial or ring, which connect both"
            }
            Self::EndsDiffer { .. } => "map a region of the same kind and direction at both ends",
            Self::Unset { .. } => "set it, or connect to a program that offers what this one is for",
            Self::WatchdogAtTop(_) => "write the domain inside the one that shall watch it",
        };
        text.to_owned()
    }
}
