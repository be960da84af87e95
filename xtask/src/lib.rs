//! The parts of xtask that others use: the eBPF object's [`recipe`], one for `cargo xtask build-ebpf`
//! and for the agent's build script, the [`lab`] of network namespaces, one for `cargo xtask demo` and for the
//! agent's tests, the [`control_plane`] and the container [`image`].

#![warn(missing_docs)]

#[cfg(feature = "lab")]
pub mod control_plane;
#[cfg(feature = "lab")]
pub mod image;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "lab")]
pub mod pod_runner;
pub mod recipe;
