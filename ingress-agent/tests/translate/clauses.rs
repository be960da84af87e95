//! Ingress v1, clause by clause: a test per row of the API's rules, named after it, by what is answered.

use ingress_agent::model::{Action, Host, Model, Route};

use crate::folder::{BASE, causes, describe, ingress, model, model_of, service, services, site, target};

/// The rule that answers a request, as the API's text says: the host exact, by wildcard, or any; in it the
/// first path that matches; else the default.
fn answering<'a>(model: &'a Model, host: &str, path: &str) -> Option<&'a Route> {
    let site = site(model);
    let host = host.to_ascii_lowercase();
    let suffix = host.split_once('.').map_or("", |(_, suffix)| suffix);
    let patterns = [
        Host::Exact(host.as_str().into()),
        Host::Wildcard(suffix.into()),
        Host::Any,
    ];
    let found = patterns.iter().find_map(|pattern| site.hosts.get(pattern));
    let route = found.and_then(|found| found.routes.iter().find(|route| route.matches.path.matches(path)));
    route.or(site.default.as_ref()).map(|route| &**route)
}

/// The Service that answers, `refused`, or `404`.
fn answer(model: &Model, host: &str, path: &str) -> String {
    answering(model, host, path).map_or_else(|| "404".to_owned(), target)
}

#[track_caller]
fn assert_answers(text: &str, expected: &[(&str, &str, &str)]) {
    let (model, _) = model(text);
    for (host, path, service) in expected {
        assert_eq!(answer(&model, host, path), *service, "{host}{path}");
    }
}

fn one(kind: &str, path: &str) -> String {
    ingress("web", "a.test", &[(kind, path, "s")]) + &services(&["s"])
}

fn default_backend(name: &str, rules: &str, service: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: ours\n  \
         defaultBackend: {{service: {{name: {service}, port: {{number: 80}}}}}}\n  {rules}\n"
    )
}

#[test]
fn exact_is_the_whole_path_with_case() {
    assert_answers(
        &one("Exact", "/foo"),
        &[
            ("a.test", "/foo", "s"),
            ("a.test", "/foo/", "404"),
            ("a.test", "/Foo", "404"),
            ("a.test", "/foo/bar", "404"),
        ],
    );
    assert_answers(
        &one("Exact", "/foo/"),
        &[("a.test", "/foo", "404"), ("a.test", "/foo/", "s")],
    );
}

#[test]
fn prefix_is_by_element() {
    for path in ["/aaa/bbb", "/aaa/bbb/"] {
        assert_answers(
            &one("Prefix", path),
            &[
                ("a.test", "/aaa/bbb", "s"),
                ("a.test", "/aaa/bbb/", "s"),
                ("a.test", "/aaa/bbb/ccc", "s"),
                ("a.test", "/aaa/bbbxyz", "404"),
                ("a.test", "/aaa/bb", "404"),
                ("a.test", "/AAA/bbb", "404"),
            ],
        );
    }
    assert_answers(
        &one("Prefix", "/"),
        &[("a.test", "/", "s"), ("a.test", "/any/thing", "s")],
    );
}

#[test]
fn implementation_specific_is_as_prefix() {
    assert_answers(
        &one("ImplementationSpecific", "/foo"),
        &[("a.test", "/foo/bar", "s"), ("a.test", "/foobar", "404")],
    );
    let without = one("ImplementationSpecific", "/").replace("path: '/', ", "");
    assert_answers(&without, &[("a.test", "/any", "s")]);
}

#[test]
fn precedence_is_the_longest_path_then_exact() {
    let paths = [
        ("Prefix", "/", "root"),
        ("Prefix", "/a/b", "long"),
        ("Prefix", "/averylongelement", "one"),
        ("Prefix", "/x", "prefix"),
        ("Exact", "/x", "exact"),
    ];
    let names = ["root", "long", "one", "prefix", "exact"];
    assert_answers(
        &(ingress("web", "a.test", &paths) + &services(&names)),
        &[
            ("a.test", "/a/b/c", "long"),
            ("a.test", "/a", "root"),
            ("a.test", "/averylongelement/x", "one"),
            ("a.test", "/x", "exact"),
            ("a.test", "/x/", "prefix"),
        ],
    );
}

#[test]
fn host_exact_beats_wildcard_of_one_label_beats_none() {
    let text = ingress("exact", "b.foo.test", &[("Prefix", "/", "exact")])
        + &ingress("wild", "*.foo.test", &[("Prefix", "/", "wild")])
        + &ingress("none", "*", &[("Prefix", "/", "any")])
        + &services(&["exact", "wild", "any"]);
    assert_answers(
        &text,
        &[
            ("b.foo.test", "/", "exact"),
            ("B.FOO.test", "/", "exact"),
            ("c.foo.test", "/", "wild"),
            ("foo.test", "/", "any"),
            ("a.b.foo.test", "/", "any"),
            ("other.test", "/", "any"),
        ],
    );
}

#[test]
fn a_hosts_paths_are_not_completed_by_a_wider_host() {
    let text = ingress("exact", "b.foo.test", &[("Prefix", "/x", "exact")])
        + &ingress("wild", "*.foo.test", &[("Prefix", "/", "wild")])
        + &services(&["exact", "wild"]);
    assert_answers(
        &text,
        &[("b.foo.test", "/x", "exact"), ("b.foo.test", "/y", "404")],
    );
}

#[test]
fn default_backend_serves_its_hosts_rest_and_what_no_rule_matches() {
    let rules = "rules: [{host: a.test, http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]";
    let text = default_backend("web", rules, "rest")
        + &ingress("other", "b.test", &[("Prefix", "/x", "s")])
        + &services(&["s", "rest"]);
    assert_answers(
        &text,
        &[
            ("a.test", "/x", "s"),
            ("a.test", "/y", "rest"),
            ("c.test", "/", "rest"),
            ("b.test", "/x", "s"),
        ],
    );
    let alone = default_backend("all", "", "rest") + &services(&["rest"]);
    assert_answers(&alone, &[("a.test", "/x", "rest")]);
}

#[test]
fn each_ingresss_default_backend_serves_its_own_hosts() {
    let text = default_backend("first", "rules: [{host: a.test}]", "one")
        + &default_backend("second", "rules: [{host: b.test}]", "two")
        + &services(&["one", "two"]);
    assert_answers(
        &text,
        &[
            ("a.test", "/", "one"),
            ("b.test", "/", "two"),
            ("c.test", "/", "one"),
        ],
    );
}

#[test]
fn without_any_default_backend_it_is_404() {
    assert_answers(
        &one("Prefix", "/x"),
        &[("a.test", "/", "404"), ("b.test", "/x", "404")],
    );
}

#[test]
fn a_rule_without_http_leaves_its_host_to_the_default_backend() {
    let text = default_backend("web", "rules: [{host: a.test}]", "s") + &services(&["s"]);
    assert_answers(&text, &[("a.test", "/any", "s")]);
}

#[test]
fn a_resource_backend_is_refused_and_told() {
    let text = one("Prefix", "/x").replace(
        "service: {name: s, port: {number: 80}}",
        "resource: {kind: Bucket, name: icons, apiGroup: example.com}",
    );
    let (model, report) = model(&text);
    assert_eq!(answer(&model, "a.test", "/x"), "refused");
    assert_eq!(causes(&report), ["Ingress default/web: refused resource-backend"]);
}

#[test]
fn a_service_port_is_a_number_or_a_name_and_not_both() {
    for (port, answered) in [
        ("{number: 80}", "s"),
        ("{name: web}", "s"),
        ("{number: 80, name: web}", "refused"),
        ("{}", "refused"),
        ("{number: 65536}", "refused"),
    ] {
        let named = services(&["s"])
            .replace("{port: 80,", "{name: web, port: 80,")
            .replace("name: ''", "name: web");
        let text = ingress("web", "a.test", &[("Prefix", "/", "s")]).replace("{number: 80}", port) + &named;
        assert_answers(&text, &[("a.test", "/", answered)]);
    }
}

fn endpoints(model: &Model, host: &str) -> usize {
    match &answering(model, host, "/").unwrap().action {
        Action::Forward(backend) => backend.endpoints.len(),
        Action::Refuse => panic!("refused"),
    }
}

#[test]
fn an_external_name_is_not_called() {
    let external = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: 127.0.0.1, ports: [{port: 80}]}\n";
    let (model, report) = model(&(ingress("web", "a.test", &[("Prefix", "/", "s")]) + external));
    assert_eq!(endpoints(&model, "a.test"), 0);
    assert_eq!(
        causes(&report),
        ["Ingress default/web: degraded service-external-name"]
    );
}

#[test]
fn a_missing_service_or_endpoint_keeps_its_path_without_endpoints() {
    let service = service("s");
    let without_slice = service.split("---\n").nth(1).unwrap();
    for text in ["", &format!("---\n{without_slice}")] {
        let web = ingress("web", "a.test", &[("Prefix", "/x", "s"), ("Prefix", "/", "wide")]);
        let (model, report) = model(&(web + text + &services(&["wide"])));
        assert_eq!(answer(&model, "a.test", "/x"), "s");
        assert_eq!(report.findings.len(), 1);
    }
}

#[test]
fn only_classes_of_our_controller_are_handled() {
    let theirs = "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: theirs}\nspec: {controller: example.com/other}\n";
    let text = one("Prefix", "/").replace("ingressClassName: ours", "ingressClassName: theirs") + theirs;
    assert_answers(&text, &[("a.test", "/", "404")]);
    assert_answers(&one("Prefix", "/"), &[("a.test", "/", "s")]);
}

#[test]
fn no_class_is_the_default_class_or_nobodys() {
    let classless = one("Prefix", "/").replace("ingressClassName: ours", "");
    assert_answers(&classless, &[("a.test", "/", "404")]);
    let default = BASE.replace(
        "{name: ours}",
        "{name: ours, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}",
    );
    let (model, _) = model_of(&[("base.yaml", &default), ("web.yaml", &classless)]);
    assert_eq!(answer(&model, "a.test", "/"), "s");
}

#[test]
fn the_legacy_class_annotation_goes_before_the_field() {
    let annotated = |class: &str, field: &str| {
        one("Prefix", "/")
            .replace(
                "{name: web}",
                &format!("{{name: web, annotations: {{kubernetes.io/ingress.class: {class}}}}}"),
            )
            .replace("ingressClassName: ours", field)
    };
    assert_answers(&annotated("ours", ""), &[("a.test", "/", "s")]);
    assert_answers(
        &annotated("ours", "ingressClassName: theirs"),
        &[("a.test", "/", "s")],
    );
    assert_answers(
        &annotated("theirs", "ingressClassName: ours"),
        &[("a.test", "/", "404")],
    );
}

#[test]
fn a_class_change_takes_effect_both_ways() {
    let (ours, theirs) = (
        one("Prefix", "/"),
        one("Prefix", "/").replace("ingressClassName: ours", "ingressClassName: x"),
    );
    for (text, answered) in [(&ours, "s"), (&theirs, "404"), (&ours, "s")] {
        assert_answers(text, &[("a.test", "/", answered)]);
    }
}

#[test]
fn ingresses_of_any_namespace_share_a_host_and_the_oldest_keeps_a_path() {
    let within = |namespace: &str, created: &str, service: &str| {
        let text = ingress(
            "web",
            "a.test",
            &[
                ("Prefix", "/same", service),
                ("Prefix", &format!("/{namespace}"), service),
            ],
        );
        let text = text + &services(&[service]);
        text.replace(
            "metadata: {",
            &format!("metadata: {{namespace: {namespace}, creationTimestamp: '{created}', "),
        )
    };
    let text = within("young", "2024-02-01T00:00:00Z", "y") + &within("old", "2024-01-01T00:00:00Z", "o");
    assert_answers(
        &text,
        &[
            ("a.test", "/same", "o"),
            ("a.test", "/old", "o"),
            ("a.test", "/young", "y"),
        ],
    );
}

#[test]
fn a_tie_goes_to_the_last_namespace_and_name() {
    let named = |name: &str| {
        ingress(name, "a.test", &[("Prefix", "/", name)]).replace(
            &format!("{{name: {name}}}"),
            &format!("{{name: {name}, creationTimestamp: '2024-01-01T00:00:00Z'}}"),
        )
    };
    let text = named("a") + &named("c") + &named("b") + &services(&["a", "b", "c"]);
    assert_answers(&text, &[("a.test", "/", "c")]);
}

#[test]
fn services_come_from_the_own_namespace_only() {
    let elsewhere = services(&["s"]).replace("metadata: {", "metadata: {namespace: other, ");
    let (model, report) = model(&(ingress("web", "a.test", &[("Prefix", "/", "s")]) + &elsewhere));
    assert_eq!(endpoints(&model, "a.test"), 0);
    assert_eq!(causes(&report), ["Ingress default/web: degraded service-missing"]);
}

#[test]
fn a_path_that_the_api_server_refuses_is_refused_alone() {
    for path in ["foo", "/a//b", "/a/./b", "/a/../b", "/a%2Fb", "/a/.", "/a/.."] {
        let text = ingress(
            "web",
            "a.test",
            &[("Prefix", path, "s"), ("Prefix", "/good", "s")],
        ) + &services(&["s"]);
        let (model, report) = model(&text);
        assert_eq!(causes(&report), ["Ingress default/web: refused path"], "{path}");
        let routes = &site(&model).hosts.values().next().unwrap().routes;
        assert_eq!(
            routes.iter().map(|route| describe(route)).collect::<Vec<_>>(),
            ["Prefix /good -> s"]
        );
    }
}
