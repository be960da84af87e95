//! A running agent, its folder of manifests, and how a test reaches it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::pod::Pod;

/// Debian's `nobody`: what the agent runs as when the tests run as root.
const NOBODY: u32 = 65_534;

/// An agent without XDP in front of one pod at host `a.test`, class `xdp`.
pub(crate) struct Agent {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) folder: TempDir,
    _pod: Option<Pod>,
    child: Child,
}

impl Agent {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::spawn_pod(&[], more, None)
    }

    /// Started by another program, which becomes the agent.
    pub(crate) fn under(starter: &[&str], more: &[&str]) -> Self {
        Self::spawn_pod(starter, more, None)
    }

    /// `stdout`: where the access log goes; without it to the file of that name.
    pub(crate) fn start_logging(more: &[&str], stdout: Stdio) -> Self {
        Self::spawn_pod(&[], more, Some(stdout))
    }

    fn spawn_pod(starter: &[&str], more: &[&str], stdout: Option<Stdio>) -> Self {
        let pod = Pod::start();
        let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let key = pair.signing_key.serialize_pem();
        let files = [
            ("all.yaml", manifest(pod.address)),
            ("pair.yaml", secret(&pair.cert.pem(), &key)),
        ];
        let mut agent = Self::spawn(starter, &files, more, stdout);
        agent._pod = Some(pod);
        fs::write(agent.path("key"), key).unwrap();
        agent
    }

    /// An agent without XDP that serves these files of manifests.
    pub(crate) fn serving(files: &[(&str, String)], more: &[&str]) -> Self {
        Self::spawn(&[], files, more, None)
    }

    fn spawn(starter: &[&str], files: &[(&str, String)], more: &[&str], stdout: Option<Stdio>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir_all(folder.path().join("manifests")).unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(&run, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let manifests = folder.path().join("manifests");
        for (name, text) in files {
            fs::write(manifests.join(name), text).unwrap();
        }
        let (plain, tls) = (free_port(), free_port());
        // Where it was built may be closed to others than root.
        let (built, program) = (env!("CARGO_BIN_EXE_ingress-agent"), folder.path().join("agent"));
        fs::hard_link(built, &program)
            .or_else(|_| fs::copy(built, &program).map(drop))
            .unwrap();
        let program = program.to_str().unwrap();
        let words: Vec<_> = starter.iter().chain(&[program]).copied().collect();
        let mut command = Command::new(words.first().unwrap());
        command
            .args(words.iter().skip(1))
            .args(["run", "--no-xdp", "--workers", "2", "--drain-timeout", "1s"])
            .arg("--source")
            .arg(format!("file:{}", manifests.display()))
            .arg("--run-dir")
            .arg(run)
            .args(["--listen", &plain.to_string(), "--tls-listen", &tls.to_string()])
            .args(more)
            .stdout(stdout.unwrap_or_else(|| fs::File::create(folder.path().join("stdout")).unwrap().into()))
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.spawn().unwrap();
        let mut agent = Self {
            plain,
            tls,
            folder,
            _pod: None,
            child,
        };
        agent.wait_for("serving without XDP");
        agent
    }

    /// Waits for a line of the agent's log.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no `{text}` (ended: {ended:?}) in:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    /// Sends bytes on a connection of their own and returns all that comes back.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.plain).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // It may have been reset by then.
        _ = stream.write_all(bytes.as_ref());
        let mut answer = Vec::new();
        // A reset is an answer too: the empty one.
        _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// The status and the body that its admin socket answers with.
    pub(crate) fn ask(&self, path: &str) -> (String, String) {
        let output = Command::new("curl")
            .args(["-s", "-w", "\n%{http_code}", "--unix-socket"])
            .arg(self.path("run/admin.sock"))
            .arg(format!("http://agent{path}"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }

    /// Asks it to end and waits until it has; whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A request after whose answer the connection ends.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}

fn manifest(pod: SocketAddr) -> String {
    format!(
        r#"
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: xdp}}
spec: {{controller: ingress-agent.dev/xdp}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: test
  annotations: {{nginx.ingress.kubernetes.io/ssl-redirect: "false"}}
spec:
  ingressClassName: xdp
  tls: [{{hosts: [a.test], secretName: pair}}]
  rules:
    - host: a.test
      http:
        paths:
          - {{path: /, pathType: Prefix, backend: {{service: {{name: echo, port: {{number: 80}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo, namespace: test}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: echo-1, namespace: test, labels: {{kubernetes.io/service-name: echo}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ["{address}"]}}]
"#,
        port = pod.port(),
        address = pod.ip()
    )
}

fn secret(certificate: &str, key: &str) -> String {
    let indent = |pem: &str| pem.trim_end().replace('\n', "\n    ");
    format!(
        r"
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: pair, namespace: test}}
stringData:
  tls.crt: |
    {}
  tls.key: |
    {}
",
        indent(certificate),
        indent(key)
    )
}
