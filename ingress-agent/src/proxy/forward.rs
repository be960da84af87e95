//! A request's way: authority, path, route, endpoint, answer.

mod body;
mod upload;

use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::{self, OnUpgrade};

pub(super) use self::body::ResponseBody;
use self::body::{Relay, Source};
pub(super) use self::upload::{BodyError, RequestBody, Upload};
use super::access::{Record, Side};
use super::authority::SCRATCH;
use super::client::Client;
use super::error::ProxyError;
use super::guard::h2;
use super::header::{self, Hop};
use super::policy::{body_limit, https_redirect};
use super::router::Rule;
use super::tunnel::Tunnel;
use super::upstream::{Connection, RequestHead, exchange};
use super::wanted::Wanted;

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(super) async fn serve(
    client: Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let number = client.next_request();
    client.request_begins();
    let offers_upgrade = client.watch.offers_upgrade(number);
    let upgrade = offers_upgrade.then(|| upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let mut record = Record::new(Rc::clone(&client));
    let over_h2 = parts.version == Version::HTTP_2;
    let headless = over_h2 && parts.method == Method::HEAD;
    let refusal = if over_h2 {
        h2::judge(&mut parts).err()
    } else {
        client.watch.refusal(number)
    };
    let answered = match refusal {
        Some(refusal) => Err(ProxyError::Refused(refusal)),
        None => {
            record.asked(&parts);
            respond(&client, parts, body, upgrade, &mut record).await
        }
    };
    let mut response = answered.unwrap_or_else(|error| {
        record.error = Some(error);
        error.response().map(Source::own)
    });
    if over_h2 {
        // HTTP/2 has other words for it; and hyper leaves it to us that HEAD gets no body there.
        response.headers_mut().remove(http::header::CONNECTION);
        response = response.map(|source| if headless { source.without_own() } else { source });
    }
    record.status = Some(response.status());
    record.heads(Side::Sent, response.headers());
    client.answer_begins();
    if offers_upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // What follows the request is in no protocol that was agreed on.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(http::header::CONNECTION, close);
    }
    Ok(response.map(|source| ResponseBody::new(source, record)))
}

async fn respond(
    client: &Client,
    mut parts: Parts,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
    record: &mut Record,
) -> Result<Response<Source>, ProxyError> {
    let Routed { rule, host, redirect } = route(client, &mut parts)?;
    record.rule = Some(Arc::clone(&rule));
    let targets = rule.upstream.as_deref().ok_or(ProxyError::NotHonoured)?;
    let policies = &rule.route.policies;
    body_limit::check(policies.body_limit, &body.size_hint())?;
    if let Some(location) = redirect {
        return Ok(redirected(location));
    }

    let upgrade = upgrade.and_then(|client| Some((client, parts.headers.get(UPGRADE).cloned()?)));
    let hop = Hop {
        forwarded: &client.forwarded,
        host: &host,
        vhost: rule.host.as_ref(),
        upgrade: upgrade.as_ref().map(|(_, protocol)| protocol),
        chunked: !body.is_end_stream() && body.size_hint().exact().is_none(),
    };
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut head = RequestHead::new(&parts.method, target);
    record.forwards(header::request(&mut head, &parts.headers, &hop, || {
        client.worker.ids.next()
    }));
    let over_h2 = parts.version == Version::HTTP_2;
    // The guard times those of HTTP/1.1.
    let grace = over_h2.then_some(client.worker.options.body);
    drop(parts);
    let (body, upload) = RequestBody::new(body, body_limit::bytes(policies.body_limit), grace);
    let calls = &policies.upstream;
    let exchanged = exchange(client, calls, targets, &head, body, upload.as_ref(), record).await;
    if let Some(upload) = &upload {
        upload.settle();
    }
    let (mut response, mut connection) = exchanged?;
    if let Some(upload) = &upload {
        upload.answer_begins();
    }
    let once = upgrade.is_some();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some((client, protocol)) = upgrade
    {
        let idle = policies.upstream.timeouts.read;
        return switched(response, connection, client, protocol, idle);
    }
    // Nobody asked to switch: `Upgrade` did not reach the pod.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProxyError::Upstream);
    }
    record.heads(Side::Upstream, response.headers());
    header::response(response.headers_mut());
    if once {
        connection.let_go();
    }
    // A connection of HTTP/2 has many streams, each of which may be left.
    let relay = Relay::new(connection, upload, !over_h2);
    Ok(response.map(|()| Source::Pod(relay)))
}

/// The pod takes the offer: its answer names the protocol, or it is none.
fn switched(
    mut response: Response<()>,
    pod: Box<Connection>,
    client: OnUpgrade,
    protocol: HeaderValue,
    idle: Duration,
) -> Result<Response<Source>, ProxyError> {
    let mut named = response.headers().get_all(UPGRADE).iter();
    let same = |name: &HeaderValue| name.as_bytes().eq_ignore_ascii_case(protocol.as_bytes());
    if !named.next().is_some_and(same) || named.next().is_some() {
        return Err(ProxyError::Upstream);
    }
    let mut answer = Response::new(Source::Switched(Box::new(Tunnel {
        client,
        pod,
        idle,
        websocket: protocol.as_bytes().eq_ignore_ascii_case(b"websocket"),
    })));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    header::response(answer.headers_mut());
    header::upgrade(answer.headers_mut(), protocol);
    Ok(answer)
}

/// What a request's head leads to.
struct Routed {
    rule: Arc<Rule>,
    /// What the client asked for.
    host: HeaderValue,
    /// Where the rule sends it instead.
    redirect: Option<HeaderValue>,
}

/// Finds the rule, and makes the target what was matched.
fn route(client: &Client, parts: &mut Parts) -> Result<Routed, ProxyError> {
    let mut scratch = SCRATCH;
    let Wanted { authority, path } = Wanted::read(parts, &mut scratch)?;
    let rule = {
        // Held for the lookup only: a request keeps its rule, never the table.
        let live = client.worker.live.load();
        let listener = live.table.listener(client.local).ok_or(ProxyError::NoRoute)?;
        let found = listener.find(&client.security, authority.name, &path)?;
        found.rule().map(Arc::clone).ok_or(ProxyError::NoRoute)?
    };
    let policies = &rule.route.policies;
    let vip = client.local.ip();
    let redirect = https_redirect::judge(policies, client.tls, authority.name, vip, &parts.uri)?;
    let host = authority.host.unwrap_or_else(|| client.own_host());
    let target = match (path, parts.uri.query()) {
        (Cow::Borrowed(_), _) if parts.uri.authority().is_none() => None,
        (Cow::Borrowed(_), _) => parts.uri.path_and_query().cloned(),
        (Cow::Owned(path), None) => Some(PathAndQuery::try_from(path).map_err(|_| ProxyError::Path)?),
        (Cow::Owned(path), Some(query)) => {
            let target = PathAndQuery::try_from(format!("{path}?{query}"));
            Some(target.map_err(|_| ProxyError::Path)?)
        }
    };
    if let Some(target) = target {
        parts.uri = Uri::from(target);
    }
    Ok(Routed { rule, host, redirect })
}

/// 308, so that the method stays what it was.
fn redirected(location: HeaderValue) -> Response<Source> {
    let mut response = Response::new(Source::own(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(http::header::SERVER, HeaderValue::from_static("ingress-agent"));
    headers.insert(http::header::LOCATION, location);
    response
}
