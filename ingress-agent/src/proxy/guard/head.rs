//! A request's head: the request line and the fields, line by line (RFC 9112 sections 2.2, 3, 5, 6).

use super::refusal::Refusal;
use super::syntax::{all_field, is_method, is_path, is_query, is_token, trim};

/// The whole head, leading empty lines included.
const MAX_HEAD: usize = 32 * 1024;
/// One field's value.
const MAX_VALUE: usize = 16 * 1024;
/// The request's target.
pub(super) const MAX_TARGET: usize = 8 * 1024;
/// The number of fields; hyper's own limit is the same.
pub(super) const MAX_FIELDS: usize = 100;
/// RFC 9112 section 2.2 lets a server skip "at least one" empty line.
const MAX_EMPTY_LINES: usize = 2;

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// By its length, which may be 0.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// A head that was judged whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// Bytes, up to and with the empty line.
    pub(super) length: usize,
    /// What follows.
    pub(super) framing: Framing,
    /// Whether it offers a change of protocol that may be passed on.
    pub(super) upgrade: bool,
    /// Whether nothing follows it: it has no body, and asks for no request after it.
    pub(super) last: bool,
}

/// A head being judged. It remembers how far it came, so that a head that comes byte by byte costs no more
/// than one that comes whole.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the first unjudged line begins.
    line: usize,
    /// Up to where no line end was found.
    searched: usize,
    stage: Stage,
    empty_lines: usize,
    fields: usize,
    host: bool,
    content_length: Option<u64>,
    chunked: bool,
    upgrade: Upgrade,
    /// Whether Connection names Upgrade.
    upgrades: bool,
    connection: Connection,
}

/// What a head says of another protocol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Upgrade {
    #[default]
    None,
    /// One that may be passed on.
    Known,
    /// Another, or several: not passed on, and the request is an ordinary one.
    Other,
}

/// What a head says of its connection, as far as it is said plainly.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Connection {
    #[default]
    None,
    /// One field of one word.
    Close,
    /// Anything else.
    Other,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    RequestLine,
    Fields {
        version: Version,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    Http10,
    Http11,
}

impl Scan {
    /// Judges what has come of a head. `input` begins where the head begins, at every call.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<Option<Head>, Refusal> {
        loop {
            self.judge_first(input)?;
            let unsearched = input.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', unsearched) else {
                self.searched = input.len();
                self.judge_length()?;
                return Ok(None);
            };
            let end = self.searched + found;
            let line = input.get(self.line..end).unwrap_or_default();
            self.line = end + 1;
            self.searched = self.line;
            self.judge_length()?;
            let line = line.strip_suffix(b"\r").ok_or(Refusal::LineEnd)?;
            if let Some(framing) = self.judge(line)? {
                let version = Stage::Fields {
                    version: Version::Http11,
                };
                let upgrade = self.upgrade == Upgrade::Known && self.upgrades && self.stage == version;
                if upgrade && framing != Framing::Length(0) {
                    return Err(Refusal::UpgradeBody);
                }
                let closes = match self.connection {
                    Connection::None => self.stage != version,
                    Connection::Close => true,
                    Connection::Other => false,
                };
                return Ok(Some(Head {
                    length: self.line,
                    framing,
                    upgrade,
                    last: closes && framing == Framing::Length(0),
                }));
            }
        }
    }

    /// A request line's first byte says enough to refuse another protocol's greeting before any line end.
    fn judge_first(&self, input: &[u8]) -> Result<(), Refusal> {
        let first = input.get(self.line).filter(|_| self.stage == Stage::RequestLine);
        match first {
            Some(b'\r' | b'\n') | None => Ok(()),
            Some(&byte) if is_token(byte) => Ok(()),
            Some(_) => Err(Refusal::Method),
        }
    }

    fn judge_length(&self) -> Result<(), Refusal> {
        match self.stage {
            Stage::RequestLine if self.searched > MAX_TARGET + 64 => Err(Refusal::TargetTooLong),
            Stage::RequestLine | Stage::Fields { .. } if self.searched > MAX_HEAD => {
                Err(Refusal::HeadTooLarge)
            }
            Stage::RequestLine | Stage::Fields { .. } => Ok(()),
        }
    }

    fn judge(&mut self, line: &[u8]) -> Result<Option<Framing>, Refusal> {
        match self.stage {
            Stage::RequestLine if line.is_empty() => {
                self.empty_lines += 1;
                if self.empty_lines > MAX_EMPTY_LINES {
                    return Err(Refusal::EmptyLines);
                }
                Ok(None)
            }
            Stage::RequestLine => {
                let version = request_line(line)?;
                self.stage = Stage::Fields { version };
                Ok(None)
            }
            Stage::Fields { version } if line.is_empty() => self.finish(version).map(Some),
            Stage::Fields { .. } => self.field(line).map(|()| None),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Refusal::TooManyFields);
        }
        // A folded line begins with white space, which is no token either.
        let colon = line.iter().position(|&byte| !is_token(byte));
        let Some((name, [b':', value @ ..])) = colon.map(|colon| line.split_at(colon)) else {
            return Err(Refusal::FieldName);
        };
        if name.is_empty() {
            return Err(Refusal::FieldName);
        }
        let value = trim(value);
        if !all_field(value) {
            return Err(Refusal::FieldValue);
        }
        if value.len() > MAX_VALUE {
            return Err(Refusal::HeadTooLarge);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let seen = std::mem::replace(&mut self.host, true);
                return if seen { Err(Refusal::Host) } else { Ok(()) };
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = match self.upgrade {
                    Upgrade::None if is_known_upgrade(value) => Upgrade::Known,
                    Upgrade::None | Upgrade::Known | Upgrade::Other => Upgrade::Other,
                };
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection = match self.connection {
                    Connection::None if value.eq_ignore_ascii_case(b"close") => Connection::Close,
                    Connection::None | Connection::Close | Connection::Other => Connection::Other,
                };
                let mut names = value.split(|&byte| byte == b',');
                self.upgrades |= names.any(|name| trim(name).eq_ignore_ascii_case(b"upgrade"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = plain_number(value).ok_or(Refusal::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Refusal::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, version: Version) -> Result<Framing, Refusal> {
        if version == Version::Http11 && !self.host {
            return Err(Refusal::Host);
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::TwoLengths),
            // RFC 9112 section 6.1: faulty framing, "even if Content-Length is present".
            (true, None) if version == Version::Http10 => Err(Refusal::TransferEncoding),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Protocols that are passed on: WebSocket (RFC 6455), and what `kubectl exec` and its like speak.
fn is_known_upgrade(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"websocket") || protocol.eq_ignore_ascii_case(b"spdy/3.1")
}

fn request_line(line: &[u8]) -> Result<Version, Refusal> {
    let method_end = memchr::memchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let (method, rest) = line.split_at(method_end);
    let rest = rest.get(1..).unwrap_or_default();
    let target_end = memchr::memchr(b' ', rest).ok_or(Refusal::RequestLine)?;
    let (target, version) = rest.split_at(target_end);
    if method.is_empty() || target.is_empty() {
        return Err(Refusal::RequestLine);
    }
    if !method.iter().all(|&byte| is_method(byte)) {
        return Err(Refusal::Method);
    }
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::RequestLine),
    };
    if method == b"CONNECT" {
        return Err(Refusal::Connect);
    }
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    judge_target(target).map(|()| version)
}

fn judge_target(target: &[u8]) -> Result<(), Refusal> {
    let is_url = |scheme: &[u8]| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if !target.starts_with(b"/") && !is_url(b"http://") && !is_url(b"https://") {
        return Err(Refusal::Target);
    }
    judge_path_and_query(target)
}

/// Whether only such bytes are in it as may be.
pub(super) fn judge_path_and_query(target: &[u8]) -> Result<(), Refusal> {
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(query);
    if path.iter().all(|&byte| is_path(byte)) && query.iter().all(|&byte| is_query(byte)) {
        Ok(())
    } else {
        Err(Refusal::Target)
    }
}

/// A number as we would write it ourselves: no sign, no leading zero. So what is passed on is what was judged.
pub(super) fn plain_number(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}
