//! Where a request would go, without sending it: each step of [`super`]'s own lookup, told.
//!
//! In: a [`Table`] and a request. Out: what the guard, the router and the certificate chooser say of it. It
//! decides nothing itself: the functions are those that serve.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use super::authority::{HostName, SCRATCH};
use super::error::ProxyError;
use super::guard::{self, Refusal};
use super::policy::https_redirect;
use super::router;
use super::table::{Listener, Table};
use super::wanted::Wanted;
use crate::model::{Action, Host, Route};

/// A request as a client would send it over HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The VIP that is dialled.
    pub local: SocketAddr,
    /// The name of the TLS greeting (RFC 6066 section 3); `None`: none, or no TLS.
    pub server_name: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The request's target, as it stands in the request line.
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
    /// Where it is sent instead of an endpoint.
    pub redirect: Option<String>,
    /// The agent's own answer and why; `None`: an endpoint of the rule answers.
    pub refusal: Option<(StatusCode, String)>,
}

/// Follows a request through the table.
pub fn trace(table: &Table, asked: &Asked<'_>) -> Trace {
    let listener = table.listener(asked.local);
    let certificates = listener.and_then(|listener| listener.certificates.as_ref());
    let mut scratch = SCRATCH;
    let name = asked
        .server_name
        .and_then(|name| HostName::new(name, &mut scratch).ok());
    let certificate = certificates
        .zip(name)
        .and_then(|(certificates, name)| router::find(certificates, Some(name)))
        .filter(|(_, key)| key.is_some());
    let mut trace = Trace {
        tls: listener.map(|listener| listener.certificates.is_some()),
        certificate: certificate.map(|(pattern, _)| pattern.clone()),
        name: None,
        path: String::new(),
        host: None,
        rule: None,
        is_default: false,
        redirect: None,
        refusal: None,
    };
    if let Err(error) = follow(listener, asked, &mut trace) {
        trace.refusal = Some((error.status(), error.to_string()));
    }
    trace
}

fn follow(listener: Option<&Listener>, asked: &Asked<'_>, trace: &mut Trace) -> Result<(), ProxyError> {
    let parts = head(asked)?;
    let mut scratch = SCRATCH;
    let Wanted { authority, path } = Wanted::read(&parts, &mut scratch)?;
    trace.name = authority.name.map(|name| name.as_str().to_owned());
    trace.path = path.to_string();
    let found = listener.map(|listener| listener.site.find(authority.name, &path));
    let found = found.ok_or(ProxyError::NoRoute)?;
    trace.host = found.host.cloned();
    trace.is_default = found.is_default();
    let rule = found.rule().ok_or(ProxyError::NoRoute)?;
    trace.rule = Some(Arc::clone(&rule.route));
    let (policies, vip) = (&rule.route.policies, asked.local.ip());
    let tls = trace.tls == Some(true);
    let redirect = https_redirect::judge(policies, tls, authority.name, vip, &parts.uri)?;
    match &rule.route.action {
        Action::Refuse => Err(ProxyError::NotHonoured),
        Action::Forward(_) if redirect.is_some() => {
            let location = redirect.as_ref().map(|location| location.as_bytes());
            trace.redirect = location.map(|location| String::from_utf8_lossy(location).into_owned());
            Ok(())
        }
        Action::Forward(backend) if backend.endpoints.is_empty() => Err(ProxyError::NoEndpoint),
        Action::Forward(_) => Ok(()),
    }
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
