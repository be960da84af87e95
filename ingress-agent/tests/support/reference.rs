//! A strict reader of HTTP/1.1 requests after RFC 9112, written apart from the product: what the proxy emits
//! must be readable in exactly one way.

use std::collections::BTreeMap;

/// One request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case; the values of one name in their order.
    pub(crate) fields: BTreeMap<String, Vec<String>>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The only value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        match self.fields.get(name).map(Vec::as_slice) {
            None => None,
            Some([one]) => Some(one),
            Some(many) => panic!("{name} came {} times", many.len()),
        }
    }
}

/// The length of the first request in `bytes`, once it has come whole.
pub(crate) fn complete(bytes: &[u8]) -> Option<usize> {
    parse(bytes).map(|(_, length)| length)
}

/// All requests in `bytes`, which must hold nothing else.
pub(crate) fn requests(bytes: &[u8]) -> Vec<Request> {
    let (requests, rest) = whole_requests(bytes);
    assert!(rest.is_empty(), "an incomplete request: {}", rest.escape_ascii());
    requests
}

/// The whole requests at the beginning of `bytes`, and what is left after them.
pub(crate) fn whole_requests(mut bytes: &[u8]) -> (Vec<Request>, &[u8]) {
    let mut requests = Vec::new();
    while let Some((request, length)) = parse(bytes) {
        requests.push(request);
        bytes = &bytes[length..];
    }
    (requests, bytes)
}

fn parse(bytes: &[u8]) -> Option<(Request, usize)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_end]).expect("a head of ASCII");
    assert!(
        head.bytes()
            .all(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | b' '..=b'~')),
        "control characters in {head:?}"
    );
    let mut lines = head.split("\r\n");
    let request_line: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let [method, target, "HTTP/1.1"] = request_line[..] else {
        panic!("the request line {request_line:?}");
    };
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        assert!(!line.contains(['\r', '\n']), "a bare CR or LF in {line:?}");
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("the field {line:?}"));
        assert!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "the name {name:?}"
        );
        fields
            .entry(name.to_ascii_lowercase())
            .or_default()
            .push(value.trim().to_owned());
    }
    assert_eq!(fields.get("host").map(Vec::len), Some(1), "Host in {head:?}");
    let rest = &bytes[head_end + 4..];
    let (body, length) = match (fields.get("content-length"), fields.get("transfer-encoding")) {
        (None, None) => (Vec::new(), 0),
        (Some(length), None) => {
            let [length] = &length[..] else {
                panic!("several lengths in {head:?}")
            };
            let length: usize = length.parse().unwrap();
            (rest.get(..length)?.to_vec(), length)
        }
        (None, Some(coding)) => {
            assert_eq!(coding, &["chunked"], "in {head:?}");
            chunked(rest)?
        }
        (Some(_), Some(_)) => panic!("two lengths in {head:?}"),
    };
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        fields,
        body,
    };
    Some((request, head_end + 4 + length))
}

fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        assert!(
            size.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "the chunk size {size:?}"
        );
        let size = usize::from_str_radix(size, 16).unwrap();
        at += line + 2;
        let data = bytes.get(at..at + size + 2)?;
        assert_eq!(&data[size..], b"\r\n", "after a chunk, or a trailer");
        body.extend_from_slice(&data[..size]);
        at += size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
