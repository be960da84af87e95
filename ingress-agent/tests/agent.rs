//! The real program without XDP and without privilege, over loopback: what it serves and what it says of itself.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share, and a load prints its ledger"
)]

#[path = "support/ledger.rs"]
mod ledger;

#[path = "agent/access.rs"]
mod access;
#[path = "support/address.rs"]
mod address;
#[path = "agent/admin.rs"]
mod admin;
#[path = "agent/authority.rs"]
mod authority;
#[path = "agent/change.rs"]
mod change;
#[path = "agent/edits.rs"]
mod edits;
#[path = "agent/explain.rs"]
mod explain;
#[path = "agent/files.rs"]
mod files;
#[path = "agent/openmetrics.rs"]
mod openmetrics;
#[path = "agent/ordinary.rs"]
mod ordinary;
#[path = "agent/pod.rs"]
mod pod;
#[path = "agent/process.rs"]
mod process;
#[path = "agent/rotation.rs"]
mod rotation;
#[path = "agent/status.rs"]
mod status;
#[path = "agent/yaml.rs"]
mod yaml;
