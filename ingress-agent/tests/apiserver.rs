//! The real program against a real API server.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "apiserver/cluster.rs"]
mod cluster;
#[path = "apiserver/coordination.rs"]
mod coordination;
#[path = "apiserver/definition.rs"]
mod definition;
#[path = "apiserver/faults.rs"]
mod faults;
#[path = "apiserver/outage.rs"]
mod outage;
#[path = "apiserver/restart.rs"]
mod restart;
#[path = "apiserver/rights.rs"]
mod rights;
#[path = "apiserver/secrets.rs"]
mod secrets;
#[path = "apiserver/serving.rs"]
mod serving;
