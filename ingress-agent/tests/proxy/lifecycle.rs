//! Swaps under load, drains, deadlines, the pulse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::proxy::{DrainOutcome, Options};

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn every_worker_answers_the_pulse_and_takes_the_segment_size() {
    let bed = Bed::start(site(&[]));
    assert!(bed.block_on(bed.proxy.pulse()));
    bed.block_on(bed.proxy.set_max_segment(1400, 1380)).unwrap();
    assert!(bed.block_on(bed.proxy.set_max_segment(1, 1)).is_err());
    bed.block_on(bed.proxy.drain(Duration::ZERO));
    assert!(!bed.block_on(bed.proxy.pulse()));
}

/// 200 tables, two pods that take turns in being the only one: no request fails, none meets a pod that its
/// table did not name.
#[test]
fn swaps_under_load_fail_no_request() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    let sites = |pod: &Recorder| site(&[("a.test", "/", &[pod.address()]), ("b.test", "/", &[b.address()])]);
    let mut bed = Bed::start(sites(&a));
    let address = bed.plain();
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                let mut client = crate::raw::Raw::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.get("a.test", "/").status, 200);
                    assert_eq!(client.get("b.test", "/").text(), "b");
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..200 {
        let pod = if round % 2 == 0 { &b } else { &a };
        bed.swap(sites(pod));
        // From here on a new request finds the new table.
        let reply = bed.connect().get("a.test", "/");
        assert_eq!(reply.text(), if round % 2 == 0 { "b" } else { "a" });
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(answered.load(Ordering::Relaxed) >= 200);
}

#[test]
fn a_drain_lets_open_requests_finish_and_loses_none_that_was_accepted() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut idle = bed.connect();
    assert_eq!(idle.get("a.test", "/").status, 200);
    let mut kept = bed.connect();
    assert_eq!(kept.get("a.test", "/").status, 200);
    let mut begun = bed.connect();
    assert_eq!(begun.get("a.test", "/").status, 200);
    begun.send("GET / HT");
    a.script([Answer::After(Duration::from_millis(800))]);
    let mut open = bed.connect();
    open.send(GET);
    thread::sleep(Duration::from_millis(100));
    let drain = thread::scope(|scope| {
        let drain = scope.spawn(|| bed.block_on(bed.proxy.drain(Duration::from_secs(5))));
        // Connected before the drain can have closed anything, served although it drains.
        let mut late: Vec<_> = (0..10).map(|_| bed.connect()).collect();
        thread::sleep(Duration::from_millis(200));
        begun.send("TP/1.1\r\nHost: a.test\r\n\r\n");
        for client in &mut late {
            client.send(GET);
        }
        for client in &mut late {
            let reply = client.reply().unwrap();
            assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
        }
        let reply = begun.reply().unwrap();
        assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
        // Its request was as good as under way when the drain began.
        kept.send(GET);
        let reply = kept.reply().unwrap();
        assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
        assert!(idle.is_closed());
        let reply = open.reply().unwrap();
        assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
        assert!(open.is_closed());
        drain.join().unwrap()
    });
    assert_eq!(drain, DrainOutcome { finished: 13, cut: 0 });
    assert!(std::net::TcpStream::connect(bed.plain()).is_err());
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    a.script([Answer::After(Duration::from_secs(8))]);
    let mut open = bed.connect();
    open.send(GET);
    thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    let drain = bed.block_on(bed.proxy.drain(Duration::from_millis(800)));
    assert_eq!(drain, DrainOutcome { finished: 0, cut: 1 });
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(open.is_closed());
}

/// SL-1: the whole head has one deadline, however often a byte comes; an idle connection has another.
#[test]
fn slow_heads_and_idle_connections_end() {
    let a = Recorder::start("a");
    let options = Options {
        head: Duration::from_millis(600),
        idle: Duration::from_millis(300),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let start = Instant::now();
    let mut silent = bed.connect();
    let mut dribble = bed.connect();
    for byte in GET.as_bytes().iter().take(10) {
        dribble.send([*byte]);
        thread::sleep(Duration::from_millis(80));
    }
    assert_eq!(dribble.reply().unwrap().status, 408);
    assert!(dribble.is_closed());
    assert!(silent.is_closed());
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(a.take_log().is_empty());

    let mut idle = bed.connect();
    assert_eq!(idle.get("a.test", "/").status, 200);
    thread::sleep(Duration::from_millis(150));
    assert_eq!(idle.get("a.test", "/").status, 200);
    let start = Instant::now();
    assert!(idle.is_closed());
    assert!((Duration::from_millis(250)..Duration::from_secs(2)).contains(&start.elapsed()));
    // The idle deadline does not run while a request is answered.
    a.script([Answer::After(Duration::from_millis(500))]);
    assert_eq!(bed.connect().get("a.test", "/").status, 200);
    // Nor while one is answered that came together with the one before.
    a.script([Answer::Ok, Answer::After(Duration::from_millis(500))]);
    let mut both = bed.connect();
    both.send(format!("{GET}{GET}"));
    assert_eq!([(); 2].map(|()| both.reply().unwrap().status), [200, 200]);
    // A second head has its own deadline, from its first byte.
    let mut second = bed.connect();
    assert_eq!(second.get("a.test", "/").status, 200);
    thread::sleep(Duration::from_millis(200));
    second.send("GET ");
    thread::sleep(Duration::from_millis(400));
    second.send("/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(second.reply().unwrap().status, 200);
    bed.assert_sound("a.test");
}

/// SL-2: a body comes at 1 KiB a second on average, after a while; a pod that is slow does not count.
#[test]
fn a_slow_body_ends() {
    let a = Recorder::start("a");
    let options = Options {
        body: Duration::from_millis(600),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ";
    for (pieces, piece, status) in [(40, 1, 408), (12, 2048, 200)] {
        let mut client = bed.connect();
        client.send(format!("{head}{}\r\n\r\n", pieces * piece));
        let start = Instant::now();
        for _ in 0..pieces {
            thread::sleep(Duration::from_millis(100));
            client.send(vec![b'x'; piece]);
        }
        assert_eq!(client.reply().unwrap().status, status);
        assert!(start.elapsed() < Duration::from_secs(8));
        assert_eq!(client.is_open_for(Duration::from_millis(50)), status == 200);
    }
    a.take_log();
    a.script([Answer::After(Duration::from_millis(1200))]);
    let reply = bed.connect().send(format!("{head}1\r\n\r\nx")).reply().unwrap();
    assert_eq!(reply.status, 200);
    bed.assert_sound("a.test");
}
