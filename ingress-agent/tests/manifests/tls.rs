//! TLS by what real clients hear: certificates by server name, versions, protocols, and hosts that a connection
//! was not opened for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ingress_agent::model::{Certificate, Host};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;

use crate::folder::{ingress, services, site, within};
use crate::world::World;

/// A Secret with a self-signed certificate for these names.
pub(crate) fn secret(name: &str, hosts: &[&str]) -> String {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let certificate = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
    let pair = serde_json::json!({"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()});
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData: {pair}\n"
    )
}

/// An Ingress for a host with a certificate.
fn secured(name: &str, host: &str, secret: &str) -> String {
    let tls = format!("ingressClassName: ours\n  tls: [{{hosts: ['{host}'], secretName: {secret}}}]");
    ingress(name, host, &[("Prefix", "/", "s")]).replace("ingressClassName: ours", &tls)
}

fn openssl(world: &World, arguments: &[&str]) -> String {
    let target = world.bed.tls().to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &target, "-showcerts"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // `Q` at the begin of a line ends the session.
    _ = child.stdin.take().unwrap().write_all(b"Q\n");
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The certificate for a host, as `s_client` prints it.
fn pem(world: &World, host: &str) -> String {
    let host = Host::parse(host).unwrap();
    let certificate: &Certificate = site(&world.model).certificates.get(&host).unwrap();
    let base64 = serde_json::to_value(k8s_openapi::ByteString(certificate.chain[0].clone())).unwrap();
    let lines = base64.as_str().unwrap().as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n")
}

/// Two tenants, each with a host of his own, and one of them with a wildcard.
fn tenants() -> World {
    let mine = secured("a", "a.w.test", "a")
        + &secured("wild", "*.w.test", "wild")
        + &secret("a", &["a.w.test"])
        + &secret("wild", &["*.w.test", "b.w.test"]);
    let theirs = secured("b", "b.w.test", "b") + &secret("b", &["b.w.test"]);
    let plain = ingress("plain", "plain.test", &[("Prefix", "/", "s")]);
    let text = within("mine", &(mine + &services(&["s"])))
        + &within("theirs", &(theirs + &services(&["s"])))
        + &plain
        + &services(&["s"]);
    World::start(&text)
}

/// TL-3: exact, then the wildcard of one label, then the default certificate.
#[test]
fn the_server_name_picks_the_certificate() {
    let world = tenants();
    let default = "CN = ingress-agent default certificate";
    for version in ["-tls1_2", "-tls1_3"] {
        for (name, of) in [
            ("a.w.test", Some("a.w.test")),
            ("A.W.TEST", Some("a.w.test")),
            ("b.w.test", Some("b.w.test")),
            ("c.w.test", Some("*.w.test")),
            ("x_y.w.test", Some("*.w.test")),
            ("d.c.w.test", None),
            ("w.test", None),
            ("plain.test", None),
            ("unknown.test", None),
        ] {
            let said = openssl(&world, &[version, "-servername", name]);
            let shown = of.map_or_else(|| default.to_owned(), |host| pem(&world, host));
            assert!(said.contains(&shown), "{name}: {said}");
        }
        let said = openssl(&world, &[version, "-noservername"]);
        assert!(said.contains(default), "{said}");
    }
}

/// TL-3: names that no client of good faith sends show the default certificate or end in an alert; a trailing
/// dot is cut off.
#[test]
fn a_server_name_that_is_none_never_shows_a_tenants_certificate() {
    let world = tenants();
    // TLS 1.2, where the certificate is in clear.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut hello = Vec::new();
    let name = ServerName::try_from("aa.w.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    client.write_tls(&mut hello).unwrap();
    let tenants: Vec<_> = site(&world.model).certificates.values().collect();
    for (name, wildcard) in [
        (b"aa.w.test", true),
        (b"a\0.w.test", false),
        (b"\0a.w.test", false),
        (b"a.w.test\0", false),
        (b"192.0.2.1", false),
        (b"*.w.test.", false),
        (b"a..w.test", false),
        (b".a.w.test", false),
        (b"a/.w.test", false),
        (b"\xc3\xa4.w.test", false),
    ] {
        let mut hello = hello.clone();
        let at = hello.windows(9).position(|bytes| bytes == b"aa.w.test").unwrap();
        hello[at..at + 9].copy_from_slice(&name[..9]);
        let mut stream = TcpStream::connect(world.bed.tls()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&hello).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut flight = Vec::new();
        _ = stream.read_to_end(&mut flight);
        let shown = tenants.iter().filter(|certificate| {
            let der = &certificate.chain[0];
            flight.windows(der.len()).any(|bytes| bytes == der.as_slice())
        });
        let shown: Vec<_> = shown.map(|certificate| &*certificate.origin.name).collect();
        assert_eq!(
            shown,
            if wildcard { vec!["wild"] } else { vec![] },
            "{:?}",
            name.escape_ascii()
        );
        assert!(!flight.is_empty());
    }
}

/// TL-1: TLS 1.2 and 1.3, and nothing older.
#[test]
fn older_versions_are_refused_by_an_alert() {
    let world = tenants();
    for version in ["-tls1", "-tls1_1"] {
        let said = openssl(
            &world,
            &[version, "-cipher", "ALL:@SECLEVEL=0", "-servername", "a.w.test"],
        );
        assert!(said.contains("SSL alert number"), "{said}");
        assert!(said.contains("no peer certificate available"), "{said}");
    }
    let said = openssl(
        &world,
        &[
            "-tls1_2",
            "-cipher",
            "AES128-SHA:AES256-SHA256:ECDHE-ECDSA-AES128-SHA",
            "-servername",
            "a.w.test",
        ],
    );
    assert!(said.contains("alert handshake failure"), "{said}");
}

/// TL-11.
#[test]
fn a_protocol_in_common_or_an_alert() {
    let world = tenants();
    for (offered, agreed) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("foo,http/1.1", "ALPN protocol: http/1.1"),
        ("http/1.0", "alert no application protocol"),
        ("foo", "alert no application protocol"),
    ] {
        let said = openssl(&world, &["-alpn", offered, "-servername", "a.w.test"]);
        assert!(said.contains(agreed), "{offered}: {said}");
    }
    let said = openssl(&world, &["-servername", "a.w.test"]);
    assert!(said.contains("No ALPN negotiated"), "{said}");
}

/// curl in silence, for certificates that nobody signed, to no proxy.
const CURL: [&str; 5] = ["-sk", "--max-time", "20", "--noproxy", "*"];

/// What curl hears over a connection for `name` when it asks for `host`: status, and what answered.
fn curl(world: &World, version: &str, name: &str, host: &str) -> (u16, String) {
    let SocketAddr::V6(address) = world.bed.tls() else {
        panic!("TLS is at ::1");
    };
    let port = address.port();
    let output = Command::new("curl")
        .args(CURL)
        .args([version, "-w", "\n%{http_code} %{http_version}"])
        .args(["--connect-to", &format!("::[::1]:{port}")])
        .args(["-H", &format!("Host: {host}"), &format!("https://{name}/")])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    let (status, spoken) = status.split_once(' ').unwrap();
    assert!(version.ends_with(spoken), "{version} {spoken}");
    (status.parse().unwrap(), body.to_owned())
}

/// TL-4: a connection that was shown one namespace's certificate carries no request for a host that another one
/// has a certificate for, whether the first covers its name (a coalesced connection) or not.
#[test]
fn a_connection_for_one_tenants_host_does_not_reach_anothers() {
    let world = tenants();
    for version in ["--http1.1", "--http2"] {
        for (name, host, status, body) in [
            ("a.w.test", "a.w.test", 200, "mine/s"),
            ("a.w.test", "A.W.test:443", 200, "mine/s"),
            ("a.w.test", "c.w.test", 200, "mine/s"),
            ("c.w.test", "a.w.test", 200, "mine/s"),
            ("b.w.test", "b.w.test", 200, "theirs/s"),
            ("a.w.test", "b.w.test", 421, ""),
            ("c.w.test", "b.w.test", 421, ""),
            ("b.w.test", "a.w.test", 421, ""),
            ("b.w.test", "c.w.test", 421, ""),
            // The default certificate is nobody's, and who has none keeps nobody apart.
            ("unknown.test", "a.w.test", 200, "mine/s"),
            ("[::1]", "b.w.test", 200, "theirs/s"),
            ("a.w.test", "plain.test", 200, "s"),
            ("plain.test", "plain.test", 200, "s"),
            ("a.w.test", "unknown.test", 404, ""),
        ] {
            let (heard, said) = curl(&world, version, name, host);
            assert_eq!(heard, status, "{version} {name} {host}: {said}");
            if status == 200 {
                assert_eq!(said, body, "{version} {name} {host}");
            }
        }
    }
}

/// A refused request leaves the connection as it was, for HTTP/1.1 and for those that come over HTTP/2.
#[test]
fn a_misdirected_request_costs_itself_alone() {
    let world = tenants();
    let port = world.bed.port;
    let connect_to = format!("::[::1]:{port}");
    for version in ["--http1.1", "--http2"] {
        let told = [
            version,
            "-w",
            " %{http_code} %{num_connects}\n",
            "--connect-to",
            &connect_to,
        ];
        let output = Command::new("curl")
            .args(CURL)
            .args(told)
            .args([
                "-o",
                "/dev/null",
                "-H",
                "Host: b.w.test",
                "https://a.w.test/",
                "--next",
            ])
            .args(CURL)
            .args(told)
            .arg("https://a.w.test/")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            " 421 1\nmine/s 200 0\n",
            "{version}"
        );
    }
}
