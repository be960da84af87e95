//! A strict reader of the text format of OpenMetrics 1.0: whatever it does not allow fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// Every series, its labels sorted, and its value.
pub(crate) type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads a whole exposition.
pub(crate) fn parse(text: &str) -> Series {
    let body = text.strip_suffix("# EOF\n").expect("it ends with `# EOF`");
    let mut series = Series::new();
    let mut families = BTreeSet::new();
    // The family under way: its name and its type.
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let [word, name, said] = [(); 3].map(|()| words.next().unwrap_or_default());
            if word == "HELP" && name != family {
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                (family, kind) = (name.to_owned(), String::new());
                assert!(!said.is_empty(), "{name} has no words");
            } else if word == "TYPE" {
                assert!(name == family && kind.is_empty(), "{line}");
                kind = said.to_owned();
                assert!(["counter", "gauge", "histogram"].contains(&said), "{line}");
            } else {
                assert!(word == "UNIT" && name == family, "{line}");
                assert!(name.ends_with(&format!("_{said}")), "{line}");
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let suffix = name
            .strip_prefix(&family)
            .unwrap_or_else(|| panic!("{line} is in {family}"));
        let allowed: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            _ => &["_bucket", "_sum", "_count"],
        };
        assert!(allowed.contains(&suffix), "{line} in a {kind}");
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert!(series.insert((name, labels), value).is_none(), "twice: {line}");
    }
    histograms(&series);
    series
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut letters = after.char_indices();
            let end = loop {
                match letters.next().unwrap() {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(match letters.next().unwrap().1 {
                        'n' => '\n',
                        letter @ ('"' | '\\') => letter,
                        other => panic!("\\{other} in {line}"),
                    }),
                    (_, letter) => value.push(letter),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "{line}");
    (name.to_owned(), labels, value.parse().unwrap())
}

/// Buckets grow, and the last is the count.
fn histograms(series: &Series) {
    let mut buckets: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), count) in series {
        if let Some(family) = name.strip_suffix("_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").unwrap().parse().unwrap();
            buckets.entry((family, labels)).or_default().push((bound, *count));
        }
    }
    assert!(!buckets.is_empty());
    for ((family, labels), mut buckets) in buckets {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family}");
        let last = buckets.last().unwrap();
        let count = series[&(format!("{family}_count"), labels.clone())];
        assert_eq!(*last, (f64::INFINITY, count), "{family}");
        assert!(
            series.contains_key(&(format!("{family}_sum"), labels)),
            "{family}"
        );
    }
}
