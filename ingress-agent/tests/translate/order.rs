//! Properties: the order in which objects arrive never changes the model, and a broken object never
//! changes another's routes.

use std::sync::LazyLock;

use ingress_agent::model::Model;
use ingress_agent::translate::{Controllers, Translator};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rcgen::{CertificateParams, KeyPair};

use crate::folder::{BASE, NGINX, folder, read, services, within};

const NAMESPACES: [&str; 2] = ["a", "b"];

/// What the Ingresses refer to: in each namespace two Services, one of them in two slices that do not agree, and
/// a certificate. Each with a class that is not ours beside them.
static REFERRED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut documents = vec![
        "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: theirs}\nspec: {controller: example.com/other}\n".to_owned(),
        NGINX.to_owned(),
    ];
    for namespace in NAMESPACES {
        let key = KeyPair::generate().unwrap();
        let names = ["a.test".to_owned(), "*.a.test".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let pair = serde_json::json!({"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()});
        let rest = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: t}}\ntype: kubernetes.io/tls\nstringData: {pair}\n\
             ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s0-y, labels: {{kubernetes.io/service-name: s0}}}}\n\
             addressType: IPv4\nports: [{{name: '', port: 8080}}]\nendpoints: [{{addresses: [10.1.0.1], conditions: {{ready: false, serving: true, terminating: true}}}}, {{addresses: [10.1.0.2]}}]\n"
        );
        let all = within(namespace, &(services(&["s0", "s1"]) + &rest));
        documents.extend(
            all.split("---\n")
                .skip(1)
                .map(|document| format!("---\n{document}")),
        );
    }
    documents
});

/// An Ingress of a small world in which collisions are likely: hosts shared by namespaces, TLS, annotations of
/// every class, default backends, Services that are missing, classes of others.
fn ingress() -> impl Strategy<Value = String> {
    let place = (
        select(&NAMESPACES[..]),
        select(vec![
            "host: a.test, ",
            "host: A.test, ",
            "host: b.a.test, ",
            "host: '*.a.test', ",
            "",
        ]),
        select(vec!["Exact", "Prefix", "ImplementationSpecific"]),
        select(vec!["/", "/x", "/x/", "/x/y", "/xy", "/%78"]),
        0..3_u8,
    );
    let rest = (
        1..4_u8,
        select(vec!["ours", "ours", "nginx", "nginx", "theirs"]),
        any::<bool>(),
        select(vec![
            "",
            "tls: [{hosts: [a.test], secretName: t}], ",
            "tls: [{secretName: t}], ",
            "tls: [{hosts: [b.a.test], secretName: missing}], ",
        ]),
        select(vec![
            "x/y: z",
            "ingress-agent.dev/force-ssl-redirect: 'true'",
            "ingress-agent.dev/proxy-body-size: 2m",
            "ingress-agent.dev/auth-type: basic",
            "ingress-agent.dev/use-regex: 'true'",
            "ingress-agent.dev/canary: 'true'",
            "kubernetes.io/ingress.class: ours",
        ]),
    );
    (place, rest).prop_map(|((namespace, host, kind, path, service), (day, class, default, tls, annotation))| {
        let backend = format!("{{service: {{name: s{service}, port: {{number: 80}}}}}}");
        let default = if default { format!("defaultBackend: {backend}, ") } else { String::new() };
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\n\
             metadata: {{name: NAME, namespace: {namespace}, creationTimestamp: '2024-01-0{day}T00:00:00Z', annotations: {{{annotation}}}}}\n\
             spec: {{ingressClassName: {class}, {tls}{default}rules: [{{{host}http: {{paths: [{{pathType: {kind}, path: '{path}', backend: {backend}}}]}}}}]}}\n"
        )
    })
}

/// All documents but the class's and the pool's.
fn documents() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(ingress(), 1..10).prop_map(|all| {
        let all = all.into_iter().enumerate();
        let named = all.map(|(at, text)| text.replace("NAME", &format!("i{at}")));
        REFERRED.iter().cloned().chain(named).collect()
    })
}

/// All that the model says, and all that is said of its objects but of `broken`.
fn translate(documents: &[String]) -> (Model, Vec<String>) {
    // Both classes at the same addresses, so that their Ingresses meet.
    let pool = BASE.replace("[ours]", "[ours, nginx]").replace(
        "spec: {addresses",
        "status: {assignments: [ASSIGNED]}\nspec: {addresses",
    );
    let assigned = ["192.0.2.10", "'2001:db8::10'"]
        .map(|address| format!("{{address: {address}, class: ours}}, {{address: {address}, class: nginx}}"));
    let base = pool.replace("ASSIGNED", &assigned.join(", "));
    let folder = folder(&[("base.yaml", &base), ("test.yaml", &documents.concat())]);
    let (model, report) = Translator::new(Controllers::WithIngressNginx).translate(&read(folder.path()));
    let of_others = report.findings.iter().filter(|finding| {
        &*finding.object.name != "broken" && !matches!(finding.object.kind, "File" | "Object")
    });
    let words = of_others.map(|finding| format!("{} {}", finding.object, finding.fault));
    (model, words.collect())
}

/// What belongs to nobody but those that were there before: every listener's routes, default and certificates.
fn facts(model: &Model) -> Vec<String> {
    let mut facts = vec![format!("{:?}", model.pools)];
    for listener in &model.listeners {
        let site = &listener.site;
        facts.push(format!(
            "{:?} {} {:?} {:?}",
            listener.vip, listener.tls, site.default, site.certificates
        ));
        for (host, found) in site.hosts.iter() {
            let others = found
                .routes
                .iter()
                .filter(|route| &*route.origin.name != "broken");
            facts.extend(others.map(|route| format!("{host} {route:?}")));
        }
    }
    facts
}

/// Broken objects, each in one way. What of them can be read claims nothing that is another's.
const BROKEN: &[&str] = &[
    "a: [",
    "kind: Ingress",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken, namespace: a}\nspec: {ingressClassName: ours, rules: 5}",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken, namespace: a}\nspec: {ingressClassName: ours, rules: [{host: a..b}]}",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken, namespace: a, creationTimestamp: '2020-01-01T00:00:00Z'}\nspec: {ingressClassName: ours, rules: [{host: a.test, http: {paths: [{path: /x//y, pathType: Prefix, backend: {service: {name: s0, port: {number: 80}}}}]}}]}",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken, namespace: c, annotations: {ingress-agent.dev/use-regex: 'true'}}\nspec: {ingressClassName: ours, rules: [{host: b.a.test, http: {paths: [{path: x, pathType: Exact, backend: {service: {name: s0, port: {number: 80}}}}]}}]}",
    "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken, namespace: a}\nspec: {ingressClassName: ours, rules: [{host: broken.test, http: {paths: [{path: /, pathType: Prefix, backend: {resource: {kind: B, name: x}}}]}}]}",
    "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: broken}\nspec: 5",
    "apiVersion: v1\nkind: Service\nmetadata: {name: s0, namespace: a}\nspec: {ports: [{port: x}]}",
    "apiVersion: v1\nkind: Service\nmetadata: {name: broken, namespace: a}\nspec: {ports: [{port: 99999}]}",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: a}\ntype: kubernetes.io/tls\nstringData: {tls.crt: x, tls.key: y}",
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: broken, namespace: a, labels: {kubernetes.io/service-name: s0}}\naddressType: FQDN\nendpoints: [{addresses: [x.test]}]",
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: broken, namespace: a, labels: {kubernetes.io/service-name: s0}}\naddressType: IPv4\nports: [{name: '', port: 8080}]\nendpoints: [{addresses: [127.0.0.1]}, {addresses: [x]}]",
    "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {name: broken}\nspec: {addresses: [nonsense]}",
];

proptest! {
    // A failure prints its input; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arrival_order_means_nothing((sorted, shuffled) in documents().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))) {
        let (expected, told) = translate(&sorted);
        let (model, told_shuffled) = translate(&shuffled);
        prop_assert_eq!(format!("{model:?}"), format!("{expected:?}"));
        prop_assert_eq!(told_shuffled, told);
    }

    #[test]
    fn a_broken_object_changes_nobody_elses_routes(documents in documents(), at in any::<Index>(), broken in select(BROKEN)) {
        let (expected, told) = translate(&documents);
        let mut with = documents.clone();
        with.insert(at.index(documents.len() + 1), format!("---\n{broken}\n"));
        let (model, told_with) = translate(&with);
        prop_assert_eq!(facts(&model), facts(&expected));
        // Nor is anything said of others that was not said before, but of the very object that is written twice.
        let new = told_with.iter().filter(|words| !told.contains(words) && !words.starts_with("Service a/s0"));
        prop_assert_eq!(new.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}
