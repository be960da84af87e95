//! Agents within this process, that read, tell one another and publish, and only say that they serve; and another
//! controller of Ingresses beside them.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::cluster::{Coordination, EventWriter, StatusWriter, Taking, record_addresses};
use ingress_agent::source::kube::{self as source, Answers, Identity, Saved};
use ingress_agent::translate::{Controllers, Served, Snapshot, translate};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::coordination::bed::{Bed, NAMESPACE, client, name, scope};
use crate::definition::define;
use crate::objects::ingress;

/// How long what is to come may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The field manager of the other controller.
const OTHER: &str = "nginx-ingress-controller";

/// Its end is like a kill: nothing is said, and its Leases stay.
pub(crate) struct Agent {
    pub(crate) coordination: Coordination,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    served: watch::Sender<Option<Arc<Served>>>,
    tasks: JoinSet<()>,
}

impl Agent {
    /// Starts a node's. It serves nothing yet.
    pub(crate) fn start(bed: &Bed, index: usize) -> Self {
        let node: Arc<str> = Arc::from(name(index));
        let client = client(&bed.plane.kubeconfig());
        let coordination = bed.agents(index..index + 1).remove(0);
        coordination.takes(Taking {
            connections: true,
            generation: Some(1),
        });
        let scope = scope(&node, &coordination, true);
        let place = bed.scratch.directory().join(&*node);
        let saved = Saved::new(&place, &place, Identity([1; 32]));
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let served = watch::Sender::default();
        let mut tasks = JoinSet::new();
        let leadership = coordination.leadership();
        let record = record_addresses(client.clone(), Controllers::Own, leadership, snapshots.clone());
        tasks.spawn(async { match record.await {} });
        let status = StatusWriter {
            client: client.clone(),
            namespaces: Vec::new(),
            controllers: Controllers::Own,
            leadership: coordination.leadership(),
        };
        let publish = status.publish(served.subscribe());
        tasks.spawn(async { match publish.await {} });
        let events = EventWriter {
            client: client.clone(),
            node,
            controllers: Controllers::Own,
            example_pool: None,
            leadership: coordination.leadership(),
        };
        let tell = events.tell(served.subscribe());
        tasks.spawn(async { match tell.await {} });
        tasks.spawn(
            async move { match source::watch(client, scope, saved, Answers::default(), sender).await {} },
        );
        Self {
            coordination,
            snapshots,
            served,
            tasks,
        }
    }

    /// Serves what it reads from now on.
    pub(crate) fn serve(&mut self) {
        let (mut snapshots, served) = (self.snapshots.clone(), self.served.clone());
        snapshots.mark_changed();
        self.tasks.spawn(async move {
            while snapshots.changed().await.is_ok() {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                let (model, report) = translate(&snapshot);
                let (model, report) = (Arc::new(model), Arc::new(report));
                served.send_replace(Some(Arc::new(Served {
                    snapshot,
                    model,
                    report,
                })));
            }
        });
    }

    pub(crate) async fn leads(&self) {
        let mut leadership = self.coordination.leadership();
        timeout(PATIENCE, leadership.is_won()).await.expect("it leads");
    }

    /// Waits until it has read what it should.
    pub(crate) async fn reads(&self, what: &str, holds: impl FnMut(&Arc<Snapshot>) -> bool) {
        let mut snapshots = self.snapshots.clone();
        let found = timeout(PATIENCE, snapshots.wait_for(holds)).await;
        assert!(found.is_ok(), "{what}");
    }
}

/// The Ingresses of the agents' namespace.
pub(crate) struct Ingresses<'a> {
    pub(crate) bed: &'a Bed,
    api: Api<Ingress>,
}

impl<'a> Ingresses<'a> {
    /// None yet, and a class of ours and one of another controller.
    pub(crate) fn of(bed: &'a Bed) -> Self {
        define(&bed.plane);
        let ingresses = Self {
            bed,
            api: Api::namespaced(client(&bed.plane.kubeconfig()), NAMESPACE),
        };
        for (name, controller) in [
            ("xdp", "ingress-agent.dev/xdp"),
            ("nginx", "k8s.io/ingress-nginx"),
        ] {
            let class = json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": name},
                "spec": {"controller": controller},
            });
            ingresses.apply(&class.to_string());
        }
        ingresses
    }

    pub(crate) fn apply(&self, yaml: &str) {
        let apply = ["apply", "--namespace", NAMESPACE, "-f", "-"];
        self.bed.plane.kubectl_with(&apply, yaml).unwrap();
    }

    /// Makes some, of our class.
    pub(crate) fn make(&self, names: &[&str]) {
        let yaml: Vec<_> = names
            .iter()
            .map(|name| ingress(name, &format!("{name}.test"), "shop"))
            .collect();
        self.apply(&yaml.join("---\n"));
    }

    /// Gives one to the other controller.
    pub(crate) fn give_away(&self, name: &str) {
        let class = r#"{"spec":{"ingressClassName":"nginx"}}"#;
        self.bed
            .kubectl(&["patch", "ingress", name, "--type=merge", "--patch", class]);
    }

    pub(crate) async fn version(&self, name: &str) -> String {
        self.api
            .get(name)
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap()
    }

    /// What one's status says, in its order.
    pub(crate) async fn entries(&self, name: &str) -> String {
        let status = self.api.get(name).await.unwrap().status;
        let entries = status.and_then(|status| status.load_balancer?.ingress);
        let texts: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ip.or(entry.hostname))
            .collect();
        texts.join(" ")
    }

    /// The other controller writes one's status, whatever it says. Whether it may.
    pub(crate) async fn other_writes(&self, name: &str, entries: &Value) -> bool {
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": entries}}}));
        let parameters = PatchParams {
            field_manager: Some(OTHER.to_owned()),
            ..PatchParams::default()
        };
        self.api.patch_status(name, &parameters, &patch).await.is_ok()
    }

    /// Waits until one's status says this, and says how long that took.
    pub(crate) async fn says(&self, name: &str, entries: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let now = self.entries(name).await;
            if now == entries {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "{name} says {now}, and not {entries}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The API server's answers to the agents' writes of one's status.
    pub(crate) fn answers(&self, name: &str) -> Vec<u64> {
        let log = fs::read_to_string(self.bed.plane.audit_log()).unwrap();
        // The last line may be half written.
        let events = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |event: &Value, at: &str| {
            let text = event.pointer(at).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let events = events.filter(|event| {
            text(event, "/objectRef/resource") == "ingresses"
                && text(event, "/objectRef/subresource") == "status"
                && text(event, "/objectRef/name") == name
                && text(event, "/verb") == "patch"
                && text(event, "/stage") == "ResponseComplete"
                && !text(event, "/requestURI").contains(OTHER)
        });
        let code = |event: Value| event.pointer("/responseStatus/code").and_then(Value::as_u64);
        events.filter_map(code).collect()
    }
}
