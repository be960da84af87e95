use super::*;
use crate::model::PathMatch;

fn read(spec: serde_json::Value) -> Arc<Ingress> {
    let object = serde_json::json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
    digest(serde_json::from_value(object).unwrap(), None)
}

fn backend() -> serde_json::Value {
    serde_json::json!({"service": {"name": "echo", "port": {"number": 80}}})
}

#[test]
fn an_equal_value_is_the_previous_pointer() {
    let spec = serde_json::json!({"defaultBackend": backend()});
    let object = |version: &str| {
        let metadata =
            serde_json::json!({"name": "web", "resourceVersion": version, "annotations": {"x/y": version}});
        serde_json::from_value(serde_json::json!({"metadata": metadata, "spec": spec})).unwrap()
    };
    let first = digest(object("1"), None);
    assert!(Arc::ptr_eq(&first, &digest(object("2"), Some(&first))));
}

#[test]
fn paths_the_api_server_refuses_are_refused_alone() {
    for (path, kind, cause) in [
        ("", "Exact", Some("path")),
        ("", "Prefix", Some("path")),
        ("", "ImplementationSpecific", None),
        ("foo", "Prefix", Some("path")),
        ("/a//b", "Exact", Some("path")),
        ("/a/./b", "Exact", Some("path")),
        ("/a/../b", "Prefix", Some("path")),
        ("/a%2Fb", "Prefix", Some("path")),
        ("/a/..", "Prefix", Some("path")),
        ("/a\nb", "Prefix", Some("path")),
        ("/a", "Regex", Some("path-type")),
        ("/a/%2E%2e/b", "Exact", Some("path")),
        ("/a/%2e", "Prefix", Some("path")),
        ("/a%zz", "Exact", Some("path")),
        ("/a%00", "Prefix", Some("path")),
        ("/a\\b", "Exact", Some("path")),
        ("/a?b=c", "Prefix", Some("path")),
        ("/a#b", "Exact", Some("path")),
        ("/a.b/..c", "Exact", None),
        ("/v\\d+(/|$)(.*)", "ImplementationSpecific", Some("path-pattern")),
        ("/a(/|$)(.*)", "ImplementationSpecific", Some("path-pattern")),
        ("/a(b)", "Prefix", None),
    ] {
        let good = serde_json::json!({"path": "/good", "pathType": "Exact", "backend": backend()});
        let other = serde_json::json!({"path": path, "pathType": kind, "backend": backend()});
        let ingress = read(serde_json::json!({"rules": [{"http": {"paths": [other, good]}}]}));
        let causes: Vec<_> = ingress.faults.iter().map(|fault| fault.cause).collect();
        assert_eq!(causes, Vec::from_iter(cause), "{path} {kind}");
        assert_eq!(
            ingress.rules[0].paths.last().unwrap().path,
            PathMatch::exact("/good")
        );
    }
}

#[test]
fn a_path_is_read_as_requests_carry_it() {
    for (path, expected) in [
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/%61dmin", "/admin"),
        ("/a%7eb/", "/a~b/"),
        ("/a%20b", "/a%20b"),
        ("/a;v=1,2", "/a;v=1,2"),
    ] {
        let entry = serde_json::json!({"path": path, "pathType": "Exact", "backend": backend()});
        let ingress = read(serde_json::json!({"rules": [{"http": {"paths": [entry]}}]}));
        assert_eq!(
            ingress.rules[0].paths[0].path,
            PathMatch::exact(expected),
            "{path}"
        );
        assert_eq!(ingress.faults, []);
    }
}

#[test]
fn a_backend_is_exactly_one_service_port() {
    for (backend, cause) in [
        (
            serde_json::json!({"service": {"name": "e", "port": {"number": 80}}}),
            None,
        ),
        (
            serde_json::json!({"service": {"name": "e", "port": {"name": "http"}}}),
            None,
        ),
        (
            serde_json::json!({"service": {"name": "e", "port": {"name": "http", "number": 80}}}),
            Some("backend-port"),
        ),
        (
            serde_json::json!({"service": {"name": "e"}}),
            Some("backend-port"),
        ),
        (
            serde_json::json!({"service": {"name": "e", "port": {"number": 65536}}}),
            Some("backend-port"),
        ),
        (
            serde_json::json!({"service": {"name": "", "port": {"number": 80}}}),
            Some("backend-name"),
        ),
        (
            serde_json::json!({"resource": {"kind": "Bucket", "name": "b"}}),
            Some("resource-backend"),
        ),
        (
            serde_json::json!({"serviceName": "e", "servicePort": 80}),
            Some("backend-none"),
        ),
    ] {
        let ingress = read(serde_json::json!({"defaultBackend": backend}));
        let causes: Vec<_> = ingress.faults.iter().map(|fault| fault.cause).collect();
        assert_eq!(causes, Vec::from_iter(cause), "{backend}");
        let refused = ingress.default_backend == Some(Target::Refused);
        assert_eq!(refused, cause.is_some(), "{backend}");
    }
}

#[test]
fn the_class_annotation_takes_precedence() {
    let object = serde_json::json!({
        "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "old"}},
        "spec": {"ingressClassName": "new", "defaultBackend": backend()},
    });
    let ingress = digest(serde_json::from_value(object).unwrap(), None);
    assert_eq!(ingress.class.as_deref(), Some("old"));
}

#[test]
fn a_bad_host_costs_its_rule_alone() {
    let paths = serde_json::json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend()}]});
    let ingress = read(serde_json::json!({
        "rules": [{"host": "a..b", "http": paths}, {"host": "GOOD.test", "http": paths}],
        "tls": [{"hosts": ["10.0.0.1", "good.test"], "secretName": "s"}],
    }));
    assert_eq!(ingress.rules.len(), 1);
    assert_eq!(ingress.rules[0].host.to_string(), "good.test");
    assert_eq!(ingress.tls[0].hosts.len(), 1);
    let fields: Vec<_> = ingress.faults.iter().map(|fault| &*fault.field).collect();
    assert_eq!(fields, ["spec.rules[0].host", "spec.tls[0].hosts[0]"]);
}

#[test]
fn a_text_of_a_megabyte_is_not_repeated() {
    let ingress = read(serde_json::json!({"rules": [{"host": "ü".repeat(1 << 20)}]}));
    assert!(ingress.faults[0].found.len() < 1000);
}
