//! A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager as ordinary
//! processes, without containers (`spec/control-plane.md`).
//!
//! In: a directory, and where to listen. Out: a [`Plane`], its API ready, with a kubeconfig for the
//! administrator. Everything it wrote is in the directory; its processes end when it is dropped, and with the
//! thread that started them.

mod authority;
mod binaries;
mod helm;
mod process;
mod relay;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::lab::{Namespace, Process, Scratch, run};
use authority::Authority;
pub use binaries::{Binaries, KUBERNETES};
pub use helm::Helm;
use process::Parts;
pub use relay::Relay;

/// From the first exec until the API answers; about two seconds on a machine with nothing else to do.
const READY: Duration = Duration::from_secs(90);
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(50);
/// The Services' cluster addresses.
const CLUSTER_IPS: &str = "10.96.0.0/16";
/// What the controller manager runs: what makes Pods, EndpointSlices and ServiceAccounts follow.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,daemonset-controller,endpointslice-controller,\
                           namespace-controller,garbage-collector-controller,serviceaccount-controller,\
                           root-ca-certificate-publisher-controller";

/// Where a control plane runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace of its processes; `None`: this process's own.
    pub namespace: Option<Namespace>,
    /// Where the API server listens.
    pub address: IpAddr,
}

impl Default for Place {
    /// On loopback, in this process's namespace.
    fn default() -> Self {
        Self {
            namespace: None,
            address: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// A running control plane.
#[derive(Debug)]
pub struct Plane {
    parts: Parts,
    api: SocketAddr,
    etcd: SocketAddr,
    audited: bool,
    // Dropped, and so ended, in this order.
    manager: Option<Process>,
    server: Option<Process>,
    store: Process,
}

impl Plane {
    /// Starts one with its files in the scratch directory, and waits until its API is ready. `audited`: every
    /// request is written to [`Plane::audit_log`].
    pub fn start(scratch: &Arc<Scratch>, binaries: Binaries, place: Place, audited: bool) -> Result<Self> {
        let directory = &scratch.directory().join("control-plane");
        fs::create_dir_all(directory).with_context(|| format!("mkdir {}", directory.display()))?;
        let [api, etcd, peer] = ports(&place)?;
        Authority::new()?.write(directory, api)?;
        fs::write(directory.join("audit-policy.yaml"), AUDIT_POLICY)?;
        let parts = Parts {
            scratch: Arc::clone(scratch),
            directory: directory.clone(),
            binaries,
            place,
        };
        let store = parts.start("etcd", &etcd_flags(directory, etcd, peer))?;
        let mut plane = Self {
            parts,
            api,
            etcd,
            audited,
            manager: None,
            server: None,
            store,
        };
        plane.start_server()?;
        plane.start_manager()?;
        Ok(plane)
    }

    /// Where the API server listens.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.parts.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig for a ServiceAccount, with a token as Pods get it, at `api`: the API server or a relay to it.
    pub fn account_kubeconfig(&self, namespace: &str, account: &str, api: SocketAddr) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace])?;
        let user = format!("token: '{}'", token.trim());
        let directory = &self.parts.directory;
        let path = directory.join(format!("{namespace}-{account}-{}.kubeconfig", api.port()));
        fs::write(&path, authority::kubeconfig(directory, api, &user))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// The API server's log of requests, one JSON event a line.
    pub fn audit_log(&self) -> PathBuf {
        self.parts.directory.join("audit.log")
    }

    /// The processes, to stop, continue or kill them: the API server's.
    pub fn server(&self) -> Option<&Process> {
        self.server.as_ref()
    }

    /// etcd's process.
    pub fn store(&self) -> &Process {
        &self.store
    }

    /// Ends the API server at once (SIGKILL).
    pub fn kill_server(&mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => {
                server.signal(Signal::KILL)?;
                server.wait(Duration::from_secs(10)).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Starts the API server, and waits until it is ready.
    pub fn start_server(&mut self) -> Result<()> {
        let flags = self.server_flags();
        let server = self.parts.start("kube-apiserver", &flags)?;
        let until = Instant::now() + READY;
        loop {
            if let Ok(text) = self.kubectl(&["get", "--raw", "/readyz"])
                && text == "ok"
            {
                break;
            }
            if let Some(status) = server.ended()? {
                bail!("kube-apiserver ended ({status}):\n{}", server.last_words());
            }
            if Instant::now() > until {
                bail!(
                    "kube-apiserver is not ready after {READY:?}:\n{}",
                    server.last_words()
                );
            }
            std::thread::sleep(LOOK);
        }
        self.server = Some(server);
        Ok(())
    }

    fn start_manager(&mut self) -> Result<()> {
        let file = |name: &str| self.parts.directory.join(name).display().to_string();
        let flags = [
            format!("--kubeconfig={}", file("admin.kubeconfig")),
            "--leader-elect=false".to_owned(),
            format!("--controllers={CONTROLLERS}"),
            format!("--service-account-private-key-file={}", file("accounts.key")),
            format!("--root-ca-file={}", file("authority.crt")),
            "--secure-port=0".to_owned(),
        ];
        self.manager = Some(self.parts.start("kube-controller-manager", &flags)?);
        Ok(())
    }

    fn server_flags(&self) -> Vec<String> {
        let file = |name: &str| self.parts.directory.join(name).display().to_string();
        let mut flags = vec![
            format!("--etcd-servers=http://{}", self.etcd),
            format!("--cert-dir={}", file("server")),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--bind-address={}", self.api.ip()),
            format!("--secure-port={}", self.api.port()),
            format!("--service-cluster-ip-range={CLUSTER_IPS}"),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            format!("--client-ca-file={}", file("authority.crt")),
            "--endpoint-reconciler-type=none".to_owned(),
            // Told to nobody then; without it a default route is looked for.
            "--advertise-address=192.0.2.1".to_owned(),
        ];
        if self.audited {
            flags.push(format!("--audit-policy-file={}", file("audit-policy.yaml")));
            flags.push(format!("--audit-log-path={}", self.audit_log().display()));
        }
        flags
    }

    /// A kubectl command as the administrator.
    pub fn kubectl_command(&self) -> Command {
        let mut command = self.parts.command(self.parts.binaries.path("kubectl"));
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &self.parts.directory);
        command
    }

    /// Runs kubectl to its end and gives what it printed; a failure carries its errors.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "")
    }

    /// The same, with an input: `kubectl apply -f -`.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        run(self.kubectl_command().args(arguments), input)
    }

    /// Drops what etcd remembers of the past, so that older watches are answered by 410 Gone.
    pub fn compact(&self) -> Result<()> {
        let list = self.kubectl(&["get", "--raw", "/api/v1/namespaces?limit=1"])?;
        let list: serde_json::Value = serde_json::from_str(&list).context("a list of namespaces")?;
        let version = list
            .pointer("/metadata/resourceVersion")
            .and_then(|version| version.as_str());
        let revision: i64 = version
            .unwrap_or_default()
            .parse()
            .context("a list's resourceVersion")?;
        let body = format!("{{\"revision\": {revision}, \"physical\": true}}");
        let url = format!("http://{}/v3/kv/compaction", self.etcd);
        let mut command = self.parts.command("curl");
        run(command.args(["--fail", "--silent", "--data", &body, &url]), "").map(drop)
    }
}

fn etcd_flags(directory: &Path, client: SocketAddr, peer: SocketAddr) -> Vec<String> {
    vec![
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=default=http://{peer}"),
        "--unsafe-no-fsync".to_owned(),
    ]
}

/// Where the API server, etcd and etcd's peer port listen: in a namespace of its own the usual ports, else
/// free ones.
fn ports(place: &Place) -> Result<[SocketAddr; 3]> {
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    if place.namespace.is_some() {
        return Ok([(place.address, 6443), (local, 2379), (local, 2380)].map(SocketAddr::from));
    }
    // Held together, so that they differ.
    let free = |address: IpAddr| TcpListener::bind((address, 0)).context("find a free port");
    let held = [free(place.address)?, free(local)?, free(local)?];
    let [api, etcd, peer] = held.each_ref().map(TcpListener::local_addr);
    Ok([api?, etcd?, peer?])
}

/// Who did what, without bodies.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";
