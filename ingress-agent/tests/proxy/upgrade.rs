//! A change of protocol: what is offered, what is taken, and the tunnel (spec H1-15 to H1-17, SL-6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::model::policy::{Policies, Timeouts, UpstreamPolicy};
use ingress_agent::model::{Host, HostMap, PathMatch, Site, VirtualHost};
use ingress_agent::proxy::DrainOutcome;

use crate::bed::{Bed, route, site, with_policies};
use crate::recorder::{Answer, Recorder};
use crate::reference;

const TAKEN: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n";

fn offer(protocol: &str, more: &str) -> String {
    format!("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{more}\r\n")
}

fn echo(head: &str) -> Answer {
    Answer::Echo(head.as_bytes().to_vec())
}

#[test]
fn what_is_taken_becomes_a_tunnel() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for protocol in ["websocket", "WebSocket", "SPDY/3.1"] {
        let head = TAKEN.replace("websocket", protocol);
        a.script([echo(&head)]);
        let mut client = bed.connect();
        client.send(offer(protocol, "Sec-WebSocket-Key: k\r\n"));
        let reply = client.try_reply().unwrap().unwrap();
        assert_eq!((reply.status, reply.field("upgrade")), (101, Some(protocol)));
        assert_eq!(
            (reply.field("connection"), reply.field("x")),
            (Some("upgrade"), Some("y"))
        );
        for bytes in [&b"\x81\x05hello"[..], b"GET / HTTP/1.1\n\0", &[0xff; 3000]] {
            client.send(bytes);
            assert_eq!(client.read(bytes.len()), bytes);
        }
        // The end of one direction reaches the pod, whose end reaches the client.
        client.finish();
        assert!(client.is_closed());
        let log = a.take_log().concat();
        let (requests, rest) = log.split_at(log.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
        let request = reference::requests(requests).remove(0);
        assert_eq!(request.field("upgrade"), Some(protocol));
        assert_eq!(request.field("connection"), Some("upgrade"));
        assert_eq!(request.field("sec-websocket-key"), Some("k"));
        assert_eq!(rest.len(), 7 + 16 + 3000);
        bed.assert_sound("a.test");
        a.take_log();
    }
    // The same over TLS.
    a.script([echo(TAKEN)]);
    let mut client = crate::tls::connect(&bed, "a.test");
    client.send(offer("websocket", "")).send("early");
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
    assert_eq!(client.read(5), b"early");
}

/// H1-15: what comes with the head waits for the answer, and goes nowhere when that is not 101.
#[test]
fn nothing_is_forwarded_before_the_offer_is_taken() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let smuggled = "GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb";
    for (answer, status) in [
        (ok.to_owned(), 200),
        (ok.replace("200 OK", "403 Forbidden"), 403),
        (TAKEN.replace("Upgrade: websocket\r\n", ""), 502),
        (TAKEN.replace("websocket", "other"), 502),
        (TAKEN.replace("X: y", "Upgrade: websocket"), 502),
    ] {
        for together in [true, false] {
            a.script([Answer::Bytes(answer.clone().into_bytes())]);
            let mut client = bed.connect();
            if together {
                client.send(offer("websocket", "") + smuggled);
            } else {
                client.send(offer("websocket", "")).send(smuggled);
            }
            let reply = client.reply().unwrap();
            assert_eq!(
                (reply.status, reply.field("connection")),
                (status, Some("close")),
                "{answer}"
            );
            assert!(client.is_closed());
            let requests = a.take_requests();
            let targets: Vec<_> = requests.iter().map(|request| request.target.as_str()).collect();
            assert_eq!(targets, ["/ws"], "{answer}");
            bed.assert_sound("a.test");
            a.take_log();
        }
    }
    // While the pod thinks, it has seen the head alone; when it agrees, the rest comes.
    let mut late = TAKEN.as_bytes().to_vec();
    late.extend(b"first");
    a.script([Answer::Echo(late)]);
    let mut client = bed.connect();
    client.send(offer("websocket", "") + smuggled);
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
    assert_eq!(client.read(5), b"first");
    assert_eq!(client.read(smuggled.len()), smuggled.as_bytes());
}

/// A route that is not there closes too.
#[test]
fn an_offer_to_nobody_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("sound.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    client.send(offer("websocket", "") + "more");
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.field("connection")), (404, Some("close")));
    assert!(client.is_closed());
    bed.assert_sound("sound.test");
}

/// H1-16.
#[test]
fn other_offers_are_ordinary_requests_and_a_body_is_refused() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    for head in [
        offer("h2c", "HTTP2-Settings: AAMAAABk\r\n"),
        offer("foo", ""),
        offer("websocket, foo", ""),
        offer("websocket", "Upgrade: websocket\r\n"),
        offer("websocket", "").replace("Connection: Upgrade\r\n", ""),
        offer("websocket", "").replace("HTTP/1.1", "HTTP/1.0") + "",
    ] {
        let old = head.contains("HTTP/1.0");
        client.send(&head);
        assert_eq!(client.reply().unwrap().status, 200, "{head}");
        let request = a.take_requests().remove(0);
        assert_eq!(
            (request.field("upgrade"), request.field("connection")),
            (None, None),
            "{head}"
        );
        if old {
            client = bed.connect();
        }
        // The connection goes on, and pipelining with it.
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!([(); 2].map(|()| client.reply().unwrap().status), [200, 200]);
        a.take_log();
    }
    for body in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = bed.connect();
        client.send(offer("websocket", body));
        assert_eq!(client.reply().unwrap().status, 400);
        assert!(client.is_closed());
    }
    assert!(a.take_log().concat().is_empty());
    a.script([echo(&TAKEN.replace("websocket", "SPDY/3.1"))]);
    let mut client = bed.connect();
    client.send(offer("SPDY/3.1", "Content-Length: 0\r\n").replace("GET", "POST"));
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
}

/// H1-17: Connection takes away neither Host nor what we say.
#[test]
fn connection_names_only_what_is_the_clients() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let named = "Connection: Upgrade, X-Real-IP, Host, Content-Length, X-Auth-User";
    let head = offer("websocket", "X-Auth-User: root\r\n").replace("Connection: Upgrade", named);
    a.script([echo(TAKEN)]);
    let mut client = bed.connect();
    client.send(&head);
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
    let request = a.take_requests().remove(0);
    assert_eq!(request.field("host"), Some("a.test"));
    assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.field("x-auth-user"), None);
    assert_eq!(request.field("connection"), Some("upgrade"));
}

/// `proxy-read-timeout` is for silence in both directions.
#[test]
fn a_silent_tunnel_ends() {
    let a = Recorder::start("a");
    let policies = Policies {
        upstream: UpstreamPolicy {
            timeouts: Timeouts {
                read: Duration::from_millis(400),
                ..Timeouts::default()
            },
            ..UpstreamPolicy::default()
        },
        ..Policies::default()
    };
    let bed = Bed::start(with_policies(&[a.address()], policies));
    a.script([echo(TAKEN)]);
    let mut client = bed.connect();
    client.send(offer("websocket", ""));
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        client.send("x");
        assert_eq!(client.read(1), b"x");
    }
    let start = Instant::now();
    assert!(client.is_closed());
    assert!((Duration::from_millis(300)..Duration::from_secs(4)).contains(&start.elapsed()));
}

/// SL-6: a tunnel outlives its route, and does not keep the table alive that it was found in.
#[test]
fn a_tunnel_keeps_no_table() {
    let a = Recorder::start("a");
    let host = Arc::new(VirtualHost {
        routes: vec![route(PathMatch::prefix("/"), "a", &[a.address()])],
    });
    let forgotten = Arc::downgrade(&host);
    let mut bed = Bed::start(Site {
        hosts: HostMap::from_iter([(Host::parse("a.test").unwrap(), host)]),
        ..Site::default()
    });
    a.script([echo(TAKEN)]);
    let mut client = bed.connect();
    client.send(offer("websocket", ""));
    assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
    for _ in 0..3 {
        bed.swap(site(&[("b.test", "/", &[a.address()])]));
        bed.assert_sound("b.test");
    }
    assert_eq!(forgotten.strong_count(), 0);
    client.send("still here");
    assert_eq!(client.read(10), b"still here");
}

/// A drain waits for tunnels, at the latest until its deadline.
#[test]
fn a_drain_waits_for_tunnels() {
    for (closes, expected) in [
        (true, DrainOutcome { finished: 1, cut: 0 }),
        (false, DrainOutcome { finished: 0, cut: 1 }),
    ] {
        let a = Recorder::start("a");
        let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
        a.script([echo(TAKEN)]);
        let mut client = bed.connect();
        client.send(offer("websocket", ""));
        assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
        let outcome = std::thread::scope(|scope| {
            let drain = scope.spawn(|| bed.block_on(bed.proxy.drain(Duration::from_millis(1500))));
            std::thread::sleep(Duration::from_millis(300));
            client.send("x");
            assert_eq!(client.read(1), b"x");
            if closes {
                client.finish();
            }
            assert!(client.is_closed());
            drain.join().unwrap()
        });
        assert_eq!(outcome, expected);
    }
}

/// OP-3: a WebSocket that a drain cuts gets Close 1001, between two frames; within one, and in another protocol,
/// it just ends.
#[test]
fn a_drain_says_going_away_to_websockets() {
    for (protocol, frames, expected) in [
        ("websocket", &b"\x81\x05hello"[..], &b"\x88\x02\x03\xe9"[..]),
        ("websocket", b"\x81\x05hel", b""),
        ("SPDY/3.1", b"\x81\x05hello", b""),
    ] {
        let a = Recorder::start("a");
        let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
        a.script([echo(&TAKEN.replace("websocket", protocol))]);
        let mut client = bed.connect();
        client.send(offer(protocol, ""));
        assert_eq!(client.try_reply().unwrap().unwrap().status, 101);
        client.send(frames);
        assert_eq!(client.read(frames.len()), frames);
        let outcome = bed.block_on(bed.proxy.drain(Duration::from_millis(700)));
        assert_eq!(outcome, DrainOutcome { finished: 0, cut: 1 });
        assert_eq!(client.read_all(), expected, "{protocol} {frames:?}");
    }
}
