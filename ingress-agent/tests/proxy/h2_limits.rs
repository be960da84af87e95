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

/// What begins a head of HTTP/2 and does not end it.
fn unfinished_heads() -> [Vec<u8>; 3] {
    let block = block(&GET);
    let head = |length: u8, flags: u8, stream: u8| [0, 0, length, HEADERS, flags, 0, 0, 0, stream];
    let length = u8::try_from(block.len()).unwrap();
    let open = [&head(length, END_STREAM, 3)[..], &block].concat();
    let continued = [&open[..], &[0, 0, 9, CONTINUATION, END_HEADERS, 0, 0, 0, 3, 0]].concat();
    let cut = [&head(length, END_STREAM | END_HEADERS, 3)[..], &block[..5]].concat();
    [open, continued, cut]
}

/// SL-1 in HTTP/2: a head that is not complete in time ends the connection, first or not, whatever else is under
/// way, without any more waiting.
#[test]
fn a_head_has_a_deadline() {
    let a = Recorder::start("a");
    let options = Options {
        head: Duration::from_millis(400),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let in_time = Duration::from_millis(350)..Duration::from_millis(2500);
    for unfinished in unfinished_heads() {
        for (before, answers) in [(0, 0), (1, 1), (1, 0)] {
            let mut client = frames(&bed);
            let mut start = Instant::now();
            a.clear_script();
            a.script([if answers > 0 { Answer::Ok } else { Answer::Hang }]);
            for _ in 0..before {
                client.request(1, &GET);
            }
            for _ in 0..answers {
                assert_eq!(client.next_on(1).unwrap().status(), 200);
                // Longer than a head may take: it is its own beginning that counts.
                std::thread::sleep(Duration::from_millis(500));
                start = Instant::now();
            }
            client.send_bytes(&unfinished);
            client.wait_for_end();
            let took = start.elapsed();
            assert!(in_time.contains(&took), "{before} {answers}: {took:?}");
            a.clear_script();
            assert_sound(&bed);
        }
    }
}

/// A head in pieces that comes in time is one, and the connection is idle after it as after any other; also after
/// one that is none.
#[test]
fn a_head_in_pieces_changes_no_other_deadline() {
    let a = Recorder::start("a");
    let options = Options {
        head: Duration::from_millis(600),
        idle: Duration::from_millis(900),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let mut client = frames(&bed);
    client.request(1, &GET);
    assert_eq!(client.next_on(1).unwrap().status(), 200);
    let block = block(&GET);
    let (first, rest) = block.split_at(20);
    client.send(HEADERS, END_STREAM, 3, first);
    std::thread::sleep(Duration::from_millis(300));
    a.script([Answer::After(Duration::from_millis(800))]);
    client.send(CONTINUATION, END_HEADERS, 3, rest);
    assert_eq!(client.next_on(3).unwrap().status(), 200);
    // A second Host, which makes it none.
    let malformed = crate::frames::block(&[&GET[..], &GET[3..]].concat());
    client.send(HEADERS, END_STREAM, 5, &malformed[..20]);
    std::thread::sleep(Duration::from_millis(300));
    client.send(CONTINUATION, END_HEADERS, 5, &malformed[20..]);
    let start = Instant::now();
    assert_eq!(client.next_on(5).unwrap().kind, RST_STREAM);
    while client.next().unwrap().kind != GOAWAY {}
    let took = start.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
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
