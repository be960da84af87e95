//! HTTP/2's limits, what is done against them, and the end of a connection (spec H2-2, H2-4, OP-3).

use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use ingress_agent::model::policy::{BodyLimit, Policies};
use ingress_agent::proxy::{DrainOutcome, Options};

use crate::bed::{Bed, site, with_policies};
use crate::frames::{CONTINUATION, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, RST_STREAM, block};
use crate::h2::{assert_sound, client, frames, request};
use crate::recorder::{Answer, Recorder};

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// At the limit and one more: fields, target, body, streams.
#[test]
fn limits() {
    let a = Recorder::start("a");
    let limit = Policies {
        body_limit: BodyLimit::Bytes(8),
        ..Policies::default()
    };
    let bed = Bed::start(with_policies(&[a.address()], limit));
    bed.block_on(async {
        let mut client = client(&bed).await;
        let mut status = async |request| client.send_request(request).await.unwrap().status();
        for (count, expected) in [(100, 200), (101, 431)] {
            let mut many = request(Method::GET, "");
            for _ in 0..count {
                many.headers_mut().append("cookie", "a".parse().unwrap());
            }
            assert_eq!(status(many).await, expected, "{count}");
        }
        for (length, expected) in [(8 * 1024, 200), (8 * 1024 + 1, 414)] {
            let mut long = request(Method::GET, "");
            let path = "a".repeat(length - 1);
            *long.uri_mut() = format!("https://a.test/{path}").parse().unwrap();
            assert_eq!(status(long).await, expected, "{length}");
        }
        assert_eq!(status(request(Method::POST, "12345678")).await, 200);
        assert_eq!(
            status(request(Method::POST, "123456789")).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        let mut connect = request(Method::CONNECT, "");
        *connect.uri_mut() = "a.test:443".parse().unwrap();
        assert_eq!(status(connect).await, 405);
    });
    a.take_log();
    // The list: names, values and 32 bytes for each field together.
    let own: usize = GET
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    for (length, allowed) in [(16 * 1024 - own - 33, true), (16 * 1024 - own - 32, false)] {
        let value = "v".repeat(length);
        let mut client = frames(&bed);
        let block = block(&[&GET[..], &[("x", &value)]].concat());
        let (first, rest) = block.split_at(16 * 1024 - 1000);
        client.send(HEADERS, END_STREAM, 1, first);
        client.send(CONTINUATION, END_HEADERS, 1, rest);
        let frame = client.next_on(1).unwrap();
        assert_eq!(
            frame.kind == HEADERS && frame.status() == 200,
            allowed,
            "{length}: {frame:?}"
        );
    }
    // 100 streams wait for the pod; the next one is refused, and may be asked for again.
    a.script((0..100).map(|_| Answer::After(Duration::from_millis(1500))));
    let mut client = frames(&bed);
    for stream in (1..=201).step_by(2) {
        client.request(stream, &GET);
    }
    let frame = client.next().unwrap();
    assert_eq!(
        (frame.kind, frame.stream, frame.code()),
        (RST_STREAM, 201, REFUSED_STREAM)
    );
    let mut answers = 0;
    while answers < 100 {
        let frame = client.next().unwrap();
        if frame.kind == HEADERS {
            assert_eq!(frame.status(), 200);
            answers += 1;
        }
    }
}

/// H2-2: HEADERS and RST_STREAM, again and again: at once, and so slowly that each request begins.
#[test]
fn rapid_reset_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for (count, pause) in [(60, Duration::ZERO), (400, Duration::from_millis(3))] {
        a.script((0..count).map(|_| Answer::After(Duration::from_millis(300))));
        let mut client = frames(&bed);
        let resets = (1..).step_by(2).take(count);
        let sent = resets.take_while(|&stream| {
            std::thread::sleep(pause);
            client.request(stream, &GET) && client.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
        });
        let sent = sent.count();
        let mut last = None;
        while let Some(frame) = client.next() {
            last = Some(frame);
        }
        if pause.is_zero() {
            let last = last.unwrap();
            assert_eq!((last.kind, last.code()), (GOAWAY, ENHANCE_YOUR_CALM));
        } else {
            assert!(sent < 100, "{sent} resets were let pass");
        }
        let requests = a.take_log().len();
        assert!(requests <= 60, "{requests} requests reached the pod");
        a.clear_script();
        assert_sound(&bed);
        a.take_log();
    }
}

/// H2-4: a head that never ends.
#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for piece in [&b""[..], &block(&[("x", "y")])] {
        let mut client = frames(&bed);
        client.send(HEADERS, 0, 1, &block(&GET));
        for _ in 0..6 {
            client.send(CONTINUATION, 0, 1, piece);
        }
        let frame = client.next().unwrap();
        assert_eq!(frame.kind, GOAWAY);
    }
    assert!(a.take_log().is_empty());
    assert_sound(&bed);
}

#[test]
fn silence_ends_the_connection() {
    let a = Recorder::start("a");
    let options = Options {
        head: Duration::from_millis(400),
        idle: Duration::from_millis(300),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let start = Instant::now();
    let mut silent = frames(&bed);
    assert_eq!(silent.next().unwrap().kind, GOAWAY);
    while silent.next().is_some() {}
    assert!((Duration::from_millis(350)..Duration::from_secs(5)).contains(&start.elapsed()));
    // Not while a request is answered.
    a.script([Answer::After(Duration::from_millis(900))]);
    let mut idle = frames(&bed);
    idle.request(1, &GET);
    assert_eq!(idle.next().unwrap().status(), 200);
    while idle.next().unwrap().kind != GOAWAY {}
}

/// OP-3: two GOAWAYs; what was asked before the second is answered.
#[test]
fn a_drain_takes_leave() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    a.script([Answer::After(Duration::from_millis(600))]);
    let mut open = frames(&bed);
    open.request(1, &GET);
    std::thread::sleep(Duration::from_millis(200));
    let drain = std::thread::scope(|scope| {
        let drain = scope.spawn(|| bed.block_on(bed.proxy.drain(Duration::from_secs(5))));
        let frame = open.next().unwrap();
        assert_eq!((frame.kind, frame.code()), (GOAWAY, 0));
        assert_eq!(frame.payload[..4], (u32::MAX >> 1).to_be_bytes());
        assert_eq!(open.next_on(1).unwrap().status(), 200);
        while open.next().is_some() {}
        drain.join().unwrap()
    });
    assert_eq!(drain, DrainOutcome { finished: 1, cut: 0 });
}
