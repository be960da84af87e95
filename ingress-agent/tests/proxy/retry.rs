//! A route's own rules of retry, and its send timeout (`proxy-next-upstream*`, `proxy-send-timeout`).

use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::model::Policies;
use ingress_agent::model::policy::{Retry, Timeouts, UpstreamPolicy};
use ingress_agent::proxy::{EndpointHealth, HealthState};

use crate::bed::{Bed, site, under};
use crate::failing::policies;
use crate::recorder::{Answer, Recorder};

fn retrying(retry: Retry) -> Policies {
    policies(UpstreamPolicy {
        retry,
        ..UpstreamPolicy::default()
    })
}

#[test]
fn statuses_are_tried_again_where_the_route_says_so() {
    let unavailable = || {
        let answer = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno".to_vec();
        Answer::BytesAfter(Duration::from_millis(5), answer)
    };
    let [a, b] = ["a", "b"].map(Recorder::start);
    let pods = [a.address(), b.address()];
    let retry = Retry {
        statuses: vec![503],
        ..Retry::default()
    };
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
    let case = |retry: Retry, bad: usize, request: &str| {
        let bed = Bed::start(under(site(&[("a.test", "/", &pods)]), &retrying(retry)));
        // One script would be taken by whoever is called first; both have it.
        for pod in [&a, &b] {
            pod.clear_script();
            pod.script(vec![unavailable(); bad]);
            pod.take_log();
        }
        let mut client = bed.connect();
        let reply = client.send(request).reply().unwrap();
        let seen = a.take_requests().len() + b.take_requests().len();
        (reply.status, seen)
    };
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(case(Retry::default(), 1, get), (503, 1), "not asked for");
    assert_eq!(case(retry.clone(), 1, get), (200, 3));
    assert_eq!(
        case(retry.clone(), 9, get),
        (503, 3),
        "the last answer is the answer"
    );
    assert_eq!(case(retry.clone(), 1, post), (503, 1));
    let all = Retry {
        non_idempotent: true,
        ..retry.clone()
    };
    assert_eq!(case(all, 1, post), (200, 3));
    let two = Retry {
        tries: NonZeroU32::new(2),
        ..retry.clone()
    };
    assert_eq!(case(two, 9, get), (503, 2));
    let as_many_as_endpoints = Retry {
        tries: None,
        ..retry.clone()
    };
    assert_eq!(case(as_many_as_endpoints, 9, get), (503, 2));
    let at_once = Retry {
        within: Some(Duration::from_millis(4)),
        ..retry
    };
    assert_eq!(case(at_once, 9, get), (503, 1));
}

/// A backend's budget of retries is spent; what no pod has seen is tried again all the same, at once.
#[test]
fn a_retry_of_what_no_pod_has_seen_waits_for_no_budget() {
    let [busy, doomed] = ["busy", "doomed"].map(Recorder::start);
    let pods = [busy.address(), doomed.address()];
    let retry = Retry {
        statuses: vec![503],
        ..Retry::default()
    };
    let bed = Bed::start(under(site(&[("a.test", "/", &pods)]), &retrying(retry)));
    busy.always(Some(Answer::Hang));
    let unavailable = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec();
    doomed.always(Some(Answer::Bytes(unavailable)));
    // One after the other, until ten retries hang at the busy pod, which is all that may.
    let mut waiting = Vec::new();
    let (mut hanging, mut retries) = (0, 0);
    while retries < 10 {
        let mut client = bed.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        waiting.push(client);
        hanging += 1;
        while busy.take_requests().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        retries += doomed.take_requests().len();
    }
    assert!(hanging < 50, "{hanging} under way allow more than ten retries");
    doomed.kill();
    while TcpStream::connect(doomed.address()).is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    busy.always(None);
    let start = Instant::now();
    // As many as both workers need to come to the one that is gone.
    for _ in 0..8 {
        assert_eq!(bed.connect().get("a.test", "/").text(), "busy");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_millis(800), "{took:?}");
    let is_doomed = |one: &EndpointHealth| one.address == doomed.address();
    let health = bed.proxy.endpoints().into_iter().find(is_doomed).unwrap();
    assert_eq!(health.state, HealthState::Unreachable, "nobody was refused");
}

#[test]
fn off_tries_once_and_invalid_header_tries_again() {
    let garbage = || Answer::BytesThenClose(b"garbage\r\n\r\n".to_vec());
    let off = Retry {
        error: false,
        timeout: false,
        ..Retry::default()
    };
    let [a, b] = ["a", "b"].map(Recorder::start);
    let pods = [a.address(), b.address()];
    let status = |retry: Retry, answer: Answer| {
        let bed = Bed::start(under(site(&[("a.test", "/", &pods)]), &retrying(retry)));
        for pod in [&a, &b] {
            pod.clear_script();
            pod.script([answer.clone()]);
        }
        bed.connect().get("a.test", "/").status
    };
    assert_eq!(status(off.clone(), Answer::Close), 502);
    assert_eq!(status(Retry::default(), Answer::Close), 200);
    assert_eq!(status(Retry::default(), garbage()), 502);
    let invalid_header = Retry {
        invalid_header: true,
        ..off.clone()
    };
    assert_eq!(status(invalid_header, garbage()), 200);
    // A connection that the pod gave up while nobody used it is no failure of the request.
    let pod = [a.address()];
    let bed = Bed::start(under(site(&[("a.test", "/", &pod)]), &retrying(off)));
    a.clear_script();
    let mut client = bed.connect();
    for _ in 0..20 {
        a.script([Answer::BytesThenClose(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )]);
        assert_eq!(client.get("a.test", "/").status, 200);
        thread::sleep(Duration::from_millis(5));
    }
}

/// `proxy-send-timeout`: a pod that takes nothing of the request's body.
#[test]
fn a_pod_that_takes_no_body_costs_504_in_time() {
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let timeouts = Timeouts {
        send: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let upstream = UpstreamPolicy {
        timeouts,
        ..UpstreamPolicy::default()
    };
    let pods = [hung.local_addr().unwrap()];
    let bed = Bed::start(under(
        site(&[("a.test", "/", &pods)]),
        &Policies {
            body_limit: ingress_agent::model::policy::BodyLimit::Unlimited,
            ..policies(upstream)
        },
    ));
    // Beside it, a client whose body is complete waits for the whole of the read timeout.
    let mut complete = bed.connect();
    complete.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
    let mut client = bed.connect();
    let timeout = Some(Duration::from_secs(1));
    client.stream().set_write_timeout(timeout).unwrap();
    let length = 64 << 20;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(vec![b'x'; length]);
    assert_eq!(client.try_reply().unwrap().unwrap().status, 504);
    complete
        .stream()
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    assert!(complete.try_reply().is_err(), "an answer within the read timeout");
}
