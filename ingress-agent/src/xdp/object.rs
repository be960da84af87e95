//! The eBPF object, as `build.rs` made it.

/// The ELF file with the programs and their maps, aligned as its parser needs it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ingress-ebpf.o"));
