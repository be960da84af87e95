//! Tells the linker of the eBPF object what the crate counts on.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("bpf") {
        // Headers in a packet are not aligned, and every kernel with a JIT reads them in whole words all the
        // same. Without this, code generation reads and writes them byte by byte.
        println!("cargo::rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    }
}
