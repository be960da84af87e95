//! The kernel's side of the agent.

pub mod attach;
pub mod btf;
pub mod keys;
pub mod load;
pub mod lock;
pub mod maps;
pub mod netlink;
pub mod numbers;
pub mod object;
pub mod pins;
pub mod plan;
pub mod privilege;
pub mod rendezvous;
pub mod siphash;
pub mod sys;
