//! Retries, broken pods, connections that are kept and that are not (spec H1-13, H1-20, H1-21, OP-9).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ingress_agent::model::Policies;
use ingress_agent::model::policy::{Timeouts, UpstreamPolicy};

use crate::bed::{Bed, site, under};
use crate::failing::refusing;
use crate::recorder::{Answer, Recorder};

/// The policies of routes whose pods may be silent for this long, in milliseconds.
fn quick(read: u64) -> Policies {
    let timeouts = Timeouts {
        read: Duration::from_millis(read),
        connect: Duration::from_millis(300),
        ..Timeouts::default()
    };
    Policies {
        upstream: UpstreamPolicy {
            timeouts,
            ..UpstreamPolicy::default()
        },
        ..Policies::default()
    }
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn a_refused_connection_is_tried_elsewhere_even_for_a_post() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[refusing(), a.address(), refusing()])]));
    let mut client = bed.connect();
    for _ in 0..20 {
        assert_eq!(client.get("a.test", "/").status, 200);
        assert_eq!(client.send(POST).reply().unwrap().status, 200);
    }
    let requests = a.take_requests();
    assert_eq!(requests.len(), 40);
    assert_eq!(
        requests.iter().filter(|request| request.body == b"abc").count(),
        20
    );
}

/// A pod that goes away before it answers: a GET goes elsewhere, a POST is never sent twice.
#[test]
fn what_may_have_been_done_is_not_done_again() {
    for gone in [Answer::Close, Answer::Reset] {
        let [a, b] = ["a", "b"].map(Recorder::start);
        let bed = Bed::start(site(&[("a.test", "/", &[a.address(), b.address()])]));
        let mut client = bed.connect();
        for pod in [&a, &b] {
            pod.script([gone.clone()]);
        }
        // Two of three tries meet a pod that goes away; the third dials the first pod again.
        assert_eq!(client.get("a.test", "/").status, 200, "{gone:?}");
        let seen = a.take_requests().len() + b.take_requests().len();
        assert_eq!(seen, 3, "{gone:?}");
        for pod in [&a, &b] {
            pod.script([gone.clone()]);
        }
        let empty = POST.replace(": 3", ": 0").replace("abc", "");
        for post in [POST, &empty] {
            assert_eq!(client.send(post).reply().unwrap().status, 502, "{gone:?}");
            let seen = a.take_requests().len() + b.take_requests().len();
            assert_eq!(seen, 1, "{gone:?}");
        }
        bed.assert_sound("a.test");
    }
}

/// OP-10: a pod that closes kept connections between two requests costs nobody a request.
#[test]
fn a_kept_connection_that_has_gone_stale_is_not_noticed() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    for round in 0..30 {
        a.script([Answer::BytesThenClose(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".to_vec(),
        )]);
        assert_eq!(client.get("a.test", "/").status, 200, "round {round}");
    }
    // A pod that closes when the next request arrives: the head is lost, and sent again.
    for round in 0..30 {
        assert_eq!(client.get("a.test", "/").status, 200, "round {round}");
        a.script([Answer::Close]);
        assert_eq!(client.get("a.test", "/").status, 200, "round {round}, stale");
    }
}

#[test]
fn a_silent_pod_costs_504() {
    let a = Recorder::start("a");
    let bed = Bed::start(under(site(&[("a.test", "/", &[a.address()])]), &quick(200)));
    let mut client = bed.connect();
    let slow = Answer::After(Duration::from_millis(1500));
    a.script([slow.clone(), slow.clone(), slow.clone()]);
    let start = Instant::now();
    assert_eq!(client.get("a.test", "/").status, 504);
    assert!((Duration::from_millis(600)..Duration::from_millis(1400)).contains(&start.elapsed()));
    a.script([slow]);
    let start = Instant::now();
    assert_eq!(client.send(POST).reply().unwrap().status, 504);
    assert!((Duration::from_millis(200)..Duration::from_millis(1400)).contains(&start.elapsed()));
    bed.assert_sound("a.test");
    // The limit is on silence, not on the whole.
    a.script([Answer::After(Duration::from_millis(100))]);
    assert_eq!(client.get("a.test", "/").status, 200);
}

/// H1-20: what a hostile pod says reaches neither this client broken nor the next one at all.
#[test]
fn a_hostile_pod_harms_nobody() {
    let answers: [(&str, &[u8]); 11] = [
        (
            "a length and chunks",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ),
        (
            "chunks twice",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("garbage", b"\x16\x03\x01 garbage\r\n\r\n"),
        ("no status", b"HTTP/1.1\r\n\r\n"),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        ),
        (
            "a length that is none",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        ),
        (
            "LF in a field",
            b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 1\r\n\r\nx",
        ),
        (
            "a switch nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nsecret",
        ),
        (
            "an obsolete fold",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\nx",
        ),
        (
            "an unknown coding",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\nContent-Length: 3\r\n\r\nxxx",
        ),
        ("no name", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"),
    ];
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for (name, answer) in answers {
        let mut client = bed.connect();
        a.script([Answer::BytesThenClose(answer.to_vec())]);
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        // 502, or an answer that breaks off; never an end that looks clean.
        match client.try_reply() {
            Ok(Some(reply)) => assert_eq!(reply.status, 502, "{name}: {reply:?}"),
            Ok(None) => {}
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{name}"),
        }
        bed.assert_sound("a.test");
        a.take_log();
    }
    // Bytes after the body never become another client's answer.
    let mut client = bed.connect();
    for _ in 0..5 {
        let long =
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
        a.script([Answer::Bytes(long.to_vec())]);
        assert_eq!(client.get("a.test", "/").text(), "a");
        bed.assert_sound("a.test");
        assert_eq!(client.get("a.test", "/").text(), "a");
    }
}

/// H1-21: a body that breaks off is seen to break off.
#[test]
fn a_truncated_body_has_no_clean_end() {
    let a = Recorder::start("a");
    let bed = Bed::start(under(site(&[("a.test", "/", &[a.address()])]), &quick(200)));
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        // Ended by the pod, then by its silence.
        for broken in [
            Answer::BytesThenClose(answer.to_vec()),
            Answer::Bytes(answer.to_vec()),
        ] {
            a.script([broken]);
            let mut client = bed.connect();
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert!(client.try_reply().is_err());
            bed.assert_sound("a.test");
            a.take_log();
        }
    }
}

/// H1-13: an answer before the body was read. What follows is not taken for a request, and the pod's
/// connection is not used again.
#[test]
fn an_early_answer_leaves_nothing_behind() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    client.send("POST /none HTTP/1.1\r\nHost: b.test\r\nContent-Length: 36\r\n\r\n");
    assert_eq!(client.reply().unwrap().status, 404);
    client.send("GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n ");
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // Drained or closed; `/evil` is a body in either case.
    let next = client.try_reply();
    assert!(matches!(next, Ok(None) | Err(_)) || next.unwrap().unwrap().status == 200);
    let seen = a.take_requests();
    assert!(seen.iter().all(|request| request.target == "/next"), "{seen:?}");
    bed.assert_sound("a.test");
}

/// A pod that answers before it has read the body: the client hears it, the rest of the body is nobody's
/// request, and the pod's connection is not used again.
#[test]
fn a_pod_may_answer_early() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pod = listener.local_addr().unwrap();
    let bed = Bed::start(site(&[("a.test", "/", &[pod])]));
    let mut client = bed.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc");
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let answer_after = |end: &[u8]| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(end) {
            let mut chunk = [0; 1024];
            let count = stream.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..count]);
        }
        stream.write_all(ok).unwrap();
        stream
    };
    let mut first = answer_after(b"\r\n\r\nabc");
    assert_eq!(client.reply().unwrap().status, 200);
    // Another client's request meanwhile must dial.
    let mut other = bed.connect();
    other.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let _second = answer_after(b"\r\n\r\n");
    assert_eq!(other.reply().unwrap().status, 200);
    client.send("def");
    let mut rest = Vec::new();
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    first.read_to_end(&mut rest).unwrap();
    assert!(b"def".starts_with(&rest), "{}", rest.escape_ascii());
}

/// A client that leaves takes its request with it; the pod's connection is not given to another.
#[test]
fn a_client_that_leaves_harms_nobody() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for _ in 0..10 {
        a.script([Answer::After(Duration::from_millis(50))]);
        let mut client = bed.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        drop(client);
        bed.assert_sound("a.test");
        let mut half = bed.connect();
        half.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc")
            .finish();
        assert!(matches!(half.try_reply(), Ok(None | Some(_)) | Err(_)));
        bed.assert_sound("a.test");
    }
}
