//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Preamble, PreambleError, Step};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// With its end; section 2.1.
const LONGEST: usize = 107;
/// `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;

/// Judges a beginning of at least 12 bytes that starts with the signature.
pub(super) fn parse(bytes: &[u8]) -> Result<Step, PreambleError> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        if bytes.len() >= LONGEST {
            return Err(PreambleError::Malformed("no end of the line within 107 bytes"));
        }
        // Read byte by byte from there on, so that nothing beyond the line is taken.
        return Ok(Step::Wants(SHORTEST.saturating_sub(bytes.len()).max(1)));
    };
    let line = std::str::from_utf8(line).map_err(|_| PreambleError::Malformed("not text"))?;
    let mut words = line.split(' ').skip(1);
    let preamble = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Ok(Step::Done(Preamble::Local)),
        Some("TCP4") => proxied::<Ipv4Addr>(&mut words),
        Some("TCP6") => proxied::<Ipv6Addr>(&mut words),
        _ => {
            return Err(PreambleError::Malformed(
                "the family is none of TCP4, TCP6 and UNKNOWN",
            ));
        }
    };
    match (preamble, words.next()) {
        (Some(preamble), None) => Ok(Step::Done(preamble)),
        _ => Err(PreambleError::Malformed(
            "not two addresses of the family and two ports",
        )),
    }
}

fn proxied<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Option<Preamble>
where
    A: FromStr + Into<IpAddr>,
{
    let mut address = || Some(words.next()?.parse::<A>().ok()?.into());
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let is_plain =
            word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse().ok().filter(|_| is_plain)
    };
    let (source_port, destination_port) = (port()?, port()?);
    Some(Preamble::Proxied {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}
