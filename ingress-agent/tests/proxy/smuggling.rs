//! What could be read in two ways is read in none (spec H1-1 to H1-12, H1-22, HD-6, PA-1).
//!
//! Every case is a whole connection's bytes. The pod must have seen exactly the requests the case lists, which
//! the strict reference parser splits; for a refused message that is none.

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
