//! The node's own Lease: who this node is, kept true and renewed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Error};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::observer::Heard;
use super::request::{Patience, RequestError};
use super::trouble::Trouble;
use super::{Wanted, Who, identity, watching};
use crate::digest::lease::{self, Announced, Beat, DURATION_SECONDS, LABEL};

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// Until a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a write is tried at once that others' come before.
const TRIES: usize = 4;
/// How long a request may take at first: with a pause and another one that is well within the Lease's duration.
const ANSWER: Duration = Duration::from_secs(4);

/// Keeps the Lease. Out: what the API server was last told.
pub(super) fn start(
    who: &Who<'_>,
    wishes: watch::Receiver<Wanted>,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Wanted> {
    let (told, announced) = watch::channel(Wanted::default());
    let member = Member {
        leases: Api::namespaced(who.client.clone(), who.namespace),
        name: who.lease.to_owned(),
        identity: Arc::clone(who.identity),
        heard: Arc::clone(who.heard),
        last: None,
        patience: Patience::new(ANSWER),
        trouble: Trouble::new("writing this node's Lease"),
    };
    let nodes = Api::all(who.client.clone());
    tasks.spawn(member.keep(nodes, Arc::clone(who.node), wishes, told));
    announced
}

/// What of the Node its Lease repeats.
#[derive(Clone, Debug, PartialEq)]
struct Own {
    name: String,
    uid: String,
    addresses: Vec<IpAddr>,
    labels: BTreeMap<String, String>,
}

impl Own {
    fn of(node: Node) -> Self {
        let addresses = node
            .status
            .and_then(|status| status.addresses)
            .unwrap_or_default();
        let internal = addresses
            .into_iter()
            .filter(|address| address.type_ == "InternalIP")
            .filter_map(|address| address.address.parse().ok())
            .filter(lease::is_outer);
        Self {
            name: node.metadata.name.unwrap_or_default(),
            uid: node.metadata.uid.unwrap_or_default(),
            addresses: internal.collect(),
            labels: node.metadata.labels.unwrap_or_default(),
        }
    }
}

struct Member {
    leases: Api<Lease>,
    name: String,
    identity: Arc<str>,
    heard: Arc<Heard>,
    /// The Lease as it was written or read last.
    last: Option<Lease>,
    patience: Patience,
    trouble: Trouble,
}

impl Member {
    async fn keep(
        mut self,
        nodes: Api<Node>,
        node: Arc<str>,
        mut wishes: watch::Receiver<Wanted>,
        told: watch::Sender<Wanted>,
    ) {
        let mut objects = pin!(watching::one(nodes, &node));
        let mut watching = Trouble::new("reading this node's Node");
        let mut own: Option<Own> = None;
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due), if own.is_some() => {}
                changed = wishes.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return,
                },
                object = objects.next() => match object {
                    Some(Ok(Some(object))) => {
                        watching.over();
                        let new = Own::of(object);
                        if own.as_ref() == Some(&new) {
                            continue;
                        }
                        if new.addresses.is_empty() {
                            warn!(%node, "the Node has no InternalIP: this node is no member until it has one");
                        }
                        own = Some(new);
                    }
                    Some(Ok(None)) => {
                        watching.over();
                        warn!(%node, "there is no such Node: this node is no member; --node must be the Node's name");
                        own = None;
                    }
                    Some(Err(error)) => watching.tell(&error),
                    None => return,
                },
            }
            let Some(own) = &own else {
                continue;
            };
            let wanted = *wishes.borrow_and_update();
            let begun = Instant::now();
            due = match self.write(own, wanted).await {
                Ok(()) => {
                    self.trouble.over();
                    self.heard.now();
                    told.send_replace(wanted);
                    begun + RENEW
                }
                Err(error) => {
                    self.trouble.tell(&error);
                    Instant::now() + AGAIN
                }
            };
        }
    }

    /// Writes what is this node's to write: over what it was last, else over what there is, else anew.
    async fn write(&mut self, own: &Own, wanted: Wanted) -> Result<(), RequestError> {
        for _ in 0..TRIES {
            let last = match self.last.take() {
                Some(last) => Some(last),
                None => self.patience.answer(self.leases.get_opt(&self.name)).await?,
            };
            let body = self.body(own, wanted, last.as_ref());
            let written = match &last {
                Some(last) => {
                    self.tell_takeover(last);
                    let (parameters, patch) = (PatchParams::default(), Patch::Merge(body));
                    let patched = self.leases.patch(&self.name, &parameters, &patch);
                    self.patience.answer(patched).await
                }
                None => {
                    let new = serde_json::from_value(body)
                        .map_err(|error| RequestError::Api(Error::SerdeError(error)))?;
                    let parameters = PostParams::default();
                    self.patience.answer(self.leases.create(&parameters, &new)).await
                }
            };
            match written {
                Ok(written) => {
                    self.last = Some(written);
                    return Ok(());
                }
                // The leader's number, or a Lease that came or went: what there is now is read.
                Err(RequestError::Outdated) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RequestError::Outdated)
    }

    fn tell_takeover(&self, last: &Lease) {
        let beat = Beat::of(last);
        match beat.holder() {
            Some(holder) if *holder != *self.identity => info!(
                lease = self.name,
                before = holder,
                "goes on with the Lease of another process on node {}",
                identity::node(holder)
            ),
            Some(_) | None => {}
        }
    }

    fn body(&self, own: &Own, wanted: Wanted, last: Option<&Lease>) -> Value {
        let announced = Announced {
            addresses: own.addresses.clone(),
            state: wanted.state(),
            labels: own.labels.clone(),
            generation: wanted.taking.generation,
        };
        let mut annotations = BTreeMap::new();
        announced.write(&mut annotations);
        let (key, value) = LABEL;
        let now = MicroTime(Timestamp::now());
        json!({
            "metadata": {
                "name": self.name,
                // None: it is made.
                "resourceVersion": last.and_then(|last| last.metadata.resource_version.as_deref()),
                "labels": {key: value},
                "annotations": annotations,
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": own.name, "uid": own.uid},
                ],
            },
            "spec": {
                "holderIdentity": *self.identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": now,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use kube::core::Status;
    use tokio::time::timeout;
    use tower::service_fn;

    use super::*;

    /// Somebody writes it whenever it was read, or says so of every write: the next try comes after a pause.
    #[tokio::test]
    async fn a_lease_that_is_never_as_it_was_read_is_not_written_for_ever() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let server = service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let (code, body) = if request.method() == Method::GET {
                (
                    200,
                    json!({"metadata": {"name": "node-a", "resourceVersion": "1"}}),
                )
            } else {
                let conflict = Status::failure("changed", "Conflict").with_code(409);
                (409, json!(conflict))
            };
            let response = Response::builder().status(code);
            let response = response.body(Body::from(body.to_string().into_bytes())).unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let mut member = Member {
            leases: Api::namespaced(Client::new(server, "ours"), "ours"),
            name: "node-a".to_owned(),
            identity: Arc::from("a_1"),
            heard: Arc::default(),
            last: None,
            patience: Patience::new(ANSWER),
            trouble: Trouble::new("writing"),
        };
        let own = Own::of(Node::default());
        let written = timeout(ANSWER, member.write(&own, Wanted::default()))
            .await
            .unwrap();
        assert!(matches!(written, Err(RequestError::Outdated)), "{written:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2 * TRIES);
    }

    #[test]
    fn a_node_is_reached_at_its_internal_addresses() {
        let node = serde_json::from_value(json!({
            "metadata": {"name": "a.example", "uid": "u-1", "labels": {"zone": "b"}},
            "status": {"addresses": [
                {"type": "Hostname", "address": "192.0.2.9"},
                {"type": "ExternalIP", "address": "198.51.100.1"},
                {"type": "InternalIP", "address": "2001:db8::1"},
                {"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "InternalIP", "address": "a.example"},
            ]},
        }));
        let own = Own::of(node.unwrap());
        let addresses: Vec<_> = own.addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(addresses, ["2001:db8::1", "192.0.2.1"]);
        assert_eq!(
            (&*own.name, &*own.uid, &*own.labels["zone"]),
            ("a.example", "u-1", "b")
        );
    }
}
