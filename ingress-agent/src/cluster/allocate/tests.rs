use std::cmp::Reverse;
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::digest::{Ingress, Nodes, Pool, Precedence, class, ingress, vippool};
use crate::translate::{Allocation, CONTROLLER, Entry};

/// What there is in a cluster, and the status that its pools had last.
#[derive(Clone, Debug, Default)]
struct World {
    classes: BTreeSet<usize>,
    /// By name; whether it asks for addresses of its own.
    ingresses: BTreeMap<usize, bool>,
    pools: BTreeSet<usize>,
    /// It has an address of a pool.
    node: bool,
    recorded: BTreeMap<Arc<str>, Decision>,
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    Class(usize),
    Own(usize),
    Shared(usize),
    NoIngress(usize),
    Pool(usize),
    Node,
}

/// Overlapping, short, of one family and of two, for some classes and some namespaces.
fn spec(pool: usize) -> Value {
    match pool {
        0 => json!({"addresses": ["192.0.2.1-192.0.2.6", "192.0.2.6", "2001:db8::1-2001:db8::9"]}),
        1 => json!({"addresses": ["192.0.2.5-192.0.2.30"], "classes": ["class-0", "class-1"]}),
        _ => {
            let only = json!({"matchLabels": {"kubernetes.io/metadata.name": "a"}});
            json!({"addresses": ["198.51.100.0/30"], "namespaceSelector": only})
        }
    }
}

/// Two of them are the same once joined by a hyphen (K8-4).
const INGRESSES: [(&str, &str, usize); 4] = [("a", "b-c", 0), ("a-b", "c", 0), ("a", "z", 1), ("q", "z", 2)];

fn entry<T>(value: Arc<T>, at: usize, name: &str) -> Entry<T> {
    Entry {
        precedence: Precedence::Created {
            at: i64::try_from(at).unwrap(),
            name: Reverse(Arc::from(name)),
        },
        place: None,
        value,
    }
}

fn api<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

impl World {
    fn edit(&mut self, edit: Edit) {
        let toggle = |set: &mut BTreeSet<usize>, one| {
            if !set.remove(&one) {
                set.insert(one);
            }
        };
        match edit {
            Edit::Class(class) => toggle(&mut self.classes, class),
            Edit::Own(ingress) => drop(self.ingresses.insert(ingress, true)),
            Edit::Shared(ingress) => drop(self.ingresses.insert(ingress, false)),
            Edit::NoIngress(ingress) => drop(self.ingresses.remove(&ingress)),
            Edit::Pool(pool) => {
                toggle(&mut self.pools, pool);
                self.recorded.remove(&*format!("pool-{pool}"));
            }
            Edit::Node => self.node = !self.node,
        }
    }

    fn pool(&self, index: usize) -> Entry<Pool> {
        let name = format!("pool-{index}");
        let mut object: vippool::VipPool = api(json!({
            "apiVersion": "ingress-agent.dev/v1alpha1", "kind": "VipPool", "metadata": {"name": name}, "spec": spec(index),
        }));
        let now = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        let recorded = self.recorded.get(&*name);
        object.status = recorded.and_then(|decision| decision.status(&VipPoolStatus::default(), &now));
        entry(vippool::digest(object, None), index, &name)
    }

    fn ingress(&self, index: usize, own: bool) -> Entry<Ingress> {
        let (namespace, name, class) = INGRESSES[index];
        let object = json!({
            "metadata": {
                "name": name, "namespace": namespace,
                "annotations": {"ingress-agent.dev/vip": if own { "own" } else { "shared" }},
            },
            "spec": {
                "ingressClassName": format!("class-{class}"),
                "rules": [{"host": "a.test"}],
            },
        });
        entry(ingress::digest(api(object), None), index, name)
    }

    fn snapshot(&self) -> Snapshot {
        let class = |class: &usize| {
            let name = format!("class-{class}");
            let object = json!({"metadata": {"name": name}, "spec": {"controller": CONTROLLER}});
            entry(class::digest(api(object), None), *class, &name)
        };
        let mut nodes = Nodes::alone(&Arc::from("node"));
        if self.node {
            nodes.nodes[0].member.addresses = vec!["192.0.2.2".parse().unwrap()];
        }
        Snapshot {
            classes: self.classes.iter().map(class).collect(),
            ingresses: self
                .ingresses
                .iter()
                .map(|(index, own)| self.ingress(*index, *own))
                .collect(),
            pools: self.pools.iter().map(|pool| self.pool(*pool)).collect(),
            nodes: Some(Arc::new(nodes)),
            allocation: Allocation::Recorded,
            ..Snapshot::empty(&Arc::from("node"))
        }
    }

    fn decide(&self) -> BTreeMap<Arc<str>, Decision> {
        allocate(&self.snapshot(), Controllers::Own).unwrap()
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = prop_oneof![
        (0..3_usize).prop_map(Edit::Class),
        (0..4_usize).prop_map(Edit::Own),
        (0..4_usize).prop_map(Edit::Shared),
        (0..4_usize).prop_map(Edit::NoIngress),
        (0..3_usize).prop_map(Edit::Pool),
        Just(Edit::Node),
    ];
    prop::collection::vec(one, 1..40)
}

fn given(decisions: &BTreeMap<Arc<str>, Decision>) -> BTreeSet<(IpAddr, Owner)> {
    let all = decisions.values().flat_map(|decision| &decision.assignments);
    all.cloned().collect()
}

/// Whose an edit is, in the words of assignments.
fn touches(edit: Edit, owner: &Owner) -> bool {
    match (edit, owner) {
        (Edit::Class(class), Owner::Class(name)) => **name == *format!("class-{class}"),
        (Edit::Class(class), Owner::Ingress { namespace, name }) => INGRESSES
            .iter()
            .any(|(a, b, of)| *of == class && **namespace == **a && **name == **b),
        (
            Edit::Own(index) | Edit::Shared(index) | Edit::NoIngress(index),
            Owner::Ingress { namespace, name },
        ) => **namespace == *INGRESSES[index].0 && **name == *INGRESSES[index].1,
        (Edit::Own(_) | Edit::Shared(_) | Edit::NoIngress(_), Owner::Class(_)) => false,
        (Edit::Pool(_) | Edit::Node, _) => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_has_two_owners_and_nobody_loses_one_by_anothers_edit(edits in edits()) {
        let mut world = World::default();
        for edit in edits {
            let before = given(&world.recorded);
            world.edit(edit);
            let decisions = world.decide();
            let after = given(&decisions);
            let addresses: BTreeSet<_> = after.iter().map(|(address, _)| address).collect();
            prop_assert_eq!(addresses.len(), after.len(), "{:?}", after);
            for kept in before.iter().filter(|(_, owner)| !touches(edit, owner)) {
                prop_assert!(after.contains(kept), "{:?} lost {:?}", edit, kept);
            }
            let node: IpAddr = "192.0.2.2".parse().unwrap();
            prop_assert!(!world.node || !addresses.contains(&node));
            // What no allocator has recorded yet means nothing to the next one, and what one has, everything.
            world.recorded = decisions;
            prop_assert_eq!(&world.decide(), &world.recorded);
            let mut shuffled = world.snapshot();
            shuffled.pools.reverse();
            shuffled.classes.reverse();
            shuffled.ingresses.reverse();
            prop_assert_eq!(&allocate(&shuffled, Controllers::Own).unwrap(), &world.recorded);
        }
    }
}

fn owner(decisions: &BTreeMap<Arc<str>, Decision>, pool: &str, address: &str) -> Option<String> {
    let address: IpAddr = address.parse().unwrap();
    let mut assignments = decisions.get(pool)?.assignments.iter();
    assignments.find_map(|(at, owner)| (*at == address).then(|| owner.to_string()))
}

#[test]
fn a_class_keeps_its_address_and_an_ingress_gives_its_own_back() {
    let mut world = World::default();
    for edit in [
        Edit::Pool(0),
        Edit::Class(1),
        Edit::Class(0),
        Edit::Own(0),
        Edit::Own(1),
    ] {
        world.edit(edit);
        world.recorded = world.decide();
    }
    let at = |world: &World, address| owner(&world.recorded, "pool-0", address);
    assert_eq!(at(&world, "192.0.2.1").as_deref(), Some("class `class-1`"));
    assert_eq!(at(&world, "192.0.2.2").as_deref(), Some("class `class-0`"));
    assert_eq!(at(&world, "192.0.2.3").as_deref(), Some("Ingress `a/b-c`"));
    assert_eq!(at(&world, "192.0.2.4").as_deref(), Some("Ingress `a-b/c`"));
    assert_eq!(at(&world, "2001:db8::4").as_deref(), Some("Ingress `a-b/c`"));
    let first = &world.recorded["pool-0"];
    assert_eq!((first.used, first.free), (8, 2));
    assert!(first.ready.holds && !first.exhausted.holds);
    // Without the annotation, and without Ingresses.
    for edit in [Edit::Shared(0), Edit::NoIngress(1), Edit::Class(1)] {
        world.edit(edit);
        world.recorded = world.decide();
    }
    assert_eq!(given(&world.recorded).len(), 2);
    assert_eq!(at(&world, "192.0.2.2").as_deref(), Some("class `class-0`"));
}

#[test]
fn a_shortage_is_told_in_words_and_ends_with_it() {
    let mut world = World::default();
    for edit in [
        Edit::Pool(2),
        Edit::Class(0),
        Edit::Class(1),
        Edit::Class(2),
        Edit::Own(0),
        Edit::Own(3),
    ] {
        world.edit(edit);
    }
    world.recorded = world.decide();
    let told = |world: &World| world.recorded["pool-2"].exhausted.clone();
    assert!(told(&world).holds);
    let words = told(&world).message;
    assert!(
        words.contains("no free IPv4 address for class `class-2`"),
        "{words}"
    );
    assert!(
        words.contains("no free IPv4 address for Ingress `a/b-c`"),
        "{words}"
    );
    assert!(!words.contains("q/z"), "its namespace is not served: {words}");
    assert_eq!(
        (world.recorded["pool-2"].used, world.recorded["pool-2"].free),
        (2, 0)
    );
    world.edit(Edit::Class(0));
    world.edit(Edit::NoIngress(0));
    world.recorded = world.decide();
    assert_eq!(told(&world).reason, "Sufficient");
    assert_eq!(
        owner(&world.recorded, "pool-2", "198.51.100.1").as_deref(),
        Some("class `class-2`")
    );
}

#[test]
fn what_was_saved_or_is_half_known_decides_nothing() {
    let mut world = World::default();
    world.edit(Edit::Pool(0));
    let snapshot = world.snapshot();
    assert!(allocate(&snapshot, Controllers::Own).is_some());
    let restored = Snapshot {
        restored: true,
        ..snapshot.clone()
    };
    assert!(allocate(&restored, Controllers::Own).is_none());
    let unknown = Snapshot {
        nodes: None,
        ..snapshot
    };
    assert!(allocate(&unknown, Controllers::Own).is_none());
}

#[test]
fn a_status_that_says_it_already_is_not_written_and_others_conditions_stay() {
    let mut world = World::default();
    world.edit(Edit::Pool(0));
    world.edit(Edit::Class(0));
    let decision = world.decide().remove("pool-0").unwrap();
    let at = |second| Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap());
    let theirs = Judgement {
        holds: true,
        reason: "Theirs",
        message: String::new(),
    }
    .condition("Announced", &at(1));
    let last = VipPoolStatus {
        conditions: vec![theirs.clone()],
        ..VipPoolStatus::default()
    };
    let first = decision.status(&last, &at(2)).unwrap();
    assert_eq!(first.conditions[0], theirs);
    assert_eq!(decision.status(&first, &at(3)), None);
    let used = Decision { used: 9, ..decision };
    let second = used.status(&first, &at(3)).unwrap();
    assert!(
        second
            .conditions
            .iter()
            .skip(1)
            .all(|condition| condition.last_transition_time == at(2))
    );
}
