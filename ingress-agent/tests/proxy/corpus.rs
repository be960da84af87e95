//! The byte strings, what the client hears and what the pod sees. Names are in the words of
//! `spec/safety.md` section 3.

/// A whole connection's bytes, and what becomes of them.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The statuses of the answers, in order.
    pub(crate) statuses: &'static [u16],
    /// `METHOD TARGET body` of each request at the pod.
    pub(crate) seen: &'static [&'static str],
    /// Whether the proxy closes after the last answer.
    pub(crate) closes: bool,
    /// Whether the head is good and the body is not, so that the pod may see a request that never ends.
    pub(crate) breaks_off: bool,
}

/// Refused: one answer, nothing at the pod, the end of the connection.
fn refused(name: &'static str, statuses: &'static [u16], bytes: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        bytes: bytes.into(),
        statuses,
        seen: &[],
        closes: true,
        breaks_off: false,
    }
}

fn bad(name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    refused(name, &[400], bytes)
}

/// A request line and Host, then `rest`.
fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\n{rest}")
}

fn get(rest: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{rest}\r\n")
}

/// A head of so many bytes, in fields of which none is too large.
fn head_of(length: usize) -> Vec<u8> {
    let field = format!("X: {}\r\n", "y".repeat(10_000)).repeat(3);
    let rest = length - get(&field).len() - "Y: \r\n".len();
    let head = get(&format!("{field}Y: {}\r\n", "y".repeat(rest)));
    assert_eq!(head.len(), length);
    head.into()
}

/// A POST with this Transfer-Encoding value, followed by what a proxy that ignores it takes for a request.
fn coded(value: &str) -> String {
    post(&format!(
        "Transfer-Encoding: {value}\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n"
    ))
}

fn sized(value: &str) -> String {
    post(&format!("Content-Length: {value}\r\n\r\nabcde"))
}

pub(crate) fn all() -> Vec<Case> {
    [lengths(), heads(), hosts_and_paths(), chunks()]
        .into_iter()
        .flatten()
        .collect()
}

fn lengths() -> Vec<Case> {
    vec![
        bad(
            "CL.TE",
            post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
        ),
        bad(
            "TE.CL",
            post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG"),
        ),
        bad(
            "CL.TE.CL",
            post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
        ),
        bad("TE chunked, identity", coded("chunked, identity")),
        bad("TE identity", coded("identity")),
        bad("TE gzip, chunked", coded("gzip, chunked")),
        bad("TE chunked, chunked", coded("chunked, chunked")),
        bad("TE twice", coded("chunked\r\nTransfer-Encoding: chunked")),
        bad("TE ,chunked", coded(",chunked")),
        bad("TE chunked,", coded("chunked,")),
        bad("TE xchunked", coded("xchunked")),
        bad("TE empty", coded("")),
        bad("TE VT", coded("\x0bchunked")),
        bad("TE parameter", coded("chunked;a=b")),
        bad("TE quoted", coded("\"chunked\"")),
        bad("TE NUL", coded("chunked\0")),
        bad("TE no-break space", {
            let mut bytes = post("Transfer-Encoding: ").into_bytes();
            bytes.extend_from_slice(b"\xa0chunked\r\n\r\n0\r\n\r\n");
            bytes
        }),
        bad(
            "TE space before colon",
            post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        bad(
            "TE folded start",
            post(" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        bad(
            "TE broken name",
            post("Transfer-\r\nEncoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        bad(
            "TE in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        bad("CL list equal", sized("5, 5")),
        bad("CL list", sized("5,6")),
        bad("CL twice equal", sized("5\r\nContent-Length: 5")),
        bad("CL twice", sized("5\r\nContent-Length: 6")),
        bad("CL plus", sized("+5")),
        bad("CL minus", sized("-1")),
        bad("CL hex", sized("0x5")),
        bad("CL underscore", sized("1_0")),
        bad("CL space", sized("5 5")),
        bad("CL empty", sized("")),
        bad("CL NUL", sized("5\0")),
        bad("CL 2^64", sized("18446744073709551616")),
        bad("CL zeros", sized("00005")),
        Case {
            name: "TE in capitals",
            bytes: post("TRANSFER-ENCODING:\t Chunked \r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n").into(),
            statuses: &[200],
            seen: &["POST / x"],
            closes: false,
            breaks_off: false,
        },
        Case {
            name: "TE with an underscore is another field, and dropped",
            bytes: format!(
                "{}{}",
                post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
                get("")
            )
            .into(),
            statuses: &[200, 200],
            seen: &["POST / 0\r\n\r\n", "GET / "],
            closes: false,
            breaks_off: false,
        },
        Case {
            name: "a body under GET, then a request of its own",
            bytes: format!(
                "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nGET /{}",
                get("")
            )
            .into(),
            statuses: &[200, 200],
            seen: &["GET / GET /", "GET / "],
            closes: false,
            breaks_off: false,
        },
        Case {
            name: "a refused request after a good one",
            bytes: format!("{}{}{}", get(""), post("Content-Length: x\r\n\r\n"), get("")).into(),
            statuses: &[200, 400],
            seen: &["GET / "],
            closes: true,
            breaks_off: false,
        },
    ]
}

fn heads() -> Vec<Case> {
    vec![
        bad(
            "LF after the request line",
            "GET / HTTP/1.1\nHost: a.test\r\n\r\n",
        ),
        bad("LF after a field", "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n"),
        bad("LF at the end", "GET / HTTP/1.1\r\nHost: a.test\r\n\n"),
        bad("LF only", "GET / HTTP/1.1\nHost: a.test\n\n"),
        bad("CR in a name", get("X\rY: z\r\n")),
        bad("CR in a value", get("X: y\rz\r\n")),
        bad("CR in the target", "GET /\ra HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("CR CR LF", "GET / HTTP/1.1\r\r\nHost: a.test\r\n\r\n"),
        bad("obs-fold", get("X: y\r\n z\r\n")),
        bad("obs-fold by tab", get("X: y\r\n\tz\r\n")),
        bad("no colon", get("X\r\n")),
        bad("empty name", get(": x\r\n")),
        bad("space in a name", get("X Y: z\r\n")),
        bad("NUL in a name", get("X\0: z\r\n")),
        bad("DEL in a name", get("X\x7f: z\r\n")),
        bad("non-ASCII in a name", get("Xä: z\r\n")),
        bad("NUL in a value", get("X: y\0\r\n")),
        bad("BEL in a value", get("X: \x07\r\n")),
        bad("two spaces", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad(
            "two spaces before the version",
            "GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ),
        bad("TAB", "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("leading space", " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("lower-case method", "get / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("NUL in the method", "GET\0 / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("no version", "GET /\r\nHost: a.test\r\n\r\n"),
        bad("lower-case version", "GET / http/1.1\r\nHost: a.test\r\n\r\n"),
        bad("trailing space", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n"),
        refused("HTTP/1.2", &[505], "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n"),
        refused("HTTP/2.0", &[505], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        refused("HTTP/0.9", &[505], "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n"),
        refused(
            "CONNECT",
            &[405],
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ),
        bad("three leading empty lines", format!("\r\n\r\n\r\n{}", get(""))),
        bad(
            "a TLS greeting",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        bad("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("a target without slash", "GET a HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad("a fragment", "GET /a#/admin HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        bad(
            "non-ASCII in the target",
            "GET /ä HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ),
        bad(
            "an ftp target",
            "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ),
        Case {
            name: "two leading empty lines",
            bytes: format!("\r\n\r\n{}", get("")).into(),
            statuses: &[200],
            seen: &["GET / "],
            closes: false,
            breaks_off: false,
        },
        refused(
            "target of 8 KiB and one",
            &[414],
            format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "a".repeat(8192)),
        ),
        refused(
            "target of 60 KiB",
            &[414],
            format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "a".repeat(61440)),
        ),
        refused("101 fields", &[431], get(&"X: y\r\n".repeat(100))),
        refused(
            "a field of 16 KiB and one",
            &[431],
            get(&format!("X: {}\r\n", "y".repeat(16385))),
        ),
        Case {
            name: "a field of 16 KiB",
            bytes: get(&format!("X: {}\r\n", "y".repeat(16384))).into(),
            statuses: &[200],
            seen: &["GET / "],
            closes: false,
            breaks_off: false,
        },
        Case {
            name: "a head of 32 KiB",
            bytes: head_of(32768),
            statuses: &[200],
            seen: &["GET / "],
            closes: false,
            breaks_off: false,
        },
        refused("a head of 32 KiB and one", &[431], head_of(32769)),
        refused(
            "a head of 64 KiB",
            &[431],
            get(&format!("X: {}\r\n", "y".repeat(10_000)).repeat(6)),
        ),
        Case {
            name: "a target of 8 KiB, 100 fields",
            bytes: format!(
                "GET /{} HTTP/1.1\r\nHost: a.test\r\n{}\r\n",
                "a".repeat(8191),
                "X: y\r\n".repeat(99)
            )
            .into(),
            statuses: &[200],
            seen: &["GET /a"],
            closes: false,
            breaks_off: false,
        },
    ]
}

fn hosts_and_paths() -> Vec<Case> {
    let host = |value: &str| format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
    let path = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let open = |name, bytes: String| Case {
        name,
        bytes: bytes.into(),
        statuses: &[400],
        seen: &[],
        closes: false,
        breaks_off: false,
    };
    vec![
        bad("no Host", "GET / HTTP/1.1\r\n\r\n"),
        bad("Host twice", get("Host: a.test\r\n")),
        bad("Host twice, differing", get("Host: b.test\r\n")),
        bad(
            "absolute form without Host",
            "GET http://a.test/ HTTP/1.1\r\n\r\n",
        ),
        open("an empty Host", host("")),
        open("a list of hosts", host("a.test, b.test")),
        open("user information", host("a@a.test")),
        open("a wildcard", host("*.test")),
        open("port 0", host("a.test:0")),
        open("port 65536", host("a.test:65536")),
        open("a Host of 300 characters", host(&"a".repeat(300))),
        open("a NUL in the path", path("/%00")),
        open("half an escape", path("/%")),
        open("no escape", path("/%zz")),
        open("a backslash", path("/a\\admin")),
        open("above the root", path("/../admin")),
        open("above the root, escaped", path("/%2e%2e/admin")),
        Case {
            name: "one form of a path",
            bytes: format!(
                "{}{}{}",
                path("//a/%2e%2E/%61dmin"),
                path("/a%2fb"),
                path("/..;/x")
            )
            .into(),
            statuses: &[200, 200, 200],
            seen: &["GET /admin ", "GET /a%2Fb ", "GET /..;/x "],
            closes: false,
            breaks_off: false,
        },
    ]
}

fn chunks() -> Vec<Case> {
    let chunked = |body: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let bad = |name, bytes| Case {
        breaks_off: true,
        ..bad(name, bytes)
    };
    vec![
        bad("size 0x5", chunked("0x5\r\nabcde\r\n0\r\n\r\n")),
        bad("size +5", chunked("+5\r\nabcde\r\n0\r\n\r\n")),
        bad("size -0", chunked("-0\r\n\r\n")),
        bad("size with leading space", chunked(" 5\r\nabcde\r\n0\r\n\r\n")),
        bad("size 5_", chunked("5_\r\nabcde\r\n0\r\n\r\n")),
        bad("empty size", chunked("\r\nabcde\r\n0\r\n\r\n")),
        bad("17 digits", chunked("00000000000000005\r\nabcde\r\n0\r\n\r\n")),
        bad(
            "space before the extension",
            chunked("5 ;a\r\nabcde\r\n0\r\n\r\n"),
        ),
        bad("LF in the extension", chunked("5;a\nb\r\nabcde\r\n0\r\n\r\n")),
        bad("CR CR LF", chunked("5\r\r\nabcde\r\n0\r\n\r\n")),
        bad("LF after the size", chunked("5\nabcde\r\n0\r\n\r\n")),
        bad("LF after the data", chunked("5\r\nabcde\n0\r\n\r\n")),
        bad("data too long", chunked("5\r\nabcdeXX0\r\n\r\n")),
        bad("a trailer that is none", chunked("0\r\nX\r\n\r\n")),
        bad("a folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n")),
        bad("LF in a trailer", chunked("0\r\nX: y\n\r\n")),
        bad(
            "16 KiB of extensions",
            chunked(&format!("5;{}\r\nabcde\r\n0\r\n\r\n", "a".repeat(16384))),
        ),
        bad(
            "16 KiB of trailers",
            chunked(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(16384))),
        ),
    ]
}
