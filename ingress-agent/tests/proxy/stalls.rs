//! Clients that take nothing of their answers, or too little (spec SL-3, H2-5, safety 2.2 write progress), and
//! bodies of HTTP/2 that come too slowly (SL-2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::proxy::{Limited, Options};
use socket2::{Domain, SockRef, Socket, Type};

use crate::bed::{Bed, site};
use crate::frames::{
    DATA, END_HEADERS, END_STREAM, GET, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
};
use crate::h2::{assert_sound, frames};
use crate::raw::Raw;
use crate::recorder::{Answer, Recorder};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// Of the bed; each keeps a connection to the pod.
const WORKERS: usize = 2;
const CANCEL: u32 = 8;
const LIMIT: Duration = Duration::from_millis(700);

fn bed(a: &Recorder) -> Bed {
    let options = Options {
        write: LIMIT,
        ..Options::default()
    };
    Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options)
}

/// An answer of so many bytes.
fn answer(length: usize) -> Answer {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + length, b'x');
    Answer::Bytes(bytes)
}

/// A client with a small window.
fn narrow(bed: &Bed) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&bed.plain().into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.into()
}

fn count(bed: &Bed, of: impl Fn(&Limited) -> u64) -> u64 {
    let counts = bed.proxy.counts().iter();
    counts.map(|counts| of(&counts.limited)).sum()
}

fn stalled(bed: &Bed) -> u64 {
    count(bed, |limited| limited.stalled.load(Relaxed))
}

/// Until it holds, for ten seconds at most.
fn wait_for(holds: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !holds() && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    holds()
}

/// SL-3: a zero window is a reset after the write limit; one that is read now and then is none.
#[test]
fn a_client_that_takes_nothing_is_reset() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    let length = 16 << 20;
    a.script([answer(length)]);
    let mut client = narrow(&bed);
    let start = Instant::now();
    client.write_all(REQUEST).unwrap();
    assert!(wait_for(|| stalled(&bed) == 1));
    assert!(start.elapsed() >= LIMIT);
    let mut taken = Vec::new();
    let error = client.read_to_end(&mut taken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(taken.len() < length / 2);
    assert!(wait_for(|| a.open_connections() == 0));

    // Slow, in all longer than the limit, but never silent for so long.
    a.script([answer(length)]);
    let mut client = narrow(&bed);
    client.write_all(REQUEST).unwrap();
    let mut chunk = vec![0; 512 * 1024];
    for _ in 0..10 {
        client.read_exact(&mut chunk).unwrap();
        thread::sleep(LIMIT / 5);
    }
    let mut rest = Vec::new();
    client
        .take((length - 10 * chunk.len()) as u64)
        .read_to_end(&mut rest)
        .unwrap();
    assert!(rest.len() > length - 11 * chunk.len());
    assert_eq!(stalled(&bed), 1);
    bed.assert_sound("a.test");
}

/// Little by little is progress, though the kernel has no room for more until much has gone; drop by drop is none.
#[test]
fn who_takes_little_by_little_is_let_be() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    for (piece, is_let_be) in [(24 * 1024, true), (256, false)] {
        a.script([answer(16 << 20)]);
        let mut client = narrow(&bed);
        client.write_all(REQUEST).unwrap();
        let mut chunk = vec![0; piece];
        // Five limits.
        for _ in 0..20 {
            let taken = client.read_exact(&mut chunk);
            assert!(taken.is_ok() || !is_let_be, "{taken:?}");
            thread::sleep(LIMIT / 4);
        }
        assert_eq!(stalled(&bed), u64::from(!is_let_be), "{piece}");
    }
    bed.assert_sound("a.test");
}

/// Nothing to write is no stall: events that come seldom, a tunnel that is silent.
#[test]
fn who_has_nothing_to_take_is_not_cut() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    a.script([Answer::Bytes(
        format!("{events}9\r\ndata: a\n\n\r\n").into_bytes(),
    )]);
    let mut client = bed.connect();
    client.send(REQUEST);
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: a\n\n\r\n") {
        seen.extend(client.read(1));
    }
    assert!(client.is_open_for(LIMIT * 3));

    let mut streams = frames(&bed);
    a.script([Answer::Bytes(
        format!("{events}9\r\ndata: a\n\n\r\n").into_bytes(),
    )]);
    streams.request(1, &GET);
    assert_eq!(streams.next_on(1).unwrap().status(), 200);
    assert_eq!(streams.next_on(1).unwrap().payload, b"data: a\n\n");
    thread::sleep(LIMIT * 3);
    // The first is still open: only the second ends.
    streams.request(3, &GET);
    assert_eq!(streams.next().unwrap().stream, 3);

    a.script([Answer::Echo(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
    )]);
    let mut tunnel = bed.connect();
    tunnel.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.try_reply().unwrap().unwrap().status, 101);
    thread::sleep(LIMIT * 2);
    tunnel.send("still");
    assert_eq!(tunnel.read(5), b"still");
    assert_eq!(stalled(&bed), 0);
}

/// H2-5: a stream whose window is shut, or opened byte by byte, is reset; the one beside it is answered.
#[test]
fn a_stream_that_drains_too_slowly_is_reset() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    for drip in [false, true] {
        let before = stalled(&bed);
        a.script([answer(512 * 1024)]);
        let mut client = frames(&bed);
        // SETTINGS_INITIAL_WINDOW_SIZE.
        let window = u32::from(drip).to_be_bytes();
        client.send(SETTINGS, 0, 0, &[&[0, 4][..], &window].concat());
        client.request(1, &GET);
        assert_eq!(client.next_on(1).unwrap().status(), 200);
        for _ in 0..12 {
            thread::sleep(LIMIT / 8);
            if drip {
                client.send(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
            }
        }
        let reset = loop {
            let frame = client.next_on(1).unwrap();
            if frame.kind != DATA {
                break frame;
            }
            assert!(frame.payload.len() <= 1);
        };
        assert_eq!((reset.kind, reset.stream, reset.code()), (RST_STREAM, 1, CANCEL));
        assert_eq!(stalled(&bed), before + 1);
        client.send(SETTINGS, 0, 0, &[&[0, 4][..], &65_535_u32.to_be_bytes()].concat());
        client.request(3, &GET);
        assert_eq!(client.next_on(3).unwrap().status(), 200);
        assert!(wait_for(|| a.open_connections() <= WORKERS));
        assert_sound(&bed);
    }
}

/// H2-5: who takes enough within each limit may take long in all.
#[test]
fn a_stream_that_drains_is_let_be() {
    let a = Recorder::start("a");
    let limit = Duration::from_secs(2);
    let options = Options {
        write: limit,
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let length = 512 * 1024;
    a.script([answer(length)]);
    let mut client = frames(&bed);
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.request(1, &GET);
    assert_eq!(client.next_on(1).unwrap().status(), 200);
    let start = Instant::now();
    let mut taken = 0;
    while taken < length {
        thread::sleep(limit / 12);
        for stream in [0, 1] {
            client.send(WINDOW_UPDATE, 0, stream, &32_768_u32.to_be_bytes());
        }
        let frame = client.next_on(1).unwrap();
        assert_eq!(frame.kind, DATA);
        taken += frame.payload.len();
    }
    assert!(start.elapsed() > limit);
    assert_eq!(stalled(&bed), 0);
}

/// The connection's own socket, not only its streams.
#[test]
fn a_connection_of_http_2_that_is_not_read_is_reset() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    a.script([answer(16 << 20)]);
    let mut client = frames(&bed);
    SockRef::from(&client.stream().sock)
        .set_recv_buffer_size(8 * 1024)
        .unwrap();
    let wide = (1_u32 << 30).to_be_bytes();
    client.send(SETTINGS, 0, 0, &[&[0, 4][..], &wide].concat());
    client.send(WINDOW_UPDATE, 0, 0, &wide);
    client.request(1, &GET);
    assert!(wait_for(|| stalled(&bed) > 0));
    assert!(wait_for(|| a.open_connections() == 0));
    assert_sound(&bed);
}

/// SL-2 over HTTP/2: 408, and the pod never gets the end; quick enough is let be.
#[test]
fn a_slow_body_of_http_2_ends() {
    let a = Recorder::start("a");
    let options = Options {
        body: Duration::from_millis(600),
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let mut post = GET.to_vec();
    post[0] = (":method", "POST");
    for (piece, slow) in [(2, true), (2048, false)] {
        let mut client = frames(&bed);
        client.send(HEADERS, END_HEADERS, 1, &block(&post));
        for _ in 0..12 {
            thread::sleep(Duration::from_millis(100));
            client.send(DATA, 0, 1, &vec![b'x'; piece]);
        }
        client.send(DATA, END_STREAM, 1, b"");
        let frame = client.next_on(1).unwrap();
        assert_eq!(frame.kind, HEADERS);
        let is_200 = frame.status() == 200;
        assert_eq!(is_200, !slow, "{frame:?}");
        if slow {
            let body = loop {
                let frame = client.next_on(1).unwrap();
                if frame.kind == DATA {
                    break frame.payload;
                }
            };
            assert!(body.starts_with(b"408 "), "{body:?}");
        }
    }
    let whole = a.take_log();
    let whole = whole
        .iter()
        .filter(|bytes| crate::reference::complete(bytes).is_some());
    assert_eq!(whole.count(), 1);
    // A pod that is slow does not count.
    a.script([Answer::After(Duration::from_millis(1200))]);
    let mut client = frames(&bed);
    client.send(HEADERS, END_HEADERS, 1, &block(&post));
    client.send(DATA, END_STREAM, 1, b"x");
    assert_eq!(client.next_on(1).unwrap().status(), 200);
    assert_sound(&bed);
}

/// A reply at once after a slow one, over one connection: what waited once is not held against it.
#[test]
fn a_stall_that_ended_is_forgotten() {
    let a = Recorder::start("a");
    let bed = bed(&a);
    a.script([answer(16 << 20)]);
    let mut client = Raw::over(narrow(&bed));
    client.send(REQUEST);
    thread::sleep(LIMIT / 3);
    assert_eq!(client.reply().unwrap().body.len(), 16 << 20);
    thread::sleep(LIMIT + LIMIT / 2);
    assert_eq!(client.get("a.test", "/").status, 200);
    assert_eq!(stalled(&bed), 0);
}
