//! Clients that people use, curl and h2load: what they say and what they get.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

fn curl(bed: &Bed, args: &[&str]) -> Output {
    let port = bed.port;
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "20"])
        .args(["--resolve", &format!("a.test:{port}:127.0.0.1")])
        .args(["--resolve", &format!("tls.test:{port}:[::1]")])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_speaks_every_version() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[
        ("a.test", "/", &[a.address()]),
        ("tls.test", "/", &[a.address()]),
    ]));
    let plain = format!("http://a.test:{}/x", bed.port);
    let tls = format!("https://tls.test:{}/x", bed.port);
    let versions = ["-w", " %{http_version} %{response_code}"];
    for (flag, url, expected) in [
        ("--http1.0", &plain, "a 1 200"),
        ("--http1.1", &plain, "a 1.1 200"),
        // It asks for h2c, which is not served: nothing is upgraded.
        ("--http2", &plain, "a 1.1 200"),
        ("--http1.1", &tls, "a 1.1 200"),
        ("--http2", &tls, "a 2 200"),
    ] {
        let answer = text(&curl(&bed, &[&[flag, url], &versions[..]].concat()));
        assert_eq!(answer, expected, "{flag} {url}");
    }
    for request in a.take_requests() {
        assert_eq!(request.field("upgrade"), None);
    }
    for (flag, url) in [("--http1.1", &plain), ("--http1.1", &tls), ("--http2", &tls)] {
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        a.script([Answer::Bytes(length.to_vec())]);
        let head = text(&curl(&bed, &["-I", flag, url])).to_ascii_lowercase();
        assert!(head.contains("content-length: 5000\r\n"), "{head}");
    }
    bed.assert_sound("a.test");
}

/// A body that waits for `100 Continue`, and arrives whole.
#[test]
fn curl_uploads_after_100_continue() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[
        ("a.test", "/", &[a.address()]),
        ("tls.test", "/", &[a.address()]),
    ]));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    fs::write(&file, vec![b'y'; 700_000]).unwrap();
    let plain = format!("http://a.test:{}/up", bed.port);
    let tls = format!("https://tls.test:{}/up", bed.port);
    for (flag, url) in [("--http1.1", &plain), ("--http1.1", &tls), ("--http2", &tls)] {
        let expect = ["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "15"];
        let output = curl(
            &bed,
            &[&expect[..], &[flag, "-T", file.to_str().unwrap(), url]].concat(),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if flag == "--http1.1" {
            assert!(said.contains("< HTTP/1.1 100 Continue"), "{said}");
        }
        assert_eq!(text(&output), "a");
        let request = a.take_requests().remove(0);
        assert_eq!((request.method.as_str(), request.body.len()), ("PUT", 700_000));
    }
    bed.assert_sound("a.test");
}

/// An event is there before the next one is sent, and a long download arrives whole.
#[test]
fn curl_reads_events_at_once_and_downloads_whole() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[
        ("a.test", "/", &[a.address()]),
        ("tls.test", "/", &[a.address()]),
    ]));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let tls = format!("https://tls.test:{}/events", bed.port);
    for flag in ["--http1.1", "--http2"] {
        // One event; the pod sends no other.
        a.script([Answer::Bytes(format!("{head}9\r\ndata: a\n\n\r\n").into_bytes())]);
        let mut curl = Command::new("curl")
            .args(["-skN", "--max-time", "10", flag])
            .args(["--resolve", &format!("tls.test:{}:[::1]", bed.port), &tls])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(curl.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "data: a\n", "{flag}");
        curl.kill().unwrap();
        curl.wait().unwrap();
        _ = out.read_to_string(&mut line);
    }
    let length = 24 << 20;
    for flag in ["--http1.1", "--http2"] {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + length, b'z');
        a.script([Answer::Bytes(bytes)]);
        let answer = curl(&bed, &[flag, &tls]);
        assert_eq!(answer.stdout.len(), length, "{flag}");
    }
    bed.assert_sound("a.test");
}

#[test]
fn h2load_has_no_failure() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let output = Command::new("h2load")
        .args(["-n", "1000", "-c", "2", "-m", "10", "-T", "20"])
        .args([
            "--header",
            ":authority: a.test",
            &format!("https://[::1]:{}/", bed.port),
        ])
        .output()
        .unwrap();
    let said = text(&output);
    assert!(
        said.contains("1000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{said}"
    );
    assert!(said.contains("status codes: 1000 2xx"), "{said}");
    assert!(said.contains("Application protocol: h2"), "{said}");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(a.take_requests().len(), 1000);
    bed.assert_sound("a.test");
}
