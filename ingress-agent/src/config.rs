//! The command line: every flag, its environment variable and its default, parsed into types.
//!
//! Precedence: flag, environment (`INGRESS_AGENT_...`), with `--source kube` the agents' ConfigMap, default. The
//! ConfigMap's keys are the flags' long names ([`Merged`]).

mod limits;
mod log;
mod manual;
mod merge;
mod ordinary;
mod probe;
mod source;
mod takeover;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use http::Method;

use crate::explain::{Field, Url};
use crate::xdp::announce::Table;

pub use self::limits::LimitArgs;
pub use self::log::{LogArgs, LogFormat};
pub use self::manual::{CompletionsArgs, ManArgs};
pub use self::merge::{Line, Merged, Outcome, Remark, Why};
pub use self::ordinary::{OrdinaryArgs, Twice};
pub use self::probe::{Probe, ProbeArgs};
pub use self::source::Source;
pub use self::takeover::TakeOverArgs;

/// The ingress load balancer's agent: one per node.
///
/// It reads Ingress objects, programs XDP so that every packet for a VIP reaches the node that owns its
/// connection, terminates TLS there, routes by host and path, and calls the pod. Replies go straight to
/// the client.
#[derive(Debug, Parser)]
#[command(
    name = "ingress-agent",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves: loads the eBPF programs, follows the source, answers requests. Ends on SIGTERM, drained.
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Says what the agent would make of a folder of manifests: of each object whether it is accepted, degraded
    /// (it works, but not as written) or refused, and what to change. Exit status 1 when an object is refused, 2
    /// when there is no verdict.
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Says which rule answers a URL and why, each step from VIP to endpoint, or the step that fails and
    /// what repairs it: of the agent that runs here or, with -f, of a folder of manifests. Exit status 1 when
    /// neither an endpoint nor a redirect answers, 2 when there is no explanation.
    #[command(after_long_help = EXPLAIN_EXAMPLES)]
    Explain(Box<ExplainArgs>),
    /// Says what the agent that runs here does, who leads its cluster, what the nodes say of themselves, and which
    /// nodes announce which VIP. Exit status 1 when the agent does not serve (yet, or any more), 2 when none answers.
    Status(StatusArgs),
    /// Prints the pinned eBPF maps in words. Works beside a running agent, and after one has ended.
    Maps(MapsArgs),
    /// Takes down what an ended agent left serving: announcements, XDP and sk_lookup links, pinned maps, VIP routes.
    Unload(UnloadArgs),
    /// Prints the CustomResourceDefinition of VipPool: `ingress-agent crd | kubectl apply -f -`.
    Crd,
    /// Asks the agent that runs here whether it lives, or is ready: for a kubelet's exec probes. Exit status 1 when
    /// not, with the reason.
    Probe(ProbeArgs),
    /// Prints completions of this command line for a shell, for example: `source <(ingress-agent completions bash)`.
    Completions(CompletionsArgs),
    /// Writes manual pages of this program, for example: `ingress-agent man /usr/local/share/man/man1`.
    Man(ManArgs),
}

const RUN_DIR: &str = "/run/ingress-agent";

const RUN_EXAMPLES: &str = "\
Examples:
  One node, no cluster: a folder of Kubernetes YAML with a VipPool in it
    ingress-agent run --source file:/etc/ingress-agent --interface eth0

  Several nodes: the same folder on each, with nodes.yaml naming them and their shared secret
    ingress-agent run --source file:/etc/ingress-agent --interface eth0,eth1 --node edge-1

  No VIPs and no privilege: a laptop, a container, behind another balancer
    ingress-agent run --source file:manifests --no-xdp --listen 127.0.0.1:8080 --tls-listen 127.0.0.1:8443

What it needs, but with --no-xdp: root, or CAP_BPF + CAP_NET_ADMIN + CAP_PERFMON + CAP_DAC_OVERRIDE; a bpffs (mount -t \
bpf bpf /sys/fs/bpf); interfaces whose driver has native XDP. For ports below 1024 of the machine's own addresses, which \
are served with --no-xdp and in a cluster without a VipPool: CAP_NET_BIND_SERVICE.

The agent's end takes nothing down but its announcements: the programs stay attached and packets of other nodes' \
connections keep flowing; `ingress-agent unload` takes everything down.

With --source kube, what neither a flag nor the environment says may be in the ConfigMap `ingress-agent` of the agents' \
namespace: its keys are the flags' names. `ingress-agent status` says what came of each. They take effect
  at once: access-log-format, drain-timeout, log, log-format, max-connections,
    max-connections-per-listener, max-connections-per-source, max-handshakes
  at the agent's next start: announce-table, interface, no-publish, proxy-protocol-from,
    take-over-ingress-nginx, tunnel-port, workers
  never: all other flags, which go with the Pod or the node.";

const CHECK_EXAMPLES: &str = "\
Examples:
  A folder of manifests, object by object
    ingress-agent check -f deploy/examples

  In CI: also what works, but not as written, fails; one JSON document for the next tool
    ingress-agent check --strict --json -f deploy/examples

  Before leaving ingress-nginx: what becomes of its Ingresses as they are
    ingress-agent check --take-over-ingress-nginx -f all

  A cluster as it is
    kubectl get ingress,ingressclass,svc,endpointslices,secrets -A -o yaml > all/cluster.yaml && ingress-agent check -f all

Objects of other classes are not judged, nor what refers to EndpointSlices or Secrets where the folder has none of them.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  What the agent that runs here does with a request, and how the pods do that would answer it
    ingress-agent explain https://shop.example.com/cart

  The same of a folder of manifests, before anything runs
    ingress-agent explain https://shop.example.com/cart -f deploy/examples

  An upload to a VIP by its address; JSON for the next tool
    ingress-agent explain http://192.0.2.10/upload --method POST --header 'Host: shop.example.com' \\
      --header 'Content-Length: 5000000' -f deploy/examples --json

A folder without a VipPool is read as `run --no-xdp --listen` does: a listener at the URL's port, for all our classes.";

/// Flags of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where objects come from: file:DIR (a folder of Kubernetes YAML or JSON, watched) or kube.
    #[arg(long, env = "INGRESS_AGENT_SOURCE", value_name = "file:DIR|kube")]
    pub source: Source,

    /// With --source kube: the namespaces whose objects are read [default: all]. What is read needs rights there only.
    #[arg(
        long,
        env = "INGRESS_AGENT_WATCH_NAMESPACE",
        value_name = "NAME,...",
        value_delimiter = ','
    )]
    pub watch_namespace: Vec<String>,

    /// With --source kube: the namespace where the agents keep their Leases and their Secret, and where their ConfigMap
    /// is [default: the ServiceAccount's, else the kubeconfig's].
    #[arg(long, env = "INGRESS_AGENT_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// With --source kube: writes no addresses into the status of Ingresses and makes no Events, beside another
    /// controller that does. With --no-xdp they are written where --namespace is given only.
    #[arg(long, env = "INGRESS_AGENT_NO_PUBLISH", value_parser = BoolishValueParser::new())]
    pub no_publish: bool,

    #[command(flatten)]
    pub take_over: TakeOverArgs,

    /// This node's name, as nodes.yaml or the cluster knows it.
    #[arg(long, env = "INGRESS_AGENT_NODE", value_name = "NAME", default_value_t = host_name())]
    pub node: String,

    /// The interfaces that VIP packets come in by, and that lead to the other nodes [default: of the default route].
    #[arg(
        long,
        env = "INGRESS_AGENT_INTERFACE",
        value_name = "NAME,...",
        value_delimiter = ',',
        conflicts_with = "no_xdp"
    )]
    pub interface: Vec<String>,

    #[command(flatten)]
    pub ordinary: OrdinaryArgs,

    #[command(flatten)]
    pub places: PlaceArgs,

    /// What outlives a restart: the last state of the cluster, to start from while the API server is away. Private
    /// keys are kept in the run directory. Unused by the source `file`, whose folder is its own state.
    #[arg(
        long,
        env = "INGRESS_AGENT_STATE_DIR",
        value_name = "DIR",
        default_value = "/var/lib/ingress-agent"
    )]
    pub state_dir: PathBuf,

    /// The UDP port of the tunnel between nodes; the same on all of them.
    #[arg(long, env = "INGRESS_AGENT_TUNNEL_PORT", value_name = "PORT",
          default_value_t = ingress_common::TUNNEL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub tunnel_port: u16,

    /// The kernel routing table where the addresses that this node announces are, as host routes for a BGP daemon to
    /// export: any number but 0, 253, 254 and 255, to which no `ip rule` leads.
    #[arg(long, env = "INGRESS_AGENT_ANNOUNCE_TABLE", value_name = "N", default_value_t)]
    pub announce_table: Table,

    /// How long open requests may take to finish after SIGTERM.
    #[arg(long, env = "INGRESS_AGENT_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "300s",
          value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// Worker threads of the request path [default: one per core].
    #[arg(long, env = "INGRESS_AGENT_WORKERS", value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,

    /// Where /livez, /readyz, /metrics and /debug are answered besides RUN_DIR/admin.sock: a loopback address.
    #[arg(long, env = "INGRESS_AGENT_ADMIN_LISTEN", value_name = "ADDRESS:PORT", value_parser = loopback)]
    pub admin_listen: Option<SocketAddr>,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// Flags that say where the pins are.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// A folder of its own on a bpffs, where the programs' links and the maps are pinned.
    #[arg(
        long,
        env = "INGRESS_AGENT_PIN_DIR",
        value_name = "DIR",
        default_value = "/sys/fs/bpf/ingress"
    )]
    pub pin_dir: PathBuf,
}

/// Flags of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The folder of manifests, as --source file:DIR takes it.
    #[arg(short = 'f', long = "folder", value_name = "DIR")]
    pub folder: PathBuf,

    #[command(flatten)]
    pub take_over: TakeOverArgs,

    /// Prints one JSON document: {objects: [{kind, namespace, name, file, verdict, findings: [...]}], notes}.
    #[arg(long)]
    pub json: bool,

    /// Exit status 1 also when an object is degraded: it works, but not as written.
    #[arg(long)]
    pub strict: bool,
}

/// Flags of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Where the agent that is asked has its admin socket: its --run-dir.
    #[arg(long, env = "INGRESS_AGENT_RUN_DIR", value_name = "DIR", default_value = RUN_DIR)]
    pub run_dir: PathBuf,

    /// Prints JSON: {version, state, source, settings, cluster: {leader, leases, ...}, nodes, vips}.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// What is asked for, as a client that changes nothing sends it. DNS is not asked: a host name stands
    /// for the VIP that knows it.
    #[arg(value_name = "URL")]
    pub url: Url,

    /// A folder of manifests, as --source file:DIR takes it, instead of a running agent.
    #[arg(short = 'f', long = "folder", value_name = "DIR")]
    pub folder: Option<PathBuf>,

    #[command(flatten)]
    pub take_over: TakeOverArgs,

    /// Where the agent that is asked has its admin socket: its --run-dir.
    #[arg(long, env = "INGRESS_AGENT_RUN_DIR", value_name = "DIR", default_value = RUN_DIR)]
    pub run_dir: PathBuf,

    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: Method,

    /// A field of the request; may be given more than once. A Host takes the place of the URL's.
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<Field>,

    /// The client's address: its family chooses among a name's VIPs.
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,

    /// As a client that has no HTTP/2. Without it the client has, and uses it over TLS wherever it has words for
    /// the request.
    #[arg(long = "http1.1")]
    pub http1: bool,

    /// Prints JSON: {url, steps: [{step, ok, object, field, value, why, change}], answer}.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `maps`.
#[derive(Args, Debug)]
pub struct MapsArgs {
    #[command(flatten)]
    pub pins: PinArgs,
}

/// Flags of `unload`.
#[derive(Args, Debug)]
pub struct UnloadArgs {
    #[command(flatten)]
    pub places: PlaceArgs,

    /// Stays until SIGTERM when everything is taken down, as the Pods of a DaemonSet must: deploy/overlays/unload.
    #[arg(long)]
    pub stay: bool,
}

/// Flags that say where an agent keeps what it holds.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    #[command(flatten)]
    pub pins: PinArgs,

    /// Run-time files: the lock, the admin socket and, where it is a tmpfs, the private keys of saved certificates.
    #[arg(
        long,
        env = "INGRESS_AGENT_RUN_DIR",
        value_name = "DIR",
        default_value = RUN_DIR
    )]
    pub run_dir: PathBuf,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok();
    address
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .ok_or_else(|| "expected a loopback address and a port, such as 127.0.0.1:10254 or [::1]:10254: whoever reaches it reads all routes".to_owned())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for arg in run
            .get_arguments()
            .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        {
            let long = arg.get_long().unwrap();
            let expected = format!("INGRESS_AGENT_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().unwrap().to_str(), Some(&*expected), "--{long}");
        }
    }

    #[test]
    fn interfaces_are_a_list() {
        let cli =
            Cli::try_parse_from(["ingress-agent", "run", "--source", "kube", "--interface", "a,b"]).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("not run")
        };
        assert_eq!(args.interface, ["a", "b"]);
    }
}
