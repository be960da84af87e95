//! The proxies and the pod behind them: each one process with one thread that serves.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::place::{HOST, Place, free_port};

/// The core of the proxies, and that of the load and the pod.
const PROXY_CORE: &str = "0";
pub(super) const LOAD_CORE: &str = "1";
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
        let config = place.write("pod.conf", &pod_config(place, pod))?;
        let nginx = Path::new("nginx");
        let pod_process = nginx_of(LOAD_CORE, nginx, &config)?;
        wait_for(pod)?;
        let all = vec![
            start_ours(place, ours, pod)?,
            start_nginx(place, nginx, pod)?,
            start_haproxy(place, pod)?,
        ];
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
        name: "ours",
        plain: ([127, 0, 0, 1], port).into(),
        tls: (std::net::Ipv6Addr::LOCALHOST, port).into(),
        process,
    })
}

fn start_nginx(place: &Place, program: &Path, pod: SocketAddr) -> Result<Proxy> {
    let plain: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let tls: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let config = place.write("nginx.conf", &nginx_config(place, pod, plain, tls))?;
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
    let config = place.write("haproxy.cfg", &haproxy_config(place, pod, plain, tls))?;
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

fn nginx_of(core: &str, program: &Path, config: &Path) -> Result<Process> {
    let config = config
        .to_str()
        .context("a temporary folder with a name in UTF-8")?;
    Process::start(core, program, &["-e", "stderr", "-c", config])
}

/// What both nginx have: one process, no log of requests, files in our own folder.
fn nginx_base(place: &Place, name: &str, http: &str) -> String {
    let folder = place.folder().display();
    format!(
        "daemon off; master_process off; error_log stderr crit; pid {folder}/{name}.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
{http}
}}
"
    )
}

/// 63 bytes for every request.
fn pod_config(place: &Place, pod: SocketAddr) -> String {
    let body = "x".repeat(63);
    let http = format!("  server {{ listen {pod}; location / {{ return 200 '{body}'; }} }}");
    nginx_base(place, "pod", &http)
}

/// As ingress-nginx sets it up, as far as it concerns a request: the same forwarded fields as ours.
fn nginx_config(place: &Place, pod: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = place.folder().display();
    let http = format!(
        "  upstream pod {{ server {pod}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {plain}; listen {tls} ssl; server_name {HOST};
    ssl_certificate {folder}/c.pem; ssl_certificate_key {folder}/k.pem; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    location / {{
      proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;
      proxy_set_header X-Request-ID $request_id; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Scheme $scheme; proxy_set_header X-Scheme $scheme;
    }}
  }}"
    );
    nginx_base(place, "nginx", &http)
}

fn haproxy_config(place: &Place, pod: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = place.folder().display();
    format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  http-reuse always
frontend f
  bind {plain}
  bind {tls} ssl crt {folder}/both.pem alpn http/1.1
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  acl known hdr(host) -i {HOST}
  use_backend pod if known
backend pod
  server s1 {pod} pool-max-conn 128
"
    )
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
