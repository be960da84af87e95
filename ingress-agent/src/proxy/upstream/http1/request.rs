//! The head of a request as a pod gets it (RFC 9112 section 3).

use http::{HeaderValue, Method};

/// Bytes of most heads, so that they are allocated once.
const USUAL: usize = 1024;

/// A head in the bytes that every try sends.
#[derive(Debug)]
pub(in crate::proxy) struct RequestHead {
    bytes: Vec<u8>,
    method: Method,
}

impl RequestHead {
    /// Of a target in origin form, or `*`; the fields are to be written.
    pub(in crate::proxy) fn new(method: &Method, target: &str) -> Self {
        let mut bytes = Vec::with_capacity(USUAL);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        Self {
            bytes,
            method: method.clone(),
        }
    }

    /// Writes a field.
    pub(in crate::proxy) fn field(&mut self, name: &str, value: &HeaderValue) {
        self.bytes.reserve(name.len() + value.len() + 4);
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Writes fields that are written already, each with its line end.
    pub(in crate::proxy) fn fields(&mut self, lines: &[u8]) {
        self.bytes.extend_from_slice(lines);
    }

    /// There are no more fields.
    pub(in crate::proxy) fn end(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(in crate::proxy) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in crate::proxy::upstream) fn method(&self) -> &Method {
        &self.method
    }
}
