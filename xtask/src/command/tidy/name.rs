//! Names: files that say what they are, and map names that the kernel keeps whole.

use super::{Breach, Source};

/// Names that say nothing.
const EMPTY: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "misc", "types", "mod",
];

/// `BPF_OBJ_NAME_LEN - 1`: longer names are cut by the kernel.
const MAP_NAME: usize = 15;

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let stem = source
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs");
    if EMPTY.contains(&stem) {
        breaches.push(Breach::new(
            source,
            0,
            format!("a file called `{stem}` says nothing of what is in it"),
        ));
    }
    let lines: Vec<_> = source.shipped().collect();
    for (index, (_, code)) in lines.iter().enumerate() {
        let is_map = ["#[btf_map", "#[map"]
            .iter()
            .any(|attribute| code.trim_start().starts_with(attribute));
        if !is_map {
            continue;
        }
        let declared = lines
            .iter()
            .skip(index)
            .find_map(|&(line, code)| Some((line, static_name(code)?)));
        if let Some((line, name)) = declared.filter(|(_, name)| name.len() > MAP_NAME) {
            let what = format!("the map name {name} has more than {MAP_NAME} characters");
            breaches.push(Breach::new(source, line, what));
        }
    }
    breaches
}

/// The name in `static NAME: ...`.
fn static_name(code: &str) -> Option<&str> {
    let (_, behind) = code.split_once("static ")?;
    Some(behind.trim_start_matches("mut ").split(':').next()?.trim())
}
