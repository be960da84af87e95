//! Small words that are promises: `allow` with its reason, work left open with its issue, `unwrap` only in
//! tests.

use super::{Breach, Source};

/// How many lines an attribute may spread over.
const ATTRIBUTE: usize = 6;

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (line, code) in source.shipped() {
        if code.contains(".unwrap()") || code.contains(".unwrap_err()") {
            breaches.push(Breach::new(source, line, "`unwrap` outside tests"));
        }
    }
    for (index, code) in source.code.iter().enumerate() {
        let is_allow = ["#[allow(", "#![allow("]
            .iter()
            .any(|attribute| code.contains(attribute));
        let attribute = source.code.iter().skip(index).take(ATTRIBUTE);
        // The attribute ends at its first closing bracket.
        let mut has_reason = false;
        for code in attribute {
            has_reason |= code.contains("reason");
            if code.contains(")]") {
                break;
            }
        }
        if is_allow && !has_reason {
            breaches.push(Breach::new(
                source,
                index + 1,
                "`allow` without a reason (and `expect` is better)",
            ));
        }
    }
    for (index, comment) in source.comments.iter().enumerate() {
        let is_open = MARKS.iter().any(|mark| {
            comment
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == *mark)
        });
        let has_issue = comment
            .split('#')
            .skip(1)
            .any(|after| after.starts_with(|c: char| c.is_ascii_digit()));
        if is_open && !has_issue {
            breaches.push(Breach::new(
                source,
                index + 1,
                "work left open without its issue (`#NUMBER`)",
            ));
        }
    }
    breaches
}

/// Words that say that something is left to do.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
