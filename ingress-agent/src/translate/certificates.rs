//! Which certificate is shown for which server name.
//!
//! A host in `spec.tls[].hosts` gets that entry's Secret; a rule's host that no entry names gets the first
//! Secret of the Ingress whose certificate covers it. Only Secrets of the Ingress's own namespace, and the
//! first Ingress by precedence, count. Without a usable certificate a host is shown the default one: it is
//! never dead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use super::index::Index;
use super::report::Findings;
use super::{Entry, Snapshot};
use crate::digest::ingress::Tls;
use crate::digest::secret::Pair;
use crate::digest::{Cause, Fault, Ingress};
use crate::model::{Certificate, Host};

type Certificates = BTreeMap<Host, Arc<Certificate>>;

const DEFAULT_SHOWN: &str = "the host is shown the default certificate";

/// The certificates of the Ingresses' hosts.
pub(super) fn choose(
    ingresses: &[&Entry<Ingress>],
    index: &Index<'_>,
    findings: &mut Findings,
) -> Certificates {
    let mut chosen = Certificates::new();
    for entry in ingresses {
        let mut tell = |fault| findings.add(&entry.value.object, entry.place.as_ref(), fault);
        let tls = entry.value.tls.iter();
        let pairs: Vec<_> = tls
            .map(|tls| (tls, pair(&entry.value, tls, index, &mut tell)))
            .collect();
        for (tls, pair) in &pairs {
            let Some(pair) = pair else { continue };
            for host in &tls.hosts {
                if covers(pair, host) {
                    claim(&mut chosen, host, pair, tls, &mut tell);
                } else {
                    tell(not_covering(tls, host, pair));
                }
            }
        }
        let named = |host: &Host| {
            pairs
                .iter()
                .any(|(tls, _)| tls.hosts.iter().any(|tls| tls == host))
        };
        for rule in entry
            .value
            .rules
            .iter()
            .filter(|rule| rule.host != Host::Any && !named(&rule.host))
        {
            let pair = pairs
                .iter()
                .find_map(|(_, pair)| pair.filter(|pair| covers(pair, &rule.host)));
            if let Some(pair) = pair {
                chosen
                    .entry(rule.host.clone())
                    .or_insert_with(|| Arc::clone(&pair.certificate));
            }
        }
    }
    chosen
}

/// The Secret's pair, or a word on why there is none.
fn pair<'a>(
    ingress: &Ingress,
    tls: &Tls,
    index: &Index<'a>,
    tell: &mut impl FnMut(Fault),
) -> Option<&'a Pair> {
    let field = format!("spec.tls[{}].secretName", tls.index);
    let namespace = &ingress.object.namespace;
    // Without a Secret the entry asks for TLS with the default certificate.
    let name = tls.secret.as_ref()?;
    let Some(secret) = index.secret(namespace, name) else {
        tell(
            Fault::degraded(Cause::SecretMissing, field)
                .found(format!(
                    "Secret {namespace}/{name}, which does not exist or holds no `tls.crt`"
                ))
                .expected("a Secret of type kubernetes.io/tls in the Ingress's namespace")
                .nearest(index.nearest("Secret", namespace, name))
                .so(DEFAULT_SHOWN)
                .change(format!(
                    "create it with `kubectl create secret tls {name} -n {namespace} --cert=FILE --key=FILE`"
                )),
        );
        return None;
    };
    if secret.value.pair.is_none() {
        let why = secret
            .value
            .faults
            .first()
            .map(|fault| format!(" ({}: {})", fault.field, fault.found));
        tell(
            Fault::degraded(Cause::SecretBad, field)
                .found(format!(
                    "Secret {namespace}/{name}, which cannot be used{}",
                    why.unwrap_or_default()
                ))
                .expected("a Secret with a certificate and its key")
                .so(DEFAULT_SHOWN)
                .change("repair the Secret"),
        );
    }
    secret.value.pair.as_ref()
}

fn claim(chosen: &mut Certificates, host: &Host, pair: &Pair, tls: &Tls, tell: &mut impl FnMut(Fault)) {
    match chosen.entry(host.clone()) {
        Slot::Vacant(free) => {
            free.insert(Arc::clone(&pair.certificate));
        }
        Slot::Occupied(taken) if taken.get().origin != pair.certificate.origin => tell(
            Fault::degraded(Cause::CertificateTaken, format!("spec.tls[{}].hosts", tls.index))
                .found(format!(
                    "host `{host}`, for which an older Ingress names {}",
                    taken.get().origin
                ))
                .expected("one certificate for a host")
                .so(format!(
                    "the host is shown the certificate of {}",
                    taken.get().origin
                ))
                .change("name the same Secret's certificate, or remove the host from one of the two"),
        ),
        Slot::Occupied(_) => {}
    }
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

fn validity(pair: &Pair, now: i64) -> Option<Fault> {
    let (cause, found) = if now > pair.not_after {
        (
            Cause::TlsExpired,
            format!("a certificate that expired {} ago", days(now - pair.not_after)),
        )
    } else if now < pair.not_before {
        (
            Cause::TlsEarly,
            format!(
                "a certificate that is not valid for another {}",
                days(pair.not_before - now)
            ),
        )
    } else {
        return None;
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
