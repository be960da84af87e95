//! A client of TLS that accepts any certificate and remembers it.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::bed::Bed;
use super::raw::Raw;

/// Accepts any certificate and remembers it; signatures are checked.
#[derive(Debug)]
struct Remember(Mutex<Vec<u8>>, CryptoProvider);

impl ServerCertVerifier for Remember {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) struct Client {
    pub(crate) config: Arc<ClientConfig>,
    seen: Arc<Remember>,
}

impl Client {
    pub(crate) fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let provider = aws_lc_rs::default_provider();
        let seen = Arc::new(Remember(Mutex::default(), provider.clone()));
        let verifier = Arc::clone(&seen) as Arc<dyn ServerCertVerifier>;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            config: Arc::new(config),
            seen,
        }
    }

    pub(crate) fn connect(&self, bed: &Bed, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = TcpStream::connect(bed.tls()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        StreamOwned::new(connection, stream)
    }

    /// The certificate shown for `name`, after a request that answered 200.
    pub(crate) fn shown(&self, bed: &Bed, name: &str) -> Vec<u8> {
        let mut client = Raw::over(self.connect(bed, name));
        assert_eq!(client.get("a.test", "/").status, 200);
        self.take_seen()
    }

    /// The certificate that was shown last.
    pub(crate) fn take_seen(&self) -> Vec<u8> {
        std::mem::take(&mut self.seen.0.lock().unwrap())
    }
}

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS, whatever certificate is shown, without HTTP/2.
pub(crate) fn connect(bed: &Bed, name: &str) -> Raw<Stream> {
    Raw::over(offering(bed, name, &["http/1.1"]))
}

/// A connection over TLS by a client that offers these protocols.
pub(crate) fn offering(bed: &Bed, name: &str, protocols: &[&str]) -> Stream {
    let mut client = Client::new(rustls::ALL_VERSIONS);
    client.config = config(protocols);
    client.connect(bed, name)
}

/// A client that offers these protocols and accepts any certificate.
pub(crate) fn config(protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = Client::new(rustls::ALL_VERSIONS).config;
    let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec());
    Arc::make_mut(&mut config).alpn_protocols = protocols.collect();
    config
}
