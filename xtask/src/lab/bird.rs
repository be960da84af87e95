//! BGP in the lab: BIRD on the nodes, by the very configuration that `deploy` gives, and on the router.
//!
//! A speaker has its configuration, its control socket and its log in the lab's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::{Namespace, Process, Scratch, node_addresses};

/// What users start from.
const ON_A_NODE: &str = include_str!("../../../deploy/bird.conf");
/// The AS numbers of the nodes and of the router.
const NODE_AS: u32 = 64512;
const ROUTER_AS: u32 = 64513;

/// A running BIRD. Dropping it kills it, as a node's death does: BGP is not told.
#[derive(Debug)]
pub struct Bird {
    process: Process,
    namespace: Namespace,
    socket: PathBuf,
}

impl Bird {
    pub(super) fn start(
        scratch: &Scratch,
        namespace: &Namespace,
        name: &str,
        configuration: &str,
    ) -> Result<Self> {
        let file = |kind: &str| scratch.directory().join(format!("{name}.{kind}"));
        let [configured, socket, pid] = ["conf", "ctl", "pid"].map(file);
        fs::write(&configured, configuration).with_context(|| format!("write {}", configured.display()))?;
        let mut command = namespace.command("bird");
        let arguments: [(&str, &Path); 3] = [("-c", &configured), ("-s", &socket), ("-P", &pid)];
        for (flag, path) in arguments {
            command.arg(flag).arg(path);
        }
        let process = scratch
            .start(name, command.arg("-f"))
            .context("BIRD is in Debian's package bird2")?;
        process.wait_for_log("Started", 0, Duration::from_secs(10))?;
        Ok(Self {
            process,
            namespace: namespace.clone(),
            socket,
        })
    }

    /// What `birdc` says to a command.
    pub fn ask(&self, command: &str) -> Result<String> {
        let socket = self.socket.display().to_string();
        self.namespace.output("birdc", &["-r", "-s", &socket, command])
    }

    /// `kill -9`: its routers are not told.
    pub fn kill(self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }
}

/// The configuration of `deploy` with a node's values.
pub(super) fn on_node(number: u8, router: [&str; 2]) -> Result<String> {
    let [address, _] = node_addresses(number);
    let values = [
        ("NODE", address.to_string()),
        ("NODE_AS", NODE_AS.to_string()),
        ("ROUTER_V4", router[0].to_owned()),
        ("ROUTER_V6", router[1].to_owned()),
        ("ROUTER_AS", ROUTER_AS.to_string()),
    ];
    let mut set = 0;
    let lines = ON_A_NODE.lines().map(|line| {
        let defined = |(name, _): &&(&str, String)| line.starts_with(&format!("define {name} = "));
        match values.iter().find(defined) {
            Some((name, value)) => {
                set += 1;
                format!("define {name} = {value};\n")
            }
            None => format!("{line}\n"),
        }
    });
    let configuration: String = lines.collect();
    ensure!(
        set == values.len(),
        "deploy/bird.conf defines other values than {values:?}"
    );
    Ok(configuration)
}

/// A router that spreads packets over all nodes that tell of a VIP.
pub(super) fn on_router(address: &str, nodes: u8) -> String {
    let mut configuration = format!(
        "router id {address};\n\
         log stderr all;\n\
         protocol device {{}}\n\
         protocol bfd {{ interface \"*\" {{ interval 300 ms; multiplier 5; }}; }}\n\
         protocol kernel {{ merge paths on; ipv4 {{ import none; export all; }}; }}\n\
         protocol kernel {{ merge paths on; ipv6 {{ import none; export all; }}; }}\n\
         template bgp node {{ local as {ROUTER_AS}; hold time 9; bfd on; }}\n"
    );
    for number in 1..=nodes {
        let [v4, v6] = node_addresses(number);
        configuration.push_str(&format!(
            "protocol bgp node{number}_v4 from node {{ neighbor {v4} as {NODE_AS}; \
             ipv4 {{ import all; export none; }}; }}\n\
             protocol bgp node{number}_v6 from node {{ neighbor {v6} as {NODE_AS}; \
             ipv6 {{ import all; export none; next hop prefer global; }}; }}\n"
        ));
    }
    configuration
}
