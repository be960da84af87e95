//! What is known of every endpoint, and what it leads to: who is out of use, how long, and what then answers.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::proxy::{EndpointHealth, HealthState};

use crate::bed::{Bed, site, under};
use crate::failing::{one_second, refusing};
use crate::recorder::{Answer, Recorder};

pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";

fn health(bed: &Bed, address: SocketAddr) -> EndpointHealth {
    let mut of_it = bed.proxy.endpoints();
    of_it.retain(|endpoint| endpoint.address == address);
    assert_eq!(of_it.len(), 1, "an endpoint that two routes share is told once");
    of_it.remove(0)
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

#[test]
fn every_endpoint_tells_how_it_does() {
    let a = Recorder::start("a");
    let dead = refusing();
    let pods = [a.address(), dead];
    let bed = Bed::start(site(&[("a.test", "/", &pods), ("b.test", "/", &pods)]));
    assert_eq!(bed.proxy.endpoints().len(), 2);
    assert_eq!(health(&bed, dead).state, HealthState::Well, "nobody knows better");
    let mut client = bed.connect();
    for _ in 0..4 {
        assert_eq!(client.get("a.test", "/").status, 200);
    }
    let told = health(&bed, dead);
    assert_eq!(told.state, HealthState::Unreachable);
    assert!(!told.tls && told.server_name.is_none() && told.since_ms < 60_000);
    assert_eq!(health(&bed, a.address()).in_flight, 0);
    a.script([Answer::After(Duration::from_millis(500))]);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_until("a request is under way", || {
        health(&bed, a.address()).in_flight == 1
    });
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(health(&bed, a.address()).state, HealthState::Well);
}

/// OP-11: once all are known to be down nobody waits for them, and the answer says when to come back.
#[test]
fn all_down_is_503_at_once_until_one_is_back() {
    let (a, [dead, gone]) = (Recorder::start("a"), [refusing(), refusing()]);
    let bed = Bed::start(site(&[
        ("a.test", "/", &[dead, gone]),
        ("sound.test", "/", &[a.address()]),
    ]));
    let mut client = bed.connect();
    let found_out = client.get("a.test", "/");
    assert_eq!((found_out.status, found_out.field("retry-after")), (502, None));
    for _ in 0..20 {
        for request in ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", POST] {
            let down = client.send(request).reply().unwrap();
            assert_eq!((down.status, down.field("retry-after")), (503, Some("1")));
        }
    }
    // The connection to the client is as good as before.
    assert_eq!(client.get("sound.test", "/").status, 200);
    let _back = Recorder::at(dead, "b");
    wait_until("it is probed", || {
        health(&bed, dead).state == HealthState::Warming
    });
    assert_eq!(client.get("a.test", "/").text(), "b");
    assert_eq!(client.send(POST).reply().unwrap().text(), "b");
}

/// A pod that takes requests and answers none is given none, and is back as soon as it answers.
#[test]
fn a_hung_pod_is_out_of_use_until_it_answers() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    b.always(Some(Answer::Hang));
    let pods = [a.address(), b.address()];
    let bed = Bed::start(under(site(&[("a.test", "/", &pods)]), &one_second()));
    let mut client = bed.connect();
    for round in 0..100 {
        assert_eq!(client.get("a.test", "/").text(), "a", "round {round}");
    }
    assert_eq!(health(&bed, b.address()).state, HealthState::Silent);
    let asked = b.take_requests().len();
    assert_eq!(asked, 1, "one request found out");
    // It takes connections all along, which is not enough.
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(health(&bed, b.address()).state, HealthState::Silent);
    b.always(None);
    wait_until("it is asked again", || {
        health(&bed, b.address()).state == HealthState::Warming
    });
    let mut answers = (0..200).map(|_| client.get("a.test", "/"));
    assert!(answers.any(|answer| answer.text() == "b"));
}

/// What one client asks for must not cost the others their pod.
#[test]
fn a_pod_that_answers_others_stays_in_use() {
    let a = Recorder::start("a");
    let bed = Bed::start(under(site(&[("a.test", "/", &[a.address()])]), &one_second()));
    let mut others = bed.connect();
    assert_eq!(others.get("a.test", "/").status, 200);
    a.script([Answer::Hang]);
    let mut slow = bed.connect();
    slow.send(POST);
    wait_until("it hangs", || health(&bed, a.address()).in_flight == 1);
    thread::scope(|scope| {
        let slow = scope.spawn(|| slow.reply().unwrap().status);
        while !slow.is_finished() {
            assert_eq!(others.get("a.test", "/").status, 200);
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(slow.join().unwrap(), 504);
    });
    for _ in 0..10 {
        a.script([Answer::Reset]);
        assert_eq!(bed.connect().send(POST).reply().unwrap().status, 502);
        assert_eq!(others.get("a.test", "/").status, 200);
    }
    assert_eq!(health(&bed, a.address()).state, HealthState::Well);
}

/// The last pod is tried even when it was silent, so that it serves before it is probed again.
#[test]
fn a_silent_pod_is_tried_when_there_is_no_other() {
    let a = Recorder::start("a");
    let bed = Bed::start(under(site(&[("a.test", "/", &[a.address()])]), &one_second()));
    a.always(Some(Answer::Reset));
    let mut client = bed.connect();
    assert_eq!(client.get("a.test", "/").status, 502, "three tries, three resets");
    let silent = || health(&bed, a.address()).state == HealthState::Silent;
    wait_until("it is out of use", silent);
    thread::sleep(Duration::from_millis(200));
    assert!(silent(), "its probe was reset");
    a.always(None);
    assert_eq!(client.get("a.test", "/").text(), "a");
}

/// OP-9: what takes connections and closes them has seen nothing, so that not even a POST is lost.
#[test]
fn a_pod_that_closes_what_it_takes_is_out_of_use() {
    let a = Recorder::start("a");
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closing.local_addr().unwrap();
    thread::spawn(move || closing.incoming().for_each(drop));
    let bed = Bed::start(site(&[("a.test", "/", &[a.address(), address])]));
    let mut client = bed.connect();
    let mut rounds = 0;
    wait_until("it is out of use", || {
        rounds += 1;
        assert_eq!(client.get("a.test", "/").text(), "a");
        health(&bed, address).state == HealthState::Silent
    });
    assert!(rounds >= 3, "{rounds}");
    assert_eq!(client.send(POST).reply().unwrap().text(), "a");
}
