//! `explain`: what it says of manifests, and that it never disagrees with the data plane.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "support/address.rs"]
mod address;
#[path = "explain/agreement.rs"]
mod agreement;
#[path = "support/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod bed;
#[path = "explain/certificate.rs"]
mod certificate;
#[path = "translate/folder.rs"]
#[expect(dead_code, reason = "shared with the tests of translate")]
mod folder;
#[path = "support/handshake.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod handshake;
#[path = "explain/manifests.rs"]
mod manifests;
#[path = "explain/random.rs"]
mod random;
#[path = "support/raw.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod raw;
#[path = "support/recorder.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod recorder;
#[path = "support/reference.rs"]
#[expect(dead_code, reason = "shared with the tests of the proxy")]
mod reference;
#[path = "explain/shapes.rs"]
mod shapes;
#[path = "explain/wish.rs"]
mod wish;
#[path = "explain/words.rs"]
mod words;
