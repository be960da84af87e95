//! What a status says is true: an address that stands there answers, from the first moment on and at every node.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use xtask::lab::Client;

use super::cluster::Cluster;

/// How many classes, each with addresses of its own.
const CLASSES: usize = 20;
/// Of each address, so that every node is entered.
const REQUESTS: usize = 6;
/// Less than the pause after which a lost SYN is sent again.
const AT_ONCE: Duration = Duration::from_millis(900);

const POOL: &str = "\
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: wide}
spec: {addresses: [192.0.2.64-192.0.2.127, '2001:db8:1::64-2001:db8:1::ff']}
";

/// A class.
fn class(number: usize) -> String {
    format!(
        "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: class-{number}}}
spec: {{controller: ingress-agent.dev/xdp}}
---
"
    )
}

/// An Ingress of it.
fn ingress(name: &str, number: usize) -> String {
    format!(
        "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  ingressClassName: class-{number}
  rules:
  - host: {name}.test
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: red, port: {{number: 80}}}}}}}}]}}
"
    )
}

/// `kubectl get --watch`, which prints the Ingresses' addresses as they come.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(cluster: &Cluster) -> Self {
        let line = "--output=jsonpath={.metadata.name} {.status.loadBalancer.ingress[*].ip}{'\\n'}";
        let mut command = cluster.plane.kubectl_command();
        command.args(["get", "ingresses", "--watch", line]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The first addresses that an Ingress has.
    fn addresses(&mut self, ingress: &str) -> Vec<IpAddr> {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the watch ended");
            let mut words = line.split_whitespace();
            let name = words.next();
            let addresses: Vec<_> = words.map(|word| word.parse().unwrap()).collect();
            if name == Some(ingress) && !addresses.is_empty() {
                return addresses;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The first line of the answer to a request on a connection of its own.
fn ask(address: IpAddr, host: &str) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect_timeout(&SocketAddr::new(address, 80), AT_ONCE)?;
    connection.set_read_timeout(Some(AT_ONCE))?;
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn answers(client: &Client, addresses: &[IpAddr], host: &str) -> Vec<String> {
    let asked = client.namespace().run(|| {
        let each = addresses.iter().flat_map(|address| [*address; REQUESTS]);
        Ok(each
            .map(|address| match ask(address, host) {
                Ok(line) => line,
                Err(error) => format!("{address}: {error}"),
            })
            .collect())
    });
    asked.unwrap()
}

#[test]
fn an_address_answers_from_the_moment_that_it_is_published() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.apply(POOL);
    for number in 1..=3 {
        cluster.spawn(number);
    }
    let mut watch = Watch::start(&cluster);
    let mut wrong = Vec::new();
    let mut see = |name: &str| {
        let addresses = watch.addresses(name);
        let told = answers(cluster.lab.client(), &addresses, &format!("{name}.test"));
        assert_eq!(told.len(), 2 * REQUESTS, "an address of each family");
        let not = told.into_iter().filter(|line| line != "HTTP/1.1 200 OK");
        wrong.extend(not.map(|line| format!("{name}: {line}")));
    };
    see("shop");
    for number in 0..CLASSES {
        let (first, second) = (format!("first-{number}"), format!("second-{number}"));
        cluster.apply(&(class(number) + &ingress(&first, number)));
        see(&first);
        // At addresses that are served.
        cluster.apply(&ingress(&second, number));
        see(&second);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
