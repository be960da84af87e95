//! One access event per request, however it ends.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use hyper::Method;
use ingress_agent::proxy::{Captures, Options};
use serde_json::Value;

use crate::bed::{Bed, site};
use crate::h2;
use crate::recorder::{Answer, Recorder};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The access events of this listener so far. Workers have threads of their own, so the subscriber is the
/// whole process's.
fn events(bed: &Bed) -> Vec<Value> {
    let lines = lines().0.lock().unwrap().clone();
    let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let listeners = [bed.plain(), bed.tls()].map(|listener| Value::from(listener.to_string()));
    let ours = |event: &Value| event["target"] == "access" && listeners.contains(&event["listener"]);
    events.filter(ours).collect()
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone());
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        lines
    })
}

fn wait_for(bed: &Bed, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        if events(bed).len() >= count {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    events(bed)
}

#[test]
fn every_end_is_told_once() {
    lines();
    let a = Recorder::start("pod-a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = bed.connect();
    assert_eq!(client.get("a.test", "/x/../y?q=1").status, 200);
    let none = client.get("b.test", "/");
    assert_eq!(none.status, 404);
    a.script([Answer::BytesThenClose(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec(),
    )]);
    client.send("GET /cut HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(client.try_reply().is_err());
    wait_for(&bed, 3);
    a.script([Answer::After(Duration::from_millis(300))]);
    let mut gone = bed.connect();
    gone.send("GET /gone HTTP/1.1\r\nHost: a.test\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    drop(gone);
    wait_for(&bed, 4);
    let mut bad = bed.connect();
    bad.send("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n");
    let bad = bad.reply().unwrap();
    assert_eq!(bad.status, 400);
    let events = wait_for(&bed, 5);

    let text = |event: &Value| {
        let fields = [
            "method", "host", "path", "status", "bytes", "route", "upstream", "retries", "end",
        ];
        fields
            .map(|field| {
                event[field]
                    .as_str()
                    .map_or_else(|| event[field].to_string(), str::to_owned)
            })
            .join(" ")
    };
    let pod = a.address();
    let told: Vec<String> = events.iter().map(text).collect();
    assert_eq!(
        told,
        [
            format!("GET a.test /x/../y 200 5 Ingress test/object {pod} 0 complete"),
            format!("GET b.test / 404 {} null null 0 complete", none.body.len()),
            format!("GET a.test /cut 200 3 Ingress test/object {pod} 0 upstream-broken"),
            format!("GET a.test /gone 499 0 Ingress test/object {pod} 0 client-gone"),
            format!("- - - 400 {} null null 0 complete", bad.body.len()),
        ]
    );
    assert_eq!(events[1]["error"], "no route matches this host and path");
    assert_eq!(events[4]["error"], "malformed request: no Host, or more than one");
    for event in &events {
        assert_eq!(event["client"], "127.0.0.1");
        assert!(event["duration_us"].as_u64().unwrap() < 5_000_000);
    }
}

/// A password is in no event, a user's name where it is wanted.
#[test]
fn the_user_is_told_where_it_is_wanted() {
    lines();
    let a = Recorder::start("a");
    let mut captures = Captures::default();
    captures.add_user();
    for (captures, user) in [(captures, "ann".into()), (Captures::default(), Value::Null)] {
        let options = Options {
            captures: captures.into(),
            ..Options::default()
        };
        let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
        let mut client = bed.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n");
        assert_eq!(client.reply().unwrap().status, 200);
        let event = wait_for(&bed, 1).remove(0);
        assert_eq!(event["user"], user);
        let text = event.to_string();
        assert!(!text.contains("secret") && !text.contains("YW5u"), "{text}");
    }
}

/// What HTTP/2 does not take is refused by a request's answer, and told as one.
#[test]
fn fields_that_are_too_large_for_http2_are_told() {
    lines();
    let bed = Bed::start(site(&[]));
    bed.block_on(async {
        let mut request = h2::request(Method::GET, "");
        for _ in 0..2 {
            request
                .headers_mut()
                .append("x", "v".repeat(9 * 1024).parse().unwrap());
        }
        let answer = h2::client(&bed).await.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 431);
    });
    let event = wait_for(&bed, 1).remove(0);
    assert_eq!(event["status"], 431);
    assert!(
        event["error"].as_str().unwrap().contains("16 KiB together"),
        "{event}"
    );
}

/// Several tries are told in their order, as nginx does.
#[test]
fn every_try_is_told() {
    lines();
    let [a, b] = ["a", "b"].map(Recorder::start);
    let pods = [a.address(), b.address()];
    let bed = Bed::start(site(&[("a.test", "/", &pods)]));
    for pod in [&a, &b] {
        pod.script([Answer::Reset]);
    }
    assert_eq!(bed.connect().get("a.test", "/").text().len(), 1);
    let event = wait_for(&bed, 1).remove(0);
    let tries = |field: &str| -> Vec<String> {
        let text = event[field].as_str().unwrap();
        text.split(", ").map(str::to_owned).collect()
    };
    let [first, second] = match tries("upstream")[0] == a.address().to_string() {
        true => [&a, &b],
        false => [&b, &a],
    };
    let expected = [first, second, first].map(|pod| pod.address().to_string());
    assert_eq!(tries("upstream"), expected);
    assert_eq!(tries("upstream_status"), ["502", "502", "200"]);
    assert_eq!(tries("upstream_response_length"), ["0", "0", "1"]);
    let times = tries("upstream_response_time");
    assert!(
        times.len() == 3 && times.iter().all(|time| time.parse::<f32>().unwrap() < 10.0),
        "{times:?}"
    );
    assert_eq!(event["retries"], 2);
}
