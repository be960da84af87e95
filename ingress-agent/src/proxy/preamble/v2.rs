//! Version 2: binary.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Preamble, PreambleError, Step};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const HEAD: usize = 16;
/// Addresses and TLVs; far above what balancers send.
const LONGEST: usize = 4096;

const VERSION: u8 = 0x20;
const LOCAL: u8 = 0x0;
const PROXY: u8 = 0x1;
const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Judges a beginning that starts with the signature.
pub(super) fn parse(bytes: &[u8]) -> Result<Step, PreambleError> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(Step::Wants(HEAD - bytes.len()));
    };
    let [.., command, family, high, low] = *head;
    if command & 0xf0 != VERSION {
        return Err(PreambleError::Malformed("the version is not 2"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(PreambleError::Malformed("longer than 4096 bytes"));
    }
    if rest.len() < length {
        return Ok(Step::Wants(length - rest.len()));
    }
    let preamble = match (command & 0x0f, family) {
        // A receiver must ignore its addresses.
        (LOCAL, _) => return Ok(Step::Done(Preamble::Local)),
        (PROXY, UNSPEC) => Some((Preamble::Local, rest)),
        (PROXY, TCP4) => tcp4(rest),
        (PROXY, TCP6) => tcp6(rest),
        (PROXY, _) => {
            return Err(PreambleError::Malformed(
                "the family is neither TCP4, TCP6 nor unspecified",
            ));
        }
        (_, _) => return Err(PreambleError::Malformed("the command is neither LOCAL nor PROXY")),
    };
    let (preamble, fields) =
        preamble.ok_or(PreambleError::Malformed("too short for the family's addresses"))?;
    // Nothing is said of what follows addresses that are not specified.
    if preamble == Preamble::Local || are_whole(fields) {
        Ok(Step::Done(preamble))
    } else {
        Err(PreambleError::Malformed("a TLV reaches beyond the header"))
    }
}

fn tcp4(bytes: &[u8]) -> Option<(Preamble, &[u8])> {
    let (source, bytes) = bytes.split_first_chunk::<4>()?;
    let (destination, bytes) = bytes.split_first_chunk::<4>()?;
    let (source_port, destination_port, rest) = ports(bytes)?;
    let preamble = Preamble::Proxied {
        source: SocketAddr::new(Ipv4Addr::from(*source).into(), source_port),
        destination: SocketAddr::new(Ipv4Addr::from(*destination).into(), destination_port),
    };
    Some((preamble, rest))
}

fn tcp6(bytes: &[u8]) -> Option<(Preamble, &[u8])> {
    let (source, bytes) = bytes.split_first_chunk::<16>()?;
    let (destination, bytes) = bytes.split_first_chunk::<16>()?;
    let (source_port, destination_port, rest) = ports(bytes)?;
    let preamble = Preamble::Proxied {
        source: SocketAddr::new(Ipv6Addr::from(*source).into(), source_port),
        destination: SocketAddr::new(Ipv6Addr::from(*destination).into(), destination_port),
    };
    Some((preamble, rest))
}

fn ports(bytes: &[u8]) -> Option<(u16, u16, &[u8])> {
    let (source, bytes) = bytes.split_first_chunk()?;
    let (destination, rest) = bytes.split_first_chunk()?;
    Some((
        u16::from_be_bytes(*source),
        u16::from_be_bytes(*destination),
        rest,
    ))
}

/// Whether TLVs (type, 16-bit length, value) fill the bytes exactly. None of them is used.
fn are_whole(mut fields: &[u8]) -> bool {
    while let Some(([_, high, low], rest)) = fields.split_first_chunk::<3>() {
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else {
            return false;
        };
        fields = rest;
    }
    fields.is_empty()
}
