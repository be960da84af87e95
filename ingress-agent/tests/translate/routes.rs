//! Hosts, paths, precedence, default backends, ties, classes: `Ingress` v1, clause by clause.

use crate::folder::{BASE, causes, describe, ingress, model, model_of, routes, services, site, target};

#[test]
fn longest_path_first_then_exact_before_prefix() {
    let paths = [
        ("Prefix", "/", "s1"),
        ("Prefix", "/a", "s2"),
        ("Exact", "/a", "s3"),
        ("ImplementationSpecific", "/a/b/", "s4"),
    ];
    let text = ingress("web", "a.test", &paths) + &services(&["s1", "s2", "s3", "s4"]);
    let (model, report) = model(&text);
    let expected = [
        "Prefix /a/b -> s4",
        "Exact /a -> s3",
        "Prefix /a -> s2",
        "Prefix / -> s1",
    ];
    assert_eq!(routes(site(&model), "a.test").unwrap(), expected);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn hosts_are_exact_wildcard_or_any_without_case() {
    let text = ingress("a", "A.Test", &[("Prefix", "/", "s")])
        + &ingress("b", "*.a.test", &[("Prefix", "/", "s")])
        + &ingress("c", "*", &[("Prefix", "/", "s")])
        + &services(&["s"]);
    let (model, report) = model(&text);
    let hosts: Vec<_> = site(&model).hosts.keys().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a.test", "*.a.test", "*"]);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn the_same_service_port_is_one_backend() {
    let text = ingress("web", "a.test", &[("Prefix", "/a", "s"), ("Prefix", "/b", "s")]) + &services(&["s"]);
    let (model, _) = model(&text);
    let routes = &site(&model).hosts.values().next().unwrap().routes;
    let backend = |at: usize| match &routes[at].action {
        ingress_agent::model::Action::Forward(backend) => std::sync::Arc::as_ptr(backend),
        ingress_agent::model::Action::Refuse => panic!("refused"),
    };
    assert_eq!(backend(0), backend(1));
}

fn with_default(name: &str, rules: &str, service: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: ours\n  \
         defaultBackend: {{service: {{name: {service}, port: {{number: 80}}}}}}\n  {rules}\n"
    )
}

#[test]
fn a_default_backend_serves_what_no_rule_matches_on_its_hosts_and_elsewhere() {
    let rules = "rules: [{host: a.test, http: {paths: [{path: /x, pathType: Exact, backend: {service: {name: s, port: {number: 80}}}}]}}]";
    let text = with_default("web", rules, "fallback") + &services(&["s", "fallback"]);
    let (model, report) = model(&text);
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        ["Exact /x -> s", "Prefix / -> fallback"]
    );
    assert_eq!(
        describe(site(&model).default.as_ref().unwrap()),
        "Prefix / -> fallback"
    );
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn a_rule_for_the_root_beats_an_older_default_backend() {
    let text = with_default("a", "rules: [{host: a.test}]", "fallback")
        + &ingress("b", "a.test", &[("Prefix", "/", "s")])
        + &services(&["s", "fallback"]);
    let (model, _) = model(&text);
    assert_eq!(routes(site(&model), "a.test").unwrap(), ["Prefix / -> s"]);
}

#[test]
fn a_rule_without_http_gives_its_host_to_the_default_backend() {
    let (with, _) = model(&(with_default("web", "rules: [{host: a.test}]", "s") + &services(&["s"])));
    assert_eq!(routes(site(&with), "a.test").unwrap(), ["Prefix / -> s"]);
}

#[test]
fn one_catch_all_the_first_counts_and_the_other_is_told() {
    let text = with_default("first", "", "s1") + &with_default("second", "", "s2") + &services(&["s1", "s2"]);
    let (model, report) = model(&text);
    assert_eq!(target(site(&model).default.as_ref().unwrap()), "s1");
    assert_eq!(
        causes(&report),
        ["Ingress default/second: refused default-backend-taken"]
    );
    assert!(
        report.findings[0].to_string().contains("Ingress default/first"),
        "{}",
        report.findings[0]
    );
}

#[test]
fn the_older_ingress_keeps_a_path_and_the_other_is_told_whose_it_is() {
    let dated = |name: &str, created: &str, service: &str| {
        let text = ingress(name, "a.test", &[("Prefix", "/a/", service)]);
        text.replace(
            &format!("{{name: {name}}}"),
            &format!("{{name: {name}, creationTimestamp: '{created}'}}"),
        )
    };
    let text = ingress("none", "a.test", &[("Prefix", "/a", "s")])
        + &dated("young", "2024-02-01T00:00:00Z", "s")
        + &dated("old-a", "2024-01-01T00:00:00Z", "s")
        + &dated("old-b", "2024-01-01T00:00:00Z", "winner")
        + &services(&["s", "winner"]);
    let (model, report) = model(&text);
    assert_eq!(routes(site(&model), "a.test").unwrap(), ["Prefix /a -> winner"]);
    let losers = ["none", "old-a", "young"].map(|name| format!("Ingress default/{name}: refused path-taken"));
    assert_eq!(causes(&report), losers);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.to_string().contains("Ingress default/old-b"))
    );
}

#[test]
fn exact_and_prefix_of_one_path_are_two_paths() {
    let text = ingress("a", "a.test", &[("Prefix", "/x", "s1")])
        + &ingress("b", "a.test", &[("Exact", "/x", "s2")])
        + &services(&["s1", "s2"]);
    let (model, report) = model(&text);
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        ["Exact /x -> s2", "Prefix /x -> s1"]
    );
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn ingresses_of_other_classes_are_neither_served_nor_judged() {
    let other = "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: other}\nspec: {controller: k8s.io/ingress-nginx}\n";
    let text = ingress("theirs", "b.test", &[("Prefix", "/", "missing")]).replace("ours", "other")
        + &ingress("nobodys", "c.test", &[("Prefix", "/", "missing")]).replace("ours", "unknown")
        + &ingress("classless", "d.test", &[("Prefix", "/", "missing")])
            .replace("ingressClassName: ours", "")
        + other;
    let (model, report) = model(&text);
    assert!(site(&model).hosts.is_empty());
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn the_class_annotation_takes_precedence_over_the_field() {
    let annotated = |name: &str, annotation: &str, class: &str| {
        let text = ingress(name, &format!("{name}.test"), &[("Prefix", "/", "s")]).replace("ours", class);
        let annotations = format!("annotations: {{kubernetes.io/ingress.class: {annotation}}}");
        text.replace(
            &format!("{{name: {name}}}"),
            &format!("{{name: {name}, {annotations}}}"),
        )
    };
    let text = annotated("in", "ours", "theirs") + &annotated("out", "theirs", "ours") + &services(&["s"]);
    let (model, _) = model(&text);
    assert!(routes(site(&model), "in.test").is_some());
    assert!(routes(site(&model), "out.test").is_none());
}

#[test]
fn the_default_class_is_applied_and_two_are_refused() {
    let default = |name: &str| {
        BASE.split("---").next().unwrap().replace(
            "name: ours",
            &format!("name: {name}, annotations: {{ingressclass.kubernetes.io/is-default-class: 'true'}}"),
        )
    };
    let web = ingress("web", "a.test", &[("Prefix", "/", "s")]).replace("ingressClassName: ours", "")
        + &services(&["s"]);
    let pool = BASE.split("---").nth(1).unwrap();
    let (one, report) = model_of(&[("a.yaml", &default("ours")), ("p.yaml", pool), ("w.yaml", &web)]);
    assert!(routes(site(&one), "a.test").is_some());
    assert_eq!(causes(&report), [""; 0]);
    let second = default("second");
    let files = [
        ("a.yaml", default("ours")),
        ("b.yaml", second),
        ("p.yaml", pool.to_owned()),
        ("w.yaml", web),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (two, report) = model_of(&files);
    assert!(routes(site(&two), "a.test").is_none());
    let told: Vec<_> = causes(&report)
        .into_iter()
        .filter(|cause| cause.ends_with("default-classes"))
        .collect();
    assert_eq!(
        told,
        ["ours", "second"].map(|name| format!("IngressClass {name}: refused default-classes"))
    );
}

#[test]
fn what_protects_a_route_fails_closed_and_its_path_stays_taken() {
    let text = ingress("a", "a.test", &[("Prefix", "/admin", "s")]).replace(
        "{name: a}",
        "{name: a, annotations: {nginx.ingress.kubernetes.io/auth-type: basic}}",
    ) + &ingress("b", "a.test", &[("Prefix", "/", "s")]).replace(
        "{name: b}",
        "{name: b, annotations: {nginx.ingress.kubernetes.io/affinity: cookie}}",
    ) + &services(&["s"]);
    let (model, report) = model(&text);
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        ["Prefix /admin -> refused", "Prefix / -> s"]
    );
    let expected = [
        "Ingress default/a: refused annotation-closed",
        "Ingress default/b: degraded annotation-ignored",
    ];
    assert_eq!(causes(&report), expected);
}

#[test]
fn a_resource_backend_is_refused_and_no_wider_path_answers_for_it() {
    let text = "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: ours
  rules:
  - host: a.test
    http:
      paths:
      - {path: /icons, pathType: Prefix, backend: {resource: {apiGroup: k8s.example.com, kind: StorageBucket, name: icons}}}
      - {path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}
";
    let (model, report) = model(&(text.to_owned() + &services(&["s"])));
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        ["Prefix /icons -> refused", "Prefix / -> s"]
    );
    assert_eq!(causes(&report), ["Ingress default/web: refused resource-backend"]);
}
