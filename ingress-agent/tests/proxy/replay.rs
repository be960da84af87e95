//! A request with a body that may be sent twice, sent twice (RFC 9110 section 9.2.2).

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

/// What is kept of a body.
const KEPT: usize = 64 * 1024;

fn request(method: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    let length = body.len();
    let (framing, before, after) = if chunked {
        let before = format!("{length:x}\r\n");
        ("Transfer-Encoding: chunked".to_owned(), before, "\r\n0\r\n\r\n")
    } else {
        (format!("Content-Length: {length}"), String::new(), "")
    };
    let head = format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n{before}");
    [head.as_bytes(), body, after.as_bytes()].concat()
}

#[test]
fn what_may_be_done_twice_is_sent_again_with_its_body() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    let pods = [a.address(), b.address()];
    let case = |method: &str, length: usize, chunked: bool| {
        let bed = Bed::start(site(&[("a.test", "/", &pods)]));
        for pod in [&a, &b] {
            pod.clear_script();
            pod.script([Answer::Reset]);
        }
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        let mut client = bed.connect();
        let status = client
            .send(request(method, &body, chunked))
            .reply()
            .unwrap()
            .status;
        let mut seen = a.take_requests();
        seen.extend(b.take_requests());
        let whole = seen.iter().filter(|request| request.body == body).count();
        assert_eq!(seen.len(), whole, "{method} {length}");
        (status, whole)
    };
    // Two of three tries meet a pod that goes away.
    for chunked in [false, true] {
        assert_eq!(case("PUT", 3, chunked), (200, 3));
        assert_eq!(case("DELETE", 3, chunked), (200, 3));
        assert_eq!(case("PUT", 20_000, chunked), (200, 3));
        assert_eq!(case("POST", 3, chunked), (502, 1));
    }
    assert_eq!(case("PUT", KEPT, false), (200, 3));
    assert_eq!(case("PUT", KEPT + 1, false), (502, 1), "larger than what is kept");
}

/// The pod goes away while the body is on its way: the next one gets its beginning and then the rest.
#[test]
fn a_body_on_its_way_goes_on_to_another_pod() {
    let a = Recorder::start("a");
    let leaving = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = leaving.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&left);
    thread::spawn(move || {
        for stream in leaving.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"abc") {
                let mut chunk = [0; 1024];
                match stream.read(&mut chunk) {
                    Ok(read @ 1..) => seen.extend_from_slice(&chunk[..read]),
                    Ok(_) | Err(_) => return,
                }
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let bed = Bed::start(site(&[("a.test", "/", &[a.address(), address])]));
    for _ in 0..4 {
        let mut client = bed.connect();
        client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc");
        thread::sleep(Duration::from_millis(100));
        client.send("def");
        assert_eq!(client.reply().unwrap().status, 200);
        assert_eq!(a.take_requests()[0].body, b"abcdef");
    }
    assert!(left.load(Ordering::Relaxed) > 0, "no request met it");
}
