//! The envelope of a file: what it is, of which format and cluster, and whether it is whole.
//!
//! ```text
//! magic 8 | version u32 | identity 32 | SHA-256 of all that stands here and of the payload 32 | payload
//! ```
//! Numbers are little-endian.

use sha2::{Digest, Sha256};

use crate::source::kube::client::Identity;

/// The format of all payloads. Raised with every change of what is written; an agent reads its own only, since
/// the API server has the rest.
const VERSION: u32 = 4;
const DIGEST: usize = 32;

/// Which file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Magic {
    Snapshot,
    Keys,
    Config,
}

impl Magic {
    /// The last two tell a file that passed through a text conversion.
    const fn bytes(self) -> [u8; 8] {
        match self {
            Self::Snapshot => *b"IAsnap\r\n",
            Self::Keys => *b"IAkeys\r\n",
            Self::Config => *b"IAconf\r\n",
        }
    }
}

/// Why a file is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsound {
    /// It is none of ours.
    #[error("it is no such file")]
    Magic,
    /// It is an older or a newer agent's.
    #[error("it is of format {0}, and this agent's is {VERSION}")]
    Version(u32),
    /// It was cut, or some of its bits are others.
    #[error("it is damaged: the checksum is another")]
    Checksum,
    /// It is of another cluster, or of other namespaces of it.
    #[error("it is of another API server, or of other namespaces")]
    Identity,
    /// It is whole and cannot be read all the same.
    #[error("it holds what cannot be read")]
    Contents,
}

/// Puts a payload into its envelope.
pub(super) fn seal(magic: Magic, identity: &Identity, payload: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(8 + 4 + 2 * DIGEST + payload.len());
    file.extend(magic.bytes());
    file.extend(VERSION.to_le_bytes());
    file.extend(identity.0);
    let checksum = checksum(&file, payload);
    file.extend(checksum);
    file.extend(payload);
    file
}

/// Takes a payload out, if it may be used.
pub(super) fn open<'a>(magic: Magic, identity: &Identity, file: &'a [u8]) -> Result<&'a [u8], Unsound> {
    let (own, rest) = file.split_first_chunk().ok_or(Unsound::Magic)?;
    if *own != magic.bytes() {
        return Err(Unsound::Magic);
    }
    let (version, rest) = rest.split_first_chunk().ok_or(Unsound::Checksum)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Unsound::Version(version));
    }
    let (whose, rest) = rest.split_first_chunk::<DIGEST>().ok_or(Unsound::Checksum)?;
    let (sum, payload) = rest.split_first_chunk::<DIGEST>().ok_or(Unsound::Checksum)?;
    let head = file.len() - rest.len();
    let head = file.get(..head).ok_or(Unsound::Checksum)?;
    if checksum(head, payload) != *sum {
        return Err(Unsound::Checksum);
    }
    if *whose != identity.0 {
        return Err(Unsound::Identity);
    }
    Ok(payload)
}

fn checksum(head: &[u8], payload: &[u8]) -> [u8; DIGEST] {
    Sha256::new()
        .chain_update(head)
        .chain_update(payload)
        .finalize()
        .into()
}
