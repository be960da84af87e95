//! One message of HTTP/1.1, as clients and pods of the ledger read it: its length is told, nothing is chunked.

use std::io::{self, Read};

/// A request or an answer.
#[derive(Debug)]
pub(super) struct Message {
    /// All lines, as they came.
    head: String,
    /// An answer's; 0 if it has none.
    pub(super) status: u16,
    /// Whether the connection ends with it.
    pub(super) closes: bool,
    pub(super) body: String,
}

/// How far a message came that did not come whole.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its head is not whole.
    InHead(io::Error),
    /// Its body is not.
    InBody(io::Error),
}

impl Message {
    /// Reads the next message; what comes after it stays in `unread`.
    pub(super) fn read(stream: &mut impl Read, unread: &mut Vec<u8>) -> Result<Self, Broken> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(unread, b"\r\n\r\n") {
                break at + 4;
            }
            more(stream, unread).map_err(Broken::InHead)?;
        };
        let body = unread.split_off(end);
        let head = std::mem::replace(unread, body);
        let mut message = Self {
            head: String::from_utf8_lossy(&head).into_owned(),
            ..Self::answer(0, String::new())
        };
        let status = message.head.split(' ').nth(1);
        message.status = status.and_then(|status| status.parse().ok()).unwrap_or(0);
        let connection = message.field("connection");
        message.closes = connection.is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let length = message.field("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        while unread.len() < length {
            more(stream, unread).map_err(Broken::InBody)?;
        }
        let rest = unread.split_off(length);
        let body = std::mem::replace(unread, rest);
        message.body = String::from_utf8_lossy(&body).into_owned();
        Ok(message)
    }

    /// An answer that was read by other means.
    pub(super) fn answer(status: u16, body: String) -> Self {
        Self {
            head: String::new(),
            status,
            closes: false,
            body,
        }
    }

    /// A request's target.
    pub(super) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a field; its name is in lower case.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

fn more(stream: &mut impl Read, unread: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            unread.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}
