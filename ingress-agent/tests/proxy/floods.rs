//! Floods of HTTP/2's frames, at their limits and beyond (spec H2-3, H2-6, H2-7), and a connection's life.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ingress_agent::proxy::Options;

use crate::bed::{Bed, site};
use crate::frames::{
    DATA, END_HEADERS, Frames, GET, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    block,
};
use crate::h2::{assert_sound, frames};
use crate::recorder::{Answer, Recorder};
use crate::tls::Stream;

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;
/// A type that no RFC gives.
const UNKNOWN: u8 = 0xfa;

fn flooded(bed: &Bed) -> u64 {
    let counts = bed.proxy.counts().iter();
    counts.map(|counts| counts.limited.flooded.load(Relaxed)).sum()
}

/// The GOAWAY's code, or `None` where the connection's end came first.
fn leave(client: &mut Frames<Stream>) -> Option<u32> {
    let mut last = None;
    while let Some(frame) = client.next() {
        if frame.kind == GOAWAY {
            last = Some(frame.code());
        }
    }
    last
}

/// H2-6: of each kind as many as are allowed, and a request is answered; many more, and the connection ends.
#[test]
fn frames_without_end_end_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let one = 1_u32.to_be_bytes();
    let kinds: [(&str, u8, u32, &[u8], usize); 5] = [
        ("PING", PING, 0, &[0; 8], 100),
        // The preface has one, and the acknowledgement of ours is another.
        ("SETTINGS", SETTINGS, 0, &[], 18),
        ("PRIORITY", PRIORITY, 1, &[0, 0, 0, 0, 9], 100),
        ("WINDOW_UPDATE", WINDOW_UPDATE, 0, &one, 1_000),
        ("unknown", UNKNOWN, 0, b"x", 100),
    ];
    for (index, (name, kind, stream, payload, allowed)) in kinds.into_iter().enumerate() {
        let mut client = frames(&bed);
        for _ in 0..allowed {
            assert!(client.send(kind, 0, stream, payload), "{name}");
        }
        client.request(3, &GET);
        assert_eq!(client.next_on(3).unwrap().status(), 200, "{name}");
        assert_eq!(flooded(&bed), index as u64, "{name}");

        // As many as the spec's floods have, or until the proxy has enough.
        let sent = (0..100_000)
            .take_while(|_| client.send(kind, 0, stream, payload))
            .count();
        assert!(
            sent < 100_000 || leave(&mut client).is_none_or(|code| code == ENHANCE_YOUR_CALM),
            "{name}"
        );
        assert_eq!(flooded(&bed), index as u64 + 1, "{name}");
        a.take_log();
        assert_sound(&bed);
    }
}

/// The GOAWAY says why, where nothing unread is left behind.
#[test]
fn the_goaway_says_why() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = frames(&bed);
    for _ in 0..60 {
        client.send(SETTINGS, 0, 0, &[]);
    }
    assert!(leave(&mut client).is_none_or(|code| code == ENHANCE_YOUR_CALM));
    let mut client = frames(&bed);
    client.request(1, &GET);
    assert_eq!(client.next_on(1).unwrap().status(), 200);
    client.send_many(SETTINGS, 0, 0, &[], 25);
    assert_eq!(leave(&mut client), Some(ENHANCE_YOUR_CALM));
    assert_sound(&bed);
}

/// H2-6: a body of no bytes, or of one at a time, without end.
#[test]
fn a_body_of_empty_frames_ends_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut post = GET.to_vec();
    post[0] = (":method", "POST");
    for piece in [&b""[..], b"x"] {
        let mut client = frames(&bed);
        client.send(HEADERS, END_HEADERS, 1, &block(&post));
        let sent = (0..50_000).take_while(|_| client.send(DATA, 0, 1, piece)).count();
        assert!(sent < 50_000 || leave(&mut client).is_none_or(|code| code == ENHANCE_YOUR_CALM));
        let log = a.take_log();
        assert!(
            log.iter()
                .all(|bytes| crate::reference::complete(bytes).is_none())
        );
        assert_sound(&bed);
        a.take_log();
    }
}

/// H2-6: the queue of acknowledgements does not grow for a peer that never reads.
#[test]
fn a_peer_that_never_reads_is_given_up() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let mut client = frames(&bed);
    let sent = (0..1_000_000)
        .take_while(|_| client.send(PING, 0, 0, &[0; 8]))
        .count();
    assert!(sent < 1_000_000);
    assert_eq!(flooded(&bed), 1);
    assert_sound(&bed);
}

/// H2-3, MadeYouReset: faults that make the proxy reset streams; after a hundred the connection ends, and what the
/// pods were asked for meanwhile is bounded too.
#[test]
fn provoked_resets_end_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let overflow = (u32::MAX >> 1).to_be_bytes();
    let faults: [(&str, u8, &[u8]); 3] = [
        ("WINDOW_UPDATE of 0", WINDOW_UPDATE, &[0; 4]),
        ("WINDOW_UPDATE that overflows", WINDOW_UPDATE, &overflow),
        ("DATA after END_STREAM", DATA, b"x"),
    ];
    for (name, kind, payload) in faults {
        a.script((0..400).map(|_| Answer::After(Duration::from_millis(200))));
        let mut client = frames(&bed);
        let streams = (1..).step_by(2).take(10_000);
        let sent = streams
            .take_while(|&stream| client.request(stream, &GET) && client.send(kind, 0, stream, payload));
        let sent = sent.count();
        let code = leave(&mut client);
        assert!(sent < 10_000, "{name}: {sent} were let pass");
        // The reset of a connection with unread frames may take the GOAWAY with it.
        assert!(code.is_none_or(|code| code != 0), "{name}: {code:?}");
        let requests = a.take_log().len();
        assert!(requests <= 150, "{name}: {requests} requests reached the pod");
        a.clear_script();
        assert_sound(&bed);
        a.take_log();
    }
}

/// H2-7.
#[test]
fn settings_out_of_range_end_the_connection() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    let setting = |id: u8, value: u32| [&[0, id][..], &value.to_be_bytes()].concat();
    for (payload, expected) in [
        // INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE (both ends), ENABLE_PUSH, a length that is not whole.
        // h2 calls each a PROTOCOL_ERROR, where RFC 9113 sections 4.2 and 6.5.2 have FLOW_CONTROL_ERROR for the
        // first and FRAME_SIZE_ERROR for the last.
        (setting(4, 1 << 31), PROTOCOL_ERROR),
        (setting(5, 16_383), PROTOCOL_ERROR),
        (setting(5, 1 << 24), PROTOCOL_ERROR),
        (setting(2, 2), PROTOCOL_ERROR),
        (vec![0; 5], PROTOCOL_ERROR),
    ] {
        let mut client = frames(&bed);
        client.send(SETTINGS, 0, 0, &payload);
        assert_eq!(leave(&mut client), Some(expected), "{payload:?}");
    }
    // HEADER_TABLE_SIZE of 4 GiB, there and back: our table does not grow beyond its 4 KiB (RFC 7541 section 6.3).
    let mut client = frames(&bed);
    for value in [u32::MAX, 0, u32::MAX] {
        client.send(SETTINGS, 0, 0, &setting(1, value));
    }
    client.request(1, &GET);
    let head = client.next_on(1).unwrap();
    let (sizes, status) = table_sizes(&head.payload);
    // The static table's `:status: 200`.
    assert_eq!((head.kind, status), (HEADERS, Some(0x88)));
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
    // The window of a stream that is open may go below zero and come back.
    client.send(SETTINGS, 0, 0, &setting(4, 0));
    client.send(SETTINGS, 0, 0, &setting(4, 65_535));
    client.request(3, &GET);
    assert_eq!(client.next_on(3).unwrap().status(), 200);
    assert_sound(&bed);
}

/// The changes of the dynamic table's size at a block's beginning (RFC 7541 section 6.3), and the byte after them.
fn table_sizes(block: &[u8]) -> (Vec<usize>, Option<u8>) {
    let mut sizes = Vec::new();
    let mut bytes = block.iter().copied();
    loop {
        let first = bytes.next();
        let Some(first) = first.filter(|byte| byte >> 5 == 1) else {
            return (sizes, first);
        };
        let mut size = usize::from(first & 31);
        if size == 31 {
            let mut shift = 0;
            for byte in bytes.by_ref() {
                size += usize::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    break;
                }
            }
        }
        sizes.push(size);
    }
}

/// H2-5: fields that cost one byte each, and pieces of a cookie: counted, not weighed.
#[test]
fn many_fields_of_one_byte_are_refused() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    for (field, count) in [(&[0x90][..], 480), (&[0x60, 0][..], 480), (&[0x90][..], 15_000)] {
        let mut client = frames(&bed);
        let mut head = block(&GET);
        for _ in 0..count {
            // Static entries: accept-encoding, and a cookie of no bytes.
            head.extend(field);
        }
        if head.len() > 16 * 1024 {
            head.truncate(16 * 1024);
        }
        client.send(HEADERS, END_HEADERS | crate::frames::END_STREAM, 1, &head);
        let frame = client.next().unwrap();
        match frame.kind {
            HEADERS => assert_eq!(frame.status(), 0, "{count}"),
            RST_STREAM | GOAWAY => {}
            kind => panic!("{kind}"),
        }
        assert!(a.take_log().is_empty());
        assert_sound(&bed);
        a.take_log();
    }
}

/// A connection's life: so many requests, then a GOAWAY; what was asked before it is answered.
#[test]
fn a_connection_ends_after_its_last_request() {
    let a = Recorder::start("a");
    let options = Options {
        life: 100,
        ..Options::default()
    };
    let bed = Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options);
    let mut client = frames(&bed);
    for stream in (1..199).step_by(2) {
        client.request(stream, &GET);
        let frame = client.next_on(stream).unwrap();
        assert_eq!((frame.kind, frame.status()), (HEADERS, 200));
        while client.next().unwrap().kind != DATA {}
    }
    client.request(199, &GET);
    let mut answered = false;
    let mut left = None;
    while let Some(frame) = client.next() {
        answered |= frame.kind == HEADERS && frame.status() == 200;
        left = (frame.kind == GOAWAY).then(|| frame.code()).or(left);
    }
    assert_eq!((answered, left), (true, Some(0)));
    assert_eq!(a.take_requests().len(), 100);
    assert_sound(&bed);
}
