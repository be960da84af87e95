use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use flate2::read::GzDecoder;

use super::*;

/// A static program, the smallest that the format knows: a head without segments.
fn program(byte: u8) -> Program {
    let mut elf = vec![0; 64];
    elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    elf[18] = 62; // x86-64
    elf[20] = 1;
    elf[52] = 64;
    elf[54] = 56;
    elf.push(byte);
    Program::parse(elf).unwrap()
}

fn written(image: &Image) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    image.write(&path).unwrap();
    fs::read(path).unwrap()
}

/// The archive's files by name.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

#[test]
fn the_same_program_makes_the_same_bytes() {
    let image = Image::new(&program(1)).unwrap();
    let again = Image::new(&program(1)).unwrap();
    assert_eq!(written(&image), written(&again));
    assert_eq!(image.digest(), again.digest());
    assert_ne!(image.digest(), Image::new(&program(2)).unwrap().digest());
}

#[test]
fn what_the_index_names_is_there_under_its_digest() {
    let image = Image::new(&program(1)).unwrap();
    let files = files(&written(&image));
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let blob = |descriptor: &Value| {
        let name = descriptor["digest"].as_str().unwrap();
        let bytes = &files[&format!("blobs/{}", name.replace(':', "/"))];
        assert_eq!(digest(bytes), name);
        assert_eq!(descriptor["size"], bytes.len());
        bytes.as_slice()
    };
    assert_eq!(json(&files["oci-layout"]), json!({"imageLayoutVersion": "1.0.0"}));
    let index = json(&files["index.json"]);
    let named = &index["manifests"][0];
    assert_eq!(named["digest"], image.digest());
    assert_eq!(
        named["annotations"]["io.containerd.image.name"],
        format!("{NAME}:{TAG}")
    );
    let manifest = json(blob(named));
    let config = json(blob(&manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], json!([ENTRYPOINT]));
    assert_eq!(config["config"]["User"], USER);
    assert_eq!(config["architecture"], "amd64");
    let mut tar = Vec::new();
    GzDecoder::new(blob(&manifest["layers"][0]))
        .read_to_end(&mut tar)
        .unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&tar)]));
    assert_eq!(files.len(), 5, "{:?}", files.keys());
}

#[test]
fn its_root_is_one_program_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let program = program(1);
    unpack(&program, root.path()).unwrap();
    let entries: Vec<_> = fs::read_dir(root.path()).unwrap().map(Result::unwrap).collect();
    let [entry] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(entry.file_name(), "ingress-agent");
    assert_eq!(fs::read(entry.path()).unwrap(), program.bytes());
    assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn a_program_that_needs_more_than_a_kernel_is_refused() {
    // Cargo links tests dynamically here.
    let error = Program::read(&std::env::current_exe().unwrap()).unwrap_err();
    assert!(
        format!("{error:#}").contains("is linked dynamically"),
        "{error:#}"
    );
    let error = Program::parse(b"#!/bin/sh\n".to_vec()).unwrap_err();
    assert!(
        format!("{error:#}").contains("not a 64-bit ELF file"),
        "{error:#}"
    );
}

/// By skopeo, which checks every digest of what it copies.
#[test]
fn a_client_of_registries_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("image.tar");
    let image = Image::new(&program(1)).unwrap();
    image.write(&archive).unwrap();
    let source = format!("oci-archive:{}", archive.display());
    let skopeo = |arguments: &[&str]| {
        let output = match Command::new("skopeo").args(arguments).output() {
            Ok(output) => output,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "skopeo: {error}");
                eprintln!("not run: skopeo: {error}; `cargo xtask test` installs it");
                return None;
            }
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(output.stdout)
    };
    let Some(inspected) = skopeo(&["inspect", &source]) else {
        return;
    };
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    assert_eq!(inspected["Digest"], image.digest());
    assert_eq!(inspected["Labels"]["org.opencontainers.image.version"], TAG);
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
    let copy = format!("dir:{}", directory.path().join("copy").display());
    skopeo(&["copy", "--insecure-policy", &source, &copy]).unwrap();
}
