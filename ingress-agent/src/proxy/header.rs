//! The fields that must not cross the proxy, and those it adds (RFC 9110 section 7.6.1).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::upstream::RequestHead;

/// What the pod is told of the client, made once per connection.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The fields that are the same for every request, as a head has them.
    fields: Box<[u8]>,
}

const X_REQUEST_ID: &str = "x-request-id";

/// What a request to a pod says besides the client's own fields.
#[derive(Debug)]
pub(super) struct Hop<'a> {
    pub(super) forwarded: &'a Forwarded,
    /// What the client asked for.
    pub(super) host: &'a HeaderValue,
    /// What the pod gets as Host instead.
    pub(super) vhost: Option<&'a HeaderValue>,
    /// The protocol that the connection is to become.
    pub(super) upgrade: Option<&'a HeaderValue>,
    /// Whether the body comes in chunks; otherwise the client's Content-Length stands, which the guard has
    /// judged to be one plain number.
    pub(super) chunked: bool,
}

/// What becomes of a client's field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Keep,
    Drop,
    /// Under this name, the first of them.
    Rename(&'static str),
    /// It is the request's id, if it is fit.
    Id,
}

impl Forwarded {
    /// Of a client at `address`, which dialled `port`.
    pub(super) fn new(address: &str, port: u16, scheme: &'static str) -> Self {
        let fields = format!(
            "x-forwarded-for: {address}\r\nx-forwarded-port: {port}\r\nx-forwarded-proto: {scheme}\r\n\
             x-forwarded-scheme: {scheme}\r\nx-real-ip: {address}\r\nx-scheme: {scheme}\r\n"
        );
        Self {
            scheme,
            fields: fields.into_bytes().into(),
        }
    }
}

/// Writes a client's fields as the pod gets them, and ours. The request's id, which `new_id` gives when the client sent
/// none that is fit.
pub(super) fn request(
    head: &mut RequestHead,
    headers: &HeaderMap,
    hop: &Hop<'_>,
    new_id: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let nominated = nominated(headers);
    let mut id = None;
    head.field("host", hop.vhost.unwrap_or(hop.host));
    let mut last = "";
    for (name, value) in headers {
        let name = name.as_str();
        match fate(name) {
            Fate::Drop => {}
            Fate::Id => id = id.or(is_request_id(value).then_some(value)),
            Fate::Keep if nominated.iter().any(|nominated| nominated == name) => {}
            Fate::Keep => head.field(name, value),
            Fate::Rename(as_name) if as_name != last => {
                last = as_name;
                head.field(as_name, value);
            }
            Fate::Rename(_) => {}
        }
    }
    head.field("x-forwarded-host", hop.host);
    head.fields(&hop.forwarded.fields);
    let id = id.cloned().unwrap_or_else(new_id);
    head.field(X_REQUEST_ID, &id);
    if hop.chunked {
        head.fields(b"transfer-encoding: chunked\r\n");
    }
    if let Some(protocol) = hop.upgrade {
        head.fields(b"connection: upgrade\r\n");
        head.field("upgrade", protocol);
    }
    head.end();
    id
}

/// Names the protocol that a connection becomes.
pub(super) fn upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Removes from a pod's answer what concerns its own connection only.
pub(super) fn response(headers: &mut HeaderMap) {
    let names = headers.keys().filter(|name| is_hop_by_hop(name.as_str()));
    let names: Vec<HeaderName> = names.cloned().collect();
    if names.is_empty() {
        return;
    }
    for name in nominated(headers).into_iter().chain(names) {
        headers.remove(name);
    }
}

/// The fields that Connection nominates. Host and Content-Length stay whoever nominates them: without them the message
/// would be another.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(header::CONNECTION).iter();
    let options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let options = options.map(<[u8]>::trim_ascii);
    // What most say, and Keep-Alive goes anyway.
    let options = options.filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"));
    let names = options.filter_map(|name| HeaderName::from_bytes(name).ok());
    names
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH))
        .collect()
}

/// Fields of one connection.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// A client may not say to a pod what is of its connection, what only a proxy may claim, and names with an underscore,
/// which many programs read as the same name with a hyphen.
fn fate(name: &str) -> Fate {
    let is_claimed = match name.as_bytes().first() {
        Some(b'x') => match name {
            "x-forwarded-for" => return Fate::Rename("x-original-forwarded-for"),
            "x-forwarded-host" => return Fate::Rename("x-original-forwarded-host"),
            X_REQUEST_ID => return Fate::Id,
            "x-real-ip" | "x-scheme" => true,
            _ => {
                name.starts_with("x-forwarded-")
                    || name.starts_with("x-original-")
                    || name.starts_with("x-auth-request-")
                    || name.starts_with("x-envoy-")
            }
        },
        Some(b's') => name.starts_with("ssl-client-"),
        // `Proxy` becomes the variable HTTP_PROXY in CGI programs (CVE-2016-5385). An `Expect` was met by us. What the
        // client asked for as Host is ours to say.
        Some(_) => matches!(
            name,
            "host" | "forwarded" | "proxy" | "proxy-authorization" | "http2-settings" | "expect"
        ),
        None => false,
    };
    if is_claimed || is_hop_by_hop(name) || name.contains('_') {
        Fate::Drop
    } else {
        Fate::Keep
    }
}

fn is_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    /// The fields that arrive, which a pod reads.
    fn through(fields: &[(&str, &str)]) -> HeaderMap {
        let hop = Hop {
            forwarded: &Forwarded::new("192.0.2.7", 443, "https"),
            host: &HeaderValue::from_static("a.test:443"),
            vhost: None,
            upgrade: None,
            chunked: false,
        };
        let mut head = RequestHead::new(&http::Method::GET, "/");
        request(&mut head, &map(fields), &hop, || HeaderValue::from_static("new"));
        let text = std::str::from_utf8(head.bytes()).unwrap();
        let lines = text.strip_prefix("GET / HTTP/1.1\r\n").unwrap();
        let lines = lines.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        let fields: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        map(&fields)
    }

    /// HD-1 and HD-3: whatever the client claims, in whatever spelling, ours is what arrives.
    #[test]
    fn what_only_a_proxy_may_say_is_replaced() {
        let headers = through(&[
            ("Host", "other.test"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-For", "5.6.7.8"),
            ("x-forwarded-HOST", "h"),
            ("X-Forwarded-Prefix", "/p"),
            ("X_Forwarded_For", "1.2.3.4"),
            ("X-Forwarded_Proto", "x"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Original-URI", "/x"),
            ("X-Auth-Request-User", "root"),
            ("X-Envoy-Internal", "1"),
            ("SSL-Client-Verify", "SUCCESS"),
            ("Proxy", "http://evil"),
            ("X-Request-ID", "bad id"),
            ("Cookie", "a=b"),
        ]);
        let expected = map(&[
            ("host", "a.test:443"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "a.test:443"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-scheme", "https"),
            ("x-real-ip", "192.0.2.7"),
            ("x-scheme", "https"),
            ("x-original-forwarded-for", "1.2.3.4"),
            ("x-original-forwarded-host", "h"),
            ("x-request-id", "new"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_client_keeps_its_request_id() {
        assert_eq!(
            through(&[("X-Request-ID", "0a1b")]).get("x-request-id").unwrap(),
            "0a1b"
        );
    }

    #[test]
    fn hop_by_hop_fields_end_here_and_connection_cannot_take_what_is_ours() {
        let headers = through(&[
            ("Connection", "close, X-Secret , Host, Content-Length"),
            ("Connection", "x-real-ip"),
            ("X-Secret", "1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Upgrade", "websocket"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "5"),
        ]);
        for gone in [
            "connection",
            "x-secret",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "transfer-encoding",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers.get("content-length").unwrap(), "5");
        assert_eq!(headers.get("host").unwrap(), "a.test:443");
        assert_eq!(headers.get("x-real-ip").unwrap(), "192.0.2.7");
    }

    #[test]
    fn a_pods_cookies_keep_their_order() {
        let mut headers = map(&[
            ("set-cookie", "b=1"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=2"),
            ("server", "pod"),
        ]);
        response(&mut headers);
        let expected = map(&[("set-cookie", "b=1"), ("set-cookie", "a=2"), ("server", "pod")]);
        assert_eq!(headers, expected);
        let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["b=1", "a=2"]);
    }
}
