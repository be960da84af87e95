//! The fields that must not cross the proxy, and those it adds (RFC 9110 section 7.6.1).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What the pod is told of the client, made once per connection.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// The client's address.
    pub(super) client: HeaderValue,
    /// The VIP's port.
    pub(super) port: HeaderValue,
    /// `http` or `https`.
    pub(super) scheme: HeaderValue,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
const X_ORIGINAL_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-original-forwarded-for");
const X_ORIGINAL_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-original-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_SCHEME: HeaderName = HeaderName::from_static("x-scheme");

/// What a request to a pod says besides the client's own fields.
#[derive(Debug)]
pub(super) struct Hop<'a> {
    pub(super) forwarded: &'a Forwarded,
    /// What the client asked for.
    pub(super) host: HeaderValue,
    /// What the pod gets as Host instead.
    pub(super) vhost: Option<&'a HeaderValue>,
    /// Whether the body comes in chunks; otherwise the client's Content-Length stands, which the guard has
    /// judged to be one plain number.
    pub(super) chunked: bool,
}

/// Makes a client's fields the pod's. `new_id` gives a request id when the client sent none that is fit.
pub(super) fn request(headers: &mut HeaderMap, hop: Hop<'_>, new_id: impl FnOnce() -> HeaderValue) {
    let names = unwanted(headers, is_request_only);
    // Of the names found, so that a request without them pays for no lookup.
    let original = |name| headers.get(names.iter().find(|found| **found == name)?).cloned();
    let (original_for, original_host) = (original(X_FORWARDED_FOR), original(X_FORWARDED_HOST));
    remove(headers, names);
    // More than the usual client's fields and ours together hold, so that the map grows once.
    headers.reserve(10);
    headers.insert(X_FORWARDED_HOST, hop.host.clone());
    headers.insert(header::HOST, hop.vhost.cloned().unwrap_or(hop.host));
    let Forwarded { client, port, scheme } = hop.forwarded;
    headers.insert(X_FORWARDED_FOR, client.clone());
    headers.insert(X_FORWARDED_PORT, port.clone());
    headers.insert(X_FORWARDED_PROTO, scheme.clone());
    headers.insert(X_FORWARDED_SCHEME, scheme.clone());
    headers.insert(X_REAL_IP, client.clone());
    headers.insert(X_SCHEME, scheme.clone());
    if let Some(value) = original_for {
        headers.insert(X_ORIGINAL_FORWARDED_FOR, value);
    }
    if let Some(value) = original_host {
        headers.insert(X_ORIGINAL_FORWARDED_HOST, value);
    }
    if !headers.get(X_REQUEST_ID).is_some_and(is_request_id) {
        headers.insert(X_REQUEST_ID, new_id());
    }
    if hop.chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Names the protocol that a connection is to become.
pub(super) fn upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Removes from a pod's answer what concerns its own connection only.
pub(super) fn response(headers: &mut HeaderMap) {
    let names = unwanted(headers, is_hop_by_hop);
    remove(headers, names);
}

/// The fields that `is_unwanted` names, Connection among them, and those that Connection nominates. Host and
/// Content-Length stay whoever nominates them: without them the message would be another.
fn unwanted(headers: &HeaderMap, is_unwanted: fn(&str) -> bool) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for name in headers.keys().filter(|name| is_unwanted(name.as_str())) {
        names.push(name.clone());
    }
    if names.contains(&header::CONNECTION) {
        let nominated = headers.get_all(header::CONNECTION).iter();
        let nominated = nominated.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        let nominated = nominated.map(<[u8]>::trim_ascii);
        // What most pods say, and Keep-Alive goes anyway.
        let nominated = nominated.filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"));
        let nominated = nominated.filter_map(|name| HeaderName::from_bytes(name).ok());
        names.extend(nominated.filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH)));
    }
    names
}

fn remove(headers: &mut HeaderMap, names: Vec<HeaderName>) {
    for name in names {
        headers.remove(name);
    }
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

/// Fields a client may not say to a pod: those of its connection, those only a proxy may claim, and names with
/// an underscore, which many programs read as the same name with a hyphen.
fn is_request_only(name: &str) -> bool {
    let claimed = match name.as_bytes().first() {
        Some(b'x') => {
            name.starts_with("x-forwarded-")
                || name.starts_with("x-original-")
                || name.starts_with("x-auth-request-")
                || name.starts_with("x-envoy-")
                || matches!(name, "x-real-ip" | "x-scheme")
        }
        Some(b's') => name.starts_with("ssl-client-"),
        // `Proxy` becomes the variable HTTP_PROXY in CGI programs (CVE-2016-5385). An `Expect` was met by us.
        Some(_) => matches!(
            name,
            "forwarded" | "proxy" | "proxy-authorization" | "http2-settings" | "expect"
        ),
        None => false,
    };
    claimed || is_hop_by_hop(name) || name.contains('_')
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

    fn through(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = map(fields);
        let forwarded = Forwarded {
            client: HeaderValue::from_static("192.0.2.7"),
            port: HeaderValue::from_static("443"),
            scheme: HeaderValue::from_static("https"),
        };
        let hop = Hop {
            forwarded: &forwarded,
            host: HeaderValue::from_static("a.test:443"),
            vhost: None,
            chunked: false,
        };
        request(&mut headers, hop, || HeaderValue::from_static("new"));
        headers
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
