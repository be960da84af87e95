//! The L7 path over loopback: a proxy in this process, raw clients, recording backends.
//!
//! Every test of the protocol asserts the reply, the backend's bytes, and that a clean request afterwards
//! answers 200.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "support/bed.rs"]
mod bed;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/handshake.rs"]
mod handshake;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/recorder.rs"]
mod recorder;
#[path = "support/reference.rs"]
mod reference;

#[path = "proxy/access.rs"]
mod access;
#[path = "proxy/answers.rs"]
mod answers;
#[path = "proxy/caps.rs"]
mod caps;
#[path = "proxy/clients.rs"]
mod clients;
#[path = "proxy/corpus.rs"]
mod corpus;
#[path = "proxy/failing.rs"]
mod failing;
#[path = "proxy/faults.rs"]
mod faults;
#[path = "proxy/floods.rs"]
mod floods;
#[path = "proxy/h2.rs"]
mod h2;
#[path = "proxy/h2_limits.rs"]
mod h2_limits;
#[path = "proxy/health.rs"]
mod health;
#[path = "proxy/last.rs"]
mod last;
#[path = "proxy/lifecycle.rs"]
mod lifecycle;
#[path = "proxy/policies.rs"]
mod policies;
#[path = "proxy/replay.rs"]
mod replay;
#[path = "proxy/rest.rs"]
mod rest;
#[path = "proxy/retry.rs"]
mod retry;
#[path = "proxy/routing.rs"]
mod routing;
#[path = "proxy/slow_body.rs"]
mod slow_body;
#[path = "proxy/smuggling.rs"]
mod smuggling;
#[path = "proxy/stalls.rs"]
mod stalls;
#[path = "proxy/tls.rs"]
mod tls;
#[path = "proxy/tls_pod.rs"]
mod tls_pod;
#[path = "proxy/upgrade.rs"]
mod upgrade;
#[path = "proxy/upstream.rs"]
mod upstream;
