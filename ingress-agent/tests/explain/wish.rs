//! Random requests, sent over HTTP/1.1, TLS and HTTP/2.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress_agent::explain::Request;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bed::Bed;
use crate::handshake::Client;
use crate::raw::{Raw, Reply};

/// What stands for a value that HTTP/1.1 takes, and HTTP/2 does not: its limit is that of all fields together.
const LARGE: &str = "LARGE";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) tls: bool,
    pub(crate) http2: bool,
    /// What is dialled, and in TLS the server name.
    name: String,
    /// The Host, if it is another.
    host: Option<String>,
    pub(crate) method: String,
    path: String,
    /// A field, and what follows the head.
    field: (&'static str, &'static str),
}

pub(crate) fn any_wish() -> impl Strategy<Value = Wish> {
    let names = vec![
        "a.test",
        "A.Test",
        "b.test",
        "x.w.test",
        "y.w.test",
        "w.test",
        "c.test",
        "a.x.w.test",
    ];
    let hosts = vec![
        "a.test",
        "b.test:8080",
        "x.w.test.",
        "y.w.test",
        "none.test",
        "u@a.test",
        "a_b.test",
    ];
    let paths = vec![
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/",
        "/a//b",
        "/ab",
        "/b/c?x=1",
        "/A",
        "/c",
        "/a/../b",
        "/%61",
        "/a%2Fb",
        "/%zz",
        "/.well-known/acme-challenge/token",
        "/a/./b",
        "/a?",
        "/a/../..",
    ];
    let fields = vec![
        ("X: 1", ""),
        ("Cookie: a=1", ""),
        ("Content-Length: 5", "12345"),
        ("Content-Length: 11", "12345678901"),
        ("Content-Length: 05", "12345"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Connection: keep-alive", ""),
        ("TE: trailers", ""),
        ("X: LARGE", ""),
    ];
    (
        any::<bool>(),
        any::<bool>(),
        select(names),
        proptest::option::weighted(0.3, select(hosts)),
        prop_oneof![6 => select(vec!["GET", "HEAD", "POST", "DELETE"]), 1 => select(vec!["get", "CONNECT", "X"])],
        select(paths),
        prop_oneof![Just(("X: 1", "")), select(fields)],
    )
        .prop_map(|(tls, http2, name, host, method, path, field)| Wish {
            tls,
            http2,
            name: name.to_owned(),
            host: host.map(str::to_owned),
            method: method.to_owned(),
            path: path.to_owned(),
            field,
        })
}

impl Wish {
    pub(crate) fn request(&self, port: u16) -> Request {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}:{port}{}", self.name, self.path);
        let host = self
            .host
            .as_ref()
            .map(|host| format!("Host: {host}").parse().unwrap());
        let fields = host.into_iter().chain([self.field().parse().unwrap()]).collect();
        let request = Request::new(url.parse().unwrap(), self.method.parse().unwrap(), fields, None);
        if self.http2 { request } else { request.over_http1() }
    }

    fn field(&self) -> String {
        self.field.0.replace(LARGE, &"v".repeat(16 * 1024))
    }

    fn authority(&self, port: u16) -> String {
        self.host
            .clone()
            .unwrap_or_else(|| format!("{}:{port}", self.name))
    }

    fn bytes(&self, port: u16) -> String {
        let Self {
            method,
            path,
            field: (_, body),
            ..
        } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n{body}",
            self.authority(port),
            self.field()
        )
    }

    /// Sends it over HTTP/1.1, or over HTTP/2 where `http2`; the answer and the certificate that was shown.
    pub(crate) fn send(&self, bed: &Bed, http2: bool) -> (Reply, Vec<u8>) {
        if !self.tls {
            let mut client = Raw::connect(bed.plain());
            client.send(self.bytes(bed.port));
            return (client.reply_to(&self.method).expect("an answer"), Vec::new());
        }
        let client = Client::new(rustls::ALL_VERSIONS);
        let reply = if http2 {
            bed.block_on(self.over_http2(bed, &client))
        } else {
            let mut raw = Raw::over(client.connect(bed, &self.name));
            raw.send(self.bytes(bed.port));
            raw.reply_to(&self.method).expect("an answer")
        };
        (reply, client.take_seen())
    }

    async fn over_http2(&self, bed: &Bed, client: &Client) -> Reply {
        let mut config = (*client.config).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = tokio::net::TcpStream::connect(bed.tls()).await.unwrap();
        let name = self.name.clone().try_into().unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = made.await.unwrap();
        let driven = tokio::spawn(connection);
        let field = self.field();
        let (name, value) = field.split_once(": ").unwrap();
        let request = hyper::Request::builder()
            .method(&*self.method)
            .uri(format!("https://{}{}", self.authority(bed.port), self.path))
            .header(name, value)
            .body(Full::<Bytes>::from(self.field.1))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let reply = Reply {
            status: head.status.as_u16(),
            fields: fields.collect(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        };
        driven.abort();
        reply
    }
}
