use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// What the guard does with a framer: keeps what was not passed, adds what comes.
fn follow_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, u64, Option<Refusal>) {
    let mut framer = Framer::new();
    let (mut held, mut passed, mut heads) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        let judgement = framer.follow(&held);
        passed.extend(held.drain(..judgement.pass));
        heads += judgement.heads;
        if judgement.refusal.is_some() {
            return (passed, heads, judgement.refusal);
        }
    }
    (passed, heads, None)
}

#[test]
fn messages_follow_one_another() {
    let stream = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /p HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc\
        PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET";
    let mut framer = Framer::new();
    let judgement = framer.follow(stream);
    assert_eq!(
        judgement,
        Judgement {
            pass: stream.len() - 3,
            heads: 3,
            last: false,
            refusal: None
        }
    );
    assert!(!framer.in_body());
}

/// No more than hyper takes for the last one too, since such a connection is not listened to.
#[test]
fn the_last_head_says_so_plainly() {
    for (line, fields, last) in [
        ("GET / HTTP/1.1", "", false),
        ("GET / HTTP/1.1", "Connection: Close\r\n", true),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\n", false),
        ("GET / HTTP/1.1", "Connection: close, te\r\n", false),
        (
            "GET / HTTP/1.1",
            "Connection: close\r\nConnection: keep-alive\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1",
            "Connection: close\r\nUpgrade: websocket\r\n",
            true,
        ),
        (
            "PUT / HTTP/1.1",
            "Connection: close\r\nContent-Length: 0\r\n",
            true,
        ),
        (
            "PUT / HTTP/1.1",
            "Connection: close\r\nContent-Length: 1\r\n",
            false,
        ),
        (
            "PUT / HTTP/1.1",
            "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            false,
        ),
        ("GET / HTTP/1.0", "", true),
        ("GET / HTTP/1.0", "Connection: close\r\n", true),
        ("GET / HTTP/1.0", "Connection: keep-alive\r\n", false),
    ] {
        let head = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        let judgement = Framer::new().follow(head.as_bytes());
        assert_eq!((judgement.heads, judgement.last), (1, last), "{head}");
    }
    let two = "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(!Framer::new().follow(two.as_bytes()).last);
}

#[test]
fn a_body_is_passed_as_it_comes() {
    let mut framer = Framer::new();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(framer.follow(head).pass, head.len());
    assert_eq!(framer.follow(b"x").pass, 1);
    assert!(framer.in_body());
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    for (start, expected) in [
        ("GET /", Refusal::TargetTooLong),
        ("GET / HTTP/1.1\r\nX: ", Refusal::HeadTooLarge),
    ] {
        let mut framer = Framer::new();
        let mut held = start.as_bytes().to_vec();
        let refusal = loop {
            if let Some(refusal) = framer.follow(&held).refusal {
                break refusal;
            }
            held.extend_from_slice(&[b'a'; 100]);
        };
        assert_eq!(refusal, expected);
        assert!(held.len() <= 33 * 1024);
    }
}

#[test]
fn chunks_are_exact() {
    for (body, expected) in [
        ("5\r\nabcde\r\n0\r\n\r\n", None),
        ("00a;x=\"y\" z\r\n0123456789\r\n000\r\nA: b\r\nC:\t\r\n\r\n", None),
        ("\r\n", Some(Refusal::Chunk)),
        ("5\n", Some(Refusal::Chunk)),
        ("5\r\r", Some(Refusal::Chunk)),
        ("5 ;a\r\n", Some(Refusal::Chunk)),
        ("0x5\r\n", Some(Refusal::Chunk)),
        ("00000000000000000", Some(Refusal::Chunk)),
        ("5;\n", Some(Refusal::Chunk)),
        ("1\r\naX\r\n", Some(Refusal::Chunk)),
        ("1\r\na\n", Some(Refusal::Chunk)),
        ("1\r\na\r0", Some(Refusal::Chunk)),
        ("0\r\n X: y", Some(Refusal::Trailer)),
        ("0\r\nX\r\n", Some(Refusal::Trailer)),
        ("0\r\nX: y\n", Some(Refusal::Trailer)),
        ("0\r\nX: y\r\r", Some(Refusal::Trailer)),
        ("0\r\n\rX", Some(Refusal::Trailer)),
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut framer = Framer::new();
        let found = framer.follow(format!("{head}{body}").as_bytes()).refusal;
        assert_eq!(found, expected, "{body:?}");
        assert_eq!(framer.in_body(), expected.is_some(), "{body:?}");
    }
}

fn fragment() -> impl Strategy<Value = &'static str> {
    select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "POST / HTTP/1.0\r\n",
        "Host: a\r\n",
        "Host: a\r\n\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "X: y\r\n",
        "\r\n",
        "abcde",
        "5\r\nabcde\r\n",
        "0\r\n\r\n",
        "a;b=c\r\n",
    ])
}

/// Well formed pieces in any order, then a few bytes changed to those that matter.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), select(b"\r\n\0: \tx;05,".to_vec()));
    (vec(fragment(), 1..12), vec(change, 0..3)).prop_map(|(fragments, changes)| {
        let mut bytes = fragments.concat().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// How the network cuts the bytes decides nothing, but for how much of a broken body passes before the
    /// fault is seen.
    #[test]
    fn cuts_do_not_matter(bytes in stream(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = follow_pieces([bytes.as_slice()]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let cut = follow_pieces(pieces);
        let single = follow_pieces(bytes.chunks(1));
        prop_assert_eq!((whole.1, whole.2), (cut.1, cut.2));
        prop_assert_eq!((whole.1, whole.2), (single.1, single.2));
        prop_assert!(cut.0.starts_with(&whole.0) && single.0.starts_with(&cut.0));
        prop_assert!(bytes.starts_with(&single.0));
    }
}
