//! The body of a pod's answer, out of its framing.

use bytes::{Buf, Bytes, BytesMut};

use super::answer::{Length, Malformed};
use crate::proxy::guard::chunks::Chunks;

/// What is to come of a body.
#[derive(Debug)]
pub(super) enum Decoder {
    /// So many bytes.
    Length(u64),
    Chunks(Chunks),
    UntilClose,
}

impl Decoder {
    pub(super) const DONE: Self = Self::Length(0);

    pub(super) fn new(length: Length) -> Self {
        match length {
            Length::Known(length) => Self::Length(length),
            Length::Chunked => Self::Chunks(Chunks::new()),
            Length::UntilClose => Self::UntilClose,
        }
    }

    /// Whether nothing is to come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// The bytes that are to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunks(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece from what has come; `None`: it is not there, or the body has ended.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        let count = match self {
            Self::Length(left) => {
                let here = u64::try_from(input.len()).unwrap_or(u64::MAX).min(*left);
                *left -= here;
                usize::try_from(here).unwrap_or(usize::MAX)
            }
            Self::Chunks(chunks) => {
                let piece = chunks.piece(input)?;
                input.advance(piece.before);
                if piece.ended {
                    *self = Self::DONE;
                }
                piece.data
            }
            Self::UntilClose => input.len(),
        };
        Ok(match count {
            0 => None,
            // Nothing else shares the buffer then.
            all if all == input.len() => Some(std::mem::take(input).freeze()),
            some => Some(input.split_to(some).freeze()),
        })
    }

    /// The pod has closed the connection; whether the body may end so.
    pub(super) fn close(&mut self) -> bool {
        let may_end = matches!(self, Self::UntilClose) || self.is_done();
        if may_end {
            *self = Self::DONE;
        }
        may_end
    }
}
