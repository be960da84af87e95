//! A request's way: authority, path, route, endpoint, answer.

mod body;

use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};

use self::body::Relay;
pub(super) use self::body::{Progress, RequestBody, ResponseBody};
use super::access::{End, Record};
use super::authority::{Authority, SCRATCH};
use super::client::Client;
use super::error::ProxyError;
use super::header::{self, Hop};
use super::path;
use super::router::Rule;
use super::upstream::exchange;

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(super) async fn serve(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let number = client.next_request();
    client.request_begins();
    let (parts, body) = request.into_parts();
    let mut record = Record::new(Rc::clone(&client));
    let answered = match client.watch.refusal(number) {
        Some(refusal) => Err(ProxyError::Refused(refusal)),
        None => {
            record.asked(&parts);
            respond(&client, parts, body, &mut record).await
        }
    };
    Ok(match answered {
        Ok((response, relay)) => {
            record.status = Some(response.status());
            response.map(|()| ResponseBody::relay(relay, record))
        }
        Err(error) => {
            let response = error.response();
            record.status = Some(response.status());
            record.error = Some(error);
            record.end = End::Complete;
            response.map(|bytes| ResponseBody::own(bytes, record))
        }
    })
}

async fn respond(
    client: &Client,
    mut parts: Parts,
    body: Incoming,
    record: &mut Record,
) -> Result<(Response<()>, Relay), ProxyError> {
    let (rule, host) = route(client, &mut parts)?;
    record.rule = Some(Arc::clone(&rule));
    let targets = rule.upstream.as_deref().ok_or(ProxyError::NotHonoured)?;

    let hop = Hop {
        forwarded: &client.forwarded,
        host,
        chunked: !body.is_end_stream() && body.size_hint().exact().is_none(),
    };
    header::request(&mut parts.headers, hop, || client.worker.ids.next());
    if let Some(host) = &rule.host {
        parts.headers.insert(http::header::HOST, host.clone());
    }
    parts.version = Version::HTTP_11;
    parts.extensions.clear();

    let (response, connection, progress) = exchange(
        client,
        &rule.route.policies.upstream,
        targets,
        parts,
        body,
        record,
    )
    .await?;
    let (mut parts, body) = response.into_parts();
    // Nobody asked to switch: `Upgrade` does not reach the pod.
    if parts.status == StatusCode::SWITCHING_PROTOCOLS || !is_plainly_framed(&parts.headers) {
        return Err(ProxyError::Upstream);
    }
    header::response(&mut parts.headers);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let relay = Relay::new(body, connection, progress);
    Ok((Response::from_parts(parts, ()), relay))
}

/// Whether a pod's answer has one length: hyper takes more than one coding, and a length beside it.
fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(http::header::CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => false,
    }
}

/// Finds the rule and the pod's Host, and makes the target what was matched.
fn route(client: &Client, parts: &mut Parts) -> Result<(Arc<Rule>, HeaderValue), ProxyError> {
    let mut scratch = SCRATCH;
    let authority = Authority::of(parts, &mut scratch).map_err(|_| ProxyError::Authority)?;
    let path = path::canonical(parts.uri.path()).map_err(|_| ProxyError::Path)?;
    let rule = {
        // Held for the lookup only: a request keeps its rule, never the table.
        let live = client.worker.live.load();
        let listener = live.table.listener(client.local);
        let rule = listener.and_then(|listener| listener.site.route(authority.name, &path));
        rule.map(Arc::clone).ok_or(ProxyError::NoRoute)?
    };
    let host = authority.host.unwrap_or_else(|| client.own_host());
    if matches!(path, Cow::Owned(_)) || parts.uri.authority().is_some() {
        let target = match parts.uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path.into_owned()),
        };
        parts.uri = Uri::from(target.map_err(|_| ProxyError::Path)?);
    }
    Ok((rule, host))
}
