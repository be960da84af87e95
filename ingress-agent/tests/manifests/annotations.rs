//! Annotations by what a client hears and a pod gets: each honoured one, and what becomes of the others.

use std::time::Duration;

use ingress_agent::model::Host;
use ingress_agent::model::policy::{Balance, UpstreamPolicy};

use crate::folder::{annotated, causes, ingress, services, site, with_tls, within};
use crate::recorder::Answer;
use crate::world::World;

const ROOT: &[(&str, &str, &str)] = &[("Prefix", "/", "s")];

/// An Ingress for `a.test` with these of ingress-nginx's annotations, `NAME: VALUE`.
fn web(annotations: &[&str]) -> String {
    let all = annotations.iter();
    let all: Vec<_> = all
        .map(|one| format!("nginx.ingress.kubernetes.io/{one}"))
        .collect();
    annotated("web", "a.test", ROOT, &all.join(", ")) + &services(&["s"])
}

fn location(world: &World, method: &str, host: &str, target: &str) -> (u16, Option<String>) {
    let mut client = world.bed.connect();
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    ));
    let reply = client.reply_to(method).unwrap();
    (reply.status, reply.field("location").map(str::to_owned))
}

#[test]
fn ssl_redirect() {
    let world = World::start(&with_tls(&web(&[]), "a.test"));
    for (host, target, to) in [
        ("a.test", "/x?y=1", "https://a.test/x?y=1"),
        ("a.test", "/", "https://a.test"),
        ("a.test", "/d/", "https://a.test/d"),
        ("A.test:8080", "/x", "https://a.test/x"),
        (
            "a.test.",
            "/.well-known/acme-challenge/t",
            "https://a.test/.well-known/acme-challenge/t",
        ),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(
                location(&world, method, host, target),
                (308, Some(to.to_owned())),
                "{method} {host}{target}"
            );
        }
    }
    assert!(world.pod("s").take_log().is_empty());
    for text in [
        with_tls(&web(&["ssl-redirect: 'false'"]), "a.test"),
        web(&["ssl-redirect: 'true'"]),
    ] {
        World::start(&text).assert_answers(&[("a.test", "/x", "s")]);
    }
}

#[test]
fn force_ssl_redirect() {
    let acme = "/.well-known/acme-challenge";
    let paths = [("Prefix", "/", "s"), ("Prefix", acme, "solver")];
    let forced = annotated(
        "web",
        "a.test",
        &paths,
        "ingress-agent.dev/force-ssl-redirect: 'true'",
    );
    let world = World::start(&(forced + &services(&["s", "solver"])));
    assert_eq!(
        location(&world, "GET", "a.test", "/x"),
        (308, Some("https://a.test/x".to_owned()))
    );
    world.assert_answers(&[("a.test", "/.well-known/acme-challenge/token", "solver")]);
}

/// A pod that speaks no TLS is sent a ClientHello, and not the request in clear. It never answers it, which
/// `proxy-connect-timeout` bounds.
#[test]
fn backend_protocol_and_proxy_connect_timeout() {
    let world = World::start(&web(&[
        "backend-protocol: https",
        "proxy-connect-timeout: '1'",
        "proxy-next-upstream-tries: '1'",
    ]));
    world.assert_answers(&[("a.test", "/", "504")]);
    let log = world.pod("s").take_log().concat();
    assert!(log.starts_with(&[0x16, 3]) && !log.windows(4).any(|bytes| bytes == b"HTTP"));
    World::start(&web(&["backend-protocol: HTTP"])).assert_answers(&[("a.test", "/", "s")]);
    World::start(&web(&["backend-protocol: SPDY"])).assert_answers(&[("a.test", "/", "s")]);
    for protocol in ["GRPC", "GRPCS", "FCGI", "AUTO_HTTP"] {
        let world = World::start(&web(&[&format!("backend-protocol: {protocol}")]));
        world.assert_answers(&[("a.test", "/", "503")]);
        assert!(world.pods_are_untouched(), "{protocol}");
    }
}

#[test]
fn proxy_read_timeout() {
    let one_try = "proxy-next-upstream: 'off'";
    let world = World::start(&web(&["proxy-read-timeout: '1'", one_try]));
    world.pod("s").script([Answer::After(Duration::from_secs(30))]);
    world.assert_answers(&[("a.test", "/", "504"), ("a.test", "/", "s")]);
    let world = World::start(&web(&["proxy-read-timeout: 1s", one_try]));
    assert_eq!(
        causes(&world.report),
        ["Ingress default/web: degraded annotation-value"]
    );
    world
        .pod("s")
        .script([Answer::After(Duration::from_millis(1500))]);
    world.assert_answers(&[("a.test", "/", "s")]);
}

/// What the model asks of the only route's pods.
fn upstream(world: &World) -> &UpstreamPolicy {
    let hosts = &site(&world.model).hosts;
    let host = hosts.get(&Host::parse("a.test").unwrap()).unwrap();
    &host.routes[0].policies.upstream
}

/// What becomes of it on the wire: `tests/proxy/retry.rs`.
#[test]
fn proxy_send_timeout() {
    let send = |annotation: &str| {
        let world = World::start(&web(&[annotation]));
        (upstream(&world).timeouts.send, causes(&world.report).len())
    };
    assert_eq!(send("proxy-send-timeout: '7'"), (Duration::from_secs(7), 0));
    assert_eq!(send("proxy-send-timeout: 7s"), (Duration::from_secs(60), 1));
    assert_eq!(send("proxy-read-timeout: '7'"), (Duration::from_secs(60), 0));
}

fn post(world: &World, length: usize) -> u16 {
    let mut client = world.bed.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"
    ));
    // What is refused may be refused before its body has come.
    client.send(vec![b'x'; length]);
    client.reply().unwrap().status
}

#[test]
fn proxy_body_size() {
    for (size, length, status) in [
        ("1k", 1024, 200),
        ("1k", 1025, 413),
        ("'3'", 3, 200),
        ("'3'", 4, 413),
        ("'0'", (1 << 20) + 1, 200),
        ("lots", 1 << 20, 200),
        ("lots", (1 << 20) + 1, 413),
    ] {
        let world = World::start(&web(&[&format!("proxy-body-size: {size}")]));
        assert_eq!(post(&world, length), status, "{size} {length}");
    }
}

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// What a client hears when the pod says 503 so many times.
fn after_failures(annotations: &[&str], failures: usize) -> u16 {
    let two = "endpoints: [{addresses: [10.1.0.2]}, ";
    let world = World::start(&web(annotations).replace("endpoints: [", two));
    for pod in ["s", "s 10.1.0.2:8080"] {
        let answers = std::iter::repeat_n(Answer::Bytes(UNAVAILABLE.to_vec()), failures);
        world.pod(pod).script(answers);
    }
    world.get("a.test", "/").status
}

#[test]
fn proxy_next_upstream() {
    assert_eq!(after_failures(&[], 1), 503);
    assert_eq!(after_failures(&["proxy-next-upstream: error http_503"], 1), 200);
    assert_eq!(after_failures(&["proxy-next-upstream: http_503 off"], 1), 503);
    assert_eq!(
        after_failures(&["proxy-next-upstream: http_503 nonsense"], 1),
        503
    );
}

#[test]
fn proxy_next_upstream_tries() {
    let on = "proxy-next-upstream: http_503";
    assert_eq!(after_failures(&[on, "proxy-next-upstream-tries: '2'"], 1), 503);
    assert_eq!(after_failures(&[on, "proxy-next-upstream-tries: '3'"], 1), 200);
    assert_eq!(after_failures(&[on, "proxy-next-upstream-tries: '1'"], 1), 503);
}

#[test]
fn proxy_next_upstream_timeout() {
    let policy = [
        "proxy-next-upstream: http_503",
        "proxy-next-upstream-timeout: '1'",
    ];
    let world = World::start(&web(&policy));
    world.pod("s").script([Answer::Bytes(UNAVAILABLE.to_vec())]);
    // Within the second it is tried again, and not after it.
    world.assert_answers(&[("a.test", "/", "s")]);
    assert_eq!(world.pod("s").take_requests().len(), 2);
    let late = Answer::BytesAfter(Duration::from_millis(1200), UNAVAILABLE.to_vec());
    world.pod("s").script([late]);
    world.assert_answers(&[("a.test", "/", "503")]);
    assert_eq!(world.pod("s").take_requests().len(), 1);
}

#[test]
fn load_balance() {
    for (balance, expected, told) in [
        ("round_robin", Balance::RoundRobin, 0),
        ("ewma", Balance::PeakEwma, 0),
        ("least_request", Balance::LeastRequest, 0),
        ("ip_hash", Balance::RoundRobin, 1),
    ] {
        let text = web(&[&format!("load-balance: {balance}")]);
        let two = "endpoints: [{addresses: [10.1.0.2]}, ";
        let world = World::start(&text.replace("endpoints: [", two));
        assert_eq!(world.report.findings.len(), told, "{balance}");
        assert_eq!(upstream(&world).balance, expected, "{balance}");
        let mut client = world.bed.connect();
        let answers: Vec<_> = (0..40)
            .map(|_| client.get("a.test", "/").text().to_owned())
            .collect();
        let first = answers.iter().filter(|answer| *answer == "s").count();
        if expected == Balance::RoundRobin {
            assert_eq!(first, 20, "{balance}");
        }
        assert!(answers.iter().all(|answer| answer.starts_with('s')), "{balance}");
    }
}

#[test]
fn upstream_vhost() {
    for (value, host) in [
        ("api.example.com:8443", "api.example.com:8443"),
        ("$service_name.$namespace.svc", "s.default.svc"),
        ("'${ingress_name}.test:$service_port'", "web.test:80"),
        ("$host", "a.test"),
    ] {
        let world = World::start(&web(&[&format!("upstream-vhost: {value}")]));
        world.assert_answers(&[("a.test", "/", "s")]);
        let request = world.pod("s").take_requests().remove(0);
        assert_eq!(request.field("host"), Some(host), "{value}");
        assert_eq!(request.field("x-forwarded-host"), Some("a.test"), "{value}");
    }
    for value in ["$http_x_tenant.svc", "$remote_addr"] {
        let world = World::start(&web(&[&format!("upstream-vhost: {value}")]));
        world.assert_answers(&[("a.test", "/", "503")]);
        assert!(world.pods_are_untouched(), "{value}");
    }
}

#[test]
fn what_protects_or_moves_paths_is_503_and_the_pod_hears_nothing() {
    for annotation in [
        "rewrite-target: /$1",
        "use-regex: 'true'",
        "permanent-redirect: 'https://b.test'",
        "temporal-redirect: 'https://b.test'",
        "from-to-www-redirect: 'true'",
        "app-root: /login",
        "server-alias: b.test",
        "ssl-passthrough: 'true'",
        "auth-type: basic",
        "auth-url: 'http://auth'",
        "auth-tls-secret: default/ca",
        "whitelist-source-range: 10.0.0.0/8",
        "denylist-source-range: 10.0.0.0/8",
        "limit-rps: '1'",
        "enable-modsecurity: 'true'",
        "configuration-snippet: 'deny all;'",
    ] {
        let world = World::start(&web(&[annotation]));
        world.assert_answers(&[("a.test", "/", "503"), ("b.test", "/", "404")]);
        assert!(world.pods_are_untouched(), "{annotation}");
    }
}

#[test]
fn a_canary_is_404_alone_and_takes_nothing_from_its_main() {
    let canary =
        "nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '100'";
    let canary = annotated("canary", "a.test", &[("Prefix", "/", "c")], canary) + &services(&["c"]);
    let mut world = World::start(&canary);
    world.assert_answers(&[("a.test", "/", "404")]);
    world.edit(&(canary + &web(&[])));
    world.assert_answers(&[("a.test", "/", "s"); 5]);
}

#[test]
fn a_host_wide_annotation_closes_its_namespaces_routes_alone() {
    let regex = "nginx.ingress.kubernetes.io/use-regex: 'true'";
    let in_namespace = |namespace: &str, name: &str, at: &str| {
        within(namespace, &ingress(name, "a.test", &[("Prefix", at, "s")]))
    };
    let text = within(
        "mine",
        &annotated("regex", "a.test", &[("Prefix", "/r", "s")], regex),
    ) + &in_namespace("mine", "near", "/near")
        + &in_namespace("other", "theirs", "/theirs")
        + &within("mine", &services(&["s"]))
        + &within("other", &services(&["s"]));
    World::start(&text).assert_answers(&[
        ("a.test", "/r", "503"),
        ("a.test", "/near", "503"),
        ("a.test", "/theirs", "other/s"),
    ]);
}

#[test]
fn our_prefix_wins_and_an_empty_value_is_not_set() {
    let text = |ours: &str| {
        let both = format!(
            "ingress-agent.dev/proxy-body-size: '{ours}', nginx.ingress.kubernetes.io/proxy-body-size: 1k"
        );
        annotated("web", "a.test", ROOT, &both) + &services(&["s"])
    };
    assert_eq!(post(&World::start(&text("2k")), 2048), 200);
    assert_eq!(post(&World::start(&text("")), 2048), 413);
}
