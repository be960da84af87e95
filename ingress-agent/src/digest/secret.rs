//! Secret (v1) of type `kubernetes.io/tls`: a key pair, parsed and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as ApiSecret;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Cause, Fault, Verdict, keep, object};
use crate::model::{Certificate, Host, ObjectRef, PrivateKey};

/// A Secret that holds, or should hold, a key pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// Its name.
    pub object: ObjectRef,
    /// Whether its type says that it is a key pair, so that it is judged even when nobody names it.
    pub declared: bool,
    /// The pair to serve: the Secret's own, or the last good one when that cannot be used.
    pub pair: Option<Pair>,
    /// Why the Secret's own pair cannot be used, or what is odd about it.
    pub faults: Vec<Fault>,
}

/// A certificate chain with its key, and what the certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// Chain and key.
    pub certificate: Arc<Certificate>,
    /// The DNS names it is for.
    pub names: Vec<Host>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// Turns a Secret into its value. `None`: it neither says to be nor looks like a key pair, and nothing of
/// it is kept.
pub fn digest(secret: ApiSecret, previous: Option<&Arc<Secret>>) -> Option<Arc<Secret>> {
    let ApiSecret {
        data,
        immutable: _,
        metadata,
        string_data,
        type_,
    } = secret;
    let declared = type_.as_deref() == Some("kubernetes.io/tls");
    let mut data = data.unwrap_or_default();
    // What the API server does on a write.
    data.extend(
        string_data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, text)| (key, ByteString(text.into_bytes()))),
    );
    if !declared && !data.contains_key("tls.crt") && !data.contains_key("tls.key") {
        return None;
    }
    let object = object("Secret", &metadata);
    let (pair, faults) = match read(&data, &object) {
        Ok((pair, faults)) => (Some(pair), faults),
        Err(fault) => {
            let last = previous.and_then(|previous| previous.pair.clone());
            let consequence = match last {
                Some(_) => "the last good pair stays in use",
                None => "its hosts are shown the default certificate",
            };
            (last, vec![fault.so(consequence)])
        }
    };
    let secret = Secret {
        object,
        declared,
        pair,
        faults,
    };
    Some(keep(secret, previous))
}

fn read(data: &BTreeMap<String, ByteString>, origin: &ObjectRef) -> Result<(Pair, Vec<Fault>), Fault> {
    let chain = chain(part(data, "tls.crt", "data.tls.crt")?)?;
    let key = PrivateKeyDer::from_pem_slice(part(data, "tls.key", "data.tls.key")?).map_err(|error| {
        Fault::refused(Cause::TlsKeyPem, "data.tls.key")
            .found(format!("no private key in PEM ({})", why_not_pem(&error)))
            .expected("one PEM block `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`, not encrypted")
            .change("put the private key there in PEM")
    })?;
    let parsed = chain
        .iter()
        .enumerate()
        .map(|(index, der)| parse(index, der))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(end_entity) = parsed.first() else {
        return Err(no_certificate("no certificate in PEM"));
    };
    let signing =
        any_supported_type(&key).map_err(|error| unusable(format!("a key that cannot be used ({error})")))?;
    let public = signing.public_key();
    let belongs = |certificate: &X509Certificate<'_>| {
        public
            .as_ref()
            .is_some_and(|public| **public == *certificate.public_key().raw)
    };
    if !belongs(end_entity) {
        if let Some(place) = parsed.iter().position(belongs) {
            let found = format!("the host's own certificate in place {} of the chain", place + 1);
            return Err(out_of_order(Verdict::Refused, found));
        }
        return Err(Fault::refused(Cause::TlsPair, "data.tls.key")
            .found("a private key that is not the certificate's")
            .expected("the key that `tls.crt` was issued for")
            .change("store the certificate and the key of one issuance together"));
    }
    let faults = order(&parsed).into_iter().collect();
    let pair = Pair {
        names: names(end_entity),
        not_before: end_entity.validity().not_before.timestamp(),
        not_after: end_entity.validity().not_after.timestamp(),
        certificate: Arc::new(Certificate {
            key: private_key(&key)?,
            chain: chain.iter().map(|der| der.to_vec()).collect(),
            origin: origin.clone(),
        }),
    };
    Ok((pair, faults))
}

fn part<'a>(
    data: &'a BTreeMap<String, ByteString>,
    key: &str,
    field: &'static str,
) -> Result<&'a [u8], Fault> {
    match data.get(key) {
        Some(ByteString(bytes)) if !bytes.is_empty() => Ok(bytes),
        Some(_) | None => Err(Fault::refused(Cause::TlsMissing, field)
            .found("nothing")
            .expected("PEM text")
            .change("make the Secret with `kubectl create secret tls NAME --cert=FILE --key=FILE`")),
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| no_certificate(format!("text that is not PEM ({})", why_not_pem(&error))))
}

/// Without a byte of the text: a key that was written on one line stands in the error.
fn why_not_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a block without its `END` line",
        pem::Error::IllegalSectionStart { .. } => "a `BEGIN` line that holds more than its label",
        pem::Error::Base64Decode(_) => "a block that is not base64",
        pem::Error::NoItemsFound => "no items found",
        pem::Error::SectionTooLarge => "a block of more than 10 MB",
        pem::Error::Io(_) | _ => "it cannot be read",
    }
}

fn no_certificate(found: impl Into<Arc<str>>) -> Fault {
    Fault::refused(Cause::TlsCertificatePem, "data.tls.crt")
        .found(found)
        .expected("PEM blocks `CERTIFICATE`, the host's own first")
        .change("put the certificate and its chain there in PEM")
}

fn parse<'a>(index: usize, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Fault> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(Fault::refused(Cause::TlsCertificate, "data.tls.crt")
            .found(format!(
                "certificate {} of the chain is not X.509 ({error})",
                index + 1
            ))
            .expected("X.509 certificates (RFC 5280)")
            .change("export the chain anew")),
    }
}

/// RFC 5246 section 7.4.2: each certificate certifies the one before it.
fn order(chain: &[X509Certificate<'_>]) -> Option<Fault> {
    let wrong = chain.windows(2).any(|pair| match pair {
        [subject, issuer] => subject.issuer().as_raw() != issuer.subject().as_raw(),
        _ => false,
    });
    let found = "certificates that do not certify one another in their order";
    wrong.then(|| out_of_order(Verdict::Degraded, found.to_owned()).so("clients may refuse the chain"))
}

fn out_of_order(verdict: Verdict, found: String) -> Fault {
    Fault::new(verdict, Cause::TlsOrder, "data.tls.crt")
        .found(found)
        .expected("the host's certificate, then the one that issued it, and so on")
        .change("sort the chain, the host's own certificate first")
}

/// The DNS names of the subject alternative name extension; what is no host pattern matches no host.
fn names(certificate: &X509Certificate<'_>) -> Vec<Host> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = alternatives.value.general_names.iter();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only DNS names name hosts (RFC 6125 section 6.4)"
    )]
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Host::parse(name).ok().filter(|host| *host != Host::Any),
        _ => None,
    });
    names.collect()
}

fn private_key(key: &PrivateKeyDer<'_>) -> Result<PrivateKey, Fault> {
    match key {
        PrivateKeyDer::Pkcs1(der) => Ok(PrivateKey::Pkcs1(der.secret_pkcs1_der().to_vec())),
        PrivateKeyDer::Sec1(der) => Ok(PrivateKey::Sec1(der.secret_sec1_der().to_vec())),
        PrivateKeyDer::Pkcs8(der) => Ok(PrivateKey::Pkcs8(der.secret_pkcs8_der().to_vec())),
        _ => Err(unusable("a key in an unknown encoding")),
    }
}

fn unusable(found: impl Into<Arc<str>>) -> Fault {
    Fault::refused(Cause::TlsKey, "data.tls.key")
        .found(found)
        .expected("an RSA key of 2048 to 8192 bits, a P-256, P-384 or P-521 key, or an Ed25519 key")
        .change("issue the certificate anew for such a key")
}

#[cfg(test)]
mod tests;
