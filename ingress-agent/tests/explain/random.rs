//! Random manifests, and random requests over HTTP/1.1, TLS and HTTP/2: what `explain` says of each is what a real
//! proxy in front of real pods does with it, down to the pod, the certificate and the redirect.
//!
//! A failure prints its seed; `EXPLAIN_SEED=SEED` runs that again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;

use ingress_agent::explain::{Answer, Basis, Explanation, Step, StepName, Subject, explain};
use ingress_agent::model::{Host, Model, Opening, Protocol, Vip};
use ingress_agent::proxy::Table;
use ingress_agent::translate::{Controllers, Translator};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::bed::{Bed, site};
use crate::folder::{folder, read};
use crate::manifests::{Pods, any_manifest, base};
use crate::raw::Reply;
use crate::wish::any_wish;

/// The openings of a bed: plain at its IPv4 address, TLS at its IPv6 one.
fn openings(bed: &Bed) -> Vec<Opening> {
    let opening = |address: SocketAddr, tls| Opening {
        vip: Vip {
            address: address.ip(),
            port: NonZeroU16::new(address.port()).unwrap(),
            protocol: Protocol::Tcp,
        },
        tls,
    };
    vec![opening(bed.plain(), false), opening(bed.tls(), true)]
}

fn step(explanation: &Explanation, name: StepName) -> Option<&Step> {
    explanation.steps.iter().find(|step| step.step == name)
}

/// That the certificate is the one that is told.
fn agree_on_certificate(explanation: &Explanation, model: &Model, shown: &[u8]) -> Result<(), TestCaseError> {
    let told = step(explanation, StepName::Certificate).expect("a certificate");
    let site = &model.listeners.iter().find(|listener| listener.tls).unwrap().site;
    let quoted = told.value.strip_prefix("the certificate for `");
    let Some(pattern) = quoted.and_then(|rest| rest.split('`').next()) else {
        prop_assert!(
            !told.ok && told.value.starts_with("the agent's own"),
            "{}",
            explanation
        );
        let own = site.certificates.values().all(|pair| pair.chain[0] != shown);
        prop_assert!(own, "another's certificate\n{}", explanation);
        return Ok(());
    };
    let pair = site.certificates.get(&Host::parse(pattern).unwrap()).unwrap();
    prop_assert_eq!(&pair.chain[0], shown, "{}", explanation);
    prop_assert_eq!(
        told.object.clone(),
        Some(pair.origin.to_string()),
        "{}",
        explanation
    );
    let is_old = &*pair.origin.name == "old";
    prop_assert_eq!(told.ok, !is_old, "{}", explanation);
    prop_assert_eq!(
        told.value.contains("valid until 2020-01-01"),
        is_old,
        "{}",
        explanation
    );
    Ok(())
}

/// That the answer is the one that is told.
pub(crate) fn agree_on_answer<'a>(
    explanation: &Explanation,
    method: &str,
    pod: impl Fn(SocketAddr) -> Option<&'a str>,
    reply: &Reply,
) -> Result<(), TestCaseError> {
    let beyond = explanation
        .steps
        .iter()
        .filter(|step| step.step != StepName::Certificate);
    let all_well = beyond.clone().all(|step| step.ok);
    let has_body = method != "HEAD";
    match &explanation.answer {
        Answer::Forwarded { endpoints } => {
            prop_assert_eq!(reply.status, 200, "{}", explanation);
            let names: Vec<_> = endpoints.iter().filter_map(|address| pod(*address)).collect();
            prop_assert!(
                !has_body || names.contains(&reply.text()),
                "{}\n{:?}",
                explanation,
                reply
            );
            prop_assert!(all_well, "{}", explanation);
        }
        Answer::Answered { status, why } => {
            prop_assert_eq!(reply.status, *status, "{}", explanation);
            prop_assert!(
                !has_body || reply.text().contains(why.as_str()),
                "{}\n{:?}",
                explanation,
                reply
            );
            let last = explanation.steps.last().expect("a step");
            prop_assert!(
                !last.ok && last.why.is_some() && last.change.is_some(),
                "{}",
                explanation
            );
        }
        Answer::Redirected { status, location } => {
            prop_assert_eq!(reply.status, *status, "{}", explanation);
            prop_assert_eq!(
                reply.field("location"),
                Some(location.as_str()),
                "{}",
                explanation
            );
            prop_assert!(all_well, "{}", explanation);
        }
        Answer::Unserved { .. } => prop_assert!(false, "{}", explanation),
    }
    Ok(())
}

/// That every one of several endpoints that are told answers now and then.
fn agree_on_endpoints(
    explanation: &Explanation,
    method: &str,
    pods: &Pods,
    mut again: impl FnMut() -> Reply,
) -> Result<(), TestCaseError> {
    let Answer::Forwarded { endpoints } = &explanation.answer else {
        return Ok(());
    };
    let mut silent: BTreeSet<_> = endpoints
        .iter()
        .filter_map(|address| pods.name(*address))
        .collect();
    // By EWMA the quicker of two gets all that comes one by one.
    let policies = step(explanation, StepName::Policies).expect("the policies");
    if silent.len() < 2 || method == "HEAD" || policies.value.contains("ewma") {
        return Ok(());
    }
    for _ in 0..60 {
        silent.remove(again().text());
        if silent.is_empty() {
            return Ok(());
        }
    }
    prop_assert!(false, "{:?} never answer\n{}", silent, explanation);
    Ok(())
}

#[test]
fn explain_and_the_data_plane_never_disagree_on_random_manifests() {
    let random = || {
        u64::from_le_bytes(
            rcgen::KeyPair::generate().unwrap().public_key_raw()[1..9]
                .try_into()
                .unwrap(),
        )
    };
    let seed: u64 = std::env::var("EXPLAIN_SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = ProptestConfig {
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::with_cases(32)
    };
    let pods = Pods::start();
    let base = base() + &pods.manifest();
    let bed = Bed::start(site(&[]));
    let seen = RefCell::new(BTreeMap::<String, usize>::new());
    let wishes = proptest::collection::vec(any_wish(), 25);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&(any_manifest(), wishes), |(manifest, wishes)| {
            let dir = folder(&[("base.yaml", &base), ("test.yaml", &manifest)]);
            let snapshot = read(dir.path());
            let (model, report) = Translator::new(Controllers::WithIngressNginx).translate_at(
                &snapshot,
                &openings(&bed),
                &BTreeSet::new(),
            );
            bed.proxy.swap(Table::from(&model)).unwrap();
            for wish in wishes {
                let request = wish.request(bed.port);
                let explanation = bed.proxy.read(|table| {
                    let subject = Subject {
                        snapshot: &snapshot,
                        model: &model,
                        report: &report,
                        table,
                        basis: Basis::Agent,
                    };
                    explain(&subject, &request)
                });
                let told = step(&explanation, StepName::Certificate);
                let http2 = told.is_some_and(|step| step.value.ends_with("HTTP/2 by ALPN"));
                prop_assert!(!http2 || wish.http2, "{}", explanation);
                let (reply, shown) = wish.send(&bed, http2);
                agree_on_answer(&explanation, &wish.method, |address| pods.name(address), &reply)?;
                agree_on_endpoints(&explanation, &wish.method, &pods, || wish.send(&bed, http2).0)?;
                if wish.tls {
                    agree_on_certificate(&explanation, &model, &shown)?;
                }
                let last = explanation.steps.last().map(|step| step.step);
                let spoken = if http2 { "h2" } else { "h1" };
                let kind = format!("{spoken} {} {}", reply.status, last.unwrap());
                *seen.borrow_mut().entry(kind).or_default() += 1;
            }
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("EXPLAIN_SEED={seed}: {error}");
    }
    let seen = seen.into_inner();
    // What is compared is no accident of chance: each of these is one case in twenty at least.
    for kind in [
        "h1 200 endpoints",
        "h2 200 endpoints",
        "h1 404 path",
        "h1 404 host",
        "h1 400 request",
    ] {
        assert!(
            seen.contains_key(kind),
            "EXPLAIN_SEED={seed}: no {kind} in {seen:#?}"
        );
    }
}
