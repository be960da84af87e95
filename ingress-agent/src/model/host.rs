//! Host names as Ingress rules and TLS server names know them.

use std::fmt;
use std::sync::Arc;

/// A host pattern, lower-case and without port.
///
/// The order is the order of precedence: exact beats wildcard beats any (Ingress v1, `host`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// This name and no other.
    Exact(Arc<str>),
    /// `*.suffix`: exactly one label before `suffix`, which is held without its leading dot.
    Wildcard(Arc<str>),
    /// Every name that no other pattern matches.
    Any,
}

/// Why a text is no host pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HostError {
    /// RFC 1123 section 2.1 with RFC 1035 section 2.3.4.
    #[error("not a DNS name: labels of 1 to 63 letters, digits and hyphens, 253 characters at most")]
    NotDns,
    /// Ingress v1 takes names only.
    #[error("an IP address is not a host name")]
    Address,
    /// `*` may only be the whole first label.
    #[error("`*` may only stand for the whole first label, as in `*.example.com`")]
    Wildcard,
}

impl Host {
    /// Reads an Ingress rule's `host`. An empty text is [`Host::Any`].
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostError::Address);
        }
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None if text.contains('*') => return Err(HostError::Wildcard),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(HostError::Wildcard);
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(HostError::NotDns);
        }
        let name = Arc::from(name.to_ascii_lowercase());
        Ok(if wildcard {
            Self::Wildcard(name)
        } else {
            Self::Exact(name)
        })
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_beats_wildcard_beats_any() {
        let mut hosts = [
            Host::Any,
            Host::parse("*.a.test").unwrap(),
            Host::parse("B.a.test").unwrap(),
        ];
        hosts.sort();
        assert_eq!(hosts.map(|h| h.to_string()), ["b.a.test", "*.a.test", "*"]);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, error) in [
            ("192.0.2.1", HostError::Address),
            ("2001:db8::1", HostError::Address),
            ("a.*.test", HostError::Wildcard),
            ("*a.test", HostError::Wildcard),
            ("*", HostError::Wildcard),
            ("*.*.test", HostError::Wildcard),
            ("a..test", HostError::NotDns),
            ("-a.test", HostError::NotDns),
            ("a.test.", HostError::NotDns),
            ("a b", HostError::NotDns),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text}");
        }
    }
}
