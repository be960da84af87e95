//! Folders of manifests in, model facts and report words out: a test per clause of `Ingress` v1, and the
//! corpus of broken manifests.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "translate/annotations.rs"]
mod annotations;
#[path = "translate/bad_input.rs"]
mod bad_input;
#[path = "translate/causes.rs"]
mod causes;
#[path = "translate/certificates.rs"]
mod certificates;
#[path = "translate/clauses.rs"]
mod clauses;
#[path = "translate/corpus.rs"]
mod corpus;
#[path = "translate/endpoints.rs"]
mod endpoints;
#[path = "translate/folder.rs"]
mod folder;
#[path = "translate/memo.rs"]
mod memo;
#[path = "translate/memory.rs"]
mod memory;
#[path = "translate/order.rs"]
mod order;
#[path = "translate/routes.rs"]
mod routes;
#[path = "translate/saved.rs"]
mod saved;
#[path = "translate/takeover.rs"]
mod takeover;
#[path = "translate/vips.rs"]
mod vips;
#[path = "translate/walk.rs"]
mod walk;
#[path = "translate/watched.rs"]
mod watched;
#[path = "translate/watching.rs"]
mod watching;
