//! Which certificates a load takes: those of a CA, and at a time only those that a host may show then.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;

/// What a host may show, by host. One that is not there may show whatever the CA has signed for it.
pub(super) type Shown = HashMap<String, Vec<Vec<u8>>>;

/// A client's side of TLS: HTTP/1.1 by ALPN, the server name is the host.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(super) config: Arc<ClientConfig>,
    shown: RwLock<Arc<Shown>>,
}

impl Trust {
    /// Trusts one CA, speaks TLS 1.3 and 1.2. `resume`: sessions are resumed, by tickets.
    pub(crate) fn in_ca(ca: &CertificateDer<'static>, resume: bool) -> Arc<Self> {
        Self::speaking(rustls::ALL_VERSIONS, ca, resume)
    }

    /// As [`Trust::in_ca`], in these versions.
    pub(crate) fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        ca: &CertificateDer<'static>,
        resume: bool,
    ) -> Arc<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Arc::new(Self {
            config: Arc::new(config),
            shown: RwLock::default(),
        })
    }

    /// What `host` may show from now on, as DER.
    pub(crate) fn expect(&self, host: &str, certificates: &[&[u8]]) {
        let mut shown = Shown::clone(&self.shown());
        let certificates = certificates.iter().map(|der| der.to_vec()).collect();
        shown.insert(host.to_owned(), certificates);
        *self.shown.write().unwrap() = Arc::new(shown);
    }

    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.read().unwrap())
    }

    /// Whether the certificate of a handshake that began with `before` is one that may be shown.
    pub(super) fn permits(&self, before: &Shown, host: &str, connection: &ClientConnection) -> bool {
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            return true;
        }
        let seen = connection.peer_certificates().and_then(<[_]>::first);
        let fits = |shown: &Shown| {
            shown
                .get(host)
                .is_none_or(|may| seen.is_some_and(|seen| may.iter().any(|der| der[..] == **seen)))
        };
        fits(before) || fits(&self.shown())
    }
}
