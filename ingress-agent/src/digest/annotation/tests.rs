use std::num::NonZeroU32;

use super::*;
use crate::model::policy::{Balance, BodyLimit, UpstreamProtocol};

const NGINX: &str = "nginx.ingress.kubernetes.io/";
const OURS: &str = "ingress-agent.dev/";

fn object() -> ObjectRef {
    ObjectRef {
        kind: "Ingress",
        namespace: "shop".into(),
        name: "web".into(),
    }
}

fn read_all(all: &[(&str, &str, &str)]) -> (Annotations, Vec<Fault>) {
    let all = all
        .iter()
        .map(|(prefix, name, value)| (format!("{prefix}{name}"), (*value).to_owned()));
    let mut faults = Vec::new();
    let annotations = read(&all.collect(), &object(), &mut faults);
    (annotations, faults)
}

fn read_one(name: &str, value: &str) -> (Annotations, Vec<Fault>) {
    let (nginx, faults) = read_all(&[(NGINX, name, value)]);
    let (ours, _) = read_all(&[(OURS, name, value)]);
    assert_eq!(nginx, ours, "{name}: {value} under either prefix");
    (nginx, faults)
}

fn causes(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.cause.name()).collect()
}

/// A value that does something, for an honoured annotation.
fn valid(setting: Setting) -> &'static str {
    match setting {
        Setting::SslRedirect => "false",
        Setting::ForceSslRedirect | Setting::PreserveTrailingSlash => "T",
        Setting::Protocol => "https",
        Setting::ConnectTimeout | Setting::ReadTimeout | Setting::SendTimeout => "7",
        Setting::BodySize => "8M",
        Setting::NextUpstream => "http_503  non_idempotent error",
        Setting::NextUpstreamTimeout | Setting::NextUpstreamTries => "9",
        Setting::Balance => "ewma",
        Setting::UpstreamHost => "api.example.com:8080",
        Setting::OwnVip => "own",
    }
}

#[test]
fn the_table_is_sorted_and_has_every_name_once() {
    assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
    for (alias, registered) in ALIASES {
        assert!(TABLE.iter().all(|row| row.name != alias), "{alias}");
        assert!(TABLE.iter().any(|row| row.name == registered), "{registered}");
    }
    for row in &TABLE {
        assert!(
            row.idle.iter().all(|idle| *idle == idle.to_ascii_lowercase()),
            "{row:?}"
        );
    }
}

#[test]
fn every_annotation_with_every_sort_of_value() {
    let megabyte = "x".repeat(1 << 20);
    let odd = [
        "a\rb",
        "a\nb",
        "a\0b",
        "8m\r\nX: y",
        "{}",
        "${}",
        "\"",
        "'",
        "a;b",
        "-1",
        "\u{fe0f}",
        &megabyte,
    ];
    for row in &TABLE {
        assert_eq!(
            read_one(row.name, ""),
            (Annotations::default(), Vec::new()),
            "{}",
            row.name
        );
        assert_eq!(
            read_one(row.name, " \n"),
            (Annotations::default(), Vec::new()),
            "{}",
            row.name
        );
        for idle in row.idle {
            assert_eq!(
                read_one(row.name, idle),
                (Annotations::default(), Vec::new()),
                "{row:?}"
            );
        }
        if let Class::Honoured(setting) = row.class {
            let (annotations, faults) = read_one(row.name, valid(setting));
            assert_ne!(annotations, Annotations::default(), "{}", row.name);
            assert_eq!(faults, [], "{}", row.name);
        }
        for value in odd {
            let (annotations, faults) = read_one(row.name, value);
            let (protection, cause) = match row.class {
                Class::Honoured(_) => (Protection::Served, "annotation-value"),
                Class::Cosmetic => (Protection::Served, "annotation-ignored"),
                Class::Protective(Reach::Own) => (Protection::Closed, "annotation-closed"),
                Class::Protective(Reach::Host) => (Protection::HostsClosed, "annotation-closed"),
                Class::Canary => (Protection::NoRoutes, "annotation-canary"),
            };
            let expected = Annotations {
                protection,
                ..Annotations::default()
            };
            let shown: String = value.chars().take(20).collect();
            assert_eq!(annotations, expected, "{}: {shown:?}", row.name);
            assert_eq!(causes(&faults), [cause], "{}: {shown:?}", row.name);
            let words = faults[0].to_string();
            assert!(
                words.len() < 2000 && !words.contains(['\r', '\n', '\0']),
                "{}: {shown:?}",
                row.name
            );
        }
    }
}

#[test]
fn an_address_of_its_own_is_asked_for_in_our_name_only() {
    let own = |prefix, value| {
        let (annotations, faults) = read_all(&[(prefix, "vip", value)]);
        (annotations.own_vip, causes(&faults).concat())
    };
    assert_eq!(own(OURS, "own"), (true, String::new()));
    assert_eq!(own(OURS, "shared"), (false, String::new()));
    assert_eq!(own(OURS, "192.0.2.1"), (false, "annotation-value".to_owned()));
    assert_eq!(own(NGINX, "own"), (false, "annotation-unknown".to_owned()));
    let (_, faults) = read_all(&[(OURS, "vips", "own")]);
    assert_eq!(faults[0].nearest.as_deref(), Some("vip"));
}

#[test]
fn ours_wins_and_an_alias_gives_way_to_its_name() {
    let body = |all: &[(&str, &str, &str)]| read_all(all).0.policies.body_limit;
    let (ours, theirs) = ((OURS, "proxy-body-size", "1k"), (NGINX, "proxy-body-size", "2k"));
    assert_eq!(body(&[ours, theirs]), BodyLimit::Bytes(1 << 10));
    assert_eq!(body(&[theirs]), BodyLimit::Bytes(2 << 10));
    // An empty value is not set, so that it takes no protection away.
    let (closed, _) = read_all(&[(OURS, "auth-type", ""), (NGINX, "auth-type", "basic")]);
    assert_eq!(closed.protection, Protection::Closed);
    let (closed, faults) = read_all(&[
        (NGINX, "whitelist-source-range", "10.0.0.0/8"),
        (NGINX, "allowlist-source-range", "192.0.2.0/24"),
    ]);
    assert_eq!(closed.protection, Protection::Closed);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].to_string().contains("192.0.2.0/24"), "{}", faults[0]);
    let (closed, _) = read_one("limit-whitelist", "10.0.0.0/8");
    assert_eq!(closed.protection, Protection::Closed);
}

#[test]
fn a_near_miss_is_told_and_closes_where_it_would_protect() {
    for (name, nearest, protection) in [
        ("AUTH-TYPE", Some("auth-type"), Protection::Closed),
        ("Rewrite-Target", Some("rewrite-target"), Protection::Closed),
        ("Proxy-Body-Size", Some("proxy-body-size"), Protection::Served),
        ("proxy-body-sise", Some("proxy-body-size"), Protection::Served),
        ("rewrite-targt", Some("rewrite-target"), Protection::Served),
        ("auth-typ", Some("auth-type"), Protection::Closed),
        (
            "whitelist-source-rang",
            Some("allowlist-source-range"),
            Protection::Closed,
        ),
        ("location-snippet", None, Protection::Closed),
        ("enable-websockets", None, Protection::Served),
        ("global-rate-limit-window", None, Protection::Closed),
    ] {
        let (annotations, faults) = read_one(name, "x");
        assert_eq!(annotations.protection, protection, "{name}");
        assert_eq!(causes(&faults), ["annotation-unknown"], "{name}");
        if nearest.is_some() {
            assert_eq!(faults[0].nearest.as_deref(), nearest, "{name}");
        }
    }
    // The API server takes the prefix in capitals too.
    let (annotations, faults) = read_all(&[("NGINX.ingress.Kubernetes.io/", "auth-type", "basic")]);
    assert_eq!(annotations.protection, Protection::Closed);
    assert_eq!(causes(&faults), ["annotation-unknown"]);
    assert_eq!(faults[0].nearest.as_deref(), Some("auth-type"));
    let (annotations, faults) = read_all(&[("example.com/", "auth-type", "basic")]);
    assert_eq!((annotations, faults), (Annotations::default(), Vec::new()));
}

#[test]
fn ten_thousand_unknown_names_cost_little_advice() {
    let all = (0..10_000)
        .map(|i| (format!("{NGINX}auth-typ{i}"), "x".to_owned()))
        .collect();
    let mut faults = Vec::new();
    read(&all, &object(), &mut faults);
    assert_eq!(faults.len(), 10_000);
    assert!(faults.iter().filter(|fault| fault.nearest.is_some()).count() <= ADVISED);
}

#[test]
fn backend_protocols() {
    for (value, protocol, protection) in [
        ("HTTP", UpstreamProtocol::Http, Protection::Served),
        ("https", UpstreamProtocol::Https, Protection::Served),
        ("GRPC", UpstreamProtocol::Http, Protection::Closed),
        ("grpcs", UpstreamProtocol::Http, Protection::Closed),
        ("FCGI", UpstreamProtocol::Http, Protection::Closed),
        ("AUTO_HTTP", UpstreamProtocol::Http, Protection::Closed),
        ("HTTP/2", UpstreamProtocol::Http, Protection::Served),
    ] {
        let (annotations, _) = read_one("backend-protocol", value);
        assert_eq!(annotations.policies.upstream.protocol, protocol, "{value}");
        assert_eq!(annotations.protection, protection, "{value}");
    }
}

#[test]
fn sizes() {
    for (text, size) in [
        ("0", Some(BodyLimit::Unlimited)),
        ("0m", Some(BodyLimit::Unlimited)),
        ("1", Some(BodyLimit::Bytes(1))),
        ("12b", Some(BodyLimit::Bytes(12))),
        ("8K", Some(BodyLimit::Bytes(8 << 10))),
        ("1g", Some(BodyLimit::Bytes(1 << 30))),
        ("m", None),
        ("8mb", None),
        ("8 m", None),
        ("-8m", None),
        ("18446744073709551615g", None),
        ("18446744073709551616", None),
        ("8\u{212a}", None),
    ] {
        assert_eq!(value::size(text), size, "{text}");
    }
}

#[test]
fn times_are_whole_seconds() {
    assert_eq!(value::seconds("60"), Some(Duration::from_secs(60)));
    for text in ["60s", "0", "-1", "+1", "1.5", "1m", "4294967296", ""] {
        assert_eq!(value::seconds(text), None, "{text}");
    }
}

#[test]
fn retries_are_nginxs_words() {
    let retry = |all: &[(&str, &str, &str)]| read_all(all).0.policies.upstream.retry.clone();
    let some = retry(&[
        (
            NGINX,
            "proxy-next-upstream",
            "error http_503 http_503 http_502 non_idempotent",
        ),
        (NGINX, "proxy-next-upstream-timeout", "2"),
        (NGINX, "proxy-next-upstream-tries", "0"),
    ]);
    let expected = Retry {
        error: true,
        timeout: false,
        invalid_header: false,
        statuses: vec![502, 503],
        non_idempotent: true,
        tries: None,
        within: Some(Duration::from_secs(2)),
    };
    assert_eq!(some, expected);
    let off = retry(&[(NGINX, "proxy-next-upstream", "error off")]);
    assert!(!off.error && !off.timeout && off.statuses.is_empty());
    assert_eq!(off.tries, NonZeroU32::new(3));
    for bad in ["http_200", "http_5xx", "errors", "error;timeout"] {
        assert_eq!(
            retry(&[(NGINX, "proxy-next-upstream", bad)]),
            Retry::default(),
            "{bad}"
        );
    }
}

#[test]
fn balances() {
    for (text, balance) in [
        ("round_robin", Balance::RoundRobin),
        ("ewma", Balance::PeakEwma),
        ("least_request", Balance::LeastRequest),
        ("ip_hash", Balance::RoundRobin),
    ] {
        assert_eq!(
            read_one("load-balance", text).0.policies.upstream.balance,
            balance,
            "{text}"
        );
    }
}

#[test]
fn an_upstream_host_is_a_host() {
    let host = |text| value::upstream_host(text, &object());
    let kept = |text: &str| Some(UpstreamHost::Fixed(Arc::from(text)));
    assert_eq!(host("a.test"), kept("a.test"));
    assert_eq!(host("192.0.2.1:80"), kept("192.0.2.1:80"));
    assert_eq!(host("$host"), Some(UpstreamHost::Clients));
    assert_eq!(
        host("$service_name.$namespace.svc.cluster.local:$service_port"),
        kept("$service_name.shop.svc.cluster.local:$service_port")
    );
    assert_eq!(host("${ingress_name}-x.$namespace"), kept("web-x.shop"));
    for text in [
        "$request_uri",
        "$namespaces.svc",
        "a.$http_x",
        "$host:80",
        "${remote_addr}",
    ] {
        assert_eq!(host(text), Some(UpstreamHost::Variable), "{text}");
    }
    for text in [
        "a b",
        "a:0",
        "a:x",
        "a:1:2",
        "$",
        "${}",
        "${namespace",
        "a$-b",
        "a\r\nX: y",
        "*.a",
        "a/b",
        "user@a",
    ] {
        assert_eq!(host(text), None, "{text}");
    }
}
