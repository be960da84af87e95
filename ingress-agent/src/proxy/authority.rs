//! Whom a request is for: one authority, from the Host field or from an absolute-form target, which wins
//! (RFC 9112 section 3.2.2).

use http::request::Parts;
use http::{HeaderValue, header};

/// The longest name of DNS, which the longest IPv6 literal is far below.
const MAX_NAME: usize = 253;

/// A host's name as the router looks it up: lower-case, without port and without trailing dot. On the stack,
/// since every request makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostName {
    bytes: [u8; MAX_NAME],
    length: usize,
}

/// A Host field or an authority that names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotAuthority;

impl HostName {
    /// Of a host without port: a server name, or what stands before the port.
    pub(super) fn new(host: &str) -> Result<Self, NotAuthority> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut name = Self {
            bytes: [0; MAX_NAME],
            length: host.len(),
        };
        let bytes = name.bytes.get_mut(..host.len()).ok_or(NotAuthority)?;
        bytes.copy_from_slice(host.as_bytes());
        bytes.make_ascii_lowercase();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_address = || {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
        };
        let is_dns = !bytes.is_empty()
            && bytes.iter().all(is_name)
            && bytes.first() != Some(&b'.')
            && !bytes.windows(2).any(|pair| pair == b"..");
        if is_dns || is_address() {
            Ok(name)
        } else {
            Err(NotAuthority)
        }
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// What a one-label wildcard holds for this name: all but the first label.
    pub(super) fn parent(&self) -> Option<&str> {
        self.as_str().split_once('.').map(|(_, parent)| parent)
    }
}

/// Whom a request is for.
#[derive(Debug)]
pub(super) struct Authority {
    /// `None`: an HTTP/1.0 request that does not say.
    pub(super) name: Option<HostName>,
    /// What the pod gets as Host: the client's own text.
    pub(super) host: Option<HeaderValue>,
}

impl Authority {
    /// The authority of a request.
    pub(super) fn of(parts: &Parts) -> Result<Self, NotAuthority> {
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(NotAuthority);
        }
        if let Some(authority) = parts.uri.authority() {
            let name = parse(authority.as_str())?;
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| NotAuthority)?;
            return Ok(Self {
                name: Some(name),
                host: Some(host),
            });
        }
        let name = match host {
            Some(host) => Some(parse(host.to_str().map_err(|_| NotAuthority)?)?),
            None => None,
        };
        Ok(Self {
            name,
            host: host.cloned(),
        })
    }
}

/// `host [":" port]`; user information is refused, as it serves only to mislead.
fn parse(text: &str) -> Result<HostName, NotAuthority> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    if let Some(port) = port {
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !port.parse::<u16>().is_ok_and(|port| port != 0) {
            return Err(NotAuthority);
        }
    }
    HostName::new(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("a.test", Some("a.test")),
            ("A.Test:8080", Some("a.test")),
            ("a.test.", Some("a.test")),
            ("a.test.:80", Some("a.test")),
            ("a_b.test", Some("a_b.test")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:DB8::1]:443", Some("[2001:db8::1]")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("", None),
            (".", None),
            (".a", None),
            ("a..test", None),
            ("*.test", None),
            ("a, b", None),
            ("u@a.test", None),
            ("a.test:", None),
            ("a.test:0", None),
            ("a.test:65536", None),
            ("a.test:+80", None),
            ("a.test:80:80", None),
            ("2001:db8::1", None),
            ("[::1", None),
            ("a/b", None),
            ("ä.test", None),
        ] {
            let name = parse(text);
            assert_eq!(name.ok().as_ref().map(HostName::as_str), expected, "{text}");
        }
        assert_eq!(parse(&"a".repeat(253)).unwrap().as_str().len(), 253);
        assert!(parse(&"a".repeat(254)).is_err());
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert_eq!(HostName::new("x.w.test").unwrap().parent(), Some("w.test"));
        assert_eq!(HostName::new("test").unwrap().parent(), None);
    }
}
