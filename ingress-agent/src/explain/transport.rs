//! The steps before the request's head is read: the VIP and the certificate.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::Version;

use super::fault::Told;
use super::request::Request;
use super::step::{Step, StepName};
use super::{Basis, Subject, host};
use crate::digest::nearest::nearest;
use crate::model::{Certificate, Listener, ObjectRef, Vip};
use crate::proxy::trace::{Stage, Trace};

/// The listener that is dialled, and the step that says so. A URL that names no address dials the VIP of its
/// port behind which the host is known; DNS is not asked.
pub(super) fn vip<'a>(subject: &Subject<'a>, request: &Request) -> (Option<&'a Listener>, Step) {
    let url = &request.url;
    let listeners = &subject.model.listeners;
    let dialled = |listener: &&Listener| match url.address() {
        // An ordinary listener may stand for every address of its family.
        Some(address) => {
            let own = listener.vip.address;
            own == address || (own.is_unspecified() && own.is_ipv4() == address.is_ipv4())
        }
        None => request
            .client
            .is_none_or(|client| client.is_ipv4() == listener.vip.address.is_ipv4()),
    };
    let at_port = |listener: &&Listener| listener.vip.port.get() == url.port();
    let candidates: Vec<&Listener> = listeners.iter().filter(dialled).filter(at_port).collect();
    let spoken = |listener: &&&Listener| listener.tls == url.tls();
    let name = request.host();
    let chosen = candidates
        .iter()
        .filter(spoken)
        .find(|listener| host::is_known(listener, &name))
        .or_else(|| candidates.iter().find(spoken))
        .or_else(|| candidates.first());
    let Some(listener) = chosen else {
        return (None, unserved(subject, request));
    };
    let alike = candidates.iter().filter(|other| other.tls == listener.tls);
    let vips: Vec<String> = alike.map(|other| address(other.vip)).collect();
    let step = Step::found(StepName::Vip, vips.join(", "));
    let step = match pool(subject, listener.vip) {
        Some(pool) => step.from(&pool, Some("spec.addresses".to_owned())),
        None => ordinary(subject.basis, listener, step),
    };
    if listener.tls == url.tls() {
        return (Some(listener), step);
    }
    let (spoken, asked) = if listener.tls {
        ("HTTPS", "http://")
    } else {
        ("HTTP", "https://")
    };
    let why = format!("port {} speaks {spoken}, and the URL says {asked}", url.port());
    let change = match (pool(subject, listener.vip), listener.tls) {
        (Some(_), _) => format!("change `protocol: {spoken}` in the VipPool's `spec.ports`"),
        (None, true) => "listen there by `--listen` instead of `--tls-listen`".to_owned(),
        (None, false) => "listen there by `--tls-listen` instead of `--listen`".to_owned(),
    };
    (
        None,
        step.fails(why, format!("ask for another port or scheme, or {change}")),
    )
}

/// A listener that is no VIP: by which flag it is there, or that it is assumed.
fn ordinary(basis: Basis, listener: &Listener, step: Step) -> Step {
    let flag = if listener.tls { "--tls-listen" } else { "--listen" };
    match basis {
        Basis::Agent | Basis::Folder => step.at(flag),
        Basis::Assumed => step.at(flag).because(format!(
            "assumed: the folder has no VipPool, so this is as `ingress-agent run --no-xdp {flag} {}` answers, where \
             every listener serves all our classes",
            address(listener.vip)
        )),
    }
}

fn unserved(subject: &Subject<'_>, request: &Request) -> Step {
    let url = &request.url;
    let target = format!("{}:{}", url.host(), url.port());
    let listeners = &subject.model.listeners;
    if listeners.is_empty() {
        return Step::found(StepName::Vip, target).fails(
            "no VIP serves any class: there is no VipPool, or none that can be used",
            "create a VipPool whose `spec.classes` names the Ingress's class (`ingress-agent check` says more)",
        );
    }
    let mut served: Vec<String> = listeners.iter().map(|listener| address(listener.vip)).collect();
    served.dedup();
    Step::found(StepName::Vip, target).fails(
        format!("no VIP serves this; the VIPs are {}", served.join(", ")),
        "dial one of them, or add the address to `spec.addresses` or the port to `spec.ports` of a VipPool",
    )
}

fn address(vip: Vip) -> String {
    SocketAddr::new(vip.address, vip.port.get()).to_string()
}

/// The VipPool that has a VIP.
fn pool(subject: &Subject<'_>, vip: Vip) -> Option<ObjectRef> {
    let pool = subject.model.pools.iter().find(|pool| pool.vips.contains(&vip))?;
    let digests = subject.snapshot.pools.iter().map(|entry| &entry.value.object);
    let mut named = digests.filter(|object| object.name == pool.name);
    named.next().cloned()
}

/// The certificate that is shown. The request goes on in any case: whether the client does is its own choice.
pub(super) fn certificate(
    subject: &Subject<'_>,
    request: &Request,
    listener: &Listener,
    trace: &Trace,
) -> Step {
    let is_refused = trace.stage == Stage::Handshake;
    let spoken = match trace.version {
        _ if is_refused => "",
        Version::HTTP_2 => "; HTTP/2 by ALPN",
        _ => "; HTTP/1.1 by ALPN",
    };
    let shown = trace.certificate.as_ref().and_then(|pattern| {
        let certificate = listener.site.certificates.get(pattern)?;
        Some((pattern, certificate))
    });
    if let Some((pattern, certificate)) = shown {
        let until = match not_after(subject, certificate) {
            Some(not_after) => format!(", valid until {}", date(not_after)),
            None => String::new(),
        };
        let value = format!("the certificate for `{pattern}`{until}{spoken}");
        let step = Step::found(StepName::Certificate, value)
            .from(&certificate.origin, Some("data.tls.crt".to_owned()));
        if is_refused {
            return step.fails(
                "its key did not outlive the agent's restart: the handshake is refused",
                "let the agent reach the API server, or give it a tmpfs as run directory",
            );
        }
        return match Told::of(subject, &certificate.origin, |_| true) {
            Some(told) => told.tell(step),
            None => step,
        };
    }
    let value = format!("the agent's own, which no client trusts{spoken}");
    let step = Step::found(StepName::Certificate, value);
    let Some(name) = request.url.server_name() else {
        return step.fails(
            "the URL names an address, so the client asks for no name",
            "use a host name that an Ingress has a certificate for",
        );
    };
    if let Some(told) = Told::of_tls(subject, name) {
        return told.tell(step);
    }
    let known: Vec<String> = listener
        .site
        .certificates
        .keys()
        .map(ToString::to_string)
        .collect();
    let near = nearest(name, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; the nearest name that has one is `{near}`"));
    step.fails(
        format!(
            "no Ingress has a certificate for `{name}`{}",
            near.unwrap_or_default()
        ),
        format!("add `{name}` to `spec.tls[].hosts` of its Ingress, with a `secretName`"),
    )
}

/// Until when a certificate is valid, in seconds since 1970.
fn not_after(subject: &Subject<'_>, certificate: &Certificate) -> Option<i64> {
    let mut secrets = subject.snapshot.secrets.iter();
    let secret = secrets.find(|entry| entry.value.object == certificate.origin)?;
    secret.value.pair.as_ref().map(|pair| pair.not_after)
}

/// `2027-03-01`, in UTC.
fn date(seconds: i64) -> String {
    // Beyond are years that the format has no room for.
    let after = u64::try_from(seconds)
        .ok()
        .filter(|after| *after < 253_402_300_800);
    let Some(after) = after else {
        return format!("{seconds} seconds after 1970");
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(after);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}
