//! The number of the kernel routing table that announcements are in.

use std::fmt;
use std::str::FromStr;

/// A routing table that the kernel gives no meaning to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Table(u32);

/// Why a number is no table of ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableError {
    /// Not a number.
    #[error("expected a routing table's number, from 1 to 4294967295")]
    NoNumber,
    /// The kernel's own.
    #[error(
        "table {0} is the kernel's own, and the node looks up its routes there; take a number that no `ip rule` names, \
         such as {default}",
        default = Table::default()
    )]
    Kernel(u32),
}

impl Table {
    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Default for Table {
    /// The number of our routes' protocol; below 253, which is as far as FRR's `ip import-table` goes.
    fn default() -> Self {
        Self(u32::from(super::super::route::PROTOCOL))
    }
}

impl TryFrom<u32> for Table {
    type Error = TableError;

    fn try_from(number: u32) -> Result<Self, TableError> {
        // unspecified, default, main, local: `ip-route(8)`, `rtnetlink(7)`
        if matches!(number, 0 | 253..=255) {
            return Err(TableError::Kernel(number));
        }
        Ok(Self(number))
    }
}

impl FromStr for Table {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let number: u32 = text.parse().map_err(|_| TableError::NoNumber)?;
        Self::try_from(number)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
