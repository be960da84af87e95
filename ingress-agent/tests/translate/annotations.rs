//! What annotations make of routes: policies, closed routes, and whose.

use std::time::Duration;

use ingress_agent::model::Policies;
use ingress_agent::model::policy::{BodyLimit, UpstreamProtocol};

use crate::folder::{annotated, causes, ingress, model, policies, routes, services, site, with_tls, within};

const ROOT: &[(&str, &str, &str)] = &[("Prefix", "/", "s")];

#[test]
fn honoured_annotations_fill_the_routes_policies() {
    let text = annotated(
        "web",
        "a.test",
        ROOT,
        "nginx.ingress.kubernetes.io/proxy-body-size: 8m, ingress-agent.dev/proxy-read-timeout: '7', \
         nginx.ingress.kubernetes.io/proxy-read-timeout: '9', nginx.ingress.kubernetes.io/backend-protocol: HTTPS, \
         nginx.ingress.kubernetes.io/upstream-vhost: $service_name.$namespace.svc",
    ) + &services(&["s"]);
    let (model, report) = model(&text);
    let policies = policies(&model, "a.test", "/");
    assert_eq!(policies.body_limit, BodyLimit::Bytes(8 << 20));
    assert_eq!(policies.upstream.timeouts.read, Duration::from_secs(7));
    assert_eq!(policies.upstream.protocol, UpstreamProtocol::Https);
    assert_eq!(policies.upstream.host.as_deref(), Some("s.default.svc"));
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn ssl_redirect_is_on_where_the_host_has_a_certificate_entry() {
    let text = with_tls(
        &ingress("tls", "a.test", &[("Prefix", "/tls", "s")]),
        "a.test, '*.w.test'",
    ) + &ingress("plain", "a.test", &[("Prefix", "/plain", "s")])
        + &annotated(
            "off",
            "a.test",
            &[("Prefix", "/off", "s")],
            "nginx.ingress.kubernetes.io/ssl-redirect: 'false'",
        )
        + &ingress("wild", "x.w.test", ROOT)
        + &ingress("deep", "y.x.w.test", ROOT)
        + &annotated(
            "on",
            "b.test",
            ROOT,
            "nginx.ingress.kubernetes.io/ssl-redirect: 'true'",
        )
        + &annotated(
            "forced",
            "c.test",
            ROOT,
            "nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'",
        )
        + &services(&["s"]);
    let (model, _) = model(&text);
    for (host, path, redirected) in [
        ("a.test", "/tls", true),
        ("a.test", "/plain", true),
        ("a.test", "/off", false),
        ("x.w.test", "/", true),
        ("y.x.w.test", "/", false),
        ("b.test", "/", false),
        ("c.test", "/", true),
    ] {
        assert_eq!(
            policies(&model, host, path).https_redirect,
            redirected,
            "{host}{path}"
        );
    }
}

#[test]
fn the_acme_challenge_is_not_redirected_where_an_ingress_routes_it() {
    let paths = [
        ("Prefix", "/", "s"),
        ("Exact", "/.well-known/acme-challenge/token", "s"),
        ("Prefix", "/.well-known/acme-challenge", "s"),
        ("Prefix", "/.well-known/acme-challenges", "s"),
    ];
    let forced = "nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'";
    let (model, _) = model(&(annotated("web", "a.test", &paths, forced) + &services(&["s"])));
    for (path, redirected) in paths
        .map(|(_, path, _)| path)
        .into_iter()
        .zip([true, false, false, true])
    {
        assert_eq!(
            policies(&model, "a.test", path).https_redirect,
            redirected,
            "{path}"
        );
    }
}

#[test]
fn an_invalid_value_leaves_the_default_and_is_told() {
    let values = "nginx.ingress.kubernetes.io/proxy-read-timeout: 60s, nginx.ingress.kubernetes.io/proxy-body-size: lots, \
                  nginx.ingress.kubernetes.io/ssl-redirect: maybe, nginx.ingress.kubernetes.io/backend-protocol: HTTP3";
    let (model, report) = model(&(annotated("web", "a.test", ROOT, values) + &services(&["s"])));
    assert_eq!(*policies(&model, "a.test", "/"), Policies::default());
    assert_eq!(
        causes(&report),
        ["Ingress default/web: degraded annotation-value"; 4]
    );
    assert_eq!(routes(site(&model), "a.test").unwrap(), ["Prefix / -> s"]);
}

#[test]
fn routes_that_ask_for_the_same_share_it() {
    const PATHS: &[(&str, &str, &str)] = &[("Prefix", "/", "s"), ("Prefix", "/b", "s")];
    let silent = ingress("one", "a.test", ROOT) + &ingress("two", "b.test", ROOT);
    let asking = annotated("web", "c.test", PATHS, "ingress-agent.dev/proxy-body-size: 8m");
    let other = annotated(
        "other",
        "d.test",
        ROOT,
        "nginx.ingress.kubernetes.io/ssl-redirect: \"false\"",
    );
    let (model, _) = model(&(silent + &asking + &other + &services(&["s"])));
    let [a, b, d] = ["a.test", "b.test", "d.test"].map(|host| policies(&model, host, "/"));
    assert!(std::ptr::eq(a, b), "of all Ingresses that ask for nothing");
    assert!(std::ptr::eq(a, d), "and of those that ask for something else");
    let [c, d] = ["/", "/b"].map(|path| policies(&model, "c.test", path));
    assert!(std::ptr::eq(c, d), "of an Ingress");
    assert_ne!(a, c);
}

#[test]
fn what_moves_paths_or_protects_answers_503() {
    for (annotation, value) in [
        ("rewrite-target", "/$1"),
        ("use-regex", "true"),
        ("use-regex", "yes"),
        ("permanent-redirect", "https://b.test"),
        ("temporal-redirect", "https://b.test"),
        ("app-root", "/login"),
        ("from-to-www-redirect", "true"),
        ("server-alias", "b.test"),
        ("ssl-passthrough", "true"),
        ("backend-protocol", "GRPC"),
        ("backend-protocol", "AUTO_HTTP"),
        ("auth-url", "http://auth"),
        ("whitelist-source-range", "not a range"),
        ("limit-rps", "1"),
        ("auth-tls-secret", "a/b"),
        ("configuration-snippet", "deny all;"),
        ("enable-modsecurity", "true"),
    ] {
        let cause = match annotation {
            "backend-protocol" => "annotation-protocol",
            _ => "annotation-closed",
        };
        let annotation = format!("nginx.ingress.kubernetes.io/{annotation}: '{value}'");
        let (model, report) = model(&(annotated("web", "a.test", ROOT, &annotation) + &services(&["s"])));
        assert_eq!(
            routes(site(&model), "a.test").unwrap(),
            ["Prefix / -> refused"],
            "{annotation}"
        );
        assert_eq!(
            causes(&report),
            [format!("Ingress default/web: refused {cause}")],
            "{annotation}"
        );
    }
}

#[test]
fn a_canary_gives_no_routes() {
    let canary =
        "nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '10'";
    let text = annotated("canary", "a.test", ROOT, canary)
        + &annotated(
            "off",
            "b.test",
            ROOT,
            "nginx.ingress.kubernetes.io/canary: 'false'",
        )
        + &services(&["s"]);
    let (model, report) = model(&text);
    assert!(routes(site(&model), "a.test").is_none());
    assert!(routes(site(&model), "b.test").is_some());
    let expected = ["degraded annotation-ignored", "refused annotation-canary"];
    assert_eq!(
        causes(&report),
        expected.map(|cause| format!("Ingress default/canary: {cause}"))
    );
}

#[test]
fn host_wide_annotations_act_on_the_hosts_routes_of_their_namespace_only() {
    let regex = "nginx.ingress.kubernetes.io/use-regex: 'true'";
    let service = services(&["s"]);
    let text = within(
        "mine",
        &annotated("regex", "a.test", &[("Prefix", "/r", "s")], regex),
    ) + &within("mine", &ingress("same", "a.test", &[("Prefix", "/same", "s")]))
        + &within("mine", &ingress("elsewhere", "b.test", ROOT))
        + &within(
            "other",
            &ingress("theirs", "a.test", &[("Prefix", "/theirs", "s")]),
        )
        + &within("mine", &service)
        + &within("other", &service);
    let (model, report) = model(&text);
    let expected = [
        "Prefix /r -> refused",
        "Prefix /same -> refused",
        "Prefix /theirs -> s",
    ];
    assert_eq!(routes(site(&model), "a.test").unwrap(), expected);
    assert_eq!(routes(site(&model), "b.test").unwrap(), ["Prefix / -> s"]);
    let expected = [
        "Ingress mine/regex: refused annotation-closed",
        "Ingress mine/same: refused host-closed",
    ];
    assert_eq!(causes(&report), expected);
}

/// What a host's rules leave to the default backend of the same namespace is behind the same protection.
#[test]
fn a_closed_host_is_closed_to_its_namespaces_default_backend_only() {
    let closing = "nginx.ingress.kubernetes.io/auth-tls-secret: mine/ca";
    let closer = within(
        "mine",
        &annotated("mtls", "a.test", &[("Prefix", "/r", "s")], closing),
    );
    let broken = within(
        "mine",
        &annotated("mtls", "a.test", &[("Prefix", "/a//b", "s")], closing),
    );
    let rest = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: rest}\n\
                spec: {ingressClassName: ours, defaultBackend: {service: {name: s, port: {number: 80}}}}\n";
    let owned_by = |namespace: &str, closer: &str| {
        let service = services(&["s"]);
        let text = within(namespace, rest) + closer + &within("mine", &service) + &within("other", &service);
        model(&text).0
    };
    let refused = ["Prefix /r -> refused", "Prefix / -> refused"];
    assert_eq!(
        routes(site(&owned_by("mine", &closer)), "a.test").unwrap(),
        refused
    );
    assert_eq!(
        routes(site(&owned_by("other", &closer)), "a.test").unwrap(),
        refused[..1]
    );
    // One that cannot be read has no host, and takes none from others.
    assert!(routes(site(&owned_by("mine", &broken)), "a.test").is_none());
}

#[test]
fn what_closes_a_host_closes_it_with_a_bad_path_too() {
    let closing = "nginx.ingress.kubernetes.io/auth-tls-secret: default/ca";
    for path in ["/a//b", "relative", "/a?b"] {
        let text = annotated("mtls", "a.test", &[("Prefix", path, "s")], closing)
            + &ingress("open", "a.test", ROOT)
            + &services(&["s"]);
        let (model, _) = model(&text);
        assert_eq!(
            routes(site(&model), "a.test").unwrap(),
            ["Prefix / -> refused"],
            "{path}"
        );
    }
}

#[test]
fn an_ingress_wide_annotation_closes_no_other_ingress() {
    let auth = "nginx.ingress.kubernetes.io/auth-type: basic";
    let text = annotated("closed", "a.test", &[("Prefix", "/c", "s")], auth)
        + &ingress("open", "a.test", &[("Prefix", "/o", "s")])
        + &services(&["s"]);
    let (model, _) = model(&text);
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        ["Prefix /c -> refused", "Prefix /o -> s"]
    );
}

#[test]
fn a_near_miss_is_told_with_the_name_it_missed() {
    let miss = "nginx.ingress.kubernetes.io/proxy-body-sise: 8m";
    let (_, report) = model(&(annotated("web", "a.test", ROOT, miss) + &services(&["s"])));
    assert_eq!(
        causes(&report),
        ["Ingress default/web: degraded annotation-unknown"]
    );
    assert_eq!(
        report.findings[0].fault.nearest.as_deref(),
        Some("proxy-body-size")
    );
}
