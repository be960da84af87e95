//! `--no-xdp`: plain and TLS listeners, edits, PROXY protocol.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::process::{Agent, get};

#[test]
fn an_unprivileged_agent_serves_plain_and_tls_and_follows_edits() {
    let mut agent = Agent::start(&[]);
    let answer = agent.exchange(get("/x?q=1"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for line in [
        "get /x?q=1 http/1.1\r\n".to_owned(),
        "x-forwarded-for: 127.0.0.1\r\n".to_owned(),
        "x-forwarded-proto: http\r\n".to_owned(),
        format!("x-forwarded-port: {}\r\n", agent.plain.port()),
    ] {
        assert!(answer.contains(&line), "no {line:?} in {answer}");
    }
    let secure = Command::new("curl")
        .args([
            "-sk",
            "--resolve",
            &format!("a.test:{}:127.0.0.1", agent.tls.port()),
        ])
        .arg(format!("https://a.test:{}/y", agent.tls.port()))
        .output()
        .unwrap();
    let secure = String::from_utf8(secure.stdout).unwrap();
    assert!(secure.contains("x-forwarded-proto: https\r\n"), "{secure}");

    let manifest = agent.path("manifests/all.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("path: /,", "path: /only,")).unwrap();
    agent.wait_for("in effect");
    assert!(agent.exchange(get("/x")).starts_with("HTTP/1.1 404 "));
    assert!(agent.exchange(get("/only")).starts_with("HTTP/1.1 200 "));
    assert!(agent.stop());
}

#[test]
fn a_named_balancer_must_speak_the_proxy_protocol() {
    let mut agent = Agent::start(&["--proxy-protocol-from", "127.0.0.0/8"]);
    let v1 = format!("PROXY TCP4 203.0.113.9 198.51.100.1 1000 443\r\n{}", get("/"));
    let v2 = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\x03\xe8\x01\xbb",
        get("/").as_bytes(),
    ]
    .concat();
    for header in [v1.as_bytes(), &v2] {
        let answer = agent.exchange(header);
        for line in [
            "x-forwarded-for: 203.0.113.9\r\n",
            "x-forwarded-port: 443\r\n",
            "x-forwarded-proto: https\r\n",
        ] {
            assert!(answer.contains(line), "no {line:?} in {answer}");
        }
    }
    // Health checks of the balancer itself.
    let local = agent.exchange(format!("PROXY UNKNOWN\r\n{}", get("/")));
    assert!(local.contains("x-forwarded-for: 127.0.0.1\r\n"), "{local}");
    for refused in [get("/"), format!("PROXY TCP4 ::1 ::1 1 2\r\n{}", get("/"))] {
        assert_eq!(agent.exchange(refused), "");
    }
    agent.wait_for("does not begin with a PROXY protocol header");
    // Nor is a client sent to https who came by it.
    let manifest = agent.path("manifests/all.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("ssl-redirect: \"false\"", "ssl-redirect: \"true\""),
    )
    .unwrap();
    agent.wait_for("in effect");
    assert!(agent.exchange(&v1).starts_with("HTTP/1.1 200 "));
    let plain = format!("PROXY TCP4 203.0.113.9 198.51.100.1 1000 80\r\n{}", get("/"));
    assert!(agent.exchange(plain).starts_with("HTTP/1.1 308 "));
}

#[test]
fn nobody_else_is_believed_a_proxy_header() {
    let agent = Agent::start(&["--proxy-protocol-from", "192.0.2.77,2001:db8::/32"]);
    let header = "PROXY TCP4 203.0.113.9 198.51.100.1 1000 443\r\n";
    let answer = agent.exchange(format!("{header}{}", get("/")));
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && !answer.contains("203.0.113.9"),
        "{answer}"
    );
    let answer = agent.exchange(get("/"));
    assert!(answer.contains("x-forwarded-for: 127.0.0.1\r\n"), "{answer}");
}

/// A version 2 header of this family, with as many bytes of one TLV behind the addresses.
fn v2(family: u8, addresses: &[u8], tlv: u16) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    bytes.push(family);
    let length = u16::try_from(addresses.len()).unwrap() + tlv;
    bytes.extend(length.to_be_bytes());
    bytes.extend(addresses);
    if let Some(value) = tlv.checked_sub(3) {
        bytes.push(0xea);
        bytes.extend(value.to_be_bytes());
        bytes.extend(std::iter::repeat_n(b'x', usize::from(value)));
    }
    bytes
}

#[test]
fn headers_that_are_odd_are_read_or_end_the_connection() {
    let agent = Agent::start(&["--proxy-protocol-from", "127.0.0.1"]);
    let addresses = b"\xcb\0\x71\x09\xc6\x33\x64\x01\x03\xe8\x01\xbb";
    let request = get("/");
    let with = |header: Vec<u8>| [&header[..], request.as_bytes()].concat();
    // A TLV within the limit, one of 64 KiB, IPv6's family with IPv4's addresses, UDP, a unix socket.
    let long = u16::MAX - 12;
    for (header, is_served) in [
        (v2(0x11, addresses, 2000), true),
        (v2(0x11, addresses, long), false),
        (v2(0x21, addresses, 0), false),
        (v2(0x12, addresses, 0), false),
        (v2(0x31, &[0; 216], 0), false),
    ] {
        let answer = agent.exchange(with(header));
        assert_eq!(
            answer.contains("x-forwarded-for: 203.0.113.9\r\n"),
            is_served,
            "{answer}"
        );
        assert_eq!(answer.is_empty(), !is_served, "{answer}");
    }
    // One byte a segment.
    let mut stream = TcpStream::connect(agent.plain).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in with(v2(0x11, addresses, 0)) {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("x-forwarded-for: 203.0.113.9\r\n"), "{answer}");
    // curl's own, over TLS: the header comes before the handshake.
    let secure = Command::new("curl")
        .args(["-sk", "--haproxy-protocol"])
        .args(["--resolve", &format!("a.test:{}:127.0.0.1", agent.tls.port())])
        .arg(format!("https://a.test:{}/y", agent.tls.port()))
        .output()
        .unwrap();
    let secure = String::from_utf8(secure.stdout).unwrap();
    assert!(secure.contains("x-forwarded-for: 127.0.0.1\r\n"), "{secure}");
}

#[test]
fn a_port_that_cannot_be_had_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Where it was built may be closed to others than root.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("agent");
    fs::copy(env!("CARGO_BIN_EXE_ingress-agent"), &program).unwrap();
    let low = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let is_free = low.trim() == "0";
    for (listen, words) in [
        ("127.0.0.1:0", &["1 to 65535"][..]),
        (&taken.1, &[&taken.1, "in use"]),
        ("127.0.0.1:81", &["127.0.0.1:81", "denied"]),
    ] {
        if is_free && listen.ends_with(":81") {
            continue;
        }
        let mut command = Command::new(&program);
        command
            .args([
                "run",
                "--source",
                "file:/nonexistent",
                "--no-xdp",
                "--listen",
                listen,
                "--run-dir",
            ])
            .arg(folder.path());
        if rustix::process::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{listen}: {said}");
        for word in words {
            assert!(
                said.to_lowercase().contains(word),
                "{listen}: no {word} in {said}"
            );
        }
    }
}
