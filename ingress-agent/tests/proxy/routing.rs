//! Hosts, paths, forwarded fields, plain bodies.

use ingress_agent::model::PathMatch;

use crate::bed::{Bed, route, site};
use crate::recorder::{Answer, Recorder};

#[test]
fn hosts_and_paths_lead_to_their_pods() {
    let [a, b, w, any] = ["a", "b", "w", "any"].map(Recorder::start);
    let mut sites = site(&[
        ("a.test", "/", &[a.address()]),
        ("a.test", "/b", &[b.address()]),
        ("a.test", "=/b/exact", &[a.address()]),
        ("*.w.test", "/", &[w.address()]),
        ("only.test", "/only", &[w.address()]),
    ]);
    sites.default = Some(route(PathMatch::prefix("/"), "default", &[any.address()]));
    let bed = Bed::start(sites);
    let mut client = bed.connect();
    for (host, path, expected) in [
        ("a.test", "/", "a"),
        ("A.TEST:8080", "/x?y=1", "a"),
        ("a.test.", "/b", "b"),
        ("a.test", "/b/", "b"),
        ("a.test", "/bb", "a"),
        ("a.test", "/b/exact", "a"),
        ("a.test", "/b/exact/", "b"),
        ("a.test", "/x/../b", "b"),
        ("x.w.test", "/", "w"),
        ("x.y.w.test", "/", "any"),
        ("w.test", "/", "any"),
        ("only.test", "/only", "w"),
        ("only.test", "/other", "any"),
        ("192.0.2.1", "/", "any"),
    ] {
        let reply = client.get(host, path);
        assert_eq!((reply.status, reply.text()), (200, expected), "{host} {path}");
    }
}

#[test]
fn without_a_default_nothing_answers_for_an_unknown_host_or_path() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[
        ("a.test", "/a", &[a.address()]),
        ("empty.test", "/", &[]),
    ]));
    let mut client = bed.connect();
    for (host, path, expected) in [
        ("b.test", "/a", 404),
        ("a.test", "/b", 404),
        ("empty.test", "/", 503),
    ] {
        let reply = client.get(host, path);
        assert_eq!(reply.status, expected, "{host} {path}");
        assert_eq!(reply.field("server"), Some("ingress-agent"));
        assert_eq!(reply.field("content-type"), Some("text/plain; charset=utf-8"));
        assert!(reply.text().starts_with(&expected.to_string()) && reply.body.len() < 100);
    }
    assert!(a.take_log().is_empty());
    assert_eq!(client.get("a.test", "/a").status, 200);
}

#[test]
fn the_pod_sees_the_client_and_not_its_claims() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    client.send(
        "GET /x/./y?q=%2e HTTP/1.1\r\nHost: A.test:99\r\nX-Forwarded-For: 1.2.3.4\r\nx_real_ip: 1\r\n\
         X-Forwarded-Proto: myproto\r\nForwarded: for=1\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n\
         Upgrade: websocket\r\nTE: trailers\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(client.reply().unwrap().status, 200);
    let [request] = &a.take_requests()[..] else {
        panic!("one request");
    };
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("GET", "/x/y?q=%2e")
    );
    assert_eq!(request.field("x-request-id").map(str::len), Some(32));
    let mut fields = request.fields.clone();
    fields.remove("x-request-id");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, values)| (name.as_str(), values.join("; ")))
        .collect();
    let port = bed.port.to_string();
    let expected = [
        ("accept", "*/*"),
        ("host", "A.test:99"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "A.test:99"),
        ("x-forwarded-port", &port),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-scheme", "http"),
        ("x-original-forwarded-for", "1.2.3.4"),
        ("x-real-ip", "127.0.0.1"),
        ("x-scheme", "http"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    assert_eq!(fields, expected);
    bed.assert_sound("a.test");
}

#[test]
fn the_absolute_form_wins_over_host() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    let bed = Bed::start(site(&[
        ("a.test", "/", &[a.address()]),
        ("b.test", "/", &[b.address()]),
    ]));
    let mut client = bed.connect();
    client.send("GET http://b.test:81/p?q HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.reply().unwrap().text(), "b");
    let [request] = &b.take_requests()[..] else {
        panic!("one request");
    };
    assert_eq!(
        (request.target.as_str(), request.field("host")),
        ("/p?q", Some("b.test:81"))
    );
    assert!(a.take_log().is_empty());
}

#[test]
fn bodies_pass_both_ways() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    let big = vec![b'x'; 1 << 20];
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
        big.len()
    ));
    assert_eq!(client.send(&big).reply().unwrap().status, 200);
    let chunked = "Host: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
    client.send(format!("PUT / HTTP/1.1\r\n{chunked}"));
    assert_eq!(client.reply().unwrap().status, 200);
    client.send(format!("GET / HTTP/1.1\r\n{chunked}"));
    assert_eq!(client.reply().unwrap().status, 200);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.reply().unwrap().status, 200);
    let requests = a.take_requests();
    let bodies: Vec<_> = requests.iter().map(|request| request.body.as_slice()).collect();
    assert_eq!(bodies, [&big[..], b"abc0123456789", b"abc0123456789", b""]);
    assert_eq!(requests[3].field("content-length"), Some("0"));

    let mut answer =
        b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\nServer: pod\r\nKeep-Alive: 1\r\n\r\n".to_vec();
    answer.extend_from_slice(&big);
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec();
    let until_close = b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec();
    a.script([
        Answer::Bytes(answer),
        Answer::Bytes(chunks),
        Answer::BytesThenClose(until_close),
    ]);
    let reply = client.get("a.test", "/");
    assert!(reply.body == big);
    assert_eq!(
        (reply.field("server"), reply.field("keep-alive")),
        (Some("pod"), None)
    );
    assert_eq!(client.get("a.test", "/").text(), "abc");
    assert_eq!(client.get("a.test", "/").text(), "until the end");
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(
        client.reply_to("HEAD").unwrap().field("content-length"),
        Some("1")
    );
    bed.assert_sound("a.test");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    let one = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let two = "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
    client.send(format!("{one}{two}{one}"));
    for _ in 0..3 {
        assert_eq!(client.reply().unwrap().status, 200);
    }
    let targets: Vec<_> = a
        .take_requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(targets, ["/1", "/2", "/1"]);
}

#[test]
fn a_connection_to_an_unknown_vip_is_closed() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    bed.proxy.swap(ingress_agent::proxy::Table::default()).unwrap();
    let mut client = bed.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.is_closed());
    assert!(a.take_log().is_empty());
}

#[test]
fn endpoints_take_turns() {
    let pods = ["a", "b", "c"].map(Recorder::start);
    let addresses = pods.each_ref().map(Recorder::address);
    let bed = Bed::start(site(&[("a.test", "/", &addresses)]));
    let mut client = bed.connect();
    for _ in 0..30 {
        assert_eq!(client.get("a.test", "/").status, 200);
    }
    assert_eq!(pods.map(|pod| pod.take_requests().len()), [10, 10, 10]);
}

#[test]
fn http_1_0_is_served() {
    let [a, any] = ["a", "any"].map(Recorder::start);
    let bed = Bed::start(site(&[
        ("a.test", "/", &[a.address()]),
        ("", "/", &[any.address()]),
    ]));
    let mut client = bed.connect();
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.reply().unwrap().text(), "a");
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().unwrap().text(), "any");
    assert!(client.is_closed());
    let [request] = &any.take_requests()[..] else {
        panic!("one request");
    };
    assert_eq!(request.field("host"), Some(bed.plain().to_string().as_str()));
    // What has no end known beforehand ends with the connection.
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec();
    a.script([Answer::Bytes(chunks)]);
    let mut client = bed.connect();
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.reply().unwrap();
    assert_eq!((reply.text(), reply.field("transfer-encoding")), ("abc", None));
}

#[test]
fn a_body_may_wait_for_100_continue() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(client.send(head).try_reply().unwrap().unwrap().status, 100);
    assert_eq!(client.send("abc").reply().unwrap().status, 200);
    let [request] = &a.take_requests()[..] else {
        panic!("one request");
    };
    assert_eq!(
        (request.body.as_slice(), request.field("expect")),
        (&b"abc"[..], None)
    );
    // Who is not routed is not asked for a body.
    let head = head.replace("a.test", "b.test");
    assert_eq!(client.send(head).try_reply().unwrap().unwrap().status, 404);
    bed.assert_sound("a.test");
}

/// Server-sent events: each piece is passed on at once, while the pod has more to say.
#[test]
fn a_stream_is_not_buffered() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let event = "b\r\ndata: one\n\n\r\n";
    a.script([Answer::Echo(format!("{head}{event}").into_bytes())]);
    let mut client = bed.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: one\n\n\r\n") {
        // A read that waits for more than the event ends in an error.
        seen.extend(client.read(1));
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
}
