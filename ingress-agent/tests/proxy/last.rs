//! The last request of a connection: its answer goes out with the connection's end, and until then nobody listens to the
//! client more than now and then.

use std::thread;
use std::time::{Duration, Instant};

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

const LAST: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n";
/// The kernel lets go by itself, after this long, of what is held back for an end that does not come.
const HELD: Duration = Duration::from_millis(200);

#[test]
fn an_answer_is_not_held_back() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let kept = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let refused = "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    for (requests, statuses) in [
        (LAST.to_owned(), vec![200]),
        (OLD.to_owned(), vec![200]),
        (format!("{kept}{LAST}"), vec![200, 200]),
        (format!("{LAST}{kept}"), vec![200]),
        (refused.to_owned(), vec![404]),
    ] {
        for answer in [Answer::Ok, Answer::Bytes(chunked.to_vec())] {
            let quickest = (0..5).map(|_| {
                a.clear_script();
                a.script([answer.clone(), answer.clone()]);
                let mut client = bed.connect();
                let began = Instant::now();
                client.send(&requests);
                let answered: Vec<_> = statuses.iter().map(|_| client.reply().unwrap().status).collect();
                assert_eq!(answered, statuses, "{requests}");
                assert!(client.is_closed());
                began.elapsed()
            });
            assert!(quickest.min().unwrap() < HELD / 2, "{requests}");
        }
    }
    a.clear_script();
    let mut tls = crate::tls::connect(&bed, "a.test");
    tls.send(LAST);
    assert_eq!(tls.reply().unwrap().status, 200);
    assert!(tls.is_closed());
    bed.assert_sound("a.test");
}

/// A socket that is closed with unread bytes in it resets the connection.
#[test]
fn what_comes_after_the_last_request_costs_nobody_its_answer() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for late in [false, true] {
        a.script([Answer::After(Duration::from_millis(200))]);
        let mut client = bed.connect();
        client.send(LAST);
        if late {
            thread::sleep(Duration::from_millis(100));
        }
        client.send("GET /more HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(client.reply().unwrap().text(), "a");
        assert!(client.read_all().is_empty());
    }
    bed.assert_sound("a.test");
}

#[test]
fn a_client_that_leaves_within_its_last_request_is_noticed() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    a.script([Answer::Hang]);
    let mut client = bed.connect();
    client.send(LAST);
    let limit = Instant::now() + Duration::from_secs(20);
    let wait_for = |connections| {
        while a.open_connections() != connections {
            assert!(Instant::now() < limit, "its request goes on");
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(1);
    drop(client);
    wait_for(0);
    bed.assert_sound("a.test");
}
