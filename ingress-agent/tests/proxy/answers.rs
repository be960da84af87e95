//! What a client sees of a pod's answer, and of one that begins before its request has ended (RFC 9112 section 6).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use ingress_agent::model::Policies;
use ingress_agent::model::policy::BodyLimit;

use crate::bed::{Bed, site, under};
use crate::recorder::{Answer, Recorder};

const MIB: usize = 1 << 20;

/// The pod's bytes, its request's method, and the client's status and body.
#[test]
fn answers_reach_the_client() {
    let large = "a".repeat(3 * MIB);
    let of_length = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    let in_chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    let many = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
        + &"1;x=y\r\na\r\n".repeat(1000)
        + "0\r\nX: y\r\n\r\n";
    let hint = "HTTP/1.1 103 Hints\r\n\r\n";
    let hints = hint.repeat(100) + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let flood = hint.repeat(10_000);
    let thousand = "a".repeat(1000);
    let kept = [
        ("GET", of_length.as_str(), 200, large.as_str()),
        ("GET", &in_chunks, 200, &large),
        ("GET", &many, 200, &thousand),
        ("GET", &hints, 200, "a"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 200, ""),
        ("GET", "HTTP/1.1 204 No\r\n\r\n", 204, ""),
        ("GET", "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", 304, ""),
    ];
    let closed = [
        ("GET", "HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc"),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            200,
            "abc",
        ),
        ("GET", &flood, 502, ""),
        ("GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502, ""),
        ("GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 502, ""),
    ];
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    bed.assert_sound("a.test");
    for (cases, are_kept) in [(&kept[..], true), (&closed[..], false)] {
        for &(method, answer, status, body) in cases {
            let name = answer.get(..60.min(answer.len())).unwrap();
            let before = a.connections();
            let mut client = bed.connect();
            for _ in 0..2 {
                let bytes = answer.as_bytes().to_vec();
                a.script([if are_kept {
                    Answer::Bytes(bytes)
                } else {
                    Answer::BytesThenClose(bytes)
                }]);
                client.send(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
                let reply = client.reply_to(method).unwrap();
                assert_eq!(reply.status, status, "{name}");
                let is_it = status == 502 || reply.body == body.as_bytes();
                assert!(is_it, "{name}: {} bytes", reply.body.len());
                if reply.field("content-length").is_none() && reply.field("transfer-encoding").is_none() {
                    client = bed.connect();
                }
            }
            // Two workers, each with a connection of its own.
            assert!(!are_kept || a.connections() <= before.max(2), "{name}: not kept");
            bed.assert_sound("a.test");
        }
    }
}

const UPLOAD: usize = 16 * MIB;
const FIRST: usize = 8 * MIB;

/// Answers one request while its body comes, reads that to the end, ends the answer; then answers another.
fn answer_meanwhile(listener: &TcpListener, chunked: bool) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut body = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while !body.windows(4).take(4096).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).unwrap();
        body.extend_from_slice(&chunk[..count]);
    }
    let begin = body.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    body.drain(..begin);
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", FIRST + 1);
        writing.write_all(head.as_bytes()).unwrap();
        writing.write_all(&vec![b'a'; FIRST]).unwrap();
    });
    while !(if chunked {
        body.ends_with(b"\r\n0\r\n\r\n")
    } else {
        body.len() == UPLOAD
    }) {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "closed after {} bytes", body.len());
        body.extend_from_slice(&chunk[..count]);
    }
    assert!(body.len() >= UPLOAD);
    // All of the upload is here, and none of the answer was read.
    writer.join().unwrap();
    stream.write_all(b"b").unwrap();
    assert!(stream.read(&mut chunk).unwrap() > 0, "not kept");
    stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
}

/// A client that reads nothing before it has sent all, and a pod that answers more than fits between them meanwhile:
/// the upload goes on, the answer comes whole, and the connection is used again.
#[test]
fn an_upload_goes_on_while_its_answer_waits() {
    let unlimited = Policies {
        body_limit: BodyLimit::Unlimited,
        ..Policies::default()
    };
    for chunked in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pod = listener.local_addr().unwrap();
        let bed = Bed::start(under(site(&[("a.test", "/", &[pod])]), &unlimited));
        thread::spawn(move || answer_meanwhile(&listener, chunked));
        let mut client = bed.connect();
        let (framing, before, after) = if chunked {
            let before = format!("{UPLOAD:x}\r\n");
            ("Transfer-Encoding: chunked".to_owned(), before, "\r\n0\r\n\r\n")
        } else {
            (format!("Content-Length: {UPLOAD}"), String::new(), "")
        };
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n{before}"
        ));
        client.send(vec![b'x'; UPLOAD]).send(after);
        let reply = client.reply().unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, FIRST + 1));
        assert_eq!(client.get("a.test", "/").status, 204);
    }
}
