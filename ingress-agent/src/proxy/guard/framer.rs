//! Follows a connection's requests: which bytes may be passed on, and where each message ends.
//!
//! Bytes in, a judgement out; no IO and no clock. A head is passed only when it was judged whole; a body as it
//! comes.

use super::chunks::Chunks;
use super::head::{Framing, Scan};
use super::refusal::Refusal;

/// The state of one connection's request stream.
#[derive(Debug)]
pub(super) struct Framer {
    at: At,
}

#[derive(Debug)]
enum At {
    Head(Scan),
    Body {
        left: u64,
    },
    Chunked(Chunks),
    /// After a head that offers another protocol: what follows is nobody's until the answer says whose.
    Switching,
}

/// What [`Framer::follow`] found.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Judgement {
    /// How many bytes from the start of the input may be passed on.
    pub(super) pass: usize,
    /// How many heads end within them.
    pub(super) heads: u64,
    /// Whether the last of these is the connection's last, with nothing to come of its request.
    pub(super) last: bool,
    /// What is wrong with the bytes after them. Nothing may be passed on any more.
    pub(super) refusal: Option<Refusal>,
}

impl Framer {
    pub(super) fn new() -> Self {
        Self {
            at: At::Head(Scan::default()),
        }
    }

    /// Whether the next byte belongs to a body.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.at, At::Body { .. } | At::Chunked(_))
    }

    /// Whether the last head offered another protocol.
    pub(super) fn is_switching(&self) -> bool {
        matches!(self.at, At::Switching)
    }

    /// Judges `input`: the bytes that were not passed last time, then what has come since.
    pub(super) fn follow(&mut self, input: &[u8]) -> Judgement {
        let mut judgement = Judgement::default();
        while let Some(rest @ [_, ..]) = input.get(judgement.pass..) {
            match self.step(rest, &mut judgement) {
                Ok(true) => {}
                Ok(false) => break,
                Err(refusal) => {
                    judgement.refusal = Some(refusal);
                    break;
                }
            }
        }
        judgement
    }

    /// Judges up to the end of the current part of a message; `false`: it needs more bytes.
    fn step(&mut self, rest: &[u8], judgement: &mut Judgement) -> Result<bool, Refusal> {
        let next = match &mut self.at {
            At::Head(scan) => {
                let Some(head) = scan.advance(rest)? else {
                    return Ok(false);
                };
                judgement.pass += head.length;
                judgement.heads += 1;
                judgement.last = head.last;
                match head.framing {
                    Framing::Length(0) if head.upgrade => At::Switching,
                    Framing::Length(0) => At::Head(Scan::default()),
                    Framing::Length(left) => At::Body { left },
                    Framing::Chunked => At::Chunked(Chunks::new()),
                }
            }
            At::Switching => return Ok(false),
            At::Body { left } => {
                let here = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(*left);
                judgement.pass += usize::try_from(here).unwrap_or(usize::MAX);
                *left -= here;
                if *left > 0 {
                    return Ok(true);
                }
                At::Head(Scan::default())
            }
            At::Chunked(chunks) => {
                let (taken, ended) = chunks.advance(rest)?;
                judgement.pass += taken;
                if !ended {
                    return Ok(true);
                }
                At::Head(Scan::default())
            }
        };
        self.at = next;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
