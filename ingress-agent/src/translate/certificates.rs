//! Which certificate is shown for which server name.
//!
//! A host in `spec.tls[].hosts` gets that entry's Secret; a rule's host that no entry names gets the first
//! Secret of the Ingress whose certificate covers it. Only Secrets of the Ingress's own namespace, and the
//! first Ingress by precedence, count. An entry for a host that other namespaces have rules for, an older one at
//! least, and its own has none, counts for nothing. Without a usable certificate a host is shown the default one: it is
//! never dead.

use std::sync::Arc;

use super::Snapshot;
use super::index::Index;
use super::readings::Reading;
use super::report::{Finding, Findings};
use crate::digest::ingress::Tls;
use crate::digest::secret::Pair;
use crate::digest::{Cause, Fault, Secret};
use crate::model::{Certificate, Host};

const DEFAULT_SHOWN: &str = "the host is shown the default certificate";

/// What is wrong with an Ingress's Secrets.
pub(super) fn faults(reading: &Reading, index: &Index) -> Vec<Fault> {
    let namespace = &reading.entry.value.object.namespace;
    let mut faults = Vec::new();
    for (tls, secret) in reading.tls() {
        // Without a Secret the entry asks for TLS with the default certificate.
        let Some(name) = &tls.secret else { continue };
        let field = || format!("spec.tls[{}].secretName", tls.index);
        match secret.map(|secret| (secret, &secret.pair)) {
            None => faults.push(missing(field(), namespace, name, index)),
            Some((secret, None)) => faults.push(bad(field(), secret)),
            Some((_, Some(pair))) => {
                let uncovered = tls.hosts.iter().filter(|host| !covers(pair, host));
                faults.extend(uncovered.map(|host| not_covering(tls, host, pair)));
            }
        }
    }
    faults
}

/// The certificate that is shown for a host.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) certificate: Option<Arc<Certificate>>,
    /// What those should know who asked for another.
    pub(super) findings: Vec<Finding>,
    /// Whether the host has an entry in `spec.tls` of any Ingress, or a certificate. Also one without a usable
    /// Secret counts: its clients are shown the default certificate.
    pub(super) secured: bool,
}

/// Chooses the certificate of a host among the Ingresses that name it, by precedence.
pub(super) fn choose(host: &Host, readings: &[Arc<Reading>]) -> Chosen {
    let mut chosen = Chosen::default();
    if *host == Host::Any {
        return chosen;
    }
    let has_rule = |reading: &&Arc<Reading>| reading.has_rule(host);
    let first = readings
        .iter()
        .position(|reading| has_rule(&reading))
        .unwrap_or(readings.len());
    for (rank, reading) in readings.iter().enumerate() {
        let mut own = readings
            .iter()
            .filter(|other| other.namespace() == reading.namespace());
        if first < rank && !own.any(|own| has_rule(&own)) {
            let tls = reading.tls().find(|(tls, _)| tls.hosts.contains(host));
            let fault = tls.map(|(tls, _)| foreign(tls, host));
            chosen.findings.extend(fault.map(|fault| reading.finding(fault)));
            continue;
        }
        let mut named = false;
        for (tls, secret) in reading.tls().filter(|(tls, _)| tls.hosts.contains(host)) {
            named = true;
            let Some(pair) = covering(secret, host) else {
                continue;
            };
            let owner = chosen
                .certificate
                .get_or_insert_with(|| Arc::clone(&pair.certificate));
            if owner.origin != pair.certificate.origin {
                let fault = taken(tls, host, owner);
                chosen.findings.push(reading.finding(fault));
            }
        }
        chosen.secured |= named;
        if !named && chosen.certificate.is_none() {
            let pair = reading.tls().find_map(|(_, secret)| covering(secret, host));
            chosen.certificate = pair.map(|pair| Arc::clone(&pair.certificate));
        }
    }
    chosen.secured |= chosen.certificate.is_some();
    chosen
}

fn covering<'a>(secret: Option<&'a Arc<Secret>>, host: &Host) -> Option<&'a Pair> {
    let pair = secret?.pair.as_ref();
    pair.filter(|pair| covers(pair, host))
}

fn missing(field: String, namespace: &str, name: &str, index: &Index) -> Fault {
    Fault::degraded(Cause::SecretMissing, field)
        .found(format!(
            "Secret {namespace}/{name}, which does not exist or holds no `tls.crt`"
        ))
        .expected("a Secret of type kubernetes.io/tls in the Ingress's namespace")
        .nearest(index.nearest_secret(namespace, name))
        .so(DEFAULT_SHOWN)
        .change(format!(
            "create it with `kubectl create secret tls {name} -n {namespace} --cert=FILE --key=FILE`"
        ))
}

fn bad(field: String, secret: &Secret) -> Fault {
    let why = secret.faults.first();
    let why = why.map(|fault| format!(" ({}: {})", fault.field, fault.found));
    Fault::degraded(Cause::SecretBad, field)
        .found(format!(
            "{}, which cannot be used{}",
            secret.object,
            why.unwrap_or_default()
        ))
        .expected("a Secret with a certificate and its key")
        .so(DEFAULT_SHOWN)
        .change("repair the Secret")
}

fn taken(tls: &Tls, host: &Host, owner: &Certificate) -> Fault {
    let owner = &owner.origin;
    Fault::degraded(Cause::CertificateTaken, format!("spec.tls[{}].hosts", tls.index))
        .found(format!("host `{host}`, for which an older Ingress names {owner}"))
        .expected("one certificate for a host")
        .so(format!("the host is shown the certificate of {owner}"))
        .change("name the same Secret's certificate, or remove the host from one of the two")
}

fn foreign(tls: &Tls, host: &Host) -> Fault {
    Fault::degraded(Cause::TlsHostForeign, format!("spec.tls[{}].hosts", tls.index))
        .found(format!(
            "host `{host}`, for which an older Ingress of another namespace has rules, and this namespace has none"
        ))
        .expected("hosts that a rule of the same namespace has")
        .so("the entry counts for nothing: neither its certificate nor a redirect to https")
        .change("remove the host, or give the Ingress a rule for it")
}

/// RFC 6125 section 6.4.3: a wildcard stands for one label.
fn covers(pair: &Pair, host: &Host) -> bool {
    pair.names.iter().any(|name| match (name, host) {
        (Host::Exact(name), Host::Exact(host)) => name == host,
        (Host::Wildcard(name), Host::Exact(host)) => {
            host.split_once('.').is_some_and(|(_, suffix)| *suffix == **name)
        }
        (Host::Wildcard(name), Host::Wildcard(host)) => name == host,
        (Host::Any, _) | (_, Host::Any) | (Host::Exact(_), Host::Wildcard(_)) => false,
    })
}

fn not_covering(tls: &Tls, host: &Host, pair: &Pair) -> Fault {
    let names: Vec<_> = pair.names.iter().map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() {
        "no names".to_owned()
    } else {
        names.join(", ")
    };
    Fault::degraded(Cause::CertificateName, format!("spec.tls[{}].hosts", tls.index))
        .found(format!(
            "host `{host}` with the certificate of {}, which is for {names}",
            pair.certificate.origin
        ))
        .expected("a certificate whose subject alternative names cover the host")
        .so(DEFAULT_SHOWN)
        .change("issue a certificate for the host, or name another Secret")
}

/// Says what is wrong with the Secrets that claim to be key pairs.
pub(super) fn judge(snapshot: &Snapshot, findings: &mut Findings) {
    for entry in &snapshot.secrets {
        let secret = &entry.value;
        if !secret.declared {
            continue;
        }
        let expired = secret
            .pair
            .as_ref()
            .and_then(|pair| validity(pair, snapshot.time));
        for fault in secret.faults.iter().cloned().chain(expired) {
            findings.add(&secret.object, entry.place.as_ref(), fault);
        }
    }
}

impl Snapshot {
    /// Whether a certificate is valid at one of two times and not at the other: this snapshot's, and `now` in seconds
    /// since 1970.
    pub fn is_judged_otherwise_at(&self, now: i64) -> bool {
        let secrets = self.secrets.iter().filter(|entry| entry.value.declared);
        let mut pairs = secrets.filter_map(|entry| entry.value.pair.as_ref());
        pairs.any(|pair| lapse(pair, self.time) != lapse(pair, now))
    }
}

/// Why a certificate is not valid at a time.
fn lapse(pair: &Pair, now: i64) -> Option<Cause> {
    if now > pair.not_after {
        Some(Cause::TlsExpired)
    } else if now < pair.not_before {
        Some(Cause::TlsEarly)
    } else {
        None
    }
}

fn validity(pair: &Pair, now: i64) -> Option<Fault> {
    let cause = lapse(pair, now)?;
    let found = if cause == Cause::TlsExpired {
        format!("a certificate that expired {} ago", days(now - pair.not_after))
    } else {
        format!(
            "a certificate that is not valid for another {}",
            days(pair.not_before - now)
        )
    };
    Some(
        Fault::degraded(cause, "data.tls.crt")
            .found(found)
            .expected("a certificate that is valid now")
            .so("it is shown, and clients refuse it")
            .change("renew the certificate"),
    )
}

fn days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
