//! The parts of xtask that others use: the eBPF object's [`recipe`], one for `cargo xtask build-ebpf`
//! and for the agent's build script.

#![warn(missing_docs)]

pub mod recipe;
