//! HTTP/2 to clients: one meaning per request (spec H2-3, H2-8, H2-9, TL-11).

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::bed::{Bed, site};
use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, RST_STREAM, block};
use crate::recorder::{Answer, Recorder};
use crate::tls::{self, Stream};

const PROTOCOL_ERROR: u32 = 1;

pub(crate) fn frames(bed: &Bed) -> Frames<Stream> {
    let stream = tls::offering(bed, "a.test", &["h2"]);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    Frames::over(stream)
}

pub(crate) fn assert_sound(bed: &Bed) {
    let mut client = frames(bed);
    client.request(1, &GET);
    assert_eq!(client.next_on(1).unwrap().status(), 200);
}

/// A library's client, for what is said rightly.
pub(crate) async fn client(bed: &Bed) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(bed.tls()).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("a.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(tls::config(&["h2"]));
    let stream = connector.connect(name, stream).await.unwrap();
    let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = made.await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn request(method: Method, body: &'static str) -> Request<Full<Bytes>> {
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
