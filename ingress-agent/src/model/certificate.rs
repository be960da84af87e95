//! A key pair that was parsed and whose halves were checked against each other.

use std::fmt;

use super::ObjectRef;

/// A certificate chain with its private key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// DER, the end entity's first. Never empty.
    pub chain: Vec<Vec<u8>>,
    /// Belongs to the first of `chain`.
    pub key: PrivateKey,
    /// The Secret it comes from.
    pub origin: ObjectRef,
}

/// A private key in DER, by its encoding.
#[derive(Clone, Eq, PartialEq)]
pub enum PrivateKey {
    /// PKCS #1 (RFC 8017).
    Pkcs1(Vec<u8>),
    /// SEC 1 (RFC 5915).
    Sec1(Vec<u8>),
    /// PKCS #8 (RFC 5958).
    Pkcs8(Vec<u8>),
    /// It did not outlive a restart of the agent, and the API server has not been asked yet: handshakes for the
    /// certificate's hosts are refused, since no other certificate may take its place.
    Gone,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
