//! A request as the query of an address: how one is asked of a running agent.

use std::borrow::Cow;
use std::net::AddrParseError;

use form_urlencoded::{Serializer, parse};
use http::Method;
use http::method::InvalidMethod;

use super::request::{Request, RequestError};

/// Why a query asks for nothing.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// What is asked for.
    #[error("expected `url=URL` in the query, and beside it `method`, `header`, `client` and `http1.1`")]
    NoUrl,
    /// A part that there is not.
    #[error("`{0}` is no part of the query: there are `url`, `method`, `header`, `client` and `http1.1`")]
    Unknown(String),
    /// The URL, or a field.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The method.
    #[error("expected a method: {0}")]
    Method(#[from] InvalidMethod),
    /// The client.
    #[error("expected the client's address: {0}")]
    Client(#[from] AddrParseError),
}

impl Request {
    /// The query that asks for this request.
    pub fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("url", &self.url.to_string());
        query.append_pair("method", self.method.as_str());
        for (name, value) in &self.fields {
            let value = String::from_utf8_lossy(value.as_bytes());
            query.append_pair("header", &format!("{name}: {value}"));
        }
        if let Some(client) = self.client {
            query.append_pair("client", &client.to_string());
        }
        if !self.http2 {
            query.append_key_only("http1.1");
        }
        query.finish()
    }

    /// The request that a query asks for.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        let (mut url, mut method, mut fields) = (None, Method::GET, Vec::new());
        let (mut client, mut http2) = (None, true);
        for (name, value) in parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("url", text) => url = Some(text.parse()?),
                ("method", text) => method = text.parse()?,
                ("header", text) => fields.push(text.parse()?),
                ("client", text) => client = Some(text.parse()?),
                ("http1.1", _) => http2 = false,
                _ => return Err(QueryError::Unknown(Cow::into_owned(name))),
            }
        }
        let url = url.ok_or(QueryError::NoUrl)?;
        let request = Self::new(url, method, fields, client);
        Ok(if http2 { request } else { request.over_http1() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_asked() {
        let field = |text: &str| text.parse().unwrap();
        let request = Request::new(
            "https://a.test:8443/x y?a=1&b=%20#z"
                .replace(' ', "+")
                .parse()
                .unwrap(),
            Method::POST,
            vec![field("Host: b.test"), field("X: a&b=c; d+e"), field("X: %41")],
            Some("2001:db8::1".parse().unwrap()),
        );
        for request in [request.clone(), request.over_http1()] {
            let again = Request::from_query(&request.query()).unwrap();
            assert_eq!(again, request);
        }
    }

    #[test]
    fn what_asks_for_nothing_is_told() {
        for (query, words) in [
            ("", "url=URL"),
            ("method=GET", "url=URL"),
            ("url=a.test", "http://"),
            ("url=http://a.test/&method=G%20T", "method"),
            ("url=http://a.test/&header=x", "Name: value"),
            ("url=http://a.test/&client=x", "client"),
            ("url=http://a.test/&urll=x", "`urll`"),
        ] {
            let error = Request::from_query(query).unwrap_err().to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
    }
}
