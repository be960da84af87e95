//! The agent: Kubernetes objects go in; packets and requests come out right.
//!
//! ```text
//! Kubernetes or a folder of YAML ─▶ source ──objects──▶ digest ──Snapshot──▶ translate ──Model + Report──▶ ┬─▶ xdp    Plan ─diff─▶ eBPF maps (pinned)
//!                                                                                                          └─▶ proxy  Table (swapped whole)
//! packet ─▶ NIC: XDP (which node?) ─▶ [tunnel ─▶ that node's XDP: strip] ─▶ kernel TCP ─▶ sk_lookup ─▶ listener ─▶ TLS ─▶ router ─▶ upstream pod
//!                                                                                         replies go straight to the client (DSR)
//! ```
//!
//! Four pure functions carry the meaning: `digest(object, previous) -> value`, `translate(&Snapshot) ->
//! (Model, Report)`, `Plan::from(&Model)`, `Table::from(&Model)`. Everything else moves bytes or waits.
//! Start with [`model`] and one test.

pub mod admin;
pub mod app;
pub mod backoff;
pub mod check;
pub mod cluster;
pub mod config;
pub mod digest;
pub mod explain;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod proxy;
pub mod source;
pub mod status;
pub mod telemetry;
pub mod translate;
pub mod xdp;
