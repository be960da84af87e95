//! The model as JSON. Of a certificate, the Secret it comes from; of the pool's secret, whether there is one.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::{Action, BackendPort, EndpointState, MemberState, Model, Route, Site};

/// All of it.
pub(super) fn describe(model: &Model) -> Value {
    let Model {
        pools,
        listeners,
        secret,
    } = model;
    let mut sites: Vec<&Arc<Site>> = Vec::new();
    let mut listening = Vec::new();
    for listener in listeners {
        let known = sites.iter().position(|site| Arc::ptr_eq(site, &listener.site));
        let index = known.unwrap_or_else(|| {
            sites.push(&listener.site);
            sites.len() - 1
        });
        listening.push(json!({"vip": listener.vip.to_string(), "tls": listener.tls, "site": index}));
    }
    let pool = |pool: &Arc<crate::model::Pool>| {
        let member = |member: &crate::model::Member| {
            let state = match member.state {
                MemberState::Active => "active",
                MemberState::Draining => "draining",
                MemberState::Silent => "silent",
            };
            json!({"number": member.number, "name": &*member.name, "addresses": member.addresses, "state": state,
                "ready": member.ready})
        };
        let vips = pool.vips.iter().map(ToString::to_string);
        json!({
            "name": &*pool.name,
            "vips": vips.collect::<Vec<_>>(),
            "members": pool.members.iter().map(member).collect::<Vec<_>>(),
        })
    };
    json!({
        "pools": pools.iter().map(pool).collect::<Vec<_>>(),
        "listeners": listening,
        "sites": sites.into_iter().map(|site| describe_site(site)).collect::<Vec<_>>(),
        "has_secret": secret.is_some(),
    })
}

fn describe_site(site: &Site) -> Value {
    let Site {
        hosts,
        default,
        certificates,
    } = site;
    let hosts = hosts.iter().map(|(host, virtual_host)| {
        let routes = virtual_host.routes.iter().map(|route| describe_route(route));
        (host.to_string(), routes.collect())
    });
    let certificates = certificates
        .iter()
        .map(|(host, certificate)| (host.to_string(), certificate.origin.to_string().into()));
    json!({
        "hosts": hosts.collect::<serde_json::Map<String, Value>>(),
        "default": default.as_ref().map(|route| describe_route(route)),
        "certificates": certificates.collect::<serde_json::Map<String, Value>>(),
    })
}

fn describe_route(route: &Route) -> Value {
    let action = match &route.action {
        Action::Refuse => json!("refuse"),
        Action::Forward(backend) => {
            let endpoint = |endpoint: &crate::model::Endpoint| {
                let state = match endpoint.state {
                    EndpointState::Ready => "ready",
                    EndpointState::Draining => "draining",
                };
                json!({"address": endpoint.address, "state": state})
            };
            let port = match &backend.id.port {
                BackendPort::Number(number) => number.to_string(),
                BackendPort::Name(name) => name.to_string(),
            };
            json!({
                "namespace": &*backend.id.namespace,
                "service": &*backend.id.service,
                "port": port,
                "endpoints": backend.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
            })
        }
    };
    json!({
        "path": format!("{:?}", route.matches.path),
        "action": action,
        "policies": format!("{:?}", route.policies),
        "origin": route.origin.to_string(),
    })
}
