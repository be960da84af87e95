//! Ingress v1 by what a client hears: a test per clause of the API's text whose matter is the answer.

use crate::folder::{ingress, service, services};
use crate::world::World;

fn one(kind: &str, path: &str) -> String {
    ingress("web", "a.test", &[(kind, path, "s")]) + &services(&["s"])
}

#[test]
fn exact_is_the_whole_path() {
    let world = World::start(&one("Exact", "/foo"));
    world.assert_answers(&[
        ("a.test", "/foo", "s"),
        ("a.test", "/foo?x=/bar", "s"),
        ("a.test", "/foo/", "404"),
        ("a.test", "/Foo", "404"),
        ("a.test", "/foobar", "404"),
        ("a.test", "/foo/bar", "404"),
        ("a.test", "/", "404"),
        // Other spellings of the same path (RFC 3986 section 6.2.2).
        ("a.test", "//foo", "s"),
        ("a.test", "/./foo", "s"),
        ("a.test", "/bar/../foo", "s"),
        ("a.test", "/%66oo", "s"),
        ("a.test", "/foo%2F", "404"),
        ("a.test", "/foo%2fbar", "404"),
    ]);
    World::start(&one("Exact", "/foo/")).assert_answers(&[
        ("a.test", "/foo/", "s"),
        ("a.test", "/foo//", "s"),
        ("a.test", "/foo", "404"),
        ("a.test", "/foo/x", "404"),
    ]);
    World::start(&one("Exact", "/")).assert_answers(&[("a.test", "/", "s"), ("a.test", "/x", "404")]);
}

#[test]
fn prefix_is_by_element() {
    for path in ["/foo", "/foo/"] {
        World::start(&one("Prefix", path)).assert_answers(&[
            ("a.test", "/foo", "s"),
            ("a.test", "/foo/", "s"),
            ("a.test", "/foo/bar", "s"),
            ("a.test", "/foo//bar", "s"),
            ("a.test", "/foo?x", "s"),
            ("a.test", "/foobar", "404"),
            ("a.test", "/fo", "404"),
            ("a.test", "/FOO", "404"),
            ("a.test", "/foo/../bar", "404"),
            ("a.test", "/foo%2Fbar", "404"),
            ("a.test", "/foo;x", "404"),
        ]);
    }
}

#[test]
fn prefix_of_the_root_matches_every_path() {
    World::start(&one("Prefix", "/")).assert_answers(&[
        ("a.test", "/", "s"),
        ("a.test", "//", "s"),
        ("a.test", "/any/thing", "s"),
        ("a.test", "/%2F", "s"),
    ]);
}

#[test]
fn a_path_matches_in_every_spelling() {
    let paths = [
        ("Prefix", "/caf\u{e9}", "s"),
        ("Exact", "/%7euser", "tilde"),
        ("Exact", "/a%20b", "space"),
    ];
    let world = World::start(&(ingress("web", "a.test", &paths) + &services(&["s", "tilde", "space"])));
    world.assert_answers(&[
        ("a.test", "/caf%C3%A9", "s"),
        ("a.test", "/caf%c3%a9/x", "s"),
        ("a.test", "/~user", "tilde"),
        ("a.test", "/%7Euser", "tilde"),
        ("a.test", "/a%20b", "space"),
    ]);
}

#[test]
fn implementation_specific_without_a_path_is_the_root() {
    for path in ["path: '/', ", "path: '', "] {
        let text = one("ImplementationSpecific", "/").replace("path: '/', ", path);
        World::start(&text).assert_answers(&[("a.test", "/", "s"), ("a.test", "/x", "s")]);
    }
    let world = World::start(&one("ImplementationSpecific", "/foo"));
    world.assert_answers(&[("a.test", "/foo/x", "s"), ("a.test", "/foobar", "404")]);
}

#[test]
fn the_longest_path_goes_first_then_exact() {
    let paths = [
        ("Prefix", "/", "root"),
        ("Prefix", "/foo", "prefix"),
        ("Exact", "/foo", "exact"),
        ("Exact", "/foo/", "slash"),
        ("Prefix", "/foo/bar/", "long"),
        ("Exact", "/foo/bar", "deep"),
    ];
    let names = ["root", "prefix", "exact", "slash", "long", "deep"];
    World::start(&(ingress("web", "a.test", &paths) + &services(&names))).assert_answers(&[
        ("a.test", "/foo", "exact"),
        ("a.test", "/foo/", "slash"),
        ("a.test", "/foo/x", "prefix"),
        ("a.test", "/foo/bar", "deep"),
        ("a.test", "/foo/bar/", "long"),
        ("a.test", "/foo/barx", "prefix"),
        ("a.test", "/foobar", "root"),
    ]);
}

#[test]
fn host_exact_beats_wildcard_of_one_label_beats_none() {
    let text = ingress("exact", "B.foo.test", &[("Prefix", "/", "exact")])
        + &ingress("wild", "*.Foo.test", &[("Prefix", "/", "wild")])
        + &ingress("none", "*", &[("Prefix", "/", "any")])
        + &services(&["exact", "wild", "any"]);
    World::start(&text).assert_answers(&[
        ("b.foo.test", "/", "exact"),
        ("B.FOO.TEST", "/", "exact"),
        ("b.foo.test:8443", "/", "exact"),
        ("b.foo.test.", "/", "exact"),
        ("B.foo.test.:80", "/", "exact"),
        ("c.foo.test", "/", "wild"),
        ("C.FOO.test:1", "/", "wild"),
        ("foo.test", "/", "any"),
        (".foo.test", "/", "400"),
        ("a.b.foo.test", "/", "any"),
        ("xfoo.test", "/", "any"),
        ("192.0.2.1", "/", "any"),
        ("[2001:db8::1]:80", "/", "any"),
        ("*.foo.test", "/", "400"),
    ]);
}

#[test]
fn an_unknown_host_or_path_is_404() {
    World::start(&one("Prefix", "/x")).assert_answers(&[
        ("a.test", "/", "404"),
        ("a.test", "/xy", "404"),
        ("b.test", "/x", "404"),
        ("x.a.test", "/x", "404"),
    ]);
}

const REST: &str = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: rest}\nspec:\n  ingressClassName: ours\n  \
                    defaultBackend: {service: {name: rest, port: {number: 80}}}\n";

#[test]
fn an_ingress_with_only_a_default_backend_catches_all() {
    let text = one("Prefix", "/x") + REST + &services(&["rest"]);
    World::start(&text).assert_answers(&[
        ("a.test", "/x", "s"),
        ("a.test", "/y", "rest"),
        ("b.test", "/x", "rest"),
        ("192.0.2.1", "/", "rest"),
    ]);
}

#[test]
fn a_default_backend_serves_the_hosts_of_its_ingress() {
    let text = REST.replace("rest", "first")
        + "  rules: [{host: a.test}]\n"
        + REST
        + "  rules: [{host: b.test}]\n"
        + &services(&["first", "rest"]);
    World::start(&text).assert_answers(&[
        ("a.test", "/", "first"),
        ("b.test", "/x", "rest"),
        ("c.test", "/", "first"),
    ]);
}

#[test]
fn a_rule_without_http_leaves_its_host_to_the_default_backend() {
    let text = REST.to_owned() + "  rules: [{host: a.test}]\n" + &services(&["rest"]);
    World::start(&text).assert_answers(&[("a.test", "/any", "rest")]);
}

/// 503, and no wider path answers.
#[test]
fn a_resource_backend_is_not_routed() {
    let text = one("Prefix", "/x").replace(
        "service: {name: s, port: {number: 80}}",
        "resource: {kind: Bucket, name: icons}",
    ) + &ingress("wide", "a.test", &[("Prefix", "/", "s")]);
    World::start(&text).assert_answers(&[("a.test", "/x/y", "503"), ("a.test", "/", "s")]);
}

#[test]
fn a_missing_service_is_503() {
    let text = ingress(
        "web",
        "a.test",
        &[("Prefix", "/x", "missing"), ("Prefix", "/", "s")],
    );
    let mut world = World::start(&(text.clone() + &services(&["s"])));
    world.assert_answers(&[("a.test", "/x", "503"), ("a.test", "/", "s")]);
    world.edit(&(text + &services(&["s", "missing"])));
    world.assert_answers(&[("a.test", "/x", "missing")]);
}

#[test]
fn a_service_without_a_ready_endpoint_is_503() {
    let web =
        ingress("web", "a.test", &[("Prefix", "/x", "s"), ("Prefix", "/", "wide")]) + &services(&["wide"]);
    let without_slice = service("s")
        .split("---\n")
        .take(2)
        .collect::<Vec<_>>()
        .join("---\n");
    let not_ready = service("s").replace("ready: true", "ready: false");
    let no_port = service("s").replace("ports: [{name: ''", "ports: [{name: other");
    let other_port = service("s").replace("spec: {ports: [{port: 80,", "spec: {ports: [{port: 81,");
    for service in [without_slice, not_ready, no_port, other_port] {
        World::start(&(web.clone() + &service))
            .assert_answers(&[("a.test", "/x", "503"), ("a.test", "/", "wide")]);
    }
}

#[test]
fn an_endpoint_that_only_terminates_is_used_when_no_other_is_left() {
    let leaving = "conditions: {ready: false, serving: true, terminating: true}";
    let alone = service("s").replace("conditions: {ready: true}", leaving);
    let web = ingress("web", "a.test", &[("Prefix", "/", "s")]);
    World::start(&(web.clone() + &alone)).assert_answers(&[("a.test", "/", "s")]);
    let beside = alone.replace("endpoints: [", "endpoints: [{addresses: [10.1.0.2]}, ");
    let world = World::start(&(web + &beside));
    world.assert_answers(&[("a.test", "/", "s 10.1.0.2:8080"); 4]);
}

#[test]
fn an_external_name_is_503() {
    let external = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: localhost, ports: [{port: 80}]}\n";
    let text = ingress("web", "a.test", &[("Prefix", "/", "s")]) + external;
    World::start(&text).assert_answers(&[("a.test", "/", "503")]);
}

#[test]
fn an_ingress_of_another_class_is_404_and_a_change_of_class_takes_effect() {
    let theirs = one("Prefix", "/").replace("ingressClassName: ours", "ingressClassName: theirs");
    let mut world = World::start(&theirs);
    world.assert_answers(&[("a.test", "/", "404")]);
    world.edit(&one("Prefix", "/"));
    world.assert_answers(&[("a.test", "/", "s")]);
    world.edit(&theirs);
    world.assert_answers(&[("a.test", "/", "404")]);
}

/// Two namespaces on one host; the older keeps the path that both claim, and the younger gets it when the older
/// goes (K8-7).
#[test]
fn namespaces_share_a_host_and_the_oldest_keeps_a_path() {
    let within = |namespace: &str, created: &str| {
        let own = format!("/{namespace}");
        let text = ingress(
            "web",
            "a.test",
            &[("Prefix", "/same", "s"), ("Prefix", &own, "s")],
        ) + &services(&["s"]);
        let metadata = format!("metadata: {{namespace: {namespace}, creationTimestamp: '{created}', ");
        text.replace("metadata: {", &metadata)
    };
    let (young, old) = (
        within("young", "2024-02-01T00:00:00Z"),
        within("old", "2024-01-01T00:00:00Z"),
    );
    let mut world = World::start(&(young.clone() + &old));
    world.assert_answers(&[
        ("a.test", "/same", "old/s"),
        ("a.test", "/old", "old/s"),
        ("a.test", "/young", "young/s"),
    ]);
    world.edit(&young);
    world.assert_answers(&[("a.test", "/same", "young/s"), ("a.test", "/old", "404")]);
}
