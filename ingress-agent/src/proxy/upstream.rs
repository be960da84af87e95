//! The pods' side: which endpoint, over which connection, and whether to try again.
//!
//! Connections belong to a worker and are known by address, outside the table, so that they survive its swaps.

mod balance;
mod connect;
mod registry;
mod retry;

pub(super) use self::balance::{Cursors, Tried};
pub(super) use self::connect::{ConnectError, Connection, connect};
pub(super) use self::registry::Registry;
pub(super) use self::retry::{Failure, is_idempotent};
