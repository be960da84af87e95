//! `--no-xdp`: plain and TLS listeners, edits, PROXY protocol.

use std::fs;
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
