//! A client of HTTP/2 that writes frames as it is told, also those that no library would.

use std::io::{Read, Write};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let code = match self.kind {
            RST_STREAM => &self.payload[..4],
            GOAWAY => &self.payload[4..8],
            kind => panic!("a frame of type {kind} has no error code"),
        };
        u32::from_be_bytes(code.try_into().unwrap())
    }

    /// The status of an answer's HEADERS, as far as the static table has it (RFC 7541 appendix A).
    pub(crate) fn status(&self) -> u16 {
        // The field may come after a change of the dynamic table's size.
        let field = self.payload.iter().find(|&&byte| byte >> 5 != 1);
        match field {
            Some(0x88) => 200,
            Some(0x8c) => 400,
            Some(0x8d) => 404,
            Some(0x8e) => 500,
            _ => 0,
        }
    }
}

/// A connection whose preface was sent.
pub(crate) struct Frames<S> {
    stream: S,
}

impl<S: Read + Write> Frames<S> {
    pub(crate) fn over(mut stream: S) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut frames = Self { stream };
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Whether the proxy still reads.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.send_many(kind, flags, stream, payload, 1)
    }

    /// The same frame so often, in one write.
    pub(crate) fn send_many(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        count: usize,
    ) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame.repeat(count)).is_ok()
    }

    /// These bytes, which may be a part of a frame.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits for the end of the connection, or of the client's patience, and answers nothing meanwhile.
    pub(crate) fn wait_for_end(&mut self) {
        // Whoever does not take leave ends by an error.
        _ = self.stream.read_to_end(&mut Vec::new());
    }

    /// What it is written to.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// A request without a body, its fields in this order.
    pub(crate) fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
    }

    /// The next frame but for acknowledgements and window updates. `None`: the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).ok()?;
            match kind {
                SETTINGS if flags & ACK == 0 => _ = self.send(SETTINGS, ACK, 0, &[]),
                DATA | HEADERS | RST_STREAM | GOAWAY => {
                    return Some(Frame {
                        kind,
                        flags,
                        stream: u32::from_be_bytes(stream),
                        payload,
                    });
                }
                _ => {}
            }
        }
    }

    /// The next frame on `stream`, or the connection's GOAWAY or end.
    pub(crate) fn next_on(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.stream == stream || frame.kind == GOAWAY {
                return Some(frame);
            }
        }
    }
}

/// A header block: every field as a literal, nothing indexed, nothing Huffman-coded.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer of HPACK with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        block.push(u8::try_from(value).unwrap());
        return;
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The fields of a request for `/` at `a.test`.
pub(crate) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/"),
    (":authority", "a.test"),
];
