//! TLS: certificate by server name, versions, ALPN, deadlines.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::model::{Certificate, Host, PrivateKey, Site};
use ingress_agent::proxy::Options;
use rustls::{ClientConnection, ProtocolVersion};
use rustls_pki_types::ServerName;

use crate::bed::{Bed, certificate, origin, site};
use crate::handshake::Client;
pub(crate) use crate::handshake::{Stream, config, connect, offering};
use crate::raw::Raw;
use crate::recorder::Recorder;

fn with_certificates(mut site: Site, certificates: &[(&str, &Arc<Certificate>)]) -> Site {
    let certificates = certificates.iter();
    let certificates = certificates.map(|(host, pair)| (Host::parse(host).unwrap(), Arc::clone(pair)));
    site.certificates = certificates.collect();
    site
}

/// TL-3: exact, one-label wildcard, else the default; never another's.
#[test]
fn the_server_name_picks_the_certificate() {
    let a = Recorder::start("a");
    let (exact, wildcard) = (certificate("a.w.test"), certificate("*.w.test"));
    let sites = || site(&[("a.test", "/", &[a.address()])]);
    let bed = Bed::start(with_certificates(
        sites(),
        &[("a.w.test", &exact), ("*.w.test", &wildcard)],
    ));
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let shown = |name| Client::new(versions).shown(&bed, name);
        assert_eq!(shown("a.w.test"), exact.chain[0]);
        assert_eq!(shown("A.W.Test"), exact.chain[0]);
        assert_eq!(shown("b.w.test"), wildcard.chain[0]);
        let fallback = shown("c.b.w.test");
        assert_eq!(shown("other.test"), fallback);
        assert_eq!(shown("w.test"), fallback);
        assert_eq!(shown("192.0.2.1"), fallback);
        let text = String::from_utf8_lossy(&fallback).into_owned();
        assert!(text.contains("ingress-agent default certificate"), "{text}");
    }
}

#[test]
fn versions_alpn_and_what_the_pod_is_told() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let client = Client::new(rustls::ALL_VERSIONS);
    let stream = client.connect(&bed, "a.test");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let group = stream.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut client = Raw::over(stream);
    assert_eq!(client.get("a.test", "/").status, 200);
    assert_eq!(client.get("a.test", "/").status, 200);
    let requests = a.take_requests();
    for request in &requests {
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        assert_eq!(request.field("x-forwarded-for"), Some("::1"));
        assert_eq!(
            request.field("x-forwarded-port"),
            Some(bed.port.to_string().as_str())
        );
    }
    assert_eq!(requests.len(), 2);
}

/// A ticket is good at any worker, and under a table that came later.
#[test]
fn a_session_is_resumed() {
    let a = Recorder::start("a");
    let sites = || site(&[("a.test", "/", &[a.address()])]);
    let mut bed = Bed::start(sites());
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client = Client::new(versions);
        for round in 0..8 {
            let mut stream = Raw::over(client.connect(&bed, "a.test"));
            assert_eq!(stream.get("a.test", "/").status, 200);
            let kind = stream.stream().conn.handshake_kind().unwrap();
            let resumed = kind == rustls::HandshakeKind::Resumed;
            assert_eq!(resumed, round > 0, "{kind:?} in round {round}");
            bed.swap(sites());
        }
    }
}

/// TL-10: a rotated certificate is shown at once, a pair that cannot sign gives way to the default.
#[test]
fn a_rotation_takes_effect_and_a_bad_key_closes_nothing() {
    let a = Recorder::start("a");
    let sites = || site(&[("a.test", "/", &[a.address()])]);
    let (old, new) = (certificate("a.test"), certificate("a.test"));
    let broken = Arc::new(Certificate {
        chain: new.chain.clone(),
        key: PrivateKey::Pkcs8(b"no key".to_vec()),
        origin: origin("Secret"),
    });
    let mut bed = Bed::start(with_certificates(sites(), &[("a.test", &old)]));
    let client = || Client::new(rustls::ALL_VERSIONS);
    assert_eq!(client().shown(&bed, "a.test"), old.chain[0]);
    bed.swap(with_certificates(sites(), &[("a.test", &new)]));
    assert_eq!(client().shown(&bed, "a.test"), new.chain[0]);
    bed.swap(with_certificates(sites(), &[("a.test", &broken)]));
    let fallback = client().shown(&bed, "a.test");
    assert!(fallback != old.chain[0] && fallback != new.chain[0]);
}

/// A name whose key did not outlive a restart is shown no certificate, also not one that would fit; others are.
#[test]
fn a_name_whose_key_is_gone_is_refused() {
    let a = Recorder::start("a");
    let sites = || site(&[("a.test", "/", &[a.address()])]);
    let (whole, wildcard) = (certificate("a.w.test"), certificate("*.w.test"));
    let gone = Arc::new(Certificate {
        key: PrivateKey::Gone,
        ..Certificate::clone(&whole)
    });
    let others = ("*.w.test", &wildcard);
    let mut bed = Bed::start(with_certificates(sites(), &[("a.w.test", &gone), others]));
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client = Client::new(versions);
        for name in ["a.w.test", "A.W.Test"] {
            let name = ServerName::try_from(name).unwrap();
            let mut connection = ClientConnection::new(Arc::clone(&client.config), name).unwrap();
            let mut socket = TcpStream::connect(bed.tls()).unwrap();
            let error = connection.complete_io(&mut socket).unwrap_err();
            assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        }
        assert_eq!(client.shown(&bed, "b.w.test"), wildcard.chain[0]);
        assert!(!client.shown(&bed, "other.test").is_empty());
    }
    bed.swap(with_certificates(sites(), &[("a.w.test", &whole), others]));
    let client = Client::new(rustls::ALL_VERSIONS);
    assert_eq!(client.shown(&bed, "a.w.test"), whole.chain[0]);
}

/// SL-4: a client that says nothing, and one that speaks HTTP, are closed.
#[test]
fn a_handshake_has_a_deadline() {
    let a = Recorder::start("a");
    let options = Options {
        handshake: Duration::from_millis(300),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let mut silent = Raw::connect(bed.tls());
    let start = Instant::now();
    assert!(silent.is_closed());
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&start.elapsed()));
    let mut plain = Raw::connect(bed.tls());
    plain.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let start = Instant::now();
    while !plain.is_closed() {}
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(a.take_log().is_empty());
    assert!(!Client::new(rustls::ALL_VERSIONS).shown(&bed, "a.test").is_empty());
}
