//! What a change costs among 10,000 Ingresses, 5,000 Services of three endpoints and 1,000 certificates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::digest::Ingress;
use ingress_agent::translate::{Entry, Snapshot, Translator};
use rcgen::KeyPair;
use serde_json::json;

use crate::memory::{base, entry, ingress, path, secret, service, slice};

const INGRESSES: usize = 10_000;
const SERVICES: usize = 5_000;
const CERTIFICATES: usize = 1_000;
const EDITS: usize = 300;

fn web(at: usize, edit: usize) -> Arc<Ingress> {
    let host = format!("h{at}.example.test");
    let paths = [
        path("/", &format!("s{}", at % SERVICES)),
        path(&format!("/edit/{edit}"), &format!("s{}", (at + 1) % SERVICES)),
    ];
    let mut spec = json!({"rules": [{"host": host, "http": {"paths": paths}}]});
    if at < CERTIFICATES {
        spec["tls"] = json!([{"hosts": [host], "secretName": format!("t{at}")}]);
    }
    ingress(
        &format!("i{at}"),
        &json!({"ingress-agent.dev/proxy-body-size": "8m"}),
        spec,
    )
}

fn addresses(at: usize, edit: usize) -> Vec<String> {
    let address = |n: usize| format!("10.{}.{}.{}", at / 250, at % 250, (n + edit) % 250 + 1);
    (0..3).map(address).collect()
}

fn numbered<T>(count: usize, make: impl Fn(usize) -> Arc<T>) -> Vec<Entry<T>> {
    (0..count).map(|at| entry(at, &make(at))).collect()
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a measurement: cargo test --release")]
fn a_change_among_ten_thousand_ingresses_costs_ten_milliseconds_at_most() {
    let key = KeyPair::generate().unwrap();
    let certified = |at| secret(&format!("t{at}"), &format!("h{at}.example.test"), &key);
    let mut snapshot = Snapshot {
        ingresses: numbered(INGRESSES, |at| web(at, 0)),
        services: numbered(SERVICES, |at| service(&format!("s{at}"))),
        endpoints: numbered(SERVICES, |at| slice(&format!("s{at}"), &addresses(at, 0))),
        secrets: numbered(CERTIFICATES, certified),
        ..base()
    };
    let mut translator = Translator::default();
    let begin = Instant::now();
    let (model, report) = translator.translate(&snapshot);
    let first = begin.elapsed();
    assert_eq!(model.listeners[0].site.hosts.len(), INGRESSES);
    assert_eq!(report.findings, []);
    let mut last = model;
    let mut took: Vec<Duration> = Vec::new();
    for edit in 1..=EDITS {
        let at = edit * 31;
        match edit % 3 {
            0 => snapshot.ingresses[at].value = web(at, edit),
            1 => {
                snapshot.endpoints[at % SERVICES].value =
                    slice(&format!("s{}", at % SERVICES), &addresses(at % SERVICES, edit))
            }
            _ => snapshot.secrets[at % CERTIFICATES].value = certified(at % CERTIFICATES),
        }
        let begin = Instant::now();
        let (model, _) = translator.translate(&snapshot);
        took.push(begin.elapsed());
        assert!(
            !Arc::ptr_eq(&model.listeners[0].site, &last.listeners[0].site),
            "edit {edit} changed nothing"
        );
        last = model;
    }
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    eprintln!("the first {first:?}, a change: p50 {median:?}, p99 {p99:?}");
    assert!(p99 <= Duration::from_millis(10), "p99 {p99:?}");
}
