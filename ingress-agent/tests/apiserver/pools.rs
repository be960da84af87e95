//! The addresses of VipPools at a real API server: who gives them, who keeps them, who serves them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingress_agent::cluster::{Coordination, Retention, record_addresses};
use ingress_agent::digest::vippool::Owner;
use ingress_agent::source::kube::{self as source, Fleet, Identity, Saved, Scope};
use ingress_agent::translate::{Controllers, Snapshot, translate};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use xtask::control_plane::{Binaries, Place, Plane};
use xtask::lab::Scratch;

use crate::definition::define;

/// How long what is to come may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) plane: Plane,
    scratch: Arc<Scratch>,
}

impl World {
    pub(crate) fn start() -> Self {
        // Whoever comes first.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
        let scratch = Arc::new(Scratch::begin().unwrap());
        let plane = Plane::start(&scratch, binaries, Place::default(), false).unwrap();
        Self { plane, scratch }
    }

    pub(crate) fn apply(&self, yaml: &str) {
        self.plane.kubectl_with(&["apply", "-f", "-"], yaml).unwrap();
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.kubectl(arguments).unwrap()
    }

    fn version(&self, pool: &str) -> String {
        self.kubectl(&["get", "vp", pool, "--output=jsonpath={.metadata.resourceVersion}"])
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.plane.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// What an agent with VIPs sees of the cluster.
    pub(crate) async fn watch(&self, name: &str, tasks: &mut JoinSet<()>) -> watch::Receiver<Arc<Snapshot>> {
        let node: Arc<str> = Arc::from(name);
        let scope = Scope {
            node: Arc::clone(&node),
            namespaces: Vec::new(),
            controllers: Controllers::Own,
            fleet: Fleet::Alone,
            pools: true,
        };
        let place = self.scratch.directory().join(name);
        let saved = Saved::new(&place, &place, Identity([1; 32]));
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let client = self.client().await;
        let answers = source::Answers::default();
        tasks.spawn(async move { match source::watch(client, scope, saved, answers, sender).await {} });
        snapshots
    }
}

/// One that stands for election in a namespace of its own and gives addresses while it leads. Ends with its drop.
pub(crate) struct Allocator {
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    coordination: Coordination,
    _tasks: JoinSet<()>,
}

impl Allocator {
    pub(crate) fn start(runtime: &Runtime, world: &World, name: &str, namespace: &str) -> Self {
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let snapshots = world.watch(name, &mut tasks).await;
            let client = world.client().await;
            let coordination =
                Coordination::start(&client, namespace, &Arc::from(name), Retention::default()).unwrap();
            let (leadership, seen) = (coordination.leadership(), snapshots.clone());
            tasks.spawn(async move {
                match record_addresses(client, Controllers::Own, leadership, seen).await {}
            });
            Self {
                snapshots,
                coordination,
                _tasks: tasks,
            }
        })
    }

    fn leads(&self, runtime: &Runtime) {
        let mut leadership = self.coordination.leadership();
        let won = runtime.block_on(async { timeout(PATIENCE, leadership.is_won()).await });
        won.expect("it leads");
    }
}

/// Waits until a snapshot is as it should be, which is given back.
pub(crate) fn eventually(
    runtime: &Runtime,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    what: &str,
    holds: impl FnMut(&Arc<Snapshot>) -> bool,
) -> Arc<Snapshot> {
    let mut snapshots = snapshots.clone();
    let found = runtime.block_on(async {
        timeout(PATIENCE, snapshots.wait_for(holds))
            .await
            .map(|found| found.unwrap().clone())
    });
    found.expect(what)
}

/// What the pools' status records; no address twice.
pub(crate) fn recorded(snapshot: &Snapshot) -> BTreeMap<IpAddr, Owner> {
    let pools = snapshot.pools.iter().flat_map(|pool| &pool.value.assignments);
    let mut all = BTreeMap::new();
    for (address, owner) in pools {
        let other = all.insert(*address, owner.clone());
        assert_eq!(other, None, "{address} was given to {owner}, too");
    }
    all
}

/// The addresses that are served.
pub(crate) fn served(snapshot: &Snapshot) -> Vec<String> {
    let (model, _) = translate(snapshot);
    let mut addresses: Vec<_> = model
        .listeners
        .iter()
        .map(|listener| listener.vip.address)
        .collect();
    addresses.dedup();
    addresses.iter().map(ToString::to_string).collect()
}

pub(crate) fn causes(snapshot: &Snapshot) -> Vec<String> {
    let (_, report) = translate(snapshot);
    report
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.object, finding.fault.cause))
        .collect()
}

pub(crate) fn class(name: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\n\
         spec: {{controller: ingress-agent.dev/xdp}}\n---\n"
    )
}

fn own(namespace: &str, name: &str, class: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: {name}, namespace: {namespace}, annotations: {{ingress-agent.dev/vip: own}}}}\n\
         spec: {{ingressClassName: {class}, rules: [{{host: {name}.test}}]}}\n---\n"
    )
}

pub(crate) fn pool(name: &str, addresses: &str) -> String {
    format!(
        "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {{name: {name}}}\n\
         spec: {{addresses: [{addresses}]}}\n---\n"
    )
}

pub(crate) fn threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// OP-16: two leaders at once; and K8-4 for the owners of addresses.
#[test]
fn two_leaders_give_no_address_twice_and_a_third_changes_nothing() {
    let world = World::start();
    define(&world.plane);
    for namespace in ["one", "two", "a-b", "a"] {
        world.kubectl(&["create", "namespace", namespace]);
    }
    let runtime = threads();
    // Of two elections: both lead.
    let first = Allocator::start(&runtime, &world, "first", "one");
    let second = Allocator::start(&runtime, &world, "second", "two");
    first.leads(&runtime);
    second.leads(&runtime);
    world.apply(&pool("edge", "192.0.2.1-192.0.2.60, '2001:db8::1-2001:db8::60'"));
    for round in 0..4 {
        let classes: String = (0..3)
            .map(|index| class(&format!("class-{round}-{index}")))
            .collect();
        world.apply(&classes);
    }
    world.apply(&(own("a-b", "c", "class-0-0") + &own("a", "b-c", "class-0-0")));
    let all = |snapshot: &Arc<Snapshot>| recorded(snapshot).len() == 2 * (12 + 2);
    let before = recorded(&eventually(&runtime, &first.snapshots, "all have addresses", all));
    eventually(&runtime, &second.snapshots, "the other sees them", all);
    let version = world.version("edge");

    // A change that means nothing to pools reaches both; then neither has written.
    let marker = "apiVersion: v1\nkind: Service\nmetadata: {name: marker}\nspec: {ports: [{port: 80}]}\n";
    world.apply(marker);
    let marked = |snapshot: &Arc<Snapshot>| {
        snapshot
            .services
            .iter()
            .any(|service| *service.value.object.name == *"marker")
    };
    eventually(&runtime, &first.snapshots, "the marker", marked);
    let snapshot = eventually(&runtime, &second.snapshots, "the marker", marked);
    assert_eq!(world.version("edge"), version);
    assert_eq!(served(&snapshot).len(), before.len());

    // Both end without a word; a third comes when the Lease of one has ended.
    drop((first, second));
    let third = Allocator::start(&runtime, &world, "third", "one");
    third.leads(&runtime);
    world.apply(&class("another"));
    let more = |snapshot: &Arc<Snapshot>| recorded(snapshot).len() == before.len() + 2;
    let after = recorded(&eventually(
        &runtime,
        &third.snapshots,
        "another's addresses",
        more,
    ));
    assert!(
        before
            .iter()
            .all(|(address, owner)| after.get(address) == Some(owner))
    );

    // The last Ingress goes, and with it its own addresses; its class keeps its.
    world.kubectl(&["delete", "ingress", "--all", "--all-namespaces"]);
    let released = eventually(&runtime, &third.snapshots, "its own are given back", |snapshot| {
        recorded(snapshot).len() == before.len() + 2 - 4
    });
    let classes = before
        .iter()
        .filter(|(_, owner)| matches!(owner, Owner::Class(_)));
    let released = recorded(&released);
    assert!(
        classes
            .into_iter()
            .all(|(address, owner)| released.get(address) == Some(owner))
    );
}

#[test]
fn a_short_pool_tells_it_and_a_deleted_one_withdraws_its_addresses() {
    let world = World::start();
    define(&world.plane);
    world.kubectl(&["create", "namespace", "one"]);
    world.apply(&(pool("edge", "198.51.100.1") + &class("a") + &class("b")));
    // By hand, before anybody leads.
    let by_hand = "{\"status\": {\"assignments\": [{\"address\": \"203.0.113.9\", \"class\": \"a\"}]}}";
    let patch = [
        "patch",
        "vp",
        "edge",
        "--subresource=status",
        "--type=merge",
        "--patch",
        by_hand,
    ];
    world.kubectl(&patch);
    let runtime = threads();
    let mut tasks = JoinSet::new();
    let node = runtime.block_on(world.watch("node", &mut tasks));
    let seen = eventually(&runtime, &node, "the pool", |snapshot| !snapshot.pools.is_empty());
    let told = causes(&seen);
    assert_eq!(
        served(&seen),
        [""; 0],
        "what is outside the pool, or not recorded, is not served"
    );
    assert!(
        told.contains(&"VipPool edge: assignment-outside".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"IngressClass b: vip-pending".to_owned()),
        "{told:?}"
    );

    let leader = Allocator::start(&runtime, &world, "leader", "one");
    let given = |snapshot: &Arc<Snapshot>| served(snapshot) == ["198.51.100.1"];
    eventually(&runtime, &node, "the address", given);
    eventually(&runtime, &leader.snapshots, "the address", given);
    let conditions =
        "--output=jsonpath={range .status.conditions[*]}{.type}={.status} {.message}{'\\n'}{end}";
    let told = world.kubectl(&["get", "vp", "edge", conditions]);
    assert!(told.contains("Ready=True"), "{told}");
    assert!(
        told.contains("Exhausted=True no free IPv4 address for class `b`: add addresses to the pool"),
        "{told}"
    );
    let row = world.kubectl(&["get", "vp", "edge", "--no-headers"]);
    let row: Vec<_> = row.split_whitespace().take(6).collect();
    assert_eq!(row, ["edge", "[\"198.51.100.1\"]", "1", "0", "True", "True"]);

    // Room for the other.
    world.apply(&pool("edge", "198.51.100.1, 198.51.100.7"));
    eventually(&runtime, &node, "both", |snapshot| {
        served(snapshot) == ["198.51.100.1", "198.51.100.7"]
    });
    let exhausted = world.kubectl(&[
        "get",
        "vp",
        "edge",
        "--output=jsonpath={.status.conditions[?(@.type==\"Exhausted\")].status}",
    ]);
    assert_eq!(exhausted, "False");

    world.kubectl(&["delete", "vp", "edge"]);
    eventually(&runtime, &node, "nothing is served", |snapshot| {
        served(snapshot).is_empty()
    });
    world.apply(&pool("edge", "198.51.100.1, 198.51.100.7"));
    eventually(&runtime, &node, "both again", |snapshot| {
        served(snapshot).len() == 2
    });
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_cluster_that_knows_no_pools_is_told_how_to_and_noticed_when_it_does() {
    let world = World::start();
    world.apply(&class("a"));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // One thread: this one, whose log is taken.
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut tasks = JoinSet::new();
    let node = runtime.block_on(world.watch("node", &mut tasks));
    let listed = eventually(&runtime, &node, "all but pools", |snapshot| {
        !snapshot.classes.is_empty()
    });
    assert!(listed.pools.is_empty() && !listed.restored);
    let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        told.contains("`ingress-agent crd | kubectl apply -f -`"),
        "{told}"
    );
    assert!(told.contains("kind=\"VipPool\""), "{told}");
    define(&world.plane);
    world.apply(&pool("edge", "192.0.2.1"));
    eventually(&runtime, &node, "the pool", |snapshot| snapshot.pools.len() == 1);
}
