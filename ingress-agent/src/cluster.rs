//! What the agents of a cluster tell one another by the API server, and who of them leads.
//!
//! ```text
//! own Node ─watch─▶ member ─writes─▶ own Lease `node-NAME`      every agent; 15 s, renewed every 5 s
//! Lease `ingress-agent-leader` ─▶ leader ─▶ Leadership          10 s, renewed every 3 s
//! all node Leases ─watch─▶ numbers ─writes─▶ their numbers      the leader alone
//! Snapshot ─allocate─▶ pools ─writes─▶ status of VipPools      the leader alone
//! what is served ─▶ status, events ─writes─▶ status of Ingresses, Events      the leader alone
//! Secret `ingress-agent` ─watch─▶ secret ─▶ PoolSecret          made once, by whoever comes first
//! ```
//!
//! In: a client, our namespace, the node's name. Out: a [`Coordination`]. Everything runs on the caller's runtime and
//! nothing on the request path waits for it. Whatever depends on who leads is written by compare-and-swap, so that
//! two leaders at once harm nothing. No wall clock is asked how long ago something was, except to show it to people.

pub mod allocate;
mod clock;
mod events;
mod identity;
mod leader;
mod leadership;
mod lease;
mod member;
mod numbers;
mod observer;
mod pools;
mod request;
mod secret;
mod status;
mod trouble;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client};
use rustix::io::Errno;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use crate::digest::lease as node_lease;
use crate::digest::node::NUMBER_REST;
use crate::model::MemberState;
use crate::model::vip::PoolSecret;
use observer::Heard;

pub use events::EventWriter;
pub use leader::LEADER;
pub use leadership::Leadership;
pub use observer::Observer;
pub use pools::record as record_addresses;
pub use secret::SECRET;
pub use status::StatusWriter;

/// How long a goodbye may take: what is not announced by then, the others see by themselves.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why an agent cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There would be no name for its Lease.
    #[error(
        "--node {node}: a node's Lease is named `node-` and the node's name, which may have 248 characters at most"
    )]
    Name {
        /// The node.
        node: Arc<str>,
    },
    /// The kernel gave no random bytes.
    #[error("getrandom: {0}")]
    Random(#[from] Errno),
}

/// An agent's part in its cluster; all of it ends when this is dropped. Its node's Lease stays.
#[derive(Debug)]
pub struct Coordination {
    // Dropped first: a task that lived longer would take the end of `wanted` for the wish to drain.
    _tasks: JoinSet<()>,
    leadership: Leadership,
    observer: Observer,
    secret: watch::Receiver<Option<Arc<PoolSecret>>>,
    wanted: watch::Sender<Wanted>,
    announced: watch::Receiver<Wanted>,
}

/// What an agent's node takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Taking {
    /// Whether it takes new connections, wherever it listens.
    pub connections: bool,
    /// The membership that is in force there, by its hash; `None`: it serves no VIP, and is handed nothing.
    pub generation: Option<u64>,
}

/// What the node's Lease is to say of this process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Wanted {
    taking: Taking,
    /// Whether the process is about to end.
    leaves: bool,
}

impl Wanted {
    const fn state(self) -> MemberState {
        if self.taking.connections && !self.leaves {
            MemberState::Active
        } else {
            MemberState::Draining
        }
    }
}

/// For how long the leader remembers nodes that have gone.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long a Lease that ended stays.
    pub lease: Duration,
    /// For how long no other node has the number of a Lease that was deleted.
    pub number: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            lease: node_lease::GONE,
            number: NUMBER_REST,
        }
    }
}

/// Who takes part, and where.
struct Who<'a> {
    client: &'a Client,
    namespace: &'a str,
    node: &'a Arc<str>,
    /// This process's.
    identity: &'a Arc<str>,
    /// The name of the node's Lease.
    lease: &'a str,
    /// Told whenever the API server answers.
    heard: &'a Arc<Heard>,
    retention: Retention,
}

impl Coordination {
    /// Takes part from now on. Must be called in a tokio runtime; asks nothing yet.
    pub fn start(
        client: &Client,
        namespace: &str,
        node: &Arc<str>,
        retention: Retention,
    ) -> Result<Self, StartError> {
        let name = node_lease::name(node).ok_or_else(|| StartError::Name {
            node: Arc::clone(node),
        })?;
        let identity = identity::new(node)?;
        // It takes nothing yet.
        let (wanted, wishes) = watch::channel(Wanted::default());
        let mut tasks = JoinSet::new();
        let secret = secret::start(client, namespace, &mut tasks);
        let heard = Arc::default();
        let who = Who {
            client,
            namespace,
            node,
            identity: &identity,
            lease: &name,
            heard: &heard,
            retention,
        };
        let announced = member::start(&who, wishes.clone(), &mut tasks);
        let leadership = leader::start(&who, wishes, &mut tasks);
        let observer = Observer {
            leases: Api::namespaced(client.clone(), namespace),
            node: Arc::clone(node),
            leadership: leadership.clone(),
            heard,
        };
        Ok(Self {
            _tasks: tasks,
            leadership,
            observer,
            secret,
            wanted,
            announced,
        })
    }

    /// What whoever writes for all agents asks before each write.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Tells who leads and what the Leases say, to people.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// The secret that all nodes share; `None` until it was read or made. What came once never becomes `None`.
    pub fn secret(&self) -> watch::Receiver<Option<Arc<PoolSecret>>> {
        self.secret.clone()
    }

    /// Tells the others what this node takes; before the first time they know that it takes nothing.
    pub fn takes(&self, taking: Taking) {
        self.wanted.send_if_modified(|wanted| {
            let last = std::mem::replace(&mut wanted.taking, taking);
            last != taking
        });
    }

    /// Tells the others that this node drains and lets another lead. Returns when both are written, or after two
    /// seconds.
    pub async fn drain(&self) {
        self.wanted.send_modify(|wanted| wanted.leaves = true);
        let mut announced = self.announced.clone();
        let mut leadership = self.leadership.clone();
        let said = async {
            // An error: the task is gone, and nothing more will be said.
            _ = announced.wait_for(|told| told.leaves).await;
            leadership.is_over().await;
        };
        if timeout(GOODBYE, said).await.is_err() {
            warn!(
                "the API server was not told that this node drains: the others learn it when its Lease ends"
            );
        }
    }
}
