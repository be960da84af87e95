//! Every rule sees its breach, and lets the rest be.

use std::collections::BTreeSet;

use super::*;

fn whats(breaches: &[Breach]) -> Vec<(usize, &str)> {
    breaches
        .iter()
        .map(|breach| (breach.line, breach.what.as_str()))
        .collect()
}

#[test]
fn comments_texts_and_characters_are_no_code() {
    let source = Source::new(
        "a/src/b.rs",
        "let a = \"x \\\" // y\"; // note: unwrap\nlet r = r#\"raw \" { \"#; let c = '\"'; let l: &'static str = b;\n/* one /* two */ still */ code();\n",
    );
    assert_eq!(source.code[0].trim_end(), "let a = \"         \";");
    assert!(source.comments[0].contains("note: unwrap"));
    assert!(
        source.code[1].ends_with("let l: &'static str = b;"),
        "{}",
        source.code[1]
    );
    assert!(!source.code[1].contains('{'));
    assert_eq!(source.code[2].trim(), "code();");
    assert_eq!(source.len(), 3);
}

#[test]
fn tests_are_told_from_what_ships() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
    let source = Source::new("a/src/b.rs", text);
    let shipped: Vec<_> = source.shipped().map(|(line, _)| line).collect();
    assert_eq!(shipped, [1, 6, 9, 10]);
    assert!(Source::new("a/src/b/tests.rs", text).shipped().next().is_none());
}

#[test]
fn boundaries_are_seen_in_every_kind_of_path() {
    let proxy = "use std::{fmt, io};\nuse crate::{model::Host, xdp::Plan};\nuse super::super::translate;\nfn f() { kube::api(); }\nuse hyper::Request;\n";
    let breaches = boundary::check(&Source::new("ingress-agent/src/proxy/table.rs", proxy));
    assert_eq!(
        whats(&breaches),
        [
            (2, "`proxy` may not name `crate::xdp`"),
            (3, "`proxy` may not name `crate::translate`"),
            (4, "`proxy` may not name the crate `kube`"),
        ]
    );
    let model = "use std::fmt;\nuse tokio::sync;\nuse http::Method;\nmod host;\nuse host::Host;\n";
    let breaches = boundary::check(&Source::new("ingress-agent/src/model.rs", model));
    assert_eq!(whats(&breaches), [(2, "`model` may not name the crate `tokio`")]);
    let tests = "#[cfg(test)]\nmod tests {\n    use kube::Api;\n}\n";
    assert!(boundary::check(&Source::new("ingress-agent/src/xdp/plan.rs", tests)).is_empty());
}

#[test]
fn the_packet_library_has_no_aya_and_one_home_for_unsafe() {
    let text = "use aya_ebpf::maps::Array;\nfn f() { unsafe { g() } }\n";
    let breaches = boundary::check(&Source::new("ingress-ebpf/src/parse.rs", text));
    assert_eq!(
        whats(&breaches),
        [
            (1, "the library may not name the crate `aya_ebpf`"),
            (2, "the library keeps `unsafe` in cursor.rs"),
        ]
    );
    assert!(boundary::check(&Source::new("ingress-ebpf/src/maps.rs", text)).is_empty());
}

#[test]
fn long_files_need_a_reason_or_a_split() {
    let lines = |count: usize| Source::new("a/src/b.rs", &"x();\n".repeat(count));
    assert!(length::check(&lines(400)).is_empty());
    assert_eq!(length::check(&lines(401)).len(), 1);
    assert!(length::check(&lines(601))[0].what.contains("split"));
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x();\n".repeat(200));
    assert_eq!(length::check(&Source::new("a/src/b.rs", &tests)).len(), 1);
}

#[test]
fn names_say_something_and_fit() {
    assert_eq!(name::check(&Source::new("a/src/utils.rs", "")).len(), 1);
    assert_eq!(name::check(&Source::new("a/src/b/mod.rs", "")).len(), 1);
    assert!(name::check(&Source::new("a/src/model.rs", "")).is_empty());
    let maps = "#[btf_map]\npub static FIFTEEN_LETTERS: A = A::new();\n#[btf_map]\nstatic SIXTEEN_LETTERS_: A = A::new();\n";
    let breaches = name::check(&Source::new("a/src/maps.rs", maps));
    assert_eq!(breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(), [4]);
}

#[test]
fn words_are_promises() {
    let text = concat!(
        "#[allow(dead_code)]\nfn a() { b().unwrap(); }\n#[allow(\n    dead_code,\n    reason = \"c\"\n)]\n// TO",
        "DO: later\n// TO",
        "DO: #12\n#[test]\nfn t() { b().unwrap(); }\n"
    );
    let breaches = wording::check(&Source::new("a/src/b.rs", text));
    assert_eq!(
        breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(),
        [2, 1, 7]
    );
}

#[test]
fn the_top_level_is_exact() {
    let mut names: BTreeSet<String> = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "deploy",
        "ingress-agent",
        "ingress-common",
        "ingress-ebpf",
        "xtask",
        ".git",
        "target",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(layout::compare(&names), []);
    names.insert("scripts".to_owned());
    names.remove("deploy");
    let paths: Vec<_> = layout::compare(&names)
        .into_iter()
        .map(|breach| breach.path)
        .collect();
    assert_eq!(paths, ["scripts", "deploy"]);
}
