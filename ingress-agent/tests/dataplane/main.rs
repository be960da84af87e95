//! The kernel's side of the agent against the kernel: each test in network and mount namespaces of its own, with a
//! bpffs of its own, all of which end with the test's thread.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's support fails the test; figures go with its output"
)]

mod announce;
mod bed;
mod network;
mod serve;
mod start;
