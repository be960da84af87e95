//! Pods that speak TLS, and the Host a route sets (`backend-protocol: HTTPS`, `upstream-vhost`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ingress_agent::model::policy::{UpstreamPolicy, UpstreamProtocol};
use ingress_agent::model::{Policies, PrivateKey, Site};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::bed::{Bed, certificate, site, under};
use crate::recorder::Recorder;

/// A pod with a certificate that nobody vouches for. Its answers name the server name, the Host, and how many
/// connections there were.
fn tls_pod() -> SocketAddr {
    let made = certificate("pod.test");
    let PrivateKey::Pkcs8(key) = made.key.clone() else {
        panic!("the kind of key");
    };
    let chain = made.chain.iter().cloned().map(Into::into).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key).into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            let count = Arc::clone(&count);
            thread::spawn(move || answer(stream, &count));
        }
    });
    address
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, count: &AtomicUsize) {
    let count = count.fetch_add(1, Ordering::Relaxed) + 1;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) | Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let host = head
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap()
            .to_owned();
        let name = stream.conn.server_name().unwrap_or("none");
        let body = format!("{name} {host} {count}");
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    }
}

/// `host`'s route to `pod`, with these policies.
fn host(host: &str, pod: SocketAddr, protocol: UpstreamProtocol, vhost: Option<&str>) -> Site {
    let upstream = UpstreamPolicy {
        protocol,
        host: vhost.map(Arc::from),
        ..UpstreamPolicy::default()
    };
    let policies = Policies {
        upstream,
        ..Policies::default()
    };
    under(site(&[(host, "/", &[pod])]), &policies)
}

#[test]
fn a_pod_is_called_over_tls_and_connections_of_two_identities_do_not_mix() {
    let pod = tls_pod();
    let https = UpstreamProtocol::Https;
    let mut all = Site::default();
    for (name, vhost) in [
        ("a.test", None),
        ("b.test", Some("one.test")),
        ("c.test", Some("two.test")),
    ] {
        let one = host(name, pod, https, vhost).hosts;
        let one = one
            .iter()
            .map(|(host, routes)| (host.clone(), Some(Arc::clone(routes))));
        all.hosts = all.hosts.with(one);
    }
    let bed = Bed::start(all);
    let mut client = bed.connect();
    for _ in 0..3 {
        assert_eq!(client.get("a.test", "/").text(), "none a.test 1");
        assert_eq!(client.get("b.test", "/").text(), "one.test one.test 2");
        assert_eq!(client.get("c.test", "/").text(), "two.test two.test 3");
    }
}

#[test]
fn a_pod_that_speaks_no_tls_is_not_called_in_clear() {
    let a = Recorder::start("a");
    let bed = Bed::start(host("a.test", a.address(), UpstreamProtocol::Https, None));
    // It waits for a request, and what comes is a handshake.
    thread::scope(|scope| {
        let client = scope.spawn(|| bed.connect().get("a.test", "/").status);
        thread::sleep(std::time::Duration::from_millis(200));
        a.kill();
        assert_eq!(client.join().unwrap(), 502);
    });
    for bytes in a.take_log() {
        assert!(!String::from_utf8_lossy(&bytes).contains("HTTP/1.1"), "in clear");
    }
}

#[test]
fn the_host_that_a_route_sets_is_sent_in_clear_too() {
    let a = Recorder::start("a");
    let bed = Bed::start(host(
        "a.test",
        a.address(),
        UpstreamProtocol::Http,
        Some("inner.test"),
    ));
    bed.assert_sound("a.test");
    let requests = a.take_requests();
    assert_eq!(requests[0].fields["host"], ["inner.test"]);
    assert_eq!(requests[0].fields["x-forwarded-host"], ["a.test"]);
}
