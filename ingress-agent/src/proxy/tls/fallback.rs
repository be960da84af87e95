//! The default certificate: self-signed, made at every start, shown where no certificate fits the server name.

use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivatePkcs8KeyDer;

/// What the certificate calls itself, so that who sees it knows where it comes from.
const COMMON_NAME: &str = "ingress-agent default certificate";
/// A name under a top-level domain that never exists (RFC 6761 section 6.4).
const NAME: &str = "ingress-agent.invalid";

/// Why TLS cannot be set up at all.
#[derive(Debug, thiserror::Error)]
pub enum FallbackError {
    #[error("the default certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the default certificate's key cannot be loaded: {0}")]
    Key(#[from] rustls::Error),
    #[error("the key of the session tickets cannot be made: {0}")]
    Tickets(#[source] rustls::Error),
}

pub(super) fn certified_key() -> Result<Arc<CertifiedKey>, FallbackError> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new([NAME.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "ingress-agent");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&pair)?;
    let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key.into())?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}
