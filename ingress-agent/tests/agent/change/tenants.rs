//! What is served at first. Every tenant has a namespace, a host and pods of its own; the first label of the
//! host is the tenant's name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::authority::Issued;
use crate::ledger::{Book, Expected, Pod, Target};
use crate::yaml::{self, State};

/// Tenants and their pods.
const PODS: [(&str, &str); 13] = [
    ("marker", "marker"),
    ("steady", "steady"),
    ("shop", "shop-0"),
    ("shop", "shop-1"),
    ("moved", "a"),
    ("moved", "b"),
    ("scaled", "s0"),
    ("scaled", "s1"),
    ("scaled", "s2"),
    ("edited", "e"),
    ("late", "l"),
    ("bystander", "y"),
    ("classed", "c"),
];

pub(super) fn pods(book: &Arc<Book>, address: IpAddr) -> BTreeMap<String, Pod> {
    let start = |(tenant, name): (&str, &str)| (name.to_owned(), Pod::start(book, address, tenant, name));
    PODS.map(start).into()
}

/// The files of manifests; `shop` and `moved` have certificates.
pub(super) fn files(
    pods: &BTreeMap<String, Pod>,
    shop: &Issued,
    moved: &Issued,
) -> Vec<(&'static str, String)> {
    let service = |tenant: &str, name: &str, names: &[&str]| {
        let pods = names.iter().map(|name| (&pods[*name], State::Ready));
        yaml::service(tenant, name, &pods.collect::<Vec<_>>())
    };
    let own = |tenant: &str, names: &[&str]| service(tenant, tenant, names);
    let secret =
        |tenant: &str, pair: &Issued| yaml::secret(tenant, &format!("{tenant}.test"), &pair.chain, &pair.key);
    vec![
        ("steady.yaml", own("steady", &["steady"])),
        ("steady-route.yaml", route("ours", "steady", false, "steady")),
        ("shop.yaml", own("shop", &["shop-0", "shop-1"])),
        ("shop-route.yaml", route("ours", "shop", true, "shop")),
        ("shop-secret.yaml", secret("shop", shop)),
        (
            "moved.yaml",
            service("moved", "a", &["a"]) + &service("moved", "b", &["b"]),
        ),
        ("moved-route.yaml", moved_to("a")),
        ("moved-secret.yaml", secret("moved", moved)),
        ("scaled.yaml", own("scaled", &["s0", "s1", "s2"])),
        ("scaled-route.yaml", route("ours", "scaled", false, "scaled")),
        ("edited.yaml", own("edited", &["e"])),
        ("edited-route.yaml", edited(false)),
        ("late.yaml", own("late", &["l"])),
        ("bystander.yaml", own("bystander", &["y"])),
        ("bystander-route.yaml", bystander("ours")),
        ("classed.yaml", own("classed", &["c"])),
        ("extra.yaml", classed(false)),
    ]
}

fn route(class: &str, tenant: &str, tls: bool, service: &str) -> String {
    yaml::ingress(class, tenant, &format!("{tenant}.test"), tls, &[("/", service)])
}

pub(super) fn moved_to(service: &str) -> String {
    route("ours", "moved", true, service)
}

pub(super) fn late() -> String {
    route("ours", "late", false, "late")
}

pub(super) fn edited(is_there: bool) -> String {
    let paths = [("/fixed", "edited"), ("/added", "edited")];
    let count = if is_there { 2 } else { 1 };
    yaml::ingress("ours", "edited", "edited.test", false, &paths[..count])
}

pub(super) fn bystander(class: &str) -> String {
    route(class, "bystander", false, "bystander")
}

/// An Ingress of class `extra`, and that class if it is there.
pub(super) fn classed(is_there: bool) -> String {
    let ingress = route("extra", "classed", false, "classed");
    if is_there {
        yaml::class("extra", true) + &ingress
    } else {
        ingress
    }
}

/// What is asked for.
pub(super) struct Targets {
    steady: Arc<Target>,
    pub(super) shop: [Arc<Target>; 1],
    pub(super) moved: [Arc<Target>; 2],
    pub(super) scaled: [Arc<Target>; 2],
    fixed: Arc<Target>,
    pub(super) added: Arc<Target>,
    pub(super) late: Arc<Target>,
    pub(super) bystander: Arc<Target>,
    pub(super) classed: Arc<Target>,
}

impl Targets {
    pub(super) fn new() -> Self {
        let get = |tenant: &str, pods: &[&str]| Target::get(tenant, &format!("{tenant}.test"), "/", pods);
        let post = |tenant: &str, pods: &[&str]| Target::post(tenant, &format!("{tenant}.test"), "/", pods);
        let scaled = ["s0", "s1", "s2"];
        let targets = Self {
            steady: get("steady", &["steady"]),
            shop: [get("shop", &["shop-0", "shop-1"])],
            moved: [get("moved", &["a"]), post("moved", &["a"])],
            scaled: [get("scaled", &scaled), post("scaled", &scaled)],
            fixed: Target::get("edited", "edited.test", "/fixed", &["e"]),
            added: Target::get("edited", "edited.test", "/added", &[]),
            late: get("late", &[]),
            bystander: get("bystander", &["y"]),
            classed: get("classed", &[]),
        };
        for missing in [&targets.added, &targets.late, &targets.classed] {
            missing.expect(Expected::missing());
        }
        targets
    }

    pub(super) fn all(&self) -> Vec<Arc<Target>> {
        let one = [
            &self.steady,
            &self.fixed,
            &self.added,
            &self.late,
            &self.bystander,
            &self.classed,
        ];
        let some = self.shop.iter().chain(&self.moved).chain(&self.scaled);
        one.into_iter().chain(some).cloned().collect()
    }

    /// Those whose hosts have certificates.
    pub(super) fn secured(&self) -> Vec<Arc<Target>> {
        self.shop.iter().chain(&self.moved).cloned().collect()
    }
}

pub(super) fn expect(targets: &[Arc<Target>], pods: &[&str]) {
    targets
        .iter()
        .for_each(|target| target.expect(Expected::from(pods)));
}
