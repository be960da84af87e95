//! Which hosts a connection may ask for: those that the certificate it was shown does not keep apart.
//!
//! A client may use one connection for every name that its certificate covers (RFC 9113 section 9.1.1). Where
//! another namespace has a certificate for the host that is asked for, that certificate, and with it whatever
//! its owner asks of those who connect, was never shown: 421 (RFC 9110 section 15.5.20), and the client comes
//! back by a connection of its own. Who names no server, or one without a certificate, was shown the default
//! certificate, which is nobody's: he is served.

use std::sync::Arc;

use super::{Certificates, find};
use crate::proxy::authority::{HostName, SCRATCH};

/// What a connection came over.
#[derive(Debug)]
pub(in crate::proxy) enum Security {
    /// As it is.
    Plain,
    /// TLS. `None`: the default certificate was shown.
    Tls(Option<Shown>),
}

impl Security {
    pub(in crate::proxy) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether requests for a host may come by this connection, where these are the listener's certificates.
    pub(in crate::proxy) fn admits(&self, host: HostName<'_>, certificates: Option<&Certificates>) -> bool {
        let (Self::Tls(Some(shown)), Some(certificates)) = (self, certificates) else {
            return true;
        };
        *shown.name == *host.as_str()
            || find(certificates, host).is_none_or(|identity| identity.namespace == shown.namespace)
    }
}

/// A certificate that was shown to a client.
#[derive(Debug)]
pub(in crate::proxy) struct Shown {
    /// The server name the client sent, in lower case.
    name: Box<str>,
    /// Of the Secret.
    namespace: Arc<str>,
}

impl Shown {
    /// To a client that sent this server name; `None`: the default certificate.
    pub(in crate::proxy) fn to(server_name: Option<&str>, certificates: &Certificates) -> Option<Self> {
        let mut scratch = SCRATCH;
        let name = HostName::new(server_name?, &mut scratch).ok()?;
        let identity = find(certificates, name)?;
        Some(Self {
            name: name.as_str().into(),
            namespace: Arc::clone(&identity.namespace),
        })
    }
}
