//! A client that takes its time over a body: the pod, which waits for it too, is not to blame.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use ingress_agent::model::policy::{Timeouts, UpstreamPolicy};
use ingress_agent::proxy::HealthState;

use crate::bed::{Bed, site, under};
use crate::failing::policies;
use crate::recorder::Recorder;

/// `proxy-read-timeout` and `proxy-send-timeout`, and a pause that is longer.
const LIMIT: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(900);

fn bed(pod: std::net::SocketAddr) -> Bed {
    let timeouts = Timeouts {
        read: LIMIT,
        send: LIMIT,
        ..Timeouts::default()
    };
    let upstream = UpstreamPolicy {
        timeouts,
        ..UpstreamPolicy::default()
    };
    Bed::start(under(site(&[("a.test", "/", &[pod])]), &policies(upstream)))
}

#[test]
fn a_slow_body_arrives_whole() {
    let a = Recorder::start("a");
    let bed = bed(a.address());
    for head in [
        "Content-Length: 6\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let rest = if head.contains("chunked") {
            "3\r\ndef\r\n0\r\n\r\n"
        } else {
            "def"
        };
        let mut client = bed.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{head}"));
        thread::sleep(PAUSE);
        client.send(rest);
        assert_eq!(client.reply().unwrap().status, 200);
        assert_eq!(a.take_requests()[0].body, b"abcdef");
    }
    assert_eq!(bed.proxy.endpoints()[0].state, HealthState::Well);
}

/// A pod that begins to answer and goes on once it has the rest of the body.
#[test]
fn an_answer_waits_for_a_slow_body() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bed = bed(listener.local_addr().unwrap());
    let pod = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut read_to = |end: &[u8], stream: &mut std::net::TcpStream| {
            while !seen.ends_with(end) {
                let mut chunk = [0; 1024];
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "given up");
                seen.extend_from_slice(&chunk[..count]);
            }
        };
        read_to(b"abc", &mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
            .unwrap();
        read_to(b"def", &mut stream);
        stream.write_all(b"2").unwrap();
    });
    let mut client = bed.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc");
    thread::sleep(PAUSE);
    client.send("def");
    assert_eq!(client.reply().unwrap().text(), "12");
    pod.join().unwrap();
}
