//! Connections that rest between requests: hyper lets go of them, and nobody can tell.

use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::proxy::Options;

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// Longer than a connection is idle before it rests.
pub(crate) const RESTED: Duration = Duration::from_millis(1500);

#[test]
fn a_rested_connection_serves_what_comes() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut clients = [(); 6].map(|()| bed.connect());
    let mut tls = crate::tls::connect(&bed, "a.test");
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("a.test", "/").status, 200);
        }
        assert_eq!(tls.get("a.test", "/").status, 200);
        thread::sleep(RESTED);
        let [whole, split, two, body, bad, gone] = &mut clients;
        assert_eq!(whole.get("a.test", "/").status, 200);
        assert_eq!(tls.get("a.test", "/").status, 200);
        // A head in pieces, two heads at once, a body behind its head that is longer than the first read.
        split.send("GET / HT");
        thread::sleep(Duration::from_millis(50));
        split.send("TP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(split.reply().unwrap().status, 200);
        two.send(format!("{GET}{GET}"));
        assert_eq!([(); 2].map(|()| two.reply().unwrap().status), [200, 200]);
        a.take_log();
        let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9000\r\n\r\n";
        body.send(format!("{post}{}", "z".repeat(9000)));
        assert_eq!(body.reply().unwrap().status, 200);
        let log = a.take_log().concat();
        assert_eq!(log.iter().filter(|&&byte| byte == b'z').count(), 9000);
        // What is refused is refused as ever, and its number is right after all the others.
        bad.send("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\n");
        assert_eq!(bad.reply().unwrap().status, 400);
        assert!(bad.is_closed());
        gone.finish();
        assert!(gone.is_closed());
        *bad = bed.connect();
        *gone = bed.connect();
    }
    bed.assert_sound("a.test");
}

#[test]
fn a_rested_connection_ends_by_its_deadline_and_in_a_drain() {
    let a = Recorder::start("a");
    let options = Options {
        idle: Duration::from_secs(3),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let asked = || {
        let mut client = bed.connect();
        assert_eq!(client.get("a.test", "/").status, 200);
        client
    };
    let mut idle = asked();
    let start = Instant::now();
    assert!(idle.is_closed());
    assert!(start.elapsed() > Duration::from_millis(2500));
    let mut rested = asked();
    thread::sleep(RESTED);
    assert!(rested.is_open_for(Duration::from_millis(100)));
    let drain = bed.block_on(bed.proxy.drain(Duration::from_secs(10)));
    assert_eq!(drain.cut, 0);
    assert!(rested.is_closed());
}

/// An answer that the client does not read is not lost when nothing moves for a while.
#[test]
fn a_connection_does_not_rest_before_its_answer_is_written() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    const LENGTH: usize = 8 * 1024 * 1024;
    a.script([Answer::Bytes(large(LENGTH))]);
    let mut client = bed.connect();
    client.send(GET);
    thread::sleep(RESTED * 2);
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, LENGTH));
    assert_eq!(client.get("a.test", "/").status, 200);
}

fn large(length: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
