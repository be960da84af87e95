//! TLS towards clients: which certificate is shown, and what is spoken.
//!
//! TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1 by ALPN, no early data. The tickets of all workers have one key, since a client
//! that comes back may meet another worker; rustls itself refuses a ticket under another server name. A
//! connection is good for the hosts of the namespace whose certificate it was shown. A name whose certificate has
//! lost its key is shown no certificate at all.

mod fallback;
mod handshake;
mod shown;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::authority::{HostName, SCRATCH};
use super::router;
use super::table::{Places, Table};
use crate::model::{Certificate, HostMap, PrivateKey};

pub use fallback::FallbackError;
pub(super) use handshake::shake_hands;
pub(super) use shown::{Security, Shown};

/// HTTP/2's name in ALPN.
pub(super) const H2: &[u8] = b"h2";

/// Certificates by server name; `None`: one that cannot sign.
pub(super) type Certificates = HostMap<Option<Arc<Identity>>>;

/// A certificate with its key, and whose it is.
#[derive(Debug)]
pub(super) struct Identity {
    /// `None`: it is gone, and handshakes are refused.
    key: Option<Arc<CertifiedKey>>,
    /// Of the Secret.
    namespace: Arc<str>,
}

/// What all handshakes of the process share.
#[derive(Debug)]
pub(super) struct Tls {
    tickets: Arc<dyn ProducesTickets>,
    fallback: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

/// The handshakes of a table, by VIP.
pub(super) type Handshakes = Places<Arc<ServerConfig>>;

impl Tls {
    /// Makes the default certificate and the ticket key.
    pub(super) fn new() -> Result<Self, FallbackError> {
        Ok(Self {
            tickets: aws_lc_rs::Ticketer::new().map_err(FallbackError::Tickets)?,
            fallback: fallback::certified_key()?,
            provider: Arc::new(provider()),
        })
    }

    /// The handshake of every TLS listener of `table`.
    pub(super) fn handshakes(&self, table: &Table) -> Result<Handshakes, rustls::Error> {
        let listeners = table.listeners();
        listeners
            .filter_map(|(address, listener)| Some((address, listener.certificates.as_ref()?)))
            .map(|(address, certificates)| Ok((address, Arc::new(self.config(certificates)?))))
            .collect()
    }

    fn config(&self, certificates: &Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Chooser {
                certificates: Arc::clone(certificates),
                fallback: Arc::clone(&self.fallback),
            }));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&self.tickets);
        // One is what a client of HTTP/1.1 uses; each costs bytes and an encryption per handshake.
        config.send_tls13_tickets = 1;
        Ok(config)
    }
}

/// aws-lc with our order of cipher suites: AES-128 with SHA-256 first. OpenSSL's clients put AES-256 with
/// SHA-384 first, and the latter, for which processors have no instructions, was a sixth of a handshake's time.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let is_later = |suite: &SupportedCipherSuite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    provider.cipher_suites.sort_by_key(is_later);
    provider
}

/// Picks a site's certificate by server name.
#[derive(Debug)]
struct Chooser {
    certificates: Arc<Certificates>,
    fallback: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut scratch = SCRATCH;
        let name = hello
            .server_name()
            .and_then(|name| HostName::new(name, &mut scratch).ok());
        match name.and_then(|name| find(&self.certificates, name)) {
            Some(identity) => identity.key.clone(),
            None => Some(Arc::clone(&self.fallback)),
        }
    }
}

/// Whether the handshake of a client that asks for this name is refused: its certificate has lost its key.
pub(super) fn is_refused(certificates: &Certificates, server_name: &str) -> bool {
    let mut scratch = SCRATCH;
    let name = HostName::new(server_name, &mut scratch).ok();
    let shown = name.and_then(|name| find(certificates, name));
    shown.is_some_and(|identity| identity.key.is_none())
}

/// What a server name is shown; `None`: the default certificate.
fn find<'a>(certificates: &'a Certificates, name: HostName<'_>) -> Option<&'a Arc<Identity>> {
    let (_, identity) = router::find(certificates, Some(name))?;
    identity.as_ref()
}

/// The pair as rustls signs with it. The model has checked it; should rustls refuse it all the same, that is
/// logged, `None`, and the default certificate is shown.
pub(super) fn identity(certificate: &Certificate) -> Option<Arc<Identity>> {
    let identity = |key| {
        Arc::new(Identity {
            key,
            namespace: Arc::clone(&certificate.origin.namespace),
        })
    };
    let key = match &certificate.key {
        PrivateKey::Gone => return Some(identity(None)),
        PrivateKey::Pkcs1(der) => PrivateKeyDer::from(PrivatePkcs1KeyDer::from(der.clone())),
        PrivateKey::Sec1(der) => PrivateSec1KeyDer::from(der.clone()).into(),
        PrivateKey::Pkcs8(der) => PrivatePkcs8KeyDer::from(der.clone()).into(),
    };
    let chain = certificate
        .chain
        .iter()
        .cloned()
        .map(CertificateDer::from)
        .collect();
    match aws_lc_rs::default_provider().key_provider.load_private_key(key) {
        Ok(key) => Some(identity(Some(Arc::new(CertifiedKey::new(chain, key))))),
        Err(error) => {
            tracing::error!(
                origin = %certificate.origin,
                %error,
                "this key cannot sign: the default certificate is shown instead"
            );
            None
        }
    }
}
