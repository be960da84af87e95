//! How many connections and handshakes there may be, and who makes room (safety 2.2, SL-4, SL-5).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ingress_agent::proxy::{Caps, Limited, Options};

use crate::bed::{Bed, site};
use crate::raw::Raw;
use crate::recorder::Recorder;
use crate::rest::RESTED;

const NONE: Caps = Caps {
    total: 0,
    source: 0,
    listener: 0,
    handshakes: 0,
};

/// The numbers of the specification, section 2.2; those of HTTP/2 and of heads are held by what is refused.
#[test]
fn the_defaults_are_the_specifications() {
    let Options {
        head,
        idle,
        body,
        handshake,
        write,
        life,
        ..
    } = Options::default();
    let seconds = [head, idle, body, handshake, write].map(|limit| limit.as_secs_f32());
    assert_eq!(seconds, [10.0, 75.0, 10.0, 5.0, 30.0]);
    assert_eq!(life, 100_000);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let expected = Caps {
        total: usize::try_from(files.unwrap()).unwrap() / 2,
        source: 1_000,
        listener: 10_000,
        handshakes: 2_000,
    };
    assert_eq!(Caps::default(), expected);
}

fn bed(a: &Recorder, caps: Caps) -> Bed {
    let options = Options {
        caps: caps.into(),
        ..Options::default()
    };
    Bed::with_options(site(&[("a.test", "/", &[a.address()])]), options)
}

fn count(bed: &Bed, of: impl Fn(&Limited) -> u64) -> u64 {
    let counts = bed.proxy.counts().iter();
    counts.map(|counts| of(&counts.limited)).sum()
}

fn served(bed: &Bed) -> Raw<TcpStream> {
    let mut client = bed.connect();
    assert_eq!(client.get("a.test", "/").status, 200);
    client
}

/// Until a new connection is served; what has ended is counted a moment later.
fn wait_until_served(bed: &Bed) {
    let start = Instant::now();
    loop {
        let mut client = bed.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        if client
            .try_reply()
            .ok()
            .flatten()
            .is_some_and(|reply| reply.status == 200)
        {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// At each cap everybody is served, over all workers together; the next is reset, and counted; who leaves makes room.
#[test]
fn a_connection_beyond_a_cap_is_reset() {
    let a = Recorder::start("a");
    type Of = fn(&Limited) -> u64;
    let cases: [(Caps, Of, bool); 3] = [
        (
            Caps { source: 6, ..NONE },
            |limited| limited.source.load(Relaxed),
            true,
        ),
        (
            Caps { listener: 6, ..NONE },
            |limited| limited.listener.load(Relaxed),
            true,
        ),
        // None of them is idle, so that none goes: nothing of theirs was asked.
        (
            Caps { total: 6, ..NONE },
            |limited| limited.total.load(Relaxed),
            false,
        ),
    ];
    for (caps, of, elsewhere) in cases {
        let bed = bed(&a, caps);
        let mut open: Vec<_> = (0..6).map(|_| bed.connect()).collect();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(count(&bed, of), 0);
        for beyond in 1..=3 {
            assert!(bed.connect().is_closed(), "{caps:?}");
            assert_eq!(count(&bed, of), beyond, "{caps:?}");
        }
        // ::1 is another source and another listener.
        if elsewhere {
            assert_eq!(crate::tls::connect(&bed, "a.test").get("a.test", "/").status, 200);
        }
        for client in &mut open {
            assert_eq!(client.get("a.test", "/").status, 200);
        }
        open.pop();
        wait_until_served(&bed);
    }
}

/// SL-5: at nine tenths of all there may be, who has been idle for longest goes, and nobody whose request is open.
#[test]
fn the_oldest_idle_connection_makes_room() {
    oldest_makes_room(Duration::ZERO);
}

/// Also one that hyper has let go of.
#[test]
fn the_oldest_rested_connection_makes_room() {
    oldest_makes_room(RESTED);
}

fn oldest_makes_room(rest: Duration) {
    let a = Recorder::start("a");
    let bed = bed(&a, Caps { total: 20, ..NONE });
    let mut busy = bed.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n");
    let mut idle: Vec<_> = (0..16)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            served(&bed)
        })
        .collect();
    assert_eq!(count(&bed, |limited| limited.evicted.load(Relaxed)), 0);
    std::thread::sleep(rest);
    // The cap is never met: each newcomer has one place made for it.
    let mut late: Vec<_> = (0..12)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            served(&bed)
        })
        .collect();
    assert_eq!(count(&bed, |limited| limited.total.load(Relaxed)), 0);
    assert!(count(&bed, |limited| limited.evicted.load(Relaxed)) >= 8);
    assert!(idle.first_mut().unwrap().is_closed());
    assert_eq!(late.last_mut().unwrap().get("a.test", "/").status, 200);
    busy.send("\r\n");
    assert_eq!(busy.reply().unwrap().status, 200);
    drop((idle, late));
    wait_until_served(&bed);
}

/// SL-4: who begins handshakes and ends none keeps nobody out: the oldest goes for the next.
#[test]
fn handshakes_that_do_not_end_starve_nobody() {
    let a = Recorder::start("a");
    let bed = bed(
        &a,
        Caps {
            handshakes: 4,
            ..NONE
        },
    );
    let mut silent: Vec<_> = (0..40)
        .map(|index| {
            let mut stream = TcpStream::connect(bed.tls()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
            if index % 2 == 0 {
                // The beginning of a ClientHello.
                stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
            }
            stream
        })
        .collect();
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(crate::tls::connect(&bed, "a.test").get("a.test", "/").status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(4));
    // Two workers keep four each, and the five made room for themselves.
    assert!(count(&bed, |limited| limited.handshakes.load(Relaxed)) >= 32);
    let first = silent.first_mut().unwrap().read(&mut [0]);
    assert!(first.is_ok_and(|count| count == 0) || start.elapsed() < Duration::from_secs(4));
    bed.assert_sound("a.test");
}
