//! The proxies and the pod behind them: each one process with one thread that serves.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::config;
use super::place::{Place, free_port};

/// The core of the proxies, and that of the load and the pod.
const PROXY_CORE: &str = "0";
pub(super) const LOAD_CORE: &str = "1";
/// The one peer that need not be there.
pub(super) const ENVOY: &str = "envoy";
/// How long a process may take to listen.
const START: Duration = Duration::from_secs(10);

/// A running proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) name: &'static str,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    process: Process,
}

impl Proxy {
    pub(super) fn id(&self) -> u32 {
        self.process.0.id()
    }
}

/// A child that ends with this program, however that ends.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// `command` on one core.
    fn start(core: &str, program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program).args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // SAFETY: between fork and exec only prctl(2) is called, which is safe there.
        unsafe {
            command.pre_exec(|| {
                Ok(rustix::process::set_parent_process_death_signal(Some(
                    Signal::KILL,
                ))?)
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// All of them, ours first.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) all: Vec<Proxy>,
    _pod: Process,
}

impl Proxies {
    pub(super) fn start(place: &Place, ours: &Path) -> Result<Self> {
        let pod: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let config = place.write("pod.conf", &config::pod(place, pod))?;
        let nginx = Path::new("nginx");
        let pod_process = nginx_of(LOAD_CORE, nginx, &config)?;
        wait_for(pod)?;
        let mut all = vec![
            start_ours(place, ours, pod)?,
            start_nginx(place, nginx, pod)?,
            start_haproxy(place, pod)?,
        ];
        match envoy() {
            Some(program) => all.push(start_envoy(place, &program, pod)?),
            None => eprintln!("Envoy is left out: there is no `envoy` on PATH, and ENVOY names none"),
        }
        for proxy in &all {
            wait_for(proxy.plain)?;
            wait_for(proxy.tls)?;
        }
        Ok(Self {
            all,
            _pod: pod_process,
        })
    }
}

fn start_ours(place: &Place, program: &Path, pod: SocketAddr) -> Result<Proxy> {
    let folder = place
        .folder()
        .to_str()
        .context("a temporary folder with a name in UTF-8")?;
    let mut process = Process::start(PROXY_CORE, program, &[&pod.to_string(), folder])?;
    let output = process.0.stdout.take().context("no standard output")?;
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .context("read our port")?;
    let port: u16 = line
        .trim()
        .parse()
        .with_context(|| format!("our port, from {line:?}"))?;
    Ok(Proxy {
        name: super::OURS,
        plain: ([127, 0, 0, 1], port).into(),
        tls: (std::net::Ipv6Addr::LOCALHOST, port).into(),
        process,
    })
}

fn start_nginx(place: &Place, program: &Path, pod: SocketAddr) -> Result<Proxy> {
    let plain: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let tls: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let config = place.write("nginx.conf", &config::nginx(place, pod, plain, tls))?;
    Ok(Proxy {
        name: "nginx",
        plain,
        tls,
        process: nginx_of(PROXY_CORE, program, &config)?,
    })
}

fn start_haproxy(place: &Place, pod: SocketAddr) -> Result<Proxy> {
    let plain: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let tls: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let config = place.write("haproxy.cfg", &config::haproxy(place, pod, plain, tls))?;
    let config = config
        .to_str()
        .context("a temporary folder with a name in UTF-8")?;
    Ok(Proxy {
        name: "haproxy",
        plain,
        tls,
        process: Process::start(PROXY_CORE, Path::new("haproxy"), &["-db", "-q", "-f", config])?,
    })
}

/// Its program: what the variable `ENVOY` names, or `envoy` on `PATH`.
fn envoy() -> Option<PathBuf> {
    let named = env::var_os("ENVOY").map(PathBuf::from);
    let path = env::var_os("PATH")?;
    let mut found = env::split_paths(&path).map(|folder| folder.join("envoy"));
    named.or_else(|| found.find(|program| program.is_file()))
}

fn start_envoy(place: &Place, program: &Path, pod: SocketAddr) -> Result<Proxy> {
    let plain: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let tls: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let config = place.write("envoy.json", &config::envoy(place, pod, plain, tls).to_string())?;
    let config = config
        .to_str()
        .context("a temporary folder with a name in UTF-8")?;
    let arguments = [
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
        "-c",
        config,
    ];
    Ok(Proxy {
        name: ENVOY,
        plain,
        tls,
        process: Process::start(PROXY_CORE, program, &arguments)?,
    })
}

fn nginx_of(core: &str, program: &Path, config: &Path) -> Result<Process> {
    let config = config
        .to_str()
        .context("a temporary folder with a name in UTF-8")?;
    Process::start(core, program, &["-e", "stderr", "-c", config])
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let until = Instant::now() + START;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            bail!("nobody listens at {address} after {START:?}");
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
