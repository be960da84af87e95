//! Properties: the order in which objects arrive never changes the model, and a broken object never
//! changes another's routes.

use ingress_agent::model::Model;
use proptest::prelude::*;

use crate::folder::{BASE, describe, model_of, services, site};

/// A small world in which collisions are likely.
fn ingresses() -> impl Strategy<Value = Vec<String>> {
    let one = (0..3_u8, 0..3_u8, any::<bool>(), 0..3_u8, 0..4_u8, any::<bool>());
    let text = |index: usize,
                (host, path, exact, service, created, default): (u8, u8, bool, u8, u8, bool)| {
        let kind = if exact { "Exact" } else { "Prefix" };
        let host = ["host: a.test, ", "host: '*.a.test', ", ""][usize::from(host)];
        let path = ["/", "/x", "/x/y/"][usize::from(path)];
        let backend = format!("{{service: {{name: s{service}, port: {{number: 80}}}}}}");
        let default = if default {
            format!("defaultBackend: {backend}, ")
        } else {
            String::new()
        };
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: i{index}, creationTimestamp: '2024-01-0{}T00:00:00Z'}}\n\
             spec: {{ingressClassName: ours, {default}rules: [{{{host}http: {{paths: [{{pathType: {kind}, path: {path}, backend: {backend}}}]}}}}]}}\n",
            created + 1
        )
    };
    prop::collection::vec(one, 1..8)
        .prop_map(move |all| all.into_iter().enumerate().map(|(i, one)| text(i, one)).collect())
}

/// All that a site does, as text.
fn facts(model: &Model) -> Vec<String> {
    let mut facts = Vec::new();
    for (host, routes) in site(model).hosts.iter() {
        facts.extend(
            routes
                .routes
                .iter()
                .map(|route| format!("{host} {} of {}", describe(route), route.origin)),
        );
    }
    facts.extend(
        site(model)
            .default
            .iter()
            .map(|route| format!("default {} of {}", describe(route), route.origin)),
    );
    facts
}

fn translate(documents: &[String]) -> (Vec<String>, Vec<String>) {
    let text = services(&["s0", "s1"]) + &documents.concat();
    let (model, report) = model_of(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let words = report
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.object, finding.fault));
    (facts(&model), words.collect())
}

proptest! {
    // A failure prints its input; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arrival_order_means_nothing((sorted, shuffled) in ingresses().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))) {
        prop_assert_eq!(translate(&sorted), translate(&shuffled));
    }

    #[test]
    fn a_broken_object_changes_nobody_elses_routes(documents in ingresses(), at in any::<prop::sample::Index>(), broken in 0..4_usize) {
        let broken = [
            "---\na: [\n",
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken}\nspec: {ingressClassName: ours, rules: 5}\n",
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken}\nspec: {ingressClassName: ours, rules: [{host: a..b}]}\n",
            "---\napiVersion: v1\nkind: Service\nmetadata: {name: s0}\nspec: {ports: [{port: x}]}\n",
        ][broken];
        let (expected, _) = translate(&documents);
        let mut with = documents.clone();
        with.insert(at.index(documents.len() + 1), broken.to_owned());
        let (facts, words) = translate(&with);
        prop_assert_eq!(facts, expected);
        prop_assert!(!words.is_empty());
    }
}
