//! The steps before the request's head is read: the VIP and the certificate.

use std::net::IpAddr;

use super::request::Request;
use super::step::{Step, StepName};
use super::{Subject, routing};
use crate::digest::nearest::nearest;
use crate::model::{Listener, ObjectRef, Vip};
use crate::proxy::trace::Trace;

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
    let host = request.host();
    let chosen = candidates
        .iter()
        .filter(spoken)
        .find(|listener| routing::knows(listener, &host))
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
        None => step,
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
    let change = format!(
        "ask for another port or scheme, or change `protocol: {spoken}` in the VipPool's `spec.ports`"
    );
    (None, step.fails(why, change))
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
    match vip.address {
        IpAddr::V4(address) => format!("{address}:{}", vip.port),
        IpAddr::V6(address) => format!("[{address}]:{}", vip.port),
    }
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
    let name = request.url.server_name();
    if let Some(pattern) = &trace.certificate
        && let Some(certificate) = listener.site.certificates.get(pattern)
    {
        let value = format!("the certificate for `{pattern}`");
        return Step::found(StepName::Certificate, value)
            .from(&certificate.origin, Some("data[tls.crt]".to_owned()));
    }
    let step = Step::found(StepName::Certificate, "the agent's own, which no client trusts");
    let Some(name) = name else {
        return step.fails(
            "the URL names an address, so the client asks for no name",
            "use a host name that an Ingress has a certificate for",
        );
    };
    if let Some(fault) = routing::fault_of_tls(subject, name) {
        return fault.tell(step);
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
