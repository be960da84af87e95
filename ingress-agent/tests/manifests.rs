//! From manifests to answers: folders of ordinary YAML, translated, served by a proxy in this process and asked
//! over real connections. What the other tests hold in parts is held here from end to end.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod bed;
#[path = "translate/folder.rs"]
#[expect(dead_code, reason = "shared with the tests of translate")]
mod folder;
#[path = "support/raw.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod raw;
#[path = "support/recorder.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod recorder;
#[path = "support/reference.rs"]
mod reference;

#[path = "manifests/annotations.rs"]
mod annotations;
#[path = "manifests/clauses.rs"]
mod clauses;
#[path = "manifests/cve.rs"]
mod cve;
#[path = "manifests/takeover.rs"]
mod takeover;
#[path = "manifests/tls.rs"]
mod tls;
#[path = "manifests/world.rs"]
mod world;
