//! The kernel's side of the agent: programs, maps, links, routes and neighbours.
//!
//! ```text
//! Model ──Plan::new──▶ Plan ─┐
//! kernel: interfaces, addresses, routes, neighbours ─┴─▶ what each map should hold ──diff──▶ writes, in a safe order
//! ```
//!
//! In: a [`Plan`] whenever the model changes, and the kernel's word whenever the network does. Out: pinned maps and
//! links that go on working when the agent ends. It knows no HTTP, no TLS and no Kubernetes.
//!
//! Pure: [`plan`], [`rendezvous`], [`numbers`], [`diff`], [`node`], [`keys`], [`announce::announcements`]. The shell
//! around them: [`Dataplane`].
//!
//! The agent withdraws its announcements when it is told to stop ([`announce`]). It ends without unpinning and without
//! removing the VIPs' local routes: packets keep flowing to the other nodes, and the kernel does not forward a VIP's
//! packets to wherever its routes point.

pub mod announce;
pub mod attach;
pub mod btf;
pub mod counters;
pub mod describe;
pub mod diff;
pub mod heartbeat;
pub mod held;
pub mod keys;
pub mod load;
pub mod lock;
mod log;
pub mod maps;
pub mod neighbour;
pub mod netlink;
pub mod node;
pub mod numbers;
pub mod object;
pub mod pins;
pub mod plan;
pub mod privilege;
pub mod reach;
pub mod rendezvous;
pub mod route;
mod siphash;
pub mod state;
pub mod sys;
pub mod sysctl;
pub mod unload;
mod uplink;
mod watch;
pub mod writer;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ingress_common::{LISTENER_V4, LISTENER_V6};
use tokio::sync::Mutex;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

use self::announce::Phase;
use self::attach::AttachError;
use self::heartbeat::HeartbeatWriter;
use self::load::{LoadError, Programs};
use self::lock::{Lock, LockError};
use self::maps::Maps;
use self::netlink::{Changes, Interface, Netlink, NetlinkError};
use self::node::Mss;
use self::pins::{Pins, PinsError};
use self::privilege::PrivilegeError;
use self::state::State;
use self::sys::SysError;
use self::watch::watch;
use self::writer::Writer;

pub use self::plan::{LeftOut, Plan, PlanError};
pub use self::state::{Applied, ApplyError, Refused};

/// What a data plane is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interfaces that get our programs, by name; none: those of the default routes.
    pub interfaces: Vec<String>,
    /// Where the maps and links are pinned, on a bpffs.
    pub pin_dir: PathBuf,
    /// Where the lock is. Made if it is not there.
    pub run_dir: PathBuf,
    /// The tunnel's UDP port.
    pub tunnel_port: u16,
    /// Where announcements are.
    pub announce_table: announce::Table,
}

/// Why the data plane cannot be opened. Nothing that was there before is changed by a failure, and nothing of a first
/// start is left.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The process may not do what is needed.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The run directory cannot be made.
    #[error("mkdir {}: {cause}", dir.display())]
    RunDir {
        /// The directory.
        dir: PathBuf,
        /// The kernel's answer.
        cause: std::io::Error,
    },
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// Another agent.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No interface is listed, and none found.
    #[error(
        "there is no default route whose interface could be taken; name those that face the network with --interface"
    )]
    NoInterface,
    /// An interface is not there.
    #[error("there is no interface {interface}; there are: {present}")]
    UnknownInterface {
        /// The interface.
        interface: String,
        /// The interfaces of this network namespace.
        present: String,
    },
    /// Attaching to loopback breaks the node.
    #[error(
        "interface {interface} is loopback, where XDP must not be attached; list interfaces that face the network"
    )]
    Loopback {
        /// The interface.
        interface: String,
    },
    /// An interface is down.
    #[error("interface {interface} is down; set it up with `ip link set {interface} up`")]
    Down {
        /// The interface.
        interface: String,
    },
    /// The network cannot be asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The programs or maps.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The links.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Another call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// The programs in the kernel, and what keeps their maps right.
#[derive(Debug)]
pub struct Dataplane {
    state: Arc<Mutex<State>>,
    maps: Arc<Maps>,
    announced: Receiver<BTreeSet<IpAddr>>,
    watcher: JoinHandle<()>,
    _lock: Lock,
}

impl Dataplane {
    /// Locks, checks, loads, adopts or makes pins, and attaches. Must be called in a tokio runtime, in whose threads'
    /// network namespace it then works.
    ///
    /// # Errors
    ///
    /// Each condition that is missing has its own; nothing is half done.
    pub async fn open(mut options: Options) -> Result<Self, OpenError> {
        privilege::check()?;
        std::fs::create_dir_all(&options.run_dir).map_err(|cause| OpenError::RunDir {
            dir: options.run_dir.clone(),
            cause,
        })?;
        let (pins, undo) = Pins::prepare(&options.pin_dir)?;
        let lock = Lock::take(&options.run_dir, &options.pin_dir)?;
        // Declared after the lock, so that what is undone is undone under it.
        let mut undo = undo;

        // Subscribed before the first reading, so that no change falls between the two.
        let changes = Changes::subscribe()?;
        let netlink = Netlink::connect()?;
        let present: Vec<Interface> = netlink.interfaces().await?.into_values().collect();
        if options.interfaces.is_empty() {
            options.interfaces = uplink::names(&netlink, &present).await?;
            tracing::info!(interfaces = %options.interfaces.join(","), "no --interface: those of the default route");
        }
        let interfaces = find(&options.interfaces, &present)?;

        pins.settle_layout(&mut undo)?;
        attach::refuse_foreign(&pins, &interfaces)?;
        let mut programs = Programs::load(&pins, &mut undo)?;
        attach::attach(&mut programs, &pins, &interfaces, &mut undo)?;
        let writer = Writer::open(pins.clone())?;
        let maps = Arc::new(Maps::open(&pins)?);
        undo.keep();

        let state = State::new(options, pins, netlink, programs, writer);
        let announced = state.announced();
        let state = Arc::new(Mutex::new(state));
        let watcher = tokio::spawn(watch(Arc::clone(&state), changes));
        Ok(Self {
            state,
            maps,
            announced,
            watcher,
            _lock: lock,
        })
    }

    /// Makes the kernel do what the plan says, from now on, whatever the network does.
    ///
    /// # Errors
    ///
    /// When the kernel refuses something that everything depends on. What is served then stays served.
    pub async fn apply(&mut self, plan: &Plan) -> Result<Applied, ApplyError> {
        self.state.lock().await.apply(plan.clone()).await
    }

    /// Names the listeners' groups to the programs. May be called again with others.
    pub fn set_listeners(&self, v4: BorrowedFd<'_>, v6: BorrowedFd<'_>) -> Result<(), SysError> {
        for (index, socket) in [(LISTENER_V4, v4), (LISTENER_V6, v6)] {
            let fd = socket.as_raw_fd().cast_unsigned();
            // A `SOCKMAP`'s values are descriptors of 4 bytes, or 8 where they are read as cookies.
            let value = match self.maps.listeners.value_length() {
                4 => fd.to_ne_bytes().to_vec(),
                _ => u64::from(fd).to_ne_bytes().to_vec(),
            };
            self.maps.listeners.update(&index.to_ne_bytes(), &value)?;
        }
        Ok(())
    }

    /// The writer of this agent's sign of life.
    pub fn heartbeat(&self) -> Result<HeartbeatWriter, SysError> {
        Ok(HeartbeatWriter::new(self.maps.heartbeat.try_clone()?))
    }

    /// The largest TCP segment that the listeners should announce; `None` with one node. As of the last plan applied.
    pub async fn listener_mss(&self) -> Option<Mss> {
        self.state.lock().await.mss()
    }

    /// The maps, for counters.
    pub const fn maps(&self) -> &Arc<Maps> {
        &self.maps
    }

    /// The addresses that this node announces, from now on.
    pub const fn announced(&self) -> &Receiver<BTreeSet<IpAddr>> {
        &self.announced
    }

    /// Says that this node takes no new connections from now on: withdraws what other nodes announce too. To be called
    /// before anything closes.
    pub async fn drain(&self) -> Result<(), NetlinkError> {
        self.state.lock().await.enter(Phase::Draining).await
    }

    /// Withdraws what is still announced. Programs, maps and local routes stay.
    pub async fn close(self) -> Result<(), NetlinkError> {
        self.state.lock().await.enter(Phase::Ended).await
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

fn find(names: &[String], present: &[Interface]) -> Result<Vec<Interface>, OpenError> {
    if names.is_empty() {
        return Err(OpenError::NoInterface);
    }
    let mut found: Vec<Interface> = Vec::new();
    for name in names {
        let Some(interface) = present.iter().find(|interface| interface.name == *name) else {
            let present: Vec<&str> = present.iter().map(|interface| interface.name.as_str()).collect();
            return Err(OpenError::UnknownInterface {
                interface: name.clone(),
                present: present.join(", "),
            });
        };
        if interface.loopback {
            return Err(OpenError::Loopback {
                interface: name.clone(),
            });
        }
        if !interface.up {
            return Err(OpenError::Down {
                interface: name.clone(),
            });
        }
        if !found.iter().any(|other| other.index == interface.index) {
            found.push(interface.clone());
        }
    }
    Ok(found)
}
