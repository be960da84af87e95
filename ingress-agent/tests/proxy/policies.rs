//! What a route asks for towards the client: redirect to https, the body's limit, the Host.

use std::time::Duration;

use ingress_agent::model::policy::{BodyLimit, Policies, UpstreamPolicy};

use crate::bed::{Bed, with_policies};
use crate::recorder::Recorder;

fn limited(limit: BodyLimit) -> Policies {
    Policies {
        body_limit: limit,
        ..Policies::default()
    }
}

fn sized(length: usize) -> String {
    let body = "x".repeat(length);
    format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn chunked(lengths: &[usize]) -> String {
    let chunks = lengths
        .iter()
        .map(|&length| format!("{length:x}\r\n{}\r\n", "x".repeat(length)));
    let chunks: String = chunks.collect();
    format!("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

/// Row 7 of `spec/ingress.md` section 7.
#[test]
fn tls_redirect() {
    let a = Recorder::start("a");
    let policies = Policies {
        https_redirect: true,
        ..Policies::default()
    };
    let bed = Bed::start(with_policies(&[a.address()], policies));
    let mut client = bed.connect();
    for (host, target, location) in [
        ("a.test", "/x?y=1", "https://a.test/x?y=1"),
        ("a.test", "/", "https://a.test"),
        ("a.test", "/d/", "https://a.test/d"),
        ("A.Test:8080", "/d", "https://a.test/d"),
        ("a.test.", "/a//b", "https://a.test/a//b"),
    ] {
        for method in ["GET", "POST", "HEAD"] {
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let reply = client.reply_to(method).unwrap();
            assert_eq!(
                (reply.status, reply.field("location")),
                (308, Some(location)),
                "{method} {host}{target}"
            );
        }
    }
    assert!(a.take_log().is_empty());
    // What came over TLS is served.
    let mut client = crate::tls::connect(&bed, "a.test");
    assert_eq!(client.get("a.test", "/").status, 200);
}

/// Row 13, by Content-Length: at the limit, and one more.
#[test]
fn a_body_that_says_it_is_too_large_is_not_forwarded() {
    let a = Recorder::start("a");
    let mut bed = Bed::start(with_policies(&[a.address()], Policies::default()));
    let mut client = bed.connect();
    assert_eq!(client.send(sized(1 << 20)).reply().unwrap().status, 200);
    assert_eq!(a.take_requests()[0].body.len(), 1 << 20);
    // Without waiting for a byte of it.
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
    let reply = client.try_reply().unwrap().unwrap();
    assert_eq!((reply.status, reply.field("connection")), (413, Some("close")));
    assert!(client.is_closed());
    assert!(a.take_log().concat().is_empty());
    for (limit, length, status) in [
        (BodyLimit::Bytes(8), 8, 200),
        (BodyLimit::Bytes(8), 9, 413),
        (BodyLimit::Unlimited, (1 << 20) + 1, 200),
    ] {
        bed.swap(with_policies(&[a.address()], limited(limit)));
        let reply = bed.connect().send(sized(length)).reply().unwrap();
        assert_eq!(reply.status, status, "{limit:?} {length}");
    }
    bed.assert_sound("a.test");
}

/// 413 comes before the redirect, as it does from ingress-nginx.
#[test]
fn too_large_is_said_before_the_redirect() {
    let a = Recorder::start("a");
    let policies = Policies {
        https_redirect: true,
        ..limited(BodyLimit::Bytes(8))
    };
    let bed = Bed::start(with_policies(&[a.address()], policies));
    assert_eq!(bed.connect().send(sized(8)).reply().unwrap().status, 308);
    assert_eq!(bed.connect().send(sized(9)).reply().unwrap().status, 413);
}

/// Row 13, counted while it streams: the pod never sees the end of what is too large.
#[test]
fn a_chunked_body_is_counted() {
    let a = Recorder::start("a");
    let bed = Bed::start(with_policies(&[a.address()], limited(BodyLimit::Bytes(8))));
    for (chunks, status) in [
        (&[8][..], 200),
        (&[1; 8], 200),
        (&[5, 3], 200),
        (&[9], 413),
        (&[5, 4], 413),
        (&[1; 9], 413),
    ] {
        let mut client = bed.connect();
        let reply = client.send(chunked(chunks)).reply().unwrap();
        assert_eq!(reply.status, status, "{chunks:?}");
        let log = a.take_log();
        let whole = log
            .iter()
            .filter(|bytes| crate::reference::complete(bytes).is_some());
        assert_eq!(whole.count(), usize::from(status == 200), "{chunks:?}");
        assert_eq!(client.is_open_for(Duration::from_millis(50)), status == 200);
        bed.assert_sound("a.test");
        a.take_log();
    }
}

#[test]
fn upstream_vhost() {
    let a = Recorder::start("a");
    let policies = |host: &str| Policies {
        upstream: UpstreamPolicy {
            host: Some(host.into()),
            ..UpstreamPolicy::default()
        },
        ..Policies::default()
    };
    let mut bed = Bed::start(with_policies(
        &[a.address()],
        policies("svc.ns.svc.cluster.local"),
    ));
    assert_eq!(bed.connect().get("a.test", "/").status, 200);
    let request = a.take_requests().remove(0);
    assert_eq!(request.field("host"), Some("svc.ns.svc.cluster.local"));
    assert_eq!(request.field("x-forwarded-host"), Some("a.test"));
    // What no field may hold closes the route.
    bed.swap(with_policies(&[a.address()], policies("a\r\nb")));
    assert_eq!(bed.connect().get("a.test", "/").status, 503);
    assert!(a.take_log().iter().all(Vec::is_empty));
}
