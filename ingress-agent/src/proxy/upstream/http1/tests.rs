//! Answers in bytes, whole and byte by byte, and what is understood.

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::proxy::forward::RequestBody;

/// What the pod does after its answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Stay,
    Close,
}

/// In words: the status, the body, and `kept` if the connection can be used again; or what is wrong.
async fn understood(answer: &[u8], method: Method, then: Then, step: usize) -> String {
    let (stream, mut pod) = duplex(step);
    let mut connection = Connection::new(Stream::Layered(Box::new(stream)), Duration::from_secs(60));
    let mut head = RequestHead::new(&method, "/");
    head.end();
    let pod = async {
        read_head(&mut pod).await;
        // It may have been refused before its end.
        _ = pod.write_all(answer).await;
        if then == Then::Close {
            drop(pod);
        }
        std::future::pending::<()>().await;
    };
    let client = async {
        let sending = Sending::new(&head, Outgoing::new(RequestBody::empty()));
        let response = match connection.ask(sending).await {
            Ok(response) => response,
            Err(error) => return error.to_string(),
        };
        let mut words = format!("{} ", response.status().as_u16());
        while let Some(piece) = poll_fn(|cx| connection.poll_body(cx, true)).await {
            match piece {
                Ok(piece) => words.push_str(std::str::from_utf8(&piece).unwrap()),
                Err(error) => return format!("{words}| {error}"),
            }
        }
        if connection.is_free() {
            words.push_str(" kept");
        }
        words
    };
    tokio::select! {
        words = client => words,
        () = pod => unreachable!("it waits for ever"),
    }
}

async fn read_head(pod: &mut DuplexStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(pod.read_u8().await.unwrap());
    }
}

async fn check(method: Method, then: Then, cases: &[(&str, &str)]) {
    for (answer, expected) in cases {
        for step in [1, 3, 64 * 1024] {
            let words = understood(answer.as_bytes(), method.clone(), then, step).await;
            let is_it = match expected.strip_suffix("...") {
                Some(beginning) => words.starts_with(beginning),
                None => words == *expected,
            };
            assert!(is_it, "{answer:?} by {step}: {words:?}, not {expected:?}");
        }
    }
}

const FRAMING: &str = "no answer: the length of its body is not certain";
const FIELD: &str = "no answer: a field is malformed";
const STATUS: &str = "no answer: it does not begin with a status line of HTTP/1.0 or HTTP/1.1";
const LINE_END: &str = "no answer: a line ends without CRLF";

#[tokio::test]
async fn whole_answers() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 abc kept"),
        ("HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n", "200  kept"),
        (
            "HTTP/1.1 999\r\nContent-Length: \t 1 \r\nX:\r\n\r\na",
            "999 a kept",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "200 a kept",
        ),
        ("HTTP/1.1 204 No\r\n\r\n", "204  kept"),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "204  kept"),
        ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", "304  kept"),
        (
            "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            "304  kept",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "200 abcde kept",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n",
            "200 abc kept",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
            "200 abc kept",
        ),
        // Interim answers.
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            "200 a kept",
        ),
        (
            "HTTP/1.1 102 P\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            "204  kept",
        ),
        // The pod closes, or may.
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na",
            "200 a",
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "200 a"),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
            "200 a kept",
        ),
        ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "101 "),
    ];
    check(Method::GET, Then::Stay, &cases).await;
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "200  kept"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200  kept",
        ),
    ];
    check(Method::HEAD, Then::Stay, &cases).await;
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\nabc", "200 abc"),
        ("HTTP/1.0 200 OK\r\n\r\n", "200 "),
    ];
    check(Method::GET, Then::Close, &cases).await;
}

#[tokio::test]
async fn what_follows_an_answer_spoils_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\r\n",
    ] {
        let words = understood(answer.as_bytes(), Method::GET, Then::Stay, 64 * 1024).await;
        assert_eq!(words, "200 a", "{answer:?}");
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let words = understood(answer, Method::HEAD, Then::Stay, 64 * 1024).await;
    assert_eq!(words, "200 ");
}

#[tokio::test]
async fn what_is_no_answer() {
    let cases = [
        ("garbage", STATUS),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", STATUS),
        ("HTTP/1.1\r\n\r\n", STATUS),
        ("HTTP/1.1  200 OK\r\n\r\n", STATUS),
        ("HTTP/1.2 200 OK\r\n\r\n", STATUS),
        ("HTTP/2 200\r\n\r\n", STATUS),
        ("HTTP/1.1 20 OK\r\n\r\n", STATUS),
        ("HTTP/1.1 2000 OK\r\n\r\n", STATUS),
        ("HTTP/1.1 099 OK\r\n\r\n", STATUS),
        ("HTTP/1.1 200 O\rK\r\n\r\n", STATUS),
        ("HTTP/1.1 200 OK\n\n", LINE_END),
        ("HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", LINE_END),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", LINE_END),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\n X: a\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\nX\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\n: a\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", FIELD),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", FIELD),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            FRAMING,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", FRAMING),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", FRAMING),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", FRAMING),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", FRAMING),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            FRAMING,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            FRAMING,
        ),
        (
            "HTTP/1.1 204 No\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            FRAMING,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            FRAMING,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            FRAMING,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", FRAMING),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", FRAMING),
    ];
    check(Method::GET, Then::Stay, &cases).await;
}

#[tokio::test]
async fn what_breaks_off() {
    let lost = "the connection ended without an answer: ...";
    let cases = [
        ("", lost),
        ("HTTP/1.1 200 OK\r\nContent-Le", lost),
        ("HTTP/1.1 200 OK\r\n", lost),
        ("HTTP/1.1 100 Continue\r\n\r\n", lost),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "200 abc| the connection was closed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "200 abc| the connection was closed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            "200 abc| the connection was closed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
            "200 abc| its chunks are malformed...",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc",
            "200 | its chunks are malformed...",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc",
            "200 | its chunks are malformed...",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc",
            "200 | its chunks are malformed...",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\nabc",
            "200 | its chunks are malformed...",
        ),
    ];
    check(Method::GET, Then::Close, &cases).await;
}

#[tokio::test]
async fn heads_have_limits() {
    let answer = |fields: usize, length: usize| {
        let field = format!("X: {}\r\n", "a".repeat(length));
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n",
            field.repeat(fields)
        )
    };
    let large = "no answer: a head larger than 65536 bytes";
    for (fields, length, expected) in [
        (99, 1, "200  kept"),
        (100, 1, "no answer: more than 100 fields"),
        (1, 60_000, "200  kept"),
        (2, 32_800, large),
        (1, 1 << 20, large),
    ] {
        let answer = answer(fields, length);
        let words = understood(answer.as_bytes(), Method::GET, Then::Stay, 4096).await;
        assert_eq!(words, expected, "{fields} of {length}");
    }
    for (hints, expected) in [
        (100, "200  kept"),
        (101, "no answer: interim answers and no other"),
    ] {
        let flood = "HTTP/1.1 103 Hints\r\n\r\n".repeat(hints) + &answer(0, 0);
        let words = understood(flood.as_bytes(), Method::GET, Then::Stay, 4096).await;
        assert_eq!(words, expected);
    }
}

#[tokio::test]
async fn what_a_pod_says_unasked_ends_the_connection() {
    let (stream, mut pod) = duplex(64);
    let mut connection = Connection::new(Stream::Layered(Box::new(stream)), Duration::from_secs(60));
    assert!(connection.is_quiet());
    pod.write_all(b"H").await.unwrap();
    assert!(!connection.is_quiet());
    let (stream, pod) = duplex(64);
    let mut connection = Connection::new(Stream::Layered(Box::new(stream)), Duration::from_secs(60));
    drop(pod);
    assert!(!connection.is_quiet());
}

/// What is read ahead of a client grows only while it is quick.
#[tokio::test]
async fn a_quick_client_gets_larger_pieces() {
    const WHOLE: usize = 1 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n");
    for (eager, largest) in [(true, MOST), (false, USUAL)] {
        let (stream, mut pod) = duplex(2 * WHOLE);
        let mut connection = Connection::new(Stream::Layered(Box::new(stream)), Duration::from_secs(60));
        let mut request = RequestHead::new(&Method::GET, "/");
        request.end();
        pod.write_all(head.as_bytes()).await.unwrap();
        pod.write_all(&vec![b'x'; WHOLE]).await.unwrap();
        let sending = Sending::new(&request, Outgoing::new(RequestBody::empty()));
        connection.ask(sending).await.unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = poll_fn(|cx| connection.poll_body(cx, eager)).await {
            pieces.push(piece.unwrap().len());
        }
        assert_eq!(pieces.iter().sum::<usize>(), WHOLE);
        assert_eq!(pieces.iter().max(), Some(&largest), "{pieces:?}");
        assert!(pieces[1] <= USUAL, "{pieces:?}");
    }
}
