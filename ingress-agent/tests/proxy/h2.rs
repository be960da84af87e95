//! HTTP/2 to clients: one meaning per request, limits, attacks, the end (spec H2-2 to H2-10).

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress_agent::model::policy::{BodyLimit, Policies};
use ingress_agent::proxy::{DrainOutcome, Options};
use tokio::net::TcpStream;

use crate::bed::{Bed, site, with_policies};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS, RST_STREAM, block,
};
use crate::recorder::{Answer, Recorder};
use crate::tls::{self, Stream};

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frames(bed: &Bed) -> Frames<Stream> {
    let stream = tls::offering(bed, "a.test", &["h2"]);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    Frames::over(stream)
}

fn assert_sound(bed: &Bed) {
    let mut client = frames(bed);
    client.request(1, &GET);
    assert_eq!(client.next_on(1).unwrap().status(), 200);
}

/// A library's client, for what is said rightly.
async fn client(bed: &Bed) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(bed.tls()).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("a.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(tls::config(&["h2"]));
    let stream = connector.connect(name, stream).await.unwrap();
    let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = made.await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: Method, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri("https://a.test/x?y=1");
    request.body(Full::from(body)).unwrap()
}

#[test]
fn the_protocol_is_negotiated() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = tls::offering(&bed, "a.test", offered);
        assert_eq!(stream.conn.alpn_protocol(), chosen, "{offered:?}");
    }
    // TL-11: neither protocol is read as the other.
    let mut crossed = tls::connect(&bed, "a.test");
    crossed.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(crossed.reply().unwrap().status, 505);
    let mut crossed = crate::raw::Raw::over(tls::offering(&bed, "a.test", &["h2"]));
    crossed.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(!crossed.read_all().starts_with(b"HTTP/"));
    // In clear there is no HTTP/2, neither at once nor by an upgrade.
    let mut clear = bed.connect();
    clear.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(clear.reply().unwrap().status, 505);
    assert!(a.take_requests().is_empty());
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let mut clear = bed.connect();
    clear.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{upgrade}\r\n"));
    assert_eq!(clear.reply().unwrap().status, 200);
    let request = a.take_requests().remove(0);
    assert_eq!(
        (request.field("upgrade"), request.field("http2-settings")),
        (None, None)
    );
}

#[test]
fn requests_become_http_1_1() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    bed.block_on(async {
        let mut client = client(&bed).await;
        for (method, body) in [(Method::GET, ""), (Method::POST, "hello"), (Method::POST, "")] {
            let answer = client.send_request(request(method, body)).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "a");
        }
        let mut two = request(Method::GET, "");
        for cookie in ["a=1", "b=2"] {
            two.headers_mut().append("cookie", cookie.parse().unwrap());
        }
        two.headers_mut().append("te", "trailers".parse().unwrap());
        assert_eq!(client.send_request(two).await.unwrap().status(), 200);
        a.script([Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec())]);
        let answer = client.send_request(request(Method::HEAD, "")).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "5");
        a.script([Answer::Bytes(
            b"HTTP/1.1 200 OK\r\nConnection: x\r\nX: 1\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"
                .to_vec(),
        )]);
        let answer = client.send_request(request(Method::GET, "")).await.unwrap();
        for gone in ["connection", "x", "keep-alive", "transfer-encoding"] {
            assert!(!answer.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "b");
    });
    let requests = a.take_requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.method.as_str(),
                request.target.as_str(),
                request.body.len(),
            )
        })
        .collect();
    let get = ("GET", "/x?y=1", 0);
    let expected = [
        get,
        ("POST", "/x?y=1", 5),
        ("POST", "/x?y=1", 0),
        get,
        ("HEAD", "/x?y=1", 0),
        get,
    ];
    assert_eq!(seen, expected);
    for request in &requests {
        assert_eq!(request.field("host"), Some("a.test"));
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        assert_eq!(request.field("te"), None);
    }
    assert_eq!(requests[3].field("cookie"), Some("a=1; b=2"));
}

/// H2-8 and H2-9: what HTTP/1.1 could read otherwise reaches no pod.
#[test]
fn what_has_no_one_meaning_in_http_1_1_is_refused() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let with = |field| [&GET[..], &[field]].concat();
    let but = |name: &str, value| {
        let fields = GET.iter().filter(|field| field.0 != name).copied();
        let mut fields: Vec<_> = fields.collect();
        if let Some(value) = value {
            fields.insert(0, (name, value));
        }
        fields
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect::<Vec<(String, &str)>>()
    };
    let mut cases: Vec<Vec<(String, &str)>> = Vec::new();
    for field in [
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", " a"),
        ("x", "a "),
        ("x:y", "a"),
        ("", "a"),
        ("X", "a"),
        ("x y", "a"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("content-length", "5"),
        ("content-length", "0,"),
        ("content-length", ""),
        ("content-length", "+0"),
        ("host", "b.test"),
        ("host", "a.test:443"),
        (":path", "/other"),
        (":status", "200"),
        (":protocol", "websocket"),
    ] {
        cases.push(
            with(field)
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
        );
    }
    for (name, value) in [
        (":path", Some("/a b")),
        (":path", Some("a")),
        (":path", Some("*")),
        (":path", Some("")),
        (":path", Some("/a\\b")),
        (":path", None),
        (":scheme", Some("http://x/?")),
        (":scheme", None),
        (":method", Some("GE T")),
        (":method", Some("get")),
        (":method", None),
        (":authority", None),
        (":authority", Some("")),
        (":authority", Some("u@a.test")),
        (":authority", Some("a.test:0")),
        (":authority", Some("a.test:65536")),
        (":authority", Some("a.test, b.test")),
    ] {
        cases.push(but(name, value));
    }
    // A pseudo-field after a field.
    cases.push(
        [("x".to_owned(), "a")]
            .into_iter()
            .chain(but(":none", None))
            .collect(),
    );
    for fields in &cases {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let mut client = frames(&bed);
        client.request(1, &fields);
        let frame = client.next_on(1);
        match frame {
            Some(frame) if frame.kind == HEADERS => assert_eq!(frame.status(), 400, "{fields:?}"),
            Some(frame) => assert_eq!(frame.code(), PROTOCOL_ERROR, "{fields:?}"),
            None => panic!("{fields:?}: the connection ended without a word"),
        }
    }
    assert!(a.take_requests().is_empty());
    // Only `host`, and both when they agree.
    for fields in [with(("host", "A.test")), {
        let fields = GET.iter().filter(|field| field.0 != ":authority");
        fields.copied().chain([("host", "a.test")]).collect()
    }] {
        let mut client = frames(&bed);
        client.request(1, &fields);
        assert_eq!(client.next_on(1).unwrap().status(), 200, "{fields:?}");
        assert!(
            a.take_requests()[0]
                .field("host")
                .unwrap()
                .eq_ignore_ascii_case("a.test")
        );
    }
    assert_sound(&bed);
}

/// H2-3: a body that is not as long as it says.
#[test]
fn a_content_length_is_kept() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut fields = GET.to_vec();
    fields[0] = (":method", "POST");
    fields.push(("content-length", "5"));
    for (body, whole) in [("abcde", true), ("abcd", false), ("abcdef", false)] {
        let mut client = frames(&bed);
        client.send(HEADERS, END_HEADERS, 1, &block(&fields));
        client.send(DATA, END_STREAM, 1, body.as_bytes());
        let frame = client.next_on(1).unwrap();
        if whole {
            assert_eq!(frame.status(), 200);
        } else {
            assert_eq!((frame.kind, frame.code()), (RST_STREAM, PROTOCOL_ERROR), "{body}");
        }
    }
    let log = a.take_log();
    let whole = log
        .iter()
        .filter(|bytes| crate::reference::complete(bytes).is_some());
    assert_eq!(whole.count(), 1);
    assert_sound(&bed);
}

/// At the limit and one more: fields, target, body, streams.
#[test]
fn limits() {
    let a = Recorder::start("a");
    let limit = Policies {
        body_limit: BodyLimit::Bytes(8),
        ..Policies::default()
    };
    let bed = Bed::start(with_policies(&[a.address()], limit));
    bed.block_on(async {
        let mut client = client(&bed).await;
        let mut status = async |request| client.send_request(request).await.unwrap().status();
        for (count, expected) in [(100, 200), (101, 431)] {
            let mut many = request(Method::GET, "");
            for _ in 0..count {
                many.headers_mut().append("cookie", "a".parse().unwrap());
            }
            assert_eq!(status(many).await, expected, "{count}");
        }
        for (length, expected) in [(8 * 1024, 200), (8 * 1024 + 1, 414)] {
            let mut long = request(Method::GET, "");
            let path = "a".repeat(length - 1);
            *long.uri_mut() = format!("https://a.test/{path}").parse().unwrap();
            assert_eq!(status(long).await, expected, "{length}");
        }
        assert_eq!(status(request(Method::POST, "12345678")).await, 200);
        assert_eq!(
            status(request(Method::POST, "123456789")).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        let mut connect = request(Method::CONNECT, "");
        *connect.uri_mut() = "a.test:443".parse().unwrap();
        assert_eq!(status(connect).await, 405);
    });
    a.take_log();
    // The list: names, values and 32 bytes for each field together.
    let own: usize = GET
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    for (length, allowed) in [(16 * 1024 - own - 33, true), (16 * 1024 - own - 32, false)] {
        let value = "v".repeat(length);
        let mut client = frames(&bed);
        let block = block(&[&GET[..], &[("x", &value)]].concat());
        let (first, rest) = block.split_at(16 * 1024 - 1000);
        client.send(HEADERS, END_STREAM, 1, first);
        client.send(CONTINUATION, END_HEADERS, 1, rest);
        let frame = client.next_on(1).unwrap();
        assert_eq!(
            frame.kind == HEADERS && frame.status() == 200,
            allowed,
            "{length}: {frame:?}"
        );
    }
    // 100 streams wait for the pod; the next one is refused, and may be asked for again.
    a.script((0..100).map(|_| Answer::After(Duration::from_millis(1500))));
    let mut client = frames(&bed);
    for stream in (1..=201).step_by(2) {
        client.request(stream, &GET);
    }
    let frame = client.next().unwrap();
    assert_eq!(
        (frame.kind, frame.stream, frame.code()),
        (RST_STREAM, 201, REFUSED_STREAM)
    );
    let mut answers = 0;
    while answers < 100 {
        let frame = client.next().unwrap();
        if frame.kind == HEADERS {
            assert_eq!(frame.status(), 200);
            answers += 1;
        }
    }
}

/// H2-2: HEADERS and RST_STREAM, again and again: at once, and so slowly that each request begins.
#[test]
fn rapid_reset_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for (count, pause) in [(60, Duration::ZERO), (400, Duration::from_millis(3))] {
        a.script((0..count).map(|_| Answer::After(Duration::from_millis(300))));
        let mut client = frames(&bed);
        let resets = (1..).step_by(2).take(count);
        let sent = resets.take_while(|&stream| {
            std::thread::sleep(pause);
            client.request(stream, &GET) && client.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
        });
        let sent = sent.count();
        let mut last = None;
        while let Some(frame) = client.next() {
            last = Some(frame);
        }
        if pause.is_zero() {
            let last = last.unwrap();
            assert_eq!((last.kind, last.code()), (GOAWAY, ENHANCE_YOUR_CALM));
        } else {
            assert!(sent < 100, "{sent} resets were let pass");
        }
        let requests = a.take_log().len();
        assert!(requests <= 60, "{requests} requests reached the pod");
        a.clear_script();
        assert_sound(&bed);
        a.take_log();
    }
}

/// H2-4: a head that never ends.
#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for piece in [&b""[..], &block(&[("x", "y")])] {
        let mut client = frames(&bed);
        client.send(HEADERS, 0, 1, &block(&GET));
        for _ in 0..6 {
            client.send(CONTINUATION, 0, 1, piece);
        }
        let frame = client.next().unwrap();
        assert_eq!(frame.kind, GOAWAY);
    }
    assert!(a.take_log().is_empty());
    assert_sound(&bed);
}

#[test]
fn silence_ends_the_connection() {
    let a = Recorder::start("a");
    let options = Options {
        head: Duration::from_millis(400),
        idle: Duration::from_millis(300),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let start = Instant::now();
    let mut silent = frames(&bed);
    assert_eq!(silent.next().unwrap().kind, GOAWAY);
    while silent.next().is_some() {}
    assert!((Duration::from_millis(350)..Duration::from_secs(5)).contains(&start.elapsed()));
    // Not while a request is answered.
    a.script([Answer::After(Duration::from_millis(900))]);
    let mut idle = frames(&bed);
    idle.request(1, &GET);
    assert_eq!(idle.next().unwrap().status(), 200);
    while idle.next().unwrap().kind != GOAWAY {}
}

/// OP-3: two GOAWAYs; what was asked before the second is answered.
#[test]
fn a_drain_takes_leave() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    a.script([Answer::After(Duration::from_millis(600))]);
    let mut open = frames(&bed);
    open.request(1, &GET);
    std::thread::sleep(Duration::from_millis(200));
    let drain = std::thread::scope(|scope| {
        let drain = scope.spawn(|| bed.block_on(bed.proxy.drain(Duration::from_secs(5))));
        let frame = open.next().unwrap();
        assert_eq!((frame.kind, frame.code()), (GOAWAY, 0));
        assert_eq!(frame.payload[..4], (u32::MAX >> 1).to_be_bytes());
        assert_eq!(open.next_on(1).unwrap().status(), 200);
        while open.next().is_some() {}
        drain.join().unwrap()
    });
    assert_eq!(drain, DrainOutcome { finished: 1, cut: 0 });
}
