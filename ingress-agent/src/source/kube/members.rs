//! The fleet: from the Leases of its agents to [`Nodes`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::{Notify, watch as latest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answers::Answers;
use super::arrived::Arrived;
use super::kind::{Definition, follow};
use super::roster::Roster;
use crate::digest::Nodes;
use crate::digest::lease::{Beat, LABEL};
use crate::model::vip::PoolSecret;
use crate::translate::Finding;

/// How nodes find one another.
#[derive(Clone, Debug)]
pub enum Fleet {
    /// They do not: each serves for itself.
    Alone,
    /// By the Leases of their agents.
    Leases {
        /// The agents' namespace.
        namespace: String,
        /// What they share; `None`: not known yet.
        secret: latest::Receiver<Option<Arc<PoolSecret>>>,
    },
}

/// The nodes of a fleet.
#[derive(Debug)]
pub(super) enum Members {
    Alone(Arc<Nodes>),
    Leases(Leases),
}

#[derive(Debug)]
pub(super) struct Leases {
    roster: Arc<Mutex<Roster>>,
    secret: latest::Receiver<Option<Arc<PoolSecret>>>,
    last: Option<Arc<Nodes>>,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl Members {
    /// Begins to watch; `changed` is told when a Lease or the secret is another.
    pub(super) fn watch(
        client: &Client,
        answers: &Answers,
        fleet: &Fleet,
        own: &Arc<str>,
        changed: &Arc<Notify>,
    ) -> Self {
        let (namespace, secret) = match fleet {
            Fleet::Alone => return Self::Alone(Arc::new(Nodes::alone(own))),
            Fleet::Leases { namespace, secret } => (namespace, secret),
        };
        let roster = Arc::new(Mutex::new(Roster::new(own)));
        let mut tasks = JoinSet::new();
        let line = answers.line("Lease");
        let api: Api<Arrived<Lease>> = Api::namespaced(line.client(client), namespace);
        let (filled, told) = (Arc::clone(&roster), Arc::clone(changed));
        let (key, value) = LABEL;
        let config = watcher::Config::default().labels(&format!("{key}={value}"));
        tasks.spawn(async move {
            follow("Lease", &line, api, Definition::BuiltIn, config, |event| {
                if event.is_ok_and(|event| take(event, &mut lock(&filled))) {
                    told.notify_one();
                }
            })
            .await;
        });
        let (mut known, told) = (secret.clone(), Arc::clone(changed));
        tasks.spawn(async move {
            while known.changed().await.is_ok() {
                told.notify_one();
            }
        });
        Self::Leases(Leases {
            roster,
            secret: secret.clone(),
            last: None,
            _tasks: tasks,
        })
    }

    /// Whether all Leases were listed once and the secret is known.
    pub(super) fn are_listed(&self) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Leases(leases) => leases.secret.borrow().is_some() && lock(&leases.roster).is_listed(),
        }
    }

    /// When the fleet is another next though nothing is heard.
    pub(super) fn next_change(&self) -> Option<Instant> {
        match self {
            Self::Alone(_) => None,
            Self::Leases(leases) => lock(&leases.roster).next_change(Instant::now()),
        }
    }

    /// The fleet at `now`, the same pointer while it is the same; `None` where it has no member.
    pub(super) fn nodes(&mut self, now: Instant, findings: &mut Vec<Finding>) -> Option<Arc<Nodes>> {
        match self {
            Self::Alone(nodes) => Some(Arc::clone(nodes)),
            Self::Leases(leases) => leases.nodes(now, findings),
        }
    }
}

impl Leases {
    fn nodes(&mut self, now: Instant, findings: &mut Vec<Finding>) -> Option<Arc<Nodes>> {
        let mut roster = lock(&self.roster);
        roster.judge(now);
        let (members, wrong) = roster.members();
        drop(roster);
        findings.extend(wrong);
        if members.is_empty() {
            return None;
        }
        let nodes = Nodes::joined(self.secret.borrow().clone(), members);
        if self.last.as_deref() != Some(&nodes) {
            self.last = Some(Arc::new(nodes));
        }
        self.last.clone()
    }
}

/// Says whether the event changes anything.
fn take(event: Event<Arrived<Lease>>, roster: &mut Roster) -> bool {
    match event {
        Event::Init => {
            roster.list_begins();
            false
        }
        Event::InitApply(arrived) | Event::Apply(arrived) => {
            let object = arrived.object();
            let name = arrived.metadata.name.unwrap_or_default();
            let beat = object.as_ref().map_or_else(|_| Beat::default(), Beat::of);
            roster.put(&name, beat, object, Instant::now())
        }
        Event::InitDone => roster.list_ends(Instant::now()),
        Event::Delete(arrived) => roster.delete(&arrived.metadata.name.unwrap_or_default()),
    }
}

fn lock(roster: &Mutex<Roster>) -> MutexGuard<'_, Roster> {
    roster.lock().unwrap_or_else(PoisonError::into_inner)
}
