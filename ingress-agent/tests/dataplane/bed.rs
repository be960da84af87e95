//! A bed for one test: namespaces, a bpffs, an interface with a neighbour.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::programs::{Xdp, XdpMode};
use ingress_agent::model::vip::PoolSecret;
use ingress_agent::model::{Member, MemberState, Model, Pool, Protocol, Vip};
use ingress_agent::xdp::announce::Table;
use ingress_agent::xdp::unload::{UnloadError, Unloaded, unload};
use ingress_agent::xdp::{Dataplane, OpenError, Options, Plan, object::OBJECT};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, capabilities, set_capabilities};
use tempfile::TempDir;

/// Runs a test in a thread with namespaces of its own; `up0` (10.77.0.1, fd77::1) faces `peer0` (10.77.0.2, fd77::2).
pub(crate) fn privileged(test: impl AsyncFnOnce(&Bed) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(
            std::env::var_os("CI").is_none(),
            "this test needs root, and CI is set"
        );
        eprintln!("SKIPPED: this test needs root, for namespaces, bpffs and XDP");
        return;
    }
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let bed = Bed::new();
        runtime.block_on(test(&bed));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) struct Bed {
    dir: TempDir,
    neighbour: Neighbour,
}

/// A process that does nothing but hold a network namespace.
struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Bed {
    /// The directory can be removed only when nothing is mounted in it.
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.dir.path().join("bpf"), UnmountFlags::DETACH);
    }
}

impl Bed {
    fn new() -> Self {
        // SAFETY: this thread shares its file system attributes with no code that relies on them: each test's thread does
        // its own work only, and ends with the test.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bpffs = dir.path().join("bpf");
        std::fs::create_dir(&bpffs).unwrap();
        rustix::mount::mount("bpf", &bpffs, "bpf", MountFlags::empty(), None).unwrap();
        // The first line says that the child is in its namespace.
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let bed = Self {
            dir,
            neighbour: Neighbour(child),
        };
        run("ip link set lo up");
        bed.peer("ip link set lo up");
        bed.connect();
        bed
    }

    /// Makes the pair of interfaces.
    pub(crate) fn connect(&self) {
        run(&format!(
            "ip link add up0 type veth peer name peer0 netns {}",
            self.neighbour.0.id()
        ));
        run("ip link set up0 up");
        run("ip address add 10.77.0.1/24 dev up0");
        run("ip address add fd77::1/64 dev up0 nodad");
        self.peer("ip link set peer0 up");
        self.peer("ip address add 10.77.0.2/24 dev peer0");
        self.peer("ip address add fd77::2/64 dev peer0 nodad");
    }

    /// A command in the neighbour's network namespace.
    pub(crate) fn peer(&self, command: &str) -> String {
        let pid = self.neighbour.0.id();
        run(&format!("nsenter -t {pid} -n {command}"))
    }

    /// The same, without waiting for its end.
    pub(crate) fn peer_spawn(&self, command: &str) -> Child {
        let pid = self.neighbour.0.id().to_string();
        let mut process = Command::new("nsenter");
        process.args(["-t", &pid, "-n"]).args(command.split_whitespace());
        process.stdout(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            interfaces: vec!["up0".to_owned()],
            pin_dir: self.root().join("bpf/ingress"),
            run_dir: self.root().join("run"),
            tunnel_port: 6080,
            announce_table: Table::default(),
        }
    }

    pub(crate) async fn open(&self) -> Result<Dataplane, OpenError> {
        self.open_with(self.options()).await
    }

    /// Opens a data plane, after waiting for locks that a test gave up just now: a process that another test forks holds
    /// copies of their descriptors until it executes its program.
    pub(crate) async fn open_with(&self, options: Options) -> Result<Dataplane, OpenError> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match Dataplane::open(options.clone()).await {
                Err(OpenError::Lock(_)) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(5)).await
                }
                result => return result,
            }
        }
    }

    /// Unloads, after waiting in the same way.
    pub(crate) async fn unload(&self) -> Unloaded {
        let Options { run_dir, pin_dir, .. } = self.options();
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match unload(&run_dir, &pin_dir).await {
                Err(UnloadError::Lock(_)) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(5)).await
                }
                result => return result.unwrap(),
            }
        }
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.root().join("bpf/ingress")
    }

    pub(crate) fn pin(&self, name: &str) -> String {
        self.root().join("bpf/ingress").join(name).display().to_string()
    }

    /// Nodes `a` (this one) and `b` serve ports 80 and 443 of these addresses.
    pub(crate) fn plan(&self, vips: &[&str]) -> Plan {
        self.plan_with(vips, &[])
    }

    pub(crate) fn plan_with(&self, vips: &[&str], more: &[(u16, &str, &[&str])]) -> Plan {
        let mut members = vec![own(), member(2, "b", &["10.77.0.2", "fd77::2"])];
        members.extend(
            more.iter()
                .map(|(number, name, addresses)| member(*number, name, addresses)),
        );
        plan(vips, members)
    }

    /// The same with this node alone.
    pub(crate) fn plan_alone(&self, vips: &[&str]) -> Plan {
        plan(vips, vec![own()])
    }

    /// Waits for at most ten seconds.
    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < end, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Somebody else's program on an interface.
    pub(crate) fn foreign(&self, interface: &str) -> Foreign {
        let mut ebpf = aya::Ebpf::load(OBJECT).unwrap();
        let program: &mut Xdp = ebpf.program_mut("ingress_xdp").unwrap().try_into().unwrap();
        program.load().unwrap();
        program.attach(interface, XdpMode::Driver).unwrap();
        Foreign(Some(ebpf))
    }
}

/// While this lives, this thread may not configure the network.
pub(crate) struct NoNetAdmin(CapabilitySets);

impl NoNetAdmin {
    pub(crate) fn new() -> Self {
        let all = capabilities(None).unwrap();
        let fewer = CapabilitySets {
            effective: all.effective - CapabilitySet::NET_ADMIN,
            ..all
        };
        set_capabilities(None, fewer).unwrap();
        Self(all)
    }
}

impl Drop for NoNetAdmin {
    fn drop(&mut self) {
        set_capabilities(None, self.0).unwrap();
    }
}

/// A program that is attached for as long as this lives.
pub(crate) struct Foreign(Option<aya::Ebpf>);

impl Foreign {
    pub(crate) fn detach(&mut self) {
        self.0 = None;
    }
}

fn plan(vips: &[&str], members: Vec<Member>) -> Plan {
    let vip = |address: &&str, port| Vip {
        address: address.parse().unwrap(),
        port: NonZeroU16::new(port).unwrap(),
        protocol: Protocol::Tcp,
    };
    let vips = vips
        .iter()
        .flat_map(|address| [vip(address, 80), vip(address, 443)])
        .collect();
    let pool = Pool {
        name: Arc::from("p"),
        vips,
        members,
    };
    let secret = Some(Arc::new(PoolSecret([7; 32])));
    Plan::new(
        &Model {
            pools: vec![Arc::new(pool)],
            secret,
            ..Model::default()
        },
        "a",
    )
    .unwrap()
}

fn own() -> Member {
    member(1, "a", &["10.77.0.1", "fd77::1"])
}

fn member(number: u16, name: &str, addresses: &[&str]) -> Member {
    Member {
        number: NonZeroU16::new(number).unwrap(),
        name: Arc::from(name),
        addresses: addresses
            .iter()
            .map(|address| address.parse::<IpAddr>().unwrap())
            .collect(),
        state: MemberState::Active,
        ready: true,
    }
}

/// Runs a command, which must succeed, and gives its output.
pub(crate) fn run(command: &str) -> String {
    let output = output(command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command}: {error}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that may fail.
pub(crate) fn try_run(command: &str) -> Option<String> {
    let output = output(command);
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn output(command: &str) -> std::process::Output {
    let mut words = command.split_whitespace();
    let mut process = Command::new(words.next().unwrap());
    process.args(words).output().unwrap()
}

/// The MAC address in `ip -o link`'s output.
pub(crate) fn mac(link: &str) -> [u8; 6] {
    let text = link
        .split_whitespace()
        .skip_while(|word| *word != "link/ether")
        .nth(1)
        .unwrap();
    let bytes: Vec<u8> = text
        .split(':')
        .map(|hex| u8::from_str_radix(hex, 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// bpftool's answer as JSON.
pub(crate) fn bpftool(arguments: &[&str]) -> serde_json::Value {
    let text = run(&format!("bpftool -j {}", arguments.join(" ")));
    serde_json::from_str(&text).unwrap()
}
