//! Folders of manifests in, model facts and report words out: a test per clause of `Ingress` v1, and the
//! corpus of broken manifests.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod bad_input;
mod certificates;
mod endpoints;
mod folder;
mod order;
mod routes;
mod vips;
mod watching;
