//! The real program against a real API server.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "support/ledger.rs"]
mod ledger;

#[path = "apiserver/cluster.rs"]
mod cluster;
#[path = "apiserver/configured.rs"]
mod configured;
#[path = "apiserver/conflicts.rs"]
mod conflicts;
#[path = "apiserver/coordination.rs"]
mod coordination;
#[path = "apiserver/daemonset.rs"]
mod daemonset;
#[path = "apiserver/definition.rs"]
mod definition;
#[path = "apiserver/faults.rs"]
mod faults;
#[path = "apiserver/loops.rs"]
mod loops;
#[path = "apiserver/objects.rs"]
mod objects;
#[path = "apiserver/outage.rs"]
mod outage;
#[path = "apiserver/pods.rs"]
mod pods;
#[path = "apiserver/pools.rs"]
mod pools;
#[path = "apiserver/publishing.rs"]
mod publishing;
#[path = "apiserver/refused.rs"]
mod refused;
#[path = "apiserver/restart.rs"]
mod restart;
#[path = "apiserver/rights.rs"]
mod rights;
#[path = "apiserver/rolling.rs"]
mod rolling;
#[path = "apiserver/scale.rs"]
mod scale;
#[path = "apiserver/secrets.rs"]
mod secrets;
#[path = "apiserver/serving.rs"]
mod serving;
