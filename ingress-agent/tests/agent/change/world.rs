//! How users edit what is served.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::tenants::{self, Targets};
use crate::address::own_address;
use crate::authority::{Authority, Issued};
use crate::edits::Edits;
use crate::ledger::{Book, Expected, Pod, Target, Trust};
use crate::yaml::{self, State};

/// An edit of one file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// A host comes or goes.
    Host,
    /// A path leads to another Service.
    Move,
    /// A new key pair of the same CA.
    Certificate,
    /// A pod takes another's place, which terminates.
    Replace,
    /// A path comes or goes.
    Path,
    /// A terminating pod is gone.
    Remove,
    /// An Ingress names another class, or ours again.
    Class,
    /// A Service gets fewer or more pods.
    Scale,
    /// An IngressClass comes or goes, with an Ingress that names it.
    ClassObject,
    /// A pod dies unannounced, and another takes its place later.
    Crash,
}

const CYCLE: [Edit; 10] = [
    Edit::Host,
    Edit::Move,
    Edit::Certificate,
    Edit::Replace,
    Edit::Path,
    Edit::Remove,
    Edit::Class,
    Edit::Scale,
    Edit::ClassObject,
    Edit::Crash,
];

impl Edit {
    pub(super) fn of(number: usize) -> Self {
        CYCLE[number % CYCLE.len()]
    }
}

/// One of the targets.
type Name = fn(&Targets) -> &Arc<Target>;

pub(super) struct World {
    pub(super) edits: Edits,
    pub(super) book: Arc<Book>,
    pub(super) authority: Authority,
    /// Told which certificates may be shown.
    pub(super) trust: Option<Arc<Trust>>,
    address: IpAddr,
    pods: BTreeMap<String, Pod>,
    pub(super) targets: Targets,
    /// The shop's pods.
    shop: Vec<(String, State)>,
    pair: Issued,
    /// How often each kind of edit was made.
    rounds: BTreeMap<&'static str, usize>,
}

impl World {
    pub(super) fn start() -> Self {
        let (book, address, authority) = (Book::new(), own_address(), Authority::new());
        let pods = tenants::pods(&book, address);
        let pair = authority.issue("shop.test");
        let moved = authority.issue("moved.test");
        let files = tenants::files(&pods, &pair, &moved);
        Self {
            edits: Edits::of(&files, &pods["marker"]),
            book,
            authority,
            trust: None,
            address,
            pods,
            targets: Targets::new(),
            shop: ["shop-0", "shop-1"]
                .map(|name| (name.to_owned(), State::Ready))
                .into(),
            pair,
            rounds: BTreeMap::new(),
        }
    }

    /// Makes an edit, and returns once it has surely taken effect.
    pub(super) fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Host => {
                let is_there = self.toggle("host");
                let text = if is_there { tenants::late() } else { String::new() };
                self.comes_or_goes(|all| &all.late, "l", is_there, "late-route.yaml", &text);
            }
            Edit::Path => {
                let is_there = self.toggle("path");
                self.comes_or_goes(
                    |all| &all.added,
                    "e",
                    is_there,
                    "edited-route.yaml",
                    &tenants::edited(is_there),
                );
            }
            Edit::Class => {
                let class = if self.toggle("class") { "foreign" } else { "ours" };
                let text = tenants::bystander(class);
                self.comes_or_goes(
                    |all| &all.bystander,
                    "y",
                    class == "ours",
                    "bystander-route.yaml",
                    &text,
                );
            }
            Edit::ClassObject => {
                let is_there = self.toggle("class object");
                self.comes_or_goes(
                    |all| &all.classed,
                    "c",
                    is_there,
                    "extra.yaml",
                    &tenants::classed(is_there),
                );
            }
            Edit::Move => {
                let (old, new) = if self.toggle("move") {
                    ("a", "b")
                } else {
                    ("b", "a")
                };
                let text = tenants::moved_to(new);
                tenants::expect(&self.targets.moved, &[old, new]);
                self.edits.put("moved-route.yaml", &text);
                tenants::expect(&self.targets.moved, &[new]);
            }
            Edit::Scale => {
                let sets: [&[&str]; 3] = [&["s0", "s1"], &["s2"], &["s0", "s1", "s2"]];
                let round = self.round("scale");
                let (old, new) = (sets[(round + 2) % 3], sets[round % 3]);
                let pods: Vec<_> = new.iter().map(|name| (&self.pods[*name], State::Ready)).collect();
                let text = yaml::service("scaled", "scaled", &pods);
                tenants::expect(&self.targets.scaled, &[old, new].concat());
                self.edits.put("scaled.yaml", &text);
                tenants::expect(&self.targets.scaled, new);
            }
            Edit::Certificate => self.rotate(),
            Edit::Replace => {
                self.shop[0].1 = State::Terminating;
                self.join_shop();
            }
            Edit::Remove => {
                let gone = self
                    .shop
                    .extract_if(.., |(_, state)| *state == State::Terminating);
                let gone: Vec<_> = gone.map(|(name, _)| name).collect();
                self.put_shop();
                gone.iter().for_each(|name| self.kill(name));
            }
            Edit::Crash => {
                let (name, _) = self.shop.remove(0);
                self.kill(&name);
                thread::sleep(Duration::from_millis(20));
                self.join_shop();
            }
        }
    }

    pub(super) fn end_downloads(&self) {
        self.pods.values().for_each(Pod::end_downloads);
    }

    /// An edit that no request to `steady` survives.
    pub(super) fn lose_the_only_endpoint(&mut self) {
        self.edits
            .put("steady.yaml", &yaml::service("steady", "steady", &[]));
    }

    fn rotate(&mut self) {
        let new = self.authority.issue("shop.test");
        let expect = |pairs: &[&Issued]| {
            let pairs: Vec<_> = pairs.iter().map(|pair| &pair.der[..]).collect();
            self.trust
                .iter()
                .for_each(|trust| trust.expect("shop.test", &pairs));
        };
        expect(&[&self.pair, &new]);
        let text = yaml::secret("shop", "shop.test", &new.chain, &new.key);
        self.pair = new;
        self.edits.put("shop-secret.yaml", &text);
        let shown = &self.pair.der[..];
        self.trust
            .iter()
            .for_each(|trust| trust.expect("shop.test", &[shown]));
    }

    /// A new pod of the shop's, beside those that it has.
    fn join_shop(&mut self) {
        let name = format!("shop-{}", 2 + self.round("shop"));
        let pod = Pod::start(&self.book, self.address, "shop", &name);
        self.pods.insert(name.clone(), pod);
        self.shop.push((name, State::Ready));
        // The one that terminates was ready until now.
        let all: Vec<_> = self.shop.iter().map(|(name, _)| &**name).collect();
        tenants::expect(&self.targets.shop, &all);
        self.put_shop();
        let ready = self.shop.iter().filter(|(_, state)| *state == State::Ready);
        let ready: Vec<_> = ready.map(|(name, _)| &**name).collect();
        tenants::expect(&self.targets.shop, &ready);
    }

    fn put_shop(&mut self) {
        let pods = self.shop.iter().map(|(name, state)| (&self.pods[name], *state));
        let text = yaml::service("shop", "shop", &pods.collect::<Vec<_>>());
        self.edits.put("shop.yaml", &text);
    }

    fn kill(&self, name: &str) {
        self.pods[name].kill();
    }

    /// Writes a file with which a target's route comes or goes; only `pod` answers it.
    fn comes_or_goes(&mut self, target: Name, pod: &str, is_there: bool, file: &str, text: &str) {
        let target = Arc::clone(target(&self.targets));
        target.expect(Expected::missing_or_from(&[pod]));
        self.edits.put(file, text);
        target.expect(if is_there {
            Expected::from(&[pod])
        } else {
            Expected::missing()
        });
    }

    fn round(&mut self, kind: &'static str) -> usize {
        let round = self.rounds.entry(kind).or_default();
        *round += 1;
        *round - 1
    }

    /// True the first time, then in turn.
    fn toggle(&mut self, kind: &'static str) -> bool {
        self.round(kind).is_multiple_of(2)
    }
}
