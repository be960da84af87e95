//! What `explain` says of folders of manifests: the object, the field, and what repairs a failing step.

use std::process::Command;

use http::Method;
use ingress_agent::explain::{Basis, Explanation, Request, Step, StepName, Subject, explain};
use ingress_agent::proxy::Table;
use ingress_agent::translate::translate;

use crate::folder::{BASE, NGINX, folder, ingress, read, service};

pub(crate) fn explained(text: &str, url: &str) -> Explanation {
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", text)]);
    let snapshot = read(folder.path());
    let (model, report) = translate(&snapshot);
    let table = Table::from(&model);
    let subject = Subject {
        snapshot: &snapshot,
        model: &model,
        report: &report,
        table: &table,
        basis: Basis::Folder,
    };
    let request = Request::new(url.parse().unwrap(), Method::GET, Vec::new(), None);
    explain(&subject, &request)
}

pub(crate) fn step(explanation: &Explanation, name: StepName) -> &Step {
    let found = explanation.steps.iter().find(|step| step.step == name);
    found.unwrap_or_else(|| panic!("no step {name} in\n{explanation}"))
}

/// That the explanation ends at this failing step, with these words in its why and its change.
fn assert_fails(explanation: &Explanation, name: StepName, why: &str, change: &str) {
    let last = explanation.steps.last().expect("a step");
    assert_eq!((last.step, last.ok), (name, false), "{explanation}");
    assert!(last.why.as_deref().unwrap().contains(why), "{explanation}");
    assert!(last.change.as_deref().unwrap().contains(change), "{explanation}");
}

pub(crate) fn one(host: &str, path: &str) -> String {
    ingress("web", host, &[("Prefix", path, "web")]) + &service("web")
}

#[test]
fn every_step_names_its_object_and_field() {
    let explanation = explained(&one("a.test", "/x"), "http://a.test/x/y?z");
    let rows: Vec<_> = explanation
        .steps
        .iter()
        .map(|step| {
            let object = step.object.as_deref().unwrap_or("-");
            let field = step.field.as_deref().unwrap_or("-");
            format!("{}: {object} {field}", step.step)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "vip: VipPool edge spec.addresses",
            "host: Ingress default/web spec.rules[0].host",
            "path: Ingress default/web spec.rules[0].http.paths[0]",
            "policies: - -",
            "service: Ingress default/web spec.rules[0].http.paths[0].backend.service",
            "endpoints: Service default/web EndpointSlices: endpoints[].addresses",
        ]
    );
    assert!(explanation.is_served(), "{explanation}");
    assert!(step(&explanation, StepName::Path).value.contains("Prefix `/x`"));
}

#[test]
fn a_port_that_no_vip_serves() {
    let explanation = explained(&one("a.test", "/"), "http://a.test:81/");
    assert_fails(&explanation, StepName::Vip, "192.0.2.10:80", "`spec.ports`");
}

#[test]
fn a_scheme_that_the_port_does_not_speak() {
    let explanation = explained(&one("a.test", "/"), "http://a.test:443/");
    assert_fails(&explanation, StepName::Vip, "speaks HTTPS", "protocol");
}

#[test]
fn a_host_that_no_ingress_has() {
    let explanation = explained(&one("shop.test", "/"), "http://shpo.test/");
    assert_fails(
        &explanation,
        StepName::Host,
        "the nearest is `shop.test`",
        "host: shpo.test",
    );
}

#[test]
fn a_host_of_an_ingress_of_another_class() {
    let other = one("a.test", "/").replace("ingressClassName: ours", "ingressClassName: theirs");
    let explanation = explained(&other, "http://a.test/");
    assert_fails(&explanation, StepName::Host, "class `theirs`", "ingressClassName");
}

#[test]
fn a_path_that_the_host_does_not_have() {
    let explanation = explained(&one("a.test", "/x"), "http://a.test/xy");
    assert_fails(&explanation, StepName::Path, "Prefix `/x`", "add a path");
}

#[test]
fn a_service_that_is_missing() {
    let text = ingress("web", "a.test", &[("Prefix", "/", "wep")]) + &service("web");
    let explanation = explained(&text, "http://a.test/");
    assert_fails(&explanation, StepName::Service, "nearest: web", "Service `wep`");
}

#[test]
fn a_service_without_endpoints() {
    let text = one("a.test", "/").replace("ready: true", "ready: false");
    let explanation = explained(&text, "http://a.test/");
    assert_fails(
        &explanation,
        StepName::Endpoints,
        "without a ready endpoint",
        "start its pods",
    );
}

#[test]
fn a_route_that_is_refused_says_by_which_annotation() {
    let text = one("a.test", "/").replace(
        "metadata: {name: web}\nspec:\n  ingressClassName",
        "metadata: {name: web, annotations: {nginx.ingress.kubernetes.io/auth-url: 'http://x/'}}\nspec:\n  ingressClassName",
    );
    let explanation = explained(&text, "http://a.test/");
    assert_fails(
        &explanation,
        StepName::Policies,
        "not honoured",
        "remove the annotation",
    );
    let field = step(&explanation, StepName::Policies).field.as_deref().unwrap();
    assert!(field.contains("auth-url"), "{explanation}");
}

#[test]
fn the_default_backend_is_told_as_such() {
    let text = one("a.test", "/x")
        + &service("all")
        + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: rest}\n\
           spec: {ingressClassName: ours, defaultBackend: {service: {name: all, port: {number: 80}}}}\n";
    let explanation = explained(&text, "http://b.test/");
    let path = step(&explanation, StepName::Path);
    assert_eq!(
        path.object.as_deref(),
        Some("Ingress default/rest"),
        "{explanation}"
    );
    assert_eq!(path.field.as_deref(), Some("spec.defaultBackend"));
    assert!(explanation.is_served());
}

#[test]
fn without_a_pool_ordinary_listeners_are_assumed_and_told() {
    let class = BASE.split("---").next().unwrap();
    let text = class.to_owned() + &one("a.test", "/");
    let folder = folder(&[("test.yaml", &text)]);
    for (url, flag) in [
        ("http://a.test/", "--listen"),
        ("https://a.test:8443/", "--tls-listen"),
    ] {
        let (code, words) = agent(folder.path(), &[url]);
        assert_eq!(code, Some(0), "{words}");
        for part in [
            "the folder has no VipPool",
            &format!("run --no-xdp {flag} 0.0.0.0:"),
            "10.1.0.1:8080",
        ] {
            assert!(words.contains(part), "no `{part}` in\n{words}");
        }
    }
    // Also where the fault is another's.
    let (code, words) = agent(folder.path(), &["http://b.test/"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("add a rule with `host: b.test`"), "{words}");
}

#[test]
fn a_folder_without_endpoint_slices_is_told_as_such() {
    let text = one("a.test", "/");
    let (without, _) = text.split_once("---\napiVersion: discovery.k8s.io/v1").unwrap();
    let explanation = explained(without, "http://a.test/");
    assert_fails(
        &explanation,
        StepName::Endpoints,
        "the folder holds no EndpointSlices",
        "ask a running agent",
    );
}

#[test]
fn a_body_that_the_route_does_not_take() {
    let text = one("a.test", "/").replace(
        "metadata: {name: web}\nspec:\n  ingressClassName",
        "metadata: {name: web, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: '10'}}\nspec:\n  ingressClassName",
    );
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let ask = |length: &str| {
        agent(
            folder.path(),
            &["http://a.test/", "--method", "POST", "--header", length],
        )
    };
    assert_eq!(ask("Content-Length: 10").0, Some(0));
    let (code, words) = ask("Content-Length: 11");
    assert_eq!(code, Some(1), "{words}");
    for part in [
        "answer: 413",
        "proxy-body-size: 10 bytes",
        "to repair: raise `nginx.ingress.kubernetes.io/proxy-body-size`",
    ] {
        assert!(words.contains(part), "no `{part}` in\n{words}");
    }
}

#[test]
fn policies_are_told_in_the_annotations_names() {
    let annotations = [
        ("proxy-next-upstream", "error http_502 non_idempotent"),
        ("proxy-next-upstream-tries", "2"),
        ("proxy-read-timeout", "7"),
        ("load-balance", "ewma"),
    ];
    let annotations =
        annotations.map(|(name, value)| format!("nginx.ingress.kubernetes.io/{name}: '{value}'"));
    let text = one("a.test", "/").replace(
        "metadata: {name: web}\nspec:\n  ingressClassName",
        &format!(
            "metadata: {{name: web, annotations: {{{}}}}}\nspec:\n  ingressClassName",
            annotations.join(", ")
        ),
    );
    let explanation = explained(&text, "http://a.test/");
    let policies = step(&explanation, StepName::Policies);
    assert_eq!(
        policies.object.as_deref(),
        Some("Ingress default/web"),
        "{explanation}"
    );
    assert_eq!(
        policies.value,
        "load-balance: ewma; proxy timeouts: connect 5s, read 7s, send 60s; \
         proxy-next-upstream: error non_idempotent http_502, 2 tries"
    );
}

#[test]
fn the_command_prints_json_and_refuses_bad_usage_with_2() {
    let text = one("a.test", "/");
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let (code, out) = agent(
        folder.path(),
        &["http://192.0.2.10/", "--header", "Host: a.test", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(json["url"], "http://192.0.2.10/");
    assert_eq!(json["answer"]["outcome"], "forwarded");
    assert_eq!(json["answer"]["endpoints"][0], "10.1.0.1:8080");
    let keys: Vec<_> = json["steps"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["change", "field", "object", "ok", "step", "value", "why"]);
    for bad in [
        &["a.test"] as &[&str],
        &["ftp://a.test/"],
        &["http://a.test/", "--header", "x"],
        &["http://a.test/", "--client", "x"],
        &["http://a.test/", "--method", "G T"],
        &[],
    ] {
        assert_eq!(agent(folder.path(), bad).0, Some(2), "{bad:?}");
    }
}

#[test]
fn the_clients_family_chooses_among_a_names_vips() {
    let text = one("a.test", "/");
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let vip = |client| {
        let (_, out) = agent(folder.path(), &["http://a.test/", "--client", client, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        json["steps"][0]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(vip("198.51.100.7"), "192.0.2.10:80");
    assert_eq!(vip("2001:db8::7"), "[2001:db8::10]:80");
}

#[test]
fn what_is_taken_over_from_ingress_nginx_tells_how_its_path_matches_and_by_which_flag() {
    let web = ingress("web", "a.test", &[("ImplementationSpecific", "/foo", "web")]).replace("ours", "nginx");
    let folder = folder(&[("base.yaml", NGINX), ("test.yaml", &(web + &service("web")))]);
    let (status, said) = agent(folder.path(), &["http://a.test/foobar"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("--take-over-ingress-nginx"), "{said}");
    let (status, said) = agent(
        folder.path(),
        &["http://a.test/foobar", "--take-over-ingress-nginx"],
    );
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("ImplementationSpecific `/foo` (any path that begins with this text"),
        "{said}"
    );
    assert!(
        said.contains("from Ingress default/web: spec.rules[0].http.paths[0]"),
        "{said}"
    );
}

pub(crate) fn agent(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .arg("explain")
        .args(arguments)
        .arg("-f")
        .arg(folder)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
