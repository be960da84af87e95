//! What could be read in two ways is read in none (spec H1-1 to H1-12, H1-22, HD-6, PA-1).
//!
//! Every case is a whole connection's bytes. The pod must have seen exactly the requests the case lists, which
//! the strict reference parser splits; for a refused message that is none.

use std::cell::Cell;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use crate::bed::{Bed, site};
use crate::corpus::{self, Case};
use crate::recorder::Recorder;
use crate::reference;

fn check(bed: &Bed, pod: &Recorder, case: &Case) {
    let name = case.name;
    for piece in [case.bytes.len(), 1] {
        // Byte by byte the answer may come before the last byte; the corpus's big cases would take long.
        if piece == 1 && case.bytes.len() > 1000 {
            continue;
        }
        let mut client = bed.connect();
        for bytes in case.bytes.chunks(piece) {
            client.send(bytes);
        }
        for &status in case.statuses {
            let reply = client.reply().unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(reply.status, status, "{name}: {}", reply.text());
            if status != 200 {
                assert_eq!(reply.field("server"), Some("ingress-agent"), "{name}");
            }
        }
        if case.closes {
            assert!(client.is_closed(), "{name}: still open");
        }
        drop(client);
        bed.assert_sound("sound.test");
    }
    let passes = if case.bytes.len() > 1000 { 1 } else { 2 };
    let log = pod.take_log();
    let ended = log
        .iter()
        .filter(|bytes| !case.breaks_off || reference::complete(bytes).is_some());
    let seen: Vec<String> = ended
        .flat_map(|bytes| reference::requests(bytes))
        .map(|request| {
            let target = request.target.get(..16).map_or(request.target.as_str(), |_| "/a");
            format!(
                "{} {target} {}",
                request.method,
                String::from_utf8_lossy(&request.body)
            )
        })
        .collect();
    let expected: Vec<&str> = std::iter::repeat_n(case.seen, passes)
        .flatten()
        .copied()
        .collect();
    let trimmed: Vec<&str> = seen.iter().map(|seen| seen.trim_end_matches(' ')).collect();
    let expected: Vec<&str> = expected.iter().map(|seen| seen.trim_end_matches(' ')).collect();
    let mut sorted = (trimmed, expected);
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "{name}");
}

#[test]
fn the_corpus() {
    let [pod, sound] = ["pod", "sound"].map(Recorder::start);
    let bed = Bed::start(site(&[
        ("a.test", "/", &[pod.address()]),
        ("sound.test", "/", &[sound.address()]),
    ]));
    let cases = corpus::all();
    for case in &cases {
        check(&bed, &pod, case);
    }
    // A corpus that shrinks is to be noticed.
    assert!(cases.len() >= 115, "{} cases", cases.len());
}

/// Well formed pieces in any order, then a few bytes changed to those that matter.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "GET /1 HTTP/1.1\r\n",
        "POST /2 HTTP/1.1\r\n",
        "PUT /3 HTTP/1.0\r\n",
        "Host: a.test\r\n",
        "Host: a.test\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: content-length, transfer-encoding, host\r\n",
        "\r\n",
        "5\r\nabcde\r\n",
        "0\r\n\r\n",
        "5;a=b\r\n",
    ]);
    let change = (any::<Index>(), select(b"\r\n\0: \tx;05,\x0b".to_vec()));
    let whole = select(vec![
        "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nabcde",
        "PUT /3 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ]);
    (vec(whole, 0..3), vec(piece, 1..10), vec(change, 0..3)).prop_map(|(whole, pieces, changes)| {
        let mut bytes = [whole, pieces].concat().concat().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// H1-23: whatever comes, the pod sees requests that a strict reader reads, each one that a client asked for,
/// and no answer without a request.
#[test]
fn random_streams_are_read_in_one_way() {
    let [pod, sound] = ["pod", "sound"].map(Recorder::start);
    let bed = Bed::start(site(&[
        ("a.test", "/", &[pod.address()]),
        ("sound.test", "/", &[sound.address()]),
    ]));
    let answered = Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&stream(), |bytes| {
        let mut client = bed.connect();
        client
            .stream()
            .set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        client.send(&bytes);
        let mut ok = 0;
        while let Ok(Some(reply)) = client.try_reply() {
            ok += usize::from(reply.status == 200);
        }
        drop(client);
        bed.assert_sound("sound.test");
        let mut whole = 0;
        for bytes in pod.take_log() {
            let (requests, rest) = reference::whole_requests(&bytes);
            for request in &requests {
                // A change may have hit the target; a body or a field never becomes one.
                prop_assert!(request.target.len() <= 2, "{}", request.target);
            }
            whole += requests.len();
            // What is left is one request whose body did not come, and nothing after it. Every request that
            // the proxy emits has an id.
            let heads = rest
                .windows(16)
                .filter(|window| window == b"\r\nx-request-id: ")
                .count();
            prop_assert!(heads == usize::from(!rest.is_empty()), "{}", rest.escape_ascii());
        }
        prop_assert!(ok <= whole, "{ok} answers to {whole} requests");
        answered.set(answered.get() + ok);
        Ok(())
    });
    outcome.unwrap();
    // The streams are not all refused.
    assert!(answered.get() >= 50, "{} answers", answered.get());
}
