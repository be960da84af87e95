//! The edits of everyday life, made to a snapshot in memory, and the fact that shows each in effect.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::request::Parts;
use http::{Request, header};
use ingress_agent::digest;
use ingress_agent::model::{Action, EndpointState, Host, Model, PathMatch, Route};
use ingress_agent::proxy::{Table, trace};
use ingress_agent::translate::{Entry, Snapshot};

use crate::folder;
use crate::recompute::VIP;

/// What is edited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Path,
    Endpoint,
    Certificate,
    Remove,
    Add,
}

/// Edits of a kind: as many as there are Ingresses that have a certificate.
pub(crate) const MOST: usize = folder::INGRESSES / 10;

/// The Ingresses that were removed, and where they stood; the last one comes back first.
pub(crate) type Removed = Vec<(usize, Entry<digest::Ingress>)>;

impl Edit {
    /// Each once; what `Remove` takes away `Add` brings back.
    pub(crate) const ALL: [Self; 5] = [
        Self::Path,
        Self::Endpoint,
        Self::Certificate,
        Self::Remove,
        Self::Add,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Path => "an Ingress's path changed",
            Self::Endpoint => "an endpoint changed",
            Self::Certificate => "a certificate rotated",
            Self::Remove => "an Ingress removed",
            Self::Add => "an Ingress added",
        }
    }

    /// Makes the `round`th edit. The number of the Ingress that shows it.
    pub(crate) fn make(self, round: usize, snapshot: &mut Snapshot, removed: &mut Removed) -> usize {
        // Scattered over the folder, among those that have a certificate.
        let number = round * 370 % folder::INGRESSES;
        let name = format!("web-{number}");
        let ingresses = &mut snapshot.ingresses;
        let at = ingresses
            .iter()
            .position(|entry| *entry.value.object.name == *name);
        match self {
            Self::Path => {
                let entry = &mut ingresses[at.expect("the Ingress")];
                let mut ingress = digest::Ingress::clone(&entry.value);
                ingress.rules[0].paths[0].path = PathMatch::prefix(&path(round));
                entry.value = Arc::new(ingress);
            }
            Self::Endpoint => {
                let service = format!("app-{}", folder::service_of(number));
                let mut slices = snapshot.endpoints.iter_mut();
                let entry = slices.find(|slice| slice.value.service.as_deref() == Some(&*service));
                let entry = entry.expect("the slice");
                let mut slice = digest::Endpoints::clone(&entry.value);
                slice.addresses[0] = (pod(round), EndpointState::Ready);
                entry.value = Arc::new(slice);
            }
            Self::Certificate => {
                let name = format!("tls-{}", number / 10);
                let mut secrets = snapshot.secrets.iter_mut();
                let entry = secrets.find(|secret| *secret.value.object.name == *name);
                entry.expect("the Secret").value = folder::rotated(number / 10);
            }
            Self::Remove => {
                let at = at.expect("the Ingress");
                removed.push((at, ingresses.remove(at)));
            }
            Self::Add => {
                let (at, entry) = removed.pop().expect("an Ingress that was removed");
                let name = entry.value.object.name.strip_prefix("web-").map(str::to_owned);
                ingresses.insert(at, entry);
                return name.expect("its name").parse().expect("its number");
            }
        }
        number
    }

    /// Whether a model and its table say what the `round`th edit, of an Ingress with this number, asks for.
    pub(crate) fn is_in_effect(
        self,
        round: usize,
        number: usize,
        before: &Model,
        model: &Model,
        table: &Table,
    ) -> bool {
        let name = folder::host(number);
        let host = Host::parse(&name).unwrap();
        let shown = |model: &Model| model.listeners[0].site.certificates.get(&host).cloned();
        let route = route(model, table, &host, &name);
        match self {
            Self::Path => route.is_some_and(|route| route.matches.path.path() == path(round)),
            Self::Endpoint => route.is_some_and(|route| calls(route, pod(round))),
            Self::Certificate => match (shown(before), shown(model)) {
                (Some(old), Some(new)) => old.chain != new.chain,
                _ => false,
            },
            Self::Remove => route.is_none(),
            Self::Add => route.is_some(),
        }
    }
}

/// What the table answers to a request for the host's own path.
fn route<'a>(model: &Model, table: &'a Table, host: &Host, name: &str) -> Option<&'a Arc<Route>> {
    let routes = model.listeners[0].site.hosts.get(host);
    let path = routes.map_or("/", |host| host.routes[0].matches.path.path());
    trace::find(table, VIP, &request(name, path))
}

fn calls(route: &Route, pod: IpAddr) -> bool {
    match &route.action {
        Action::Forward(backend) => backend
            .endpoints
            .iter()
            .any(|endpoint| endpoint.address.ip() == pod),
        Action::Refuse => false,
    }
}

fn path(round: usize) -> String {
    format!("/path-{round}")
}

fn pod(round: usize) -> IpAddr {
    let round = u16::try_from(round).unwrap().to_be_bytes();
    Ipv4Addr::new(12, 0, round[0], round[1]).into()
}

/// The head of a GET.
pub(crate) fn request(host: &str, path: &str) -> Parts {
    let request = Request::builder().uri(path).header(header::HOST, host);
    request.body(()).unwrap().into_parts().0
}
