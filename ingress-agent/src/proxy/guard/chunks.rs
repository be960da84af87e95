//! A chunked body (RFC 9112 section 7.1), followed byte by byte, data skipped; a client's, and a pod's.
//!
//! Stricter than the RFC in one place: white space before `;` is refused, as it has hidden requests before.

use super::refusal::Refusal;
use super::syntax::{is_field, is_token};

/// Extensions and trailers of one body, in bytes. Neither is passed on.
const MAX_OVERHEAD: u32 = 8 * 1024;
/// Hexadecimal digits that fill a `u64`.
const MAX_DIGITS: u8 = 16;

/// Where in the body the next byte stands.
#[derive(Debug)]
pub(in crate::proxy) struct Chunks {
    at: At,
    overhead: u32,
}

/// A part of a chunked body, up to the end of some data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) struct Piece {
    /// Bytes of framing.
    pub(in crate::proxy) before: usize,
    /// Bytes of data after them; 0: there are none yet.
    pub(in crate::proxy) data: usize,
    /// Whether the body has ended.
    pub(in crate::proxy) ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
}

const SIZE: At = At::Size { digits: 0, size: 0 };

impl Chunks {
    pub(in crate::proxy) fn new() -> Self {
        Self {
            at: SIZE,
            overhead: 0,
        }
    }

    /// Follows `input`; returns the bytes that belong to the body, and whether it ended with them.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let Piece { before, data, ended } = self.piece(rest)?;
            taken += before + data;
            if ended {
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }

    /// Follows `input` to the end of the next data in it, or to its own.
    pub(in crate::proxy) fn piece(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        let mut before = 0;
        while let Some(&byte) = input.get(before) {
            if let At::Data { left } = self.at {
                let here = u64::try_from(input.len() - before).unwrap_or(u64::MAX).min(left);
                self.at = match left - here {
                    0 => At::DataCr,
                    left => At::Data { left },
                };
                let data = usize::try_from(here).unwrap_or(usize::MAX);
                return Ok(Piece {
                    before,
                    data,
                    ended: false,
                });
            }
            before += 1;
            match self.step(byte)? {
                Some(next) => self.at = next,
                None => {
                    return Ok(Piece {
                        before,
                        data: 0,
                        ended: true,
                    });
                }
            }
        }
        Ok(Piece {
            before,
            data: 0,
            ended: false,
        })
    }

    /// What comes after `byte`; `None`: the body has ended.
    fn step(&mut self, byte: u8) -> Result<Option<At>, Refusal> {
        let next = match (self.at, byte) {
            (At::Size { digits: 1.., size }, b'\r') => At::SizeEnd { size },
            (At::Size { digits: 1.., size }, b';') => At::Extension { size },
            (At::Size { digits, size }, _) if digits < MAX_DIGITS => At::Size {
                digits: digits + 1,
                size: size << 4 | hex(byte).ok_or(Refusal::Chunk)?,
            },
            (At::Extension { size }, b'\r') => At::SizeEnd { size },
            (At::Extension { size }, _) if is_field(byte) => self.spend(At::Extension { size })?,
            (At::SizeEnd { size: 0 }, b'\n') => At::TrailerStart,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => SIZE,
            (At::TrailerStart, b'\r') => At::End,
            (At::TrailerStart, _) if is_token(byte) => self.spend(At::TrailerName)?,
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerName, _) if is_token(byte) => self.spend(At::TrailerName)?,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, _) if is_field(byte) => self.spend(At::TrailerValue)?,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::End, b'\n') => return Ok(None),
            (At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerEnd | At::End, _) => {
                return Err(Refusal::Trailer);
            }
            (
                At::Size { .. }
                | At::Extension { .. }
                | At::SizeEnd { .. }
                | At::Data { .. }
                | At::DataCr
                | At::DataLf,
                _,
            ) => return Err(Refusal::Chunk),
        };
        Ok(Some(next))
    }

    fn spend(&mut self, next: At) -> Result<At, Refusal> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD {
            return Err(Refusal::ChunkOverhead);
        }
        Ok(next)
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
