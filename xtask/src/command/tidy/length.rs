//! File length: over 400 lines a file needs a reason here, over 600 it is split.

use super::{Breach, Source};

/// Above this a file needs a reason.
const LONG: usize = 400;
/// Above this no reason helps.
const TOO_LONG: usize = 600;
/// Above this the tests inside a file move to a file of their own.
const LONG_TESTS: usize = 200;

/// Files of more than [`LONG`] lines, and why.
const REASONS: &[(&str, &str)] = &[];

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let length = source.len();
    let has_reason = REASONS.iter().any(|(path, _)| *path == source.path);
    let mut breaches = Vec::new();
    if length > TOO_LONG {
        breaches.push(Breach::new(
            source,
            0,
            format!("{length} lines; split it (at most {TOO_LONG})"),
        ));
    } else if length > LONG && !has_reason {
        let what = format!("{length} lines; over {LONG} a file needs a reason in {}", file!());
        breaches.push(Breach::new(source, 0, what));
    } else if length <= LONG && has_reason {
        breaches.push(Breach::new(
            source,
            0,
            format!("is short now: take its reason out of {}", file!()),
        ));
    }
    let tests = source.test.iter().filter(|test| **test).count();
    if tests > LONG_TESTS && tests < source.test.len() {
        let what = format!("{tests} lines of tests; over {LONG_TESTS} they move to a file of their own");
        breaches.push(Breach::new(source, 0, what));
    }
    breaches
}
