//! The PROXY protocol's header: a balancer's word on who the client is.
//!
//! In: the first bytes of a connection from a balancer that was named in advance. Out: both ends as the client
//! sees them. Pure but for [`read`], which takes exactly the header's bytes from the stream and never one more.
//! Source: `proxy-protocol.txt` of HAProxy, revision 2020/03/05, sections 2.1 (version 1) and 2.2 (version 2).

mod v1;
mod v2;

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Preamble {
    /// The balancer speaks for itself, as its health checks do, or knows no address: the socket's ends count.
    Local,
    /// It speaks for a client.
    Proxied {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// Why a connection's beginning is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum PreambleError {
    #[error("it does not begin with a PROXY protocol header, which --proxy-protocol-from asks of this peer")]
    Absent,
    #[error("its PROXY protocol header is malformed: {0}")]
    Malformed(&'static str),
    #[error("reading its PROXY protocol header: {0}")]
    Read(#[from] std::io::Error),
}

/// How far a header has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// At least this many more bytes belong to it.
    Wants(usize),
    /// It has ended with the last byte given.
    Done(Preamble),
}

/// Reads a header and nothing of what follows it.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Preamble, PreambleError> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes)? {
            Step::Done(preamble) => return Ok(preamble),
            Step::Wants(more) => {
                let known = bytes.len();
                bytes.resize(known + more, 0);
                let free = bytes.get_mut(known..).unwrap_or_default();
                let count = stream.read(free).await?;
                if count == 0 {
                    return Err(PreambleError::Read(std::io::ErrorKind::UnexpectedEof.into()));
                }
                bytes.truncate(known + count);
            }
        }
    }
}

/// Judges a beginning. Both versions' shortest headers are longer than version 2's signature of 12 bytes.
fn parse(bytes: &[u8]) -> Result<Step, PreambleError> {
    let begins = |with: &[u8]| bytes.starts_with(with) || with.starts_with(bytes);
    if !begins(v1::SIGNATURE) && !begins(v2::SIGNATURE) {
        return Err(PreambleError::Absent);
    }
    if bytes.len() < v2::SIGNATURE.len() {
        return Ok(Step::Wants(v2::SIGNATURE.len() - bytes.len()));
    }
    if bytes.starts_with(v2::SIGNATURE) {
        v2::parse(bytes)
    } else {
        v1::parse(bytes)
    }
}

#[cfg(test)]
mod tests;
