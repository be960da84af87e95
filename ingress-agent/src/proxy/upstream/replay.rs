//! A request's head, kept for another try.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// Bytes of the fields of most requests, so that they are allocated once.
const FIELDS: usize = 1024;

/// A head that may be needed again, and mostly is not. Its fields lie one behind the other, which costs a third of
/// what a copy of the map does: that one counts the owners of each value.
#[derive(Debug)]
pub(super) struct Replay {
    method: Method,
    target: Uri,
    /// `name:value` and a line feed each, neither of which a name or a value has within.
    fields: Vec<u8>,
}

impl Replay {
    pub(super) fn of(parts: &Parts) -> Self {
        let mut fields = Vec::with_capacity(FIELDS);
        for (name, value) in &parts.headers {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Self {
            method: parts.method.clone(),
            target: parts.uri.clone(),
            fields,
        }
    }

    /// The same head with this body; `None`: a field is none, which cannot be.
    pub(super) fn request<B>(&self, body: B) -> Option<Request<B>> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers()?;
        Some(request)
    }

    fn headers(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        for field in self.fields.split_inclusive(|&byte| byte == b'\n') {
            let (name, value) = field.strip_suffix(b"\n")?.split_at(memchr::memchr(b':', field)?);
            let name = HeaderName::from_bytes(name).ok()?;
            headers.append(name, HeaderValue::from_bytes(value.get(1..)?).ok()?);
        }
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_has_the_same_head_in_the_same_order() {
        let mut builder = Request::put("/a?b=c:d");
        let long = "v".repeat(2 * FIELDS);
        let fields = [
            ("x-b", "1"),
            ("x-a", "a: b:c"),
            ("x-b", ""),
            ("host", "h:1"),
            ("x-c", "\t\u{e4}"),
            ("x-d", &long),
            ("x-b", "3"),
        ];
        for (name, value) in fields {
            builder = builder.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let (again, ()) = Replay::of(&parts).request(()).unwrap().into_parts();
        assert_eq!((&again.method, &again.uri), (&parts.method, &parts.uri));
        assert_eq!(again.version, parts.version);
        assert!(again.headers.iter().eq(parts.headers.iter()));
    }
}
