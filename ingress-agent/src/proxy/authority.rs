//! Whom a request is for: one authority, from the Host field or from an absolute-form target, which wins
//! (RFC 9112 section 3.2.2). In HTTP/2 the two must say the same (RFC 9113 section 8.3.1).

use http::request::Parts;
use http::{HeaderValue, Version, header};

/// The longest name of DNS, which the longest IPv6 literal is far below.
const MAX_NAME: usize = 253;

/// Where a name is lower-cased: on the stack of whoever looks it up, so that no lookup allocates.
pub(super) type Scratch = [u8; MAX_NAME];

/// Room for one name.
pub(super) const SCRATCH: Scratch = [0; MAX_NAME];

/// A host's name as the router looks it up: lower-case, without port and without trailing dot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct HostName<'a>(&'a str);

/// A Host field or an authority that names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotAuthority;

impl<'a> HostName<'a> {
    /// Of a host without port: a server name, or what stands before the port. Copied to `scratch` only if it
    /// has capitals.
    pub(super) fn new(host: &'a str, scratch: &'a mut Scratch) -> Result<Self, NotAuthority> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.len() > MAX_NAME || !(is_dns(host.as_bytes()) || is_address(host)) {
            return Err(NotAuthority);
        }
        if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(Self(host));
        }
        let copy = scratch.get_mut(..host.len()).ok_or(NotAuthority)?;
        copy.copy_from_slice(host.as_bytes());
        copy.make_ascii_lowercase();
        std::str::from_utf8(copy).map(Self).map_err(|_| NotAuthority)
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.0
    }

    /// What a one-label wildcard holds for this name: all but the first label.
    pub(super) fn parent(&self) -> Option<&'a str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }
}

/// Labels of any length, since only names that a pattern has are ever found.
fn is_dns(name: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty()
        && name.iter().all(is_name)
        && name.first() != Some(&b'.')
        && !name.windows(2).any(|pair| pair == b"..")
}

/// An IPv6 literal; an IPv4 one passes as a name.
fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Whom a request is for.
#[derive(Debug)]
pub(super) struct Authority<'a> {
    /// `None`: an HTTP/1.0 request that does not say.
    pub(super) name: Option<HostName<'a>>,
    /// What the pod gets as Host: the client's own text.
    pub(super) host: Option<HeaderValue>,
}

impl<'a> Authority<'a> {
    /// The authority of a request.
    pub(super) fn of(parts: &'a Parts, scratch: &'a mut Scratch) -> Result<Self, NotAuthority> {
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(NotAuthority);
        }
        if let Some(authority) = parts.uri.authority() {
            let same = |host: &HeaderValue| {
                host.as_bytes()
                    .eq_ignore_ascii_case(authority.as_str().as_bytes())
            };
            if parts.version == Version::HTTP_2 && !host.is_none_or(same) {
                return Err(NotAuthority);
            }
            let name = parse(authority.as_str(), scratch)?;
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| NotAuthority)?;
            return Ok(Self {
                name: Some(name),
                host: Some(host),
            });
        }
        let name = match host {
            Some(host) => Some(parse(host.to_str().map_err(|_| NotAuthority)?, scratch)?),
            None if parts.version == Version::HTTP_2 => return Err(NotAuthority),
            None => None,
        };
        Ok(Self {
            name,
            host: host.cloned(),
        })
    }
}

/// `host [":" port]`; user information is refused, as it serves only to mislead.
fn parse<'a>(text: &'a str, scratch: &'a mut Scratch) -> Result<HostName<'a>, NotAuthority> {
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
    HostName::new(host, scratch)
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
            let mut scratch = SCRATCH;
            let name = parse(text, &mut scratch);
            assert_eq!(name.ok().as_ref().map(HostName::as_str), expected, "{text}");
        }
        for letter in ["a", "A"] {
            assert_eq!(
                parse(&letter.repeat(253), &mut SCRATCH.clone()).unwrap().as_str(),
                "a".repeat(253)
            );
            assert!(parse(&letter.repeat(254), &mut SCRATCH.clone()).is_err());
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert_eq!(
            HostName::new("x.w.test", &mut SCRATCH.clone()).unwrap().parent(),
            Some("w.test")
        );
        assert_eq!(
            HostName::new("test", &mut SCRATCH.clone()).unwrap().parent(),
            None
        );
    }
}
