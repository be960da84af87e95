//! One network namespace: a machine of the lab.
//!
//! In: a name. Out: commands and closures that run inside. It knows nothing of the topology. A
//! namespace outlives this handle: [`Teardown`](super::teardown) removes it by name.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use rustix::thread::LinkNameSpaceType;

/// Where iproute2 keeps named namespaces.
pub(super) const DIRECTORY: &str = "/run/netns";

/// A named network namespace, held open.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Arc<str>,
    handle: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes the namespace. Its loopback is up, nothing is asked of routers, and every path is allowed.
    pub(super) fn create(name: &str) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]), "")?;
        let path = PathBuf::from(DIRECTORY).join(name);
        let handle = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let namespace = Self {
            name: name.into(),
            handle: Arc::new(handle.into()),
        };
        for family in ["all", "default"] {
            // Also for link-local addresses, which nobody can add with `nodad`.
            namespace.sysctl(&format!("net/ipv6/conf/{family}/accept_dad"), "0")?;
            namespace.sysctl(&format!("net/ipv6/conf/{family}/accept_ra"), "0")?;
            namespace.sysctl(&format!("net/ipv4/conf/{family}/rp_filter"), "0")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Removes it by its name, with its interfaces; it ends when the last process inside does.
    pub(crate) fn remove(&self) -> Result<()> {
        run(Command::new("ip").args(["netns", "del", self.name()]), "").map(drop)
    }

    /// The name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the namespace can be entered: `nsenter --net=PATH`.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(DIRECTORY).join(&*self.name)
    }

    /// A command that runs inside, in a process group of its own (so that the terminal's Ctrl-C reaches
    /// only the lab), and dies with the thread that starts it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let handle = Arc::clone(&self.handle);
        let mut command = Command::new(program);
        command.process_group(0);
        // SAFETY: between fork and exec the closure makes two plain system calls on a descriptor that
        // it owns; it takes no lock and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                enter(&handle)
            });
        }
        command
    }

    /// Runs a command to its end and gives its standard output; a failure carries what it printed.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run(self.command(program).args(arguments), "")
    }

    /// Runs lines of `ip`'s batch language.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        run(self.command("ip").args(["-batch", "-"]), lines)
            .with_context(|| format!("ip -batch in {}:\n{lines}", self.name))
            .map(drop)
    }

    /// Runs a closure on a thread of its own inside the namespace. Sockets made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name(self.name.to_string())
                .spawn_scoped(scope, || {
                    enter(&self.handle).with_context(|| format!("setns to {}", self.name))?;
                    work()
                })?;
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts a thread inside the namespace that outlives this call.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let (name, handle) = (self.name.to_string(), Arc::clone(&self.handle));
        Ok(thread::Builder::new().name(name.clone()).spawn(move || {
            enter(&handle).with_context(|| format!("setns to {name}"))?;
            drop(handle);
            work()
        })?)
    }

    /// Sets a value under `/proc/sys`, which shows each namespace its own `net`.
    pub(super) fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = PathBuf::from("/proc/sys").join(key);
        self.run(|| fs::write(&path, value).with_context(|| format!("write {value} to {}", path.display())))
    }
}

/// Moves the calling thread into a namespace.
fn enter(handle: &OwnedFd) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Runs a command to its end, feeding it `input`; gives its standard output.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("write to {name}"))?;
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("wait for {name}"))?;
    if !output.status.success() {
        bail!(
            "{name}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
