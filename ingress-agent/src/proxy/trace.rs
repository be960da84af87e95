//! Where a request would go, without sending it: each step of [`super`]'s own lookup, told.
//!
//! In: a [`Table`] and a request. Out: what the guard, the router and the certificate chooser say of it. It
//! decides nothing itself: the functions are those that serve.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body::SizeHint;

use super::authority::{HostName, SCRATCH};
use super::error::ProxyError;
use super::guard::{self, Refusal, h2};
use super::policy::{body_limit, https_redirect};
use super::router::{self, Rule, Upstream};
use super::table::{Listener, Table};
use super::tls::{self, Security, Shown};
use super::upstream::{EndpointHealth, HealthState};
use super::wanted::Wanted;
use crate::model::{Host, Route};

/// A request as a client would send it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The VIP that is dialled.
    pub local: SocketAddr,
    /// The name of the TLS greeting (RFC 6066 section 3); `None`: none, or no TLS.
    pub server_name: Option<&'a str>,
    /// Whether the client offers HTTP/2 in its TLS greeting, as browsers and curl do.
    pub http2: bool,
    /// The method.
    pub method: &'a Method,
    /// The request's target, as it stands in the request line of HTTP/1.1.
    pub target: &'a str,
    /// The fields, Host among them.
    pub fields: &'a HeaderMap,
}

/// What would become of it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Whether TLS is terminated at the VIP; `None`: nothing listens there.
    pub tls: Option<bool>,
    /// Whose certificate is shown; `None`: the agent's own, or no TLS.
    pub certificate: Option<Host>,
    /// What is spoken: HTTP/2 where both sides have it and it has words for this request.
    pub version: Version,
    /// The name that is looked up; `None`: the request gives none.
    pub name: Option<String>,
    /// The path that is matched and sent.
    pub path: String,
    /// The host pattern that matched.
    pub host: Option<Host>,
    /// The rule that answers.
    pub rule: Option<Arc<Route>>,
    /// Whether that is the site's default, for want of a path.
    pub is_default: bool,
    /// How the rule's endpoints do: those that are ready, then those that terminate.
    pub endpoints: Vec<EndpointHealth>,
    /// Where it is sent instead of an endpoint.
    pub redirect: Option<String>,
    /// Where it ended.
    pub stage: Stage,
    /// The agent's own answer and why; `None`: an endpoint of the rule answers.
    pub refusal: Option<(StatusCode, String)>,
}

/// How far a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The TLS handshake is refused.
    Handshake,
    /// Its head is none.
    Head,
    /// Its connection is not one for its host.
    Connection,
    /// It has no rule.
    Rule,
    /// A policy of its rule, or a rule that refuses, answers it.
    Policies,
    /// Its rule's endpoints, or that there are none.
    Endpoints,
}

/// Follows a request through the table.
pub fn trace(table: &Table, asked: &Asked<'_>) -> Trace {
    let listener = table.listener(asked.local);
    let certificates = listener.and_then(|listener| listener.certificates.as_deref());
    let mut scratch = SCRATCH;
    let name = asked
        .server_name
        .and_then(|name| HostName::new(name, &mut scratch).ok());
    let certificate = certificates
        .zip(name)
        .and_then(|(certificates, name)| router::find(certificates, Some(name)))
        .filter(|(_, identity)| identity.is_some());
    let tls = listener.map(|listener| listener.certificates.is_some());
    let over_h2 = (asked.http2 && tls == Some(true))
        .then(|| head_h2(asked))
        .flatten();
    let mut trace = Trace {
        tls,
        certificate: certificate.map(|(pattern, _)| pattern.clone()),
        version: if over_h2.is_some() {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        },
        name: None,
        path: String::new(),
        host: None,
        rule: None,
        is_default: false,
        endpoints: Vec::new(),
        redirect: None,
        stage: Stage::Head,
        refusal: None,
    };
    if certificates
        .zip(asked.server_name)
        .is_some_and(|(certificates, name)| tls::is_refused(certificates, name))
    {
        trace.stage = Stage::Handshake;
        return trace;
    }
    let security = certificates.map_or(Security::Plain, |certificates| {
        Security::Tls(Shown::to(asked.server_name, certificates))
    });
    let judged = over_h2.map_or_else(|| head(asked), judge_h2);
    if let Err(error) = judged.and_then(|parts| follow(listener, &security, asked, &parts, &mut trace)) {
        trace.refusal = Some((error.status(), error.to_string()));
    }
    trace
}

fn follow(
    listener: Option<&Listener>,
    security: &Security,
    asked: &Asked<'_>,
    parts: &Parts,
    trace: &mut Trace,
) -> Result<(), ProxyError> {
    let mut scratch = SCRATCH;
    let Wanted { authority, path } = Wanted::read(parts, &mut scratch)?;
    trace.name = authority.name.map(|name| name.as_str().to_owned());
    trace.path = path.to_string();
    trace.stage = Stage::Rule;
    let listener = listener.ok_or(ProxyError::NoRoute)?;
    let found = listener.find(security, authority.name, &path);
    let found = found.inspect_err(|_| trace.stage = Stage::Connection)?;
    trace.host = found.host.cloned();
    trace.is_default = found.is_default();
    let Rule { route, upstream, .. } = &**found.rule().ok_or(ProxyError::NoRoute)?;
    trace.rule = Some(Arc::clone(route));
    trace.stage = Stage::Policies;
    let (policies, vip) = (&route.policies, asked.local.ip());
    let tls = trace.tls == Some(true);
    let redirect = https_redirect::judge(policies, tls, authority.name, vip, &parts.uri)?;
    let upstream = upstream.as_deref().ok_or(ProxyError::NotHonoured)?;
    body_limit::check(policies.body_limit, &body(&parts.headers))?;
    if let Some(location) = redirect {
        trace.redirect = Some(String::from_utf8_lossy(location.as_bytes()).into_owned());
        return Ok(());
    }
    trace.stage = Stage::Endpoints;
    trace.endpoints = endpoints(upstream);
    let is_down = |endpoint: &EndpointHealth| endpoint.state == HealthState::Unreachable;
    if trace.endpoints.iter().all(is_down) {
        return Err(upstream.nobody());
    }
    Ok(())
}

fn endpoints(upstream: &Upstream) -> Vec<EndpointHealth> {
    let now = Instant::now();
    let endpoints = upstream.ready.iter().chain(&upstream.draining);
    endpoints.map(|endpoint| endpoint.tell(now)).collect()
}

/// What the head says of its body.
fn body(fields: &HeaderMap) -> SizeHint {
    let length = fields.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or_else(SizeHint::default, SizeHint::with_exact)
}

/// The head as it passes the guard and then hyper.
fn head(asked: &Asked<'_>) -> Result<Parts, ProxyError> {
    let mut text = format!("{} {} HTTP/1.1\r\n", asked.method, asked.target).into_bytes();
    for (name, value) in asked.fields {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    guard::judge_head(&text).map_err(ProxyError::Refused)?;
    let uri: Uri = asked
        .target
        .parse()
        .map_err(|_| ProxyError::Refused(Refusal::Target))?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = asked.method.clone();
    parts.uri = uri;
    parts.headers = asked.fields.clone();
    Ok(parts)
}

/// The head in the words of HTTP/2, as a client of both protocols puts it (RFC 9113 section 8.3.1). `None`: it
/// has none for it, so that such a client speaks HTTP/1.1.
fn head_h2(asked: &Asked<'_>) -> Option<Parts> {
    let mut fields = asked.fields.clone();
    let host = fields.remove(header::HOST)?;
    let is_bound = |name: &&str| fields.contains_key(*name);
    let trailers = HeaderValue::from_static("trailers");
    let te = fields.get_all(header::TE).iter().all(|te| *te == trailers);
    if asked.method == Method::CONNECT || !te || OF_ONE_CONNECTION.iter().any(is_bound) {
        return None;
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    uri.path_and_query = Some(PathAndQuery::try_from(asked.target).ok()?);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = Version::HTTP_2;
    parts.method = asked.method.clone();
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.headers = fields;
    Some(parts)
}

/// Fields that say something of one connection (RFC 9113 section 8.2.2).
const OF_ONE_CONNECTION: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

fn judge_h2(mut parts: Parts) -> Result<Parts, ProxyError> {
    h2::judge(&mut parts).map_err(ProxyError::Refused)?;
    Ok(parts)
}

/// The lookup as a request pays for it: authority and path in their one form, listener, host, path.
pub fn find<'a>(table: &'a Table, local: SocketAddr, parts: &Parts) -> Option<&'a Arc<Route>> {
    let mut scratch = SCRATCH;
    let Wanted { authority, path } = Wanted::read(parts, &mut scratch).ok()?;
    route(table, local, authority.name, &path)
}

/// The lookup alone, of a host's name and a canonical path.
pub fn look_up<'a>(table: &'a Table, local: SocketAddr, name: &str, path: &str) -> Option<&'a Arc<Route>> {
    let mut scratch = SCRATCH;
    let name = HostName::new(name, &mut scratch).ok()?;
    route(table, local, Some(name), path)
}

fn route<'a>(
    table: &'a Table,
    local: SocketAddr,
    name: Option<HostName<'_>>,
    path: &str,
) -> Option<&'a Arc<Route>> {
    let site = &table.listener(local)?.site;
    site.find(name, path).rule().map(|rule| &rule.route)
}
