//! Annotations: what an Ingress asks for besides routes, as typed values; what protects fails closed.
//!
//! Read under `nginx.ingress.kubernetes.io/` and `ingress-agent.dev/`, of which ours wins and has names of its own
//! besides; an empty value is not set. A value that an honoured annotation cannot have leaves its default, as in ingress-nginx; one that it
//! can have there and not here (a protocol, a variable) closes the routes. One that
//! protects routes or moves paths closes them whatever its value, unless the value asks for nothing. No
//! text of an annotation reaches anything but these parsers and the fault that quotes it.

mod table;
mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::nearest::nearest;
use super::{Cause, Fault, Verdict};
use crate::model::policy::{Retry, UpstreamPolicy};
use crate::model::{ObjectRef, Policies};

use table::{ALIASES, Class, OURS, PROTECTIVE_FAMILIES, Reach, Row, Setting, TABLE};
use value::{Protocol, UpstreamHost};

/// Ours first: it wins.
const PREFIXES: [&str; 2] = ["ingress-agent.dev/", "nginx.ingress.kubernetes.io/"];
/// Stands in [`Policies`]' upstream host for the name of the Service that a path names.
pub const SERVICE_NAME: &str = "$service_name";
/// Stands in [`Policies`]' upstream host for the port of the Service that a path names.
pub const SERVICE_PORT: &str = "$service_port";
/// Of how many unknown annotations the nearest known one is looked for.
const ADVISED: usize = 16;

/// What an Ingress's annotations ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Annotations {
    /// What they leave of its routes.
    pub protection: Protection,
    /// `ssl-redirect`: to https where the host has a certificate.
    pub ssl_redirect: bool,
    /// `force-ssl-redirect`: to https in any case.
    pub force_ssl_redirect: bool,
    /// `ingress-agent.dev/vip: own`: it is served at addresses of its own, and not at its class's.
    pub own_vip: bool,
    /// All other policies. The upstream host may hold [`SERVICE_NAME`] and [`SERVICE_PORT`].
    pub policies: Arc<Policies>,
}

/// What annotations leave of routes. Less is greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protection {
    /// They are served.
    Served,
    /// They ask for protection that is not there: the Ingress's routes answer 503.
    Closed,
    /// As `Closed`, and so do the routes of its namespace's other Ingresses on its hosts.
    HostsClosed,
    /// It stands in for another Ingress's routes and gives none of its own.
    NoRoutes,
}

impl Default for Annotations {
    fn default() -> Self {
        Self {
            protection: Protection::Served,
            ssl_redirect: true,
            force_ssl_redirect: false,
            own_vip: false,
            policies: Arc::clone(&DEFAULT),
        }
    }
}

/// One for all Ingresses that ask for nothing: they are many.
static DEFAULT: LazyLock<Arc<Policies>> = LazyLock::new(Arc::default);

/// Reads the annotations of an Ingress.
pub(super) fn read(
    all: &BTreeMap<String, String>,
    object: &ObjectRef,
    faults: &mut Vec<Fault>,
) -> Annotations {
    let mut annotations = Annotations::default();
    let mut known: BTreeMap<&str, (&Row, Spelling, Written<'_>)> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (key, value) in all {
        let written = Written {
            key,
            value: value.trim(),
        };
        let Some(Key { place, name, exact }) = split(key).filter(|_| !written.value.is_empty()) else {
            continue;
        };
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let registered = alias.map_or(name, |(_, registered)| registered);
        match row(place, registered).filter(|_| exact) {
            Some(row) => {
                let spelling = (place, alias.is_some());
                let best = known.get(row.name).map(|(_, best, _)| *best);
                if best.is_none_or(|best| spelling < best) {
                    known.insert(row.name, (row, spelling, written));
                }
            }
            None => unknown.push((name, written)),
        }
    }
    for (row, _, written) in known.values() {
        if !row
            .idle
            .iter()
            .any(|idle| written.value.eq_ignore_ascii_case(idle))
        {
            faults.extend(annotations.apply(row, written, object));
        }
    }
    for (index, (name, written)) in unknown.into_iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let protects = protects(&lower) && !written.value.eq_ignore_ascii_case("false");
        if protects {
            annotations.protection = annotations.protection.max(Protection::Closed);
        }
        let names = TABLE.iter().chain(&OURS).map(|row| row.name);
        let names = names.filter(|_| index < ADVISED);
        faults.push(unknown_name(written.key, protects, nearest(&lower, names)));
    }
    annotations
}

/// The annotation of a name under a prefix.
fn row(place: usize, name: &str) -> Option<&'static Row> {
    let known = TABLE.binary_search_by_key(&name, |row| row.name).ok();
    let known = known.and_then(|index| TABLE.get(index));
    known.or_else(|| OURS.iter().find(|row| place == 0 && row.name == name))
}

/// The prefix's place among [`PREFIXES`], and whether the name is an alias. The least counts.
type Spelling = (usize, bool);

/// An annotation as its author wrote it.
struct Written<'a> {
    key: &'a str,
    value: &'a str,
}

impl Annotations {
    /// Takes one annotation over; what its author should know of it.
    fn apply(&mut self, row: &Row, written: &Written<'_>, object: &ObjectRef) -> Option<Fault> {
        let (protection, fault) = match row.class {
            Class::Honoured(setting) => match self.set(setting, written.value, object) {
                Ok(Protection::Served) => return None,
                Ok(protection) if setting == Setting::UpstreamHost => (protection, unknown_variable(written)),
                Ok(protection) => (protection, not_spoken(written)),
                Err(expected) if setting == Setting::OwnVip => {
                    let fault = bad_value(written, expected);
                    (
                        Protection::Served,
                        fault.so("the Ingress is served at its class's addresses"),
                    )
                }
                Err(expected) => (Protection::Served, bad_value(written, expected)),
            },
            Class::Cosmetic => (Protection::Served, ignored(written)),
            Class::Protective(Reach::Own) => (Protection::Closed, not_honoured(written)),
            Class::Protective(Reach::Host) => (Protection::HostsClosed, not_honoured(written)),
            Class::Canary => (Protection::NoRoutes, canary(written)),
        };
        self.protection = self.protection.max(protection);
        Some(fault)
    }

    /// Reads a value into its policy, or says what it should be.
    fn set(&mut self, setting: Setting, text: &str, object: &ObjectRef) -> Result<Protection, &'static str> {
        const SECONDS: &str = "whole seconds without a unit, from 1: `60`";
        match setting {
            Setting::SslRedirect => self.ssl_redirect = value::boolean(text).ok_or(BOOLEAN)?,
            Setting::ForceSslRedirect => self.force_ssl_redirect = value::boolean(text).ok_or(BOOLEAN)?,
            Setting::PreserveTrailingSlash => {
                self.policies_mut().preserve_trailing_slash = value::boolean(text).ok_or(BOOLEAN)?;
            }
            Setting::Protocol => match value::protocol(text).ok_or("`HTTP` or `HTTPS`")? {
                Protocol::Spoken(protocol) => self.upstream_mut().protocol = protocol,
                Protocol::Unspoken => return Ok(Protection::Closed),
            },
            Setting::ConnectTimeout => self.upstream_mut().timeouts.connect = value::seconds(text).ok_or(SECONDS)?,
            Setting::ReadTimeout => self.upstream_mut().timeouts.read = value::seconds(text).ok_or(SECONDS)?,
            Setting::SendTimeout => self.upstream_mut().timeouts.send = value::seconds(text).ok_or(SECONDS)?,
            Setting::BodySize => {
                self.policies_mut().body_limit = value::size(text)
                    .ok_or("a size such as `8m`, `512k` or `1048576`, or `0` for no limit")?;
            }
            Setting::NextUpstream => {
                let retry = value::next_upstream(text).ok_or(
                    "words among `error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429 non_idempotent`, or `off`",
                )?;
                let last = &mut self.upstream_mut().retry;
                *last = Retry {
                    tries: last.tries,
                    within: last.within,
                    ..retry
                };
            }
            Setting::NextUpstreamTimeout => {
                let seconds =
                    value::optional(text).ok_or("whole seconds without a unit, or `0` for no limit")?;
                self.upstream_mut().retry.within = seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
            }
            Setting::NextUpstreamTries => {
                self.upstream_mut().retry.tries =
                    value::optional(text).ok_or("a number of tries, or `0` for no limit")?;
            }
            Setting::Balance => {
                self.upstream_mut().balance = value::balance(text).ok_or("`round_robin`, `ewma` or `least_request`")?;
            }
            Setting::OwnVip => self.own_vip = (text == "own").then_some(true).ok_or("`own` or `shared`")?,
            Setting::UpstreamHost => {
                match value::upstream_host(text, object).ok_or(
                    "a host name with or without port; of variables `$namespace`, `$ingress_name`, `$service_name` and `$service_port`",
                )? {
                    UpstreamHost::Clients => self.upstream_mut().host = None,
                    UpstreamHost::Fixed(host) => self.upstream_mut().host = Some(host),
                    UpstreamHost::Variable => return Ok(Protection::Closed),
                }
            }
        }
        Ok(Protection::Served)
    }

    /// Their own from here on.
    fn policies_mut(&mut self) -> &mut Policies {
        Arc::make_mut(&mut self.policies)
    }

    fn upstream_mut(&mut self) -> &mut UpstreamPolicy {
        &mut self.policies_mut().upstream
    }
}

const BOOLEAN: &str = "`true` or `false`";

/// The place of the prefix among [`PREFIXES`], and the name behind it. The API server takes keys of either case
/// (`ValidateAnnotations`), ingress-nginx this case alone: another is no prefix of a name in the table.
fn split(key: &str) -> Option<Key<'_>> {
    let mut prefixes = PREFIXES.iter().enumerate();
    prefixes.find_map(|(place, prefix)| {
        let (head, name) = key.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(Key {
            place,
            name,
            exact: head == *prefix,
        })
    })
}

/// An annotation's key, taken apart.
struct Key<'a> {
    place: usize,
    name: &'a str,
    /// Its prefix has the right case.
    exact: bool,
}

/// Whether a name that is not in the table asks for protection: by how it begins or ends, or because only its
/// case keeps it out.
fn protects(lower: &str) -> bool {
    let is_protective = |row: &Row| matches!(row.class, Class::Protective(_));
    PROTECTIVE_FAMILIES.iter().any(|family| lower.starts_with(family))
        || lower.ends_with("-snippet")
        || TABLE.iter().any(|row| row.name == lower && is_protective(row))
}

fn field(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

fn quoted(value: &str) -> String {
    // No more than what a fault shows: a value may have a megabyte.
    let shown: String = value.chars().take(401).collect();
    format!("`{}`", shown.escape_debug())
}

fn bad_value(Written { key, value }: &Written<'_>, expected: &'static str) -> Fault {
    Fault::degraded(Cause::AnnotationValue, field(key))
        .found(quoted(value))
        .expected(expected)
        .so("the default is used, as in ingress-nginx")
        .change("correct the value, or remove the annotation")
}

fn ignored(Written { key, value }: &Written<'_>) -> Fault {
    Fault::degraded(Cause::AnnotationIgnored, field(key))
        .found(quoted(value))
        .expected("no such annotation: it is not honoured yet")
        .so("requests are served without it")
        .change("remove the annotation if the Ingress can do without it")
}

fn not_honoured(Written { key, value }: &Written<'_>) -> Fault {
    Fault::refused(Cause::AnnotationClosed, field(key))
        .found(quoted(value))
        .expected("no such annotation: it protects routes or says which path is served where, and is not honoured yet")
        .so("the routes answer 503 rather than go without it")
        .change("remove the annotation if the Ingress can do without it")
}

fn not_spoken(Written { key, value }: &Written<'_>) -> Fault {
    Fault::refused(Cause::AnnotationProtocol, field(key))
        .found(quoted(value))
        .expected("`HTTP` or `HTTPS`: endpoints are not called by other protocols yet")
        .so("the routes answer 503")
        .change("let the endpoints speak HTTP/1.1, and remove the annotation or write one of the two")
}

fn unknown_variable(Written { key, value }: &Written<'_>) -> Fault {
    Fault::refused(Cause::AnnotationVariable, field(key))
        .found(quoted(value))
        .expected(
            "no variables but `$namespace`, `$ingress_name`, `$service_name` and `$service_port`, or `$host` alone",
        )
        .so("the routes answer 503 rather than ask the endpoints for another host")
        .change("write the host that the endpoints expect, or remove the annotation")
}

fn canary(Written { key, value }: &Written<'_>) -> Fault {
    Fault::refused(Cause::AnnotationCanary, field(key))
        .found(quoted(value))
        .expected("`false`: canaries are not honoured yet")
        .so("the Ingress routes nothing")
        .change("remove the Ingress, or the annotation if it is to serve by itself")
}

fn unknown_name(key: &str, protects: bool, nearest: Option<String>) -> Fault {
    let (verdict, consequence) = if protects {
        let closed = "it seems to protect: the routes answer 503 rather than go without it";
        (Verdict::Refused, closed)
    } else {
        (Verdict::Degraded, "requests are served without it")
    };
    Fault::new(verdict, Cause::AnnotationUnknown, field(key))
        .so(consequence)
        .found("an annotation that does not exist")
        .expected("the name of one that ingress-nginx 1.15 registers")
        .nearest(nearest)
        .change("correct the name, or remove the annotation")
}

#[cfg(test)]
mod tests;
