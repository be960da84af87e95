//! The client: real requests by `curl`, and one connection of our own where milliseconds count.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::connections::Connection;
use super::{Namespace, node_of};

/// The client's machine.
#[derive(Debug)]
pub struct Client {
    namespace: Namespace,
    authority: String,
}

/// What came back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An answer of an echo pod, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Echo {
    /// The pod's name.
    pub pod: String,
    /// The request's method, as the pod got it.
    pub method: String,
    /// The request's target, as the pod got it.
    pub path: String,
    /// The request's headers, as the pod got them; names in lower case.
    pub headers: Value,
    /// Where the pod's connection came from.
    pub peer: SocketAddr,
    /// The length of the request's body, in bytes.
    pub body: u64,
}

impl Echo {
    /// A header of the request, as the pod got it; empty if it had none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The node that served the request: the one whose agent called the pod.
    pub fn node(&self) -> Option<u8> {
        node_of(self.peer.ip())
    }
}

impl Answer {
    /// Reads the answer of an echo pod.
    pub fn echo(&self) -> Result<Echo> {
        let text = String::from_utf8_lossy(&self.body);
        if self.status != 200 {
            bail!("status {}: {text}", self.status);
        }
        let value: Value = serde_json::from_str(&text).with_context(|| format!("not an echo: {text}"))?;
        let field = |name: &str| {
            value
                .get(name)
                .with_context(|| format!("an echo without {name}: {text}"))
        };
        let string = |name: &str| anyhow::Ok(field(name)?.as_str().unwrap_or_default().to_owned());
        Ok(Echo {
            pod: string("pod")?,
            method: string("method")?,
            path: string("path")?,
            headers: field("headers")?.clone(),
            peer: string("peer")?.parse()?,
            body: field("body")?.as_u64().unwrap_or_default(),
        })
    }
}

impl Client {
    pub(super) fn new(namespace: Namespace, authority: &Path) -> Self {
        Self {
            namespace,
            authority: authority.display().to_string(),
        }
    }

    /// The client's machine.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The `curl` command line of [`Client::curl`], for a reader to try.
    pub fn command_line(&self, vip: IpAddr, url: &str) -> String {
        format!(
            "curl --connect-to {} --cacert {} {url}",
            connect_to(vip),
            self.authority
        )
    }

    /// Asks for a URL by `curl`, whatever the URL's host, at this VIP. A status is an answer; no answer is
    /// an error in curl's words.
    pub fn curl(&self, vip: IpAddr, url: &str, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.namespace.command("curl");
        command
            .args(self.arguments(vip))
            .args(["--write-out", "%{stderr}%{http_code}"])
            .args(arguments)
            .arg(url);
        let output = command.output().context("start curl")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!(
                "{url} at {vip}: {}",
                stderr.lines().next().unwrap_or("curl said nothing")
            );
        }
        let status = stderr
            .trim()
            .parse()
            .with_context(|| format!("curl {url} printed {stderr}"))?;
        Ok(Answer {
            status,
            body: output.stdout,
        })
    }

    /// What every `curl` of the lab is told: where the VIP is, whom to trust, and how long to wait.
    pub(super) fn arguments(&self, vip: IpAddr) -> Vec<String> {
        [
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--cacert",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([self.authority.clone(), "--connect-to".to_owned(), connect_to(vip)])
        .collect()
    }

    /// Asks for a URL and reads the echo.
    pub fn echo(&self, vip: IpAddr, url: &str) -> Result<Echo> {
        self.curl(vip, url, &[])?
            .echo()
            .with_context(|| format!("{url} at {vip}"))
    }

    /// Sends a body of this length to a URL and reads the echo.
    pub fn post(&self, vip: IpAddr, url: &str, file: &Path, length: usize) -> Result<Echo> {
        fs::write(file, vec![b'x'; length]).with_context(|| format!("write {}", file.display()))?;
        let data = format!("@{}", file.display());
        self.curl(vip, url, &["--data-binary", &data, "--header", "Expect:"])?
            .echo()
    }

    /// Asks for a host and path at port 80 of a VIP, on one new connection after the other, until an answer comes by this
    /// node's agent; gives the moment of that answer. A connection that fails is an error.
    pub fn first_answer_by(
        &self,
        node: u8,
        (vip, host, path): (IpAddr, &str, &str),
        deadline: Duration,
    ) -> Result<Instant> {
        let ask = async || {
            let mut connection = Connection::open(SocketAddr::new(vip, 80)).await?;
            connection.get(host, path).await?.echo()
        };
        self.namespace.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let until = Instant::now() + deadline;
                while ask().await?.node() != Some(node) {
                    if Instant::now() > until {
                        bail!("node{node} answered nothing of {host}{path} within {deadline:?}");
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(Instant::now())
            })
        })
    }

    /// Makes a change, and says how long after it the first answer came that `is_new` accepts. Asks every
    /// millisecond on one connection, to a host and path at port 80 of the VIP.
    pub fn time_until(
        &self,
        (vip, host, path): (IpAddr, &str, &str),
        change: impl FnOnce() -> Result<()> + Send,
        is_new: impl Fn(&Answer) -> bool + Send,
        deadline: Duration,
    ) -> Result<Duration> {
        self.namespace.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let mut connection = Connection::open(SocketAddr::new(vip, 80)).await?;
                // An earlier change may still be on its way to the node that this connection met.
                let settled = Instant::now() + deadline;
                while is_new(&connection.get(host, path).await?) {
                    if Instant::now() > settled {
                        bail!("{host}{path} already answers as it should only after the change");
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                change()?;
                let start = Instant::now();
                loop {
                    let answer = connection.get(host, path).await?;
                    if is_new(&answer) {
                        return Ok(start.elapsed());
                    }
                    if start.elapsed() > deadline {
                        bail!("{host}{path} still answers {} after {deadline:?}", answer.status);
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
    }
}

/// curl's `--connect-to`: any host and port goes to the VIP, the port kept.
fn connect_to(vip: IpAddr) -> String {
    match vip {
        IpAddr::V4(vip) => format!("::{vip}:"),
        IpAddr::V6(vip) => format!("::[{vip}]:"),
    }
}
