//! The parts of the project's own commands that others use: the eBPF object's recipe (the agent's build
//! script) and the lab (the agent's tests).

#[cfg(feature = "lab")]
pub mod lab;
