//! Annotations' values, each by a total parser of its own. What is `None` is no such value.

use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use super::{SERVICE_NAME, SERVICE_PORT};
use crate::model::policy::{Balance, BodyLimit, Retry, UpstreamProtocol};
use crate::model::{Host, ObjectRef};

/// Longer texts than this are no value of any of these kinds.
const LONGEST: usize = 1024;

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A number without sign or unit.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A number of which 0 means none; the outer `None`: no number.
pub(super) fn optional(text: &str) -> Option<Option<NonZeroU32>> {
    number(text).map(NonZeroU32::new)
}

/// Whole seconds, at least one.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds = optional(text)??;
    Some(Duration::from_secs(seconds.get().into()))
}

/// nginx's sizes: `8m`, `512K`, `1024`, with 0 for no limit.
pub(super) fn size(text: &str) -> Option<BodyLimit> {
    let (digits, shift) = match text.bytes().last()?.to_ascii_lowercase() {
        b'b' => (text.get(..text.len() - 1)?, 0),
        b'k' => (text.get(..text.len() - 1)?, 10),
        b'm' => (text.get(..text.len() - 1)?, 20),
        b'g' => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    match number::<u64>(digits)?.checked_mul(1 << shift)? {
        0 => Some(BodyLimit::Unlimited),
        bytes => Some(BodyLimit::Bytes(bytes)),
    }
}

/// What endpoints speak, as far as ingress-nginx knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// One that we speak too.
    Spoken(UpstreamProtocol),
    /// One that we do not.
    Unspoken,
}

/// `backend-protocol`.
pub(super) fn protocol(text: &str) -> Option<Protocol> {
    let is = |name: &&str| text.eq_ignore_ascii_case(name);
    if is(&"HTTP") {
        Some(Protocol::Spoken(UpstreamProtocol::Http))
    } else if is(&"HTTPS") {
        Some(Protocol::Spoken(UpstreamProtocol::Https))
    } else {
        let known = ["AUTO_HTTP", "GRPC", "GRPCS", "FCGI"].iter().any(is);
        known.then_some(Protocol::Unspoken)
    }
}

/// `load-balance`, and one of ours.
pub(super) fn balance(text: &str) -> Option<Balance> {
    match text {
        "round_robin" => Some(Balance::RoundRobin),
        "least_request" => Some(Balance::LeastRequest),
        "ewma" => Some(Balance::PeakEwma),
        _ => None,
    }
}

/// `proxy-next-upstream`: nginx's words for when the next endpoint is tried, of which `off` goes before all
/// others.
pub(super) fn next_upstream(text: &str) -> Option<Retry> {
    let mut retry = Retry {
        error: false,
        timeout: false,
        ..Retry::default()
    };
    let off = retry.clone();
    let mut is_off = false;
    if text.len() > LONGEST {
        return None;
    }
    for word in text.split_ascii_whitespace() {
        match word {
            "error" => retry.error = true,
            "timeout" => retry.timeout = true,
            "invalid_header" => retry.invalid_header = true,
            "non_idempotent" => retry.non_idempotent = true,
            "off" => is_off = true,
            _ => retry.statuses.push(status(word)?),
        }
    }
    retry.statuses.sort_unstable();
    retry.statuses.dedup();
    Some(if is_off { off } else { retry })
}

fn status(word: &str) -> Option<u16> {
    let status: u16 = number(word.strip_prefix("http_")?)?;
    [403, 404, 429, 500, 502, 503, 504]
        .contains(&status)
        .then_some(status)
}

/// Which Host the endpoints get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum UpstreamHost {
    /// The client's own.
    Clients,
    /// This one, in which [`SERVICE_NAME`] and [`SERVICE_PORT`] may stand.
    Fixed(Arc<str>),
    /// One of a variable that is not known before the request.
    Variable,
}

/// `upstream-vhost`: a host with or without port, in which nginx's variables may stand, as `$NAME` or `${NAME}`.
pub(super) fn upstream_host(text: &str, object: &ObjectRef) -> Option<UpstreamHost> {
    if text.len() > LONGEST {
        return None;
    }
    if CLIENTS_HOST.contains(&text) {
        return Some(UpstreamHost::Clients);
    }
    let mut pieces = text.split('$');
    let mut host = pieces.next()?.to_owned();
    for piece in pieces {
        let (name, rest) = variable(piece)?;
        host.push_str(match name {
            "namespace" => &object.namespace,
            "ingress_name" => &object.name,
            "service_name" => SERVICE_NAME,
            "service_port" => SERVICE_PORT,
            _ => return Some(UpstreamHost::Variable),
        });
        host.push_str(rest);
    }
    let example = host.replace(SERVICE_NAME, "s").replace(SERVICE_PORT, "1");
    let (name, port) = match example.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (&*example, None),
    };
    let is_name = matches!(Host::parse(name), Ok(Host::Exact(_))) || name.parse::<Ipv4Addr>().is_ok();
    let is_port = port.is_none_or(|port| number::<NonZeroU16>(port).is_some());
    (is_name && is_port).then(|| UpstreamHost::Fixed(Arc::from(host)))
}

/// nginx's variables that stand for what the client sent.
const CLIENTS_HOST: [&str; 3] = ["$best_http_host", "$host", "$http_host"];

/// The variable's name that begins what stands behind a `$`, and the rest.
fn variable(piece: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_word);
    let (name, rest) = match piece.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => {
            let end = piece.bytes().position(|byte| !is_word(byte));
            piece.split_at_checked(end.unwrap_or(piece.len()))?
        }
    };
    is_name(name).then_some((name, rest))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
