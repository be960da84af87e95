//! The real program without XDP and without privilege, over loopback: what it serves and what it says of itself.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its functions share"
)]

#[path = "agent/access.rs"]
mod access;
#[path = "agent/admin.rs"]
mod admin;
#[path = "agent/files.rs"]
mod files;
#[path = "agent/ordinary.rs"]
mod ordinary;
#[path = "agent/pod.rs"]
mod pod;
#[path = "agent/process.rs"]
mod process;
