//! The kernel's side of the agent.

pub mod keys;
pub mod numbers;
pub mod plan;
pub mod rendezvous;
pub mod siphash;
