//! The head of a pod's answer, and where its body ends (RFC 9112 sections 4 to 6).
//!
//! Stricter than the RFC asks of a client: a bare LF, a folded line, white space before a colon, a length beside a
//! coding, lengths that differ and any coding but `chunked` are no answer.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode};

use crate::proxy::guard::Refusal;
use crate::proxy::guard::syntax::{all_field, trim};

/// Bytes of the largest head.
pub(super) const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 100;
/// Fields of most heads, so that they are allocated once.
const USUAL_FIELDS: usize = 8;
const PROTOCOL: &[u8] = b"HTTP/1.";

/// A head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) length: Length,
    /// Whether the connection may carry another request after it.
    pub(super) persistent: bool,
    /// Its bytes.
    pub(super) size: usize,
}

/// Where an answer's body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

/// Why what a pod sent is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(in crate::proxy) enum Malformed {
    #[error("it does not begin with a status line of HTTP/1.0 or HTTP/1.1")]
    StatusLine,
    #[error("a line ends without CRLF")]
    LineEnd,
    #[error("a field is malformed")]
    Field,
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    #[error("interim answers and no other")]
    TooManyInterim,
    #[error("a head larger than {MAX_HEAD} bytes")]
    TooLarge,
    #[error("the length of its body is not certain")]
    Framing,
    #[error("its chunks are malformed: {0}")]
    Chunks(#[from] Refusal),
}

/// What the fields say of the body and of the connection.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Said {
    /// Notes a field. False: it says what was said before, or what concerns the connection alone.
    fn note(&mut self, name: &HeaderName, value: &[u8]) -> Result<bool, Malformed> {
        match *name {
            CONTENT_LENGTH => {
                let length = number(value).ok_or(Malformed::Framing)?;
                match self.length.replace(length) {
                    None => return Ok(true),
                    Some(before) if before == length => return Ok(false),
                    Some(_) => return Err(Malformed::Framing),
                }
            }
            TRANSFER_ENCODING => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed::Framing);
                }
                self.chunked = true;
            }
            CONNECTION => {
                let mut is_ours = true;
                for option in value.split(|&byte| byte == b',').map(trim) {
                    let close = option.eq_ignore_ascii_case(b"close");
                    let keep_alive = option.eq_ignore_ascii_case(b"keep-alive");
                    self.close |= close;
                    self.keep_alive |= keep_alive;
                    is_ours &= close || keep_alive;
                }
                return Ok(!is_ours);
            }
            _ => {}
        }
        Ok(true)
    }

    /// RFC 9112 section 6.3.
    fn length(&self, status: StatusCode, bodiless: bool) -> Result<Length, Malformed> {
        if self.chunked && self.length.is_some() {
            return Err(Malformed::Framing);
        }
        let bodiless = bodiless
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match self.length {
            _ if bodiless => Length::Known(0),
            Some(length) => Length::Known(length),
            None if self.chunked => Length::Chunked,
            None => Length::UntilClose,
        })
    }
}

/// Reads a head at the beginning of `input`; `None`: it has not come whole. `bodiless`: the request was HEAD.
pub(super) fn parse(input: &[u8], bodiless: bool) -> Result<Option<Head>, Malformed> {
    let begun = input.len().min(PROTOCOL.len());
    if input.get(..begun) != PROTOCOL.get(..begun) {
        return Err(Malformed::StatusLine);
    }
    let mut rest = input;
    let Some(line) = next_line(&mut rest)? else {
        return Ok(None);
    };
    let (minor, status) = status_line(line).ok_or(Malformed::StatusLine)?;
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    let mut said = Said::default();
    loop {
        let Some(line) = next_line(&mut rest)? else {
            return Ok(None);
        };
        if line.is_empty() {
            break;
        }
        if headers.len() == MAX_FIELDS {
            return Err(Malformed::TooManyFields);
        }
        let (name, value) = field(line).ok_or(Malformed::Field)?;
        if said.note(&name, value.as_bytes())? {
            headers.append(name, value);
        }
    }
    if minor == b'0' && said.chunked {
        return Err(Malformed::Framing);
    }
    let length = said.length(status, bodiless)?;
    let persistent = if minor == b'0' {
        said.keep_alive
    } else {
        !said.close
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Some(Head {
        response,
        length,
        persistent: persistent && length != Length::UntilClose,
        size: input.len() - rest.len(),
    }))
}

/// The next line without its end; `None`: its end has not come.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return Ok(None);
    };
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").map(Some).ok_or(Malformed::LineEnd)
}

/// The minor version and the status. The reason is nobody's, so it is only looked at.
fn status_line(line: &[u8]) -> Option<(u8, StatusCode)> {
    let [minor @ (b'0' | b'1'), b' ', rest @ ..] = line.strip_prefix(PROTOCOL)? else {
        return None;
    };
    let (code, reason) = rest.split_at_checked(3)?;
    let status = StatusCode::from_bytes(code).ok()?;
    let is_apart = reason.first().is_none_or(|&byte| byte == b' ');
    (is_apart && all_field(reason)).then_some((*minor, status))
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_at(memchr::memchr(b':', line)?);
    let name = HeaderName::from_bytes(name).ok()?;
    let value = HeaderValue::from_bytes(trim(value.get(1..)?)).ok()?;
    Some((name, value))
}

/// Digits and nothing else.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.first()?.is_ascii_digit();
    let text = std::str::from_utf8(value).ok()?;
    digits.then(|| text.parse().ok())?
}
