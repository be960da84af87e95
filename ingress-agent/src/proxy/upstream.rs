//! The pods' side: which endpoint, over which connection, and whether to try again.
//!
//! ```text
//! exchange ─┬─ balance    the next endpoint, by its health, its load and how quick it is
//!           ├─ registry   a kept connection, or
//!           ├─ connect    a new one
//!           ├─ health     who fails, or answers nobody, is ejected, and probe brings it back
//!           └─ retry, budget
//! http1      a request and its answer over one connection
//! ```
//!
//! What is known of an endpoint is shared by all workers; connections belong to one worker. Both are known by
//! address and transport, outside the table, so that they survive its swaps.

mod answers;
mod balance;
mod budget;
mod connect;
mod endpoint;
mod ewma;
mod exchange;
mod health;
mod http1;
mod newest;
mod probe;
mod registry;
mod retry;

pub(super) use self::balance::Balancer;
pub(super) use self::budget::Budget;
pub(super) use self::connect::client_config;
pub use self::endpoint::EndpointHealth;
pub(super) use self::endpoint::{Endpoint, Endpoints, Target, Transport};
pub(super) use self::exchange::exchange;
pub use self::health::HealthState;
pub(super) use self::http1::{BrokenOff, Connection, RequestHead, Switched};
pub(super) use self::newest::Newest;
pub(super) use self::registry::Registry;
