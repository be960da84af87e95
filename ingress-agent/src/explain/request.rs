//! The request that is asked about, read from a command line or a query.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

use crate::proxy::trace::Asked;

/// Why a text is no request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// No scheme we serve.
    #[error("expected a URL that begins with http:// or https://")]
    Scheme,
    /// What stands between the scheme and the path.
    #[error("expected HOST or HOST:PORT after the scheme, found `{0}`")]
    Authority(String),
    /// A field.
    #[error("expected a field as `Name: value`, found `{0}`")]
    Field(String),
}

/// A URL as a client that changes nothing sends it: dots and escapes stay as they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    text: String,
    tls: bool,
    /// As it goes into the Host field.
    authority: String,
    host: String,
    port: u16,
    target: String,
}

impl FromStr for Url {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(RequestError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(RequestError::Scheme),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let bad = || RequestError::Authority(authority.to_owned());
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        // `http` keeps a port that is none to itself.
        let port = parsed.port_u16();
        let has_port = authority.len() > parsed.host().len();
        if authority.contains('@') || has_port != port.is_some() || port == Some(0) {
            return Err(bad());
        }
        Ok(Self {
            text: text.to_owned(),
            tls,
            authority: authority.to_owned(),
            host: parsed.host().to_owned(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            target: match target.strip_prefix('?') {
                Some(_) => format!("/{target}"),
                None if target.is_empty() => "/".to_owned(),
                None => target.to_owned(),
            },
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Url {
    /// Whether the client speaks TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address that is dialled, where the URL names one.
    pub fn address(&self) -> Option<IpAddr> {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(&self.host).parse().ok()
    }

    /// What TLS calls the server: never an address (RFC 6066 section 3).
    pub fn server_name(&self) -> Option<&str> {
        (self.tls && self.address().is_none()).then_some(&*self.host)
    }
}

/// A field that the client sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field(HeaderName, HeaderValue);

impl FromStr for Field {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || RequestError::Field(text.to_owned());
        let (name, value) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self(
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?,
            HeaderValue::from_str(value.trim()).map_err(|_| bad())?,
        ))
    }
}

/// The request that is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) fields: HeaderMap,
    /// The client: its family chooses among a name's VIPs.
    pub(super) client: Option<IpAddr>,
    /// Whether the client has HTTP/2.
    pub(super) http2: bool,
}

impl Request {
    /// A request of this URL; the fields take the place of the URL's own Host when they name one.
    pub fn new(url: Url, method: Method, fields: Vec<Field>, client: Option<IpAddr>) -> Self {
        let mut map = HeaderMap::new();
        for Field(name, value) in fields {
            map.append(name, value);
        }
        if !map.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(&url.authority)
        {
            map.insert(HOST, host);
        }
        Self {
            url,
            method,
            fields: map,
            client,
            http2: true,
        }
    }

    /// The same of a client that has no HTTP/2.
    pub fn over_http1(self) -> Self {
        Self { http2: false, ..self }
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.url.port()
    }

    /// Whether the client speaks TLS.
    pub fn tls(&self) -> bool {
        self.url.tls()
    }

    /// As it is sent to a VIP.
    pub(super) fn asked(&self, local: SocketAddr) -> Asked<'_> {
        Asked {
            local,
            server_name: self.url.server_name(),
            http2: self.http2,
            method: &self.method,
            target: &self.url.target,
            fields: &self.fields,
        }
    }

    /// The name that decides, before any judgement: the Host field's, without port.
    pub(super) fn host(&self) -> String {
        let field = self.fields.get(HOST).and_then(|host| host.to_str().ok());
        let parsed = field.and_then(|host| host.parse::<Uri>().ok());
        let host = parsed.as_ref().and_then(Uri::host);
        host.unwrap_or(&self.url.host).to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, expected) in [
            ("http://a.test", Some((false, "a.test", 80, "/"))),
            ("https://A.test/x?y#z", Some((true, "A.test", 443, "/x?y"))),
            ("HTTP://a.test:8080?q", Some((false, "a.test", 8080, "/?q"))),
            (
                "https://[2001:db8::1]:8443/a/../b",
                Some((true, "[2001:db8::1]", 8443, "/a/../b")),
            ),
            ("a.test/x", None),
            ("ftp://a.test/", None),
            ("http:///x", None),
            ("http://u@a.test/", None),
            ("http://a.test:/", None),
            ("http://a.test:0/", None),
            ("http://a.test:65536/", None),
            ("http://a test/", None),
        ] {
            let url = text.parse::<Url>().ok();
            let found = url
                .as_ref()
                .map(|url| (url.tls, &*url.host, url.port, &*url.target));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_no_server_name() {
        let name = |text: &str| text.parse::<Url>().unwrap().server_name().map(str::to_owned);
        assert_eq!(name("https://a.test/"), Some("a.test".to_owned()));
        assert_eq!(name("https://192.0.2.1/"), None);
        assert_eq!(name("https://[::1]/"), None);
        assert_eq!(name("http://a.test/"), None);
    }

    #[test]
    fn fields() {
        assert!("Host: a.test".parse::<Field>().is_ok());
        for text in ["Host", "Ho st: x", ": x", "x: a\nb"] {
            assert!(text.parse::<Field>().is_err(), "{text}");
        }
    }
}
