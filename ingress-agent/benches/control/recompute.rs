//! One edit: from the snapshot to all that a node needs, but the kernel's part.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::model::Model;
use ingress_agent::proxy::{Listeners, Memo, Options, Proxy};
use ingress_agent::source::file;
use ingress_agent::translate::{Finding, Snapshot, Translator};
use ingress_agent::xdp::Plan;
use serde_json::Value;

use crate::edit::{Edit, Removed};
use crate::rows_of;

/// Where the folder's VIP is dialled in clear.
pub(crate) const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 80);
/// This node, alone.
const NODE: &str = "node";

/// What an agent holds of a snapshot.
struct Agent {
    translator: Translator,
    memo: Memo,
    proxy: Option<Proxy>,
    model: Arc<Model>,
    findings: BTreeSet<Finding>,
    plan: Plan,
}

impl Agent {
    fn new(proxy: Option<Proxy>) -> Self {
        Self {
            translator: Translator::default(),
            memo: Memo::default(),
            proxy,
            model: Arc::default(),
            findings: BTreeSet::new(),
            plan: Plan::default(),
        }
    }

    /// What the agent does with a snapshot before it turns to the kernel: model, report and what of it is new,
    /// table, the handshakes of its listeners and the swap, plan; and the old ones are freed. `check` looks at
    /// model, last model and table; its time does not count.
    fn publish(
        &mut self,
        snapshot: &Snapshot,
        check: impl FnOnce(&Model, &Model, &ingress_agent::proxy::Table),
    ) -> Duration {
        let begin = Instant::now();
        let (model, report) = self.translator.translate(snapshot);
        let findings: BTreeSet<Finding> = report.findings.into_iter().collect();
        let told = findings.difference(&self.findings).count() + self.findings.difference(&findings).count();
        std::hint::black_box(told);
        self.findings = findings;
        let table = self.memo.table(&model);
        let computed = begin.elapsed();
        check(&model, &self.model, &table);
        let begin = Instant::now();
        if let Some(proxy) = &self.proxy {
            proxy.swap(table).unwrap();
        }
        self.plan = Plan::new(&model, NODE).unwrap();
        self.model = Arc::new(model);
        computed + begin.elapsed()
    }
}

/// Objects in memory. The first computation, then `rounds` edits of each kind.
pub(crate) fn in_memory(dir: &Path, rounds: usize) -> Vec<Value> {
    let mut snapshot = file::read(dir, &Arc::from(NODE)).unwrap();
    let proxy = Proxy::start(Listeners::bind(1).unwrap(), Options::default()).unwrap();
    let mut agent = Agent::new(Some(proxy));
    let first = agent.publish(&snapshot, |_, _, _| {});
    let mut rows = rows_of("recompute of 10,000 Ingresses, the first", vec![first]);
    let mut removed = Removed::new();
    let mut all = Vec::new();
    for edit in Edit::ALL {
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            // A source makes a new snapshot of every change; the old one is freed where it was made.
            let last = snapshot.clone();
            let number = edit.make(round, &mut snapshot, &mut removed);
            times.push(agent.publish(&snapshot, |model, before, table| {
                let in_effect = edit.is_in_effect(round, number, before, model, table);
                assert!(in_effect, "{}, round {round}: not in effect", edit.name());
            }));
            drop(last);
        }
        all.extend(&times);
        rows.extend(rows_of(
            &format!("recompute of 10,000 Ingresses, {}", edit.name()),
            times,
        ));
    }
    rows.extend(rows_of("recompute of 10,000 Ingresses, any of these edits", all));
    rows
}

/// Holds what an agent of this folder holds, after some edits where they can be made, and says how much memory this process has
/// resident, in bytes.
pub(crate) fn memory_with(dir: &Path) -> usize {
    let mut snapshot = file::read(dir, &Arc::from(NODE)).unwrap();
    let mut agent = Agent::new(None);
    let mut removed = Removed::new();
    agent.publish(&snapshot, |_, _, _| {});
    // Neither an empty folder nor that of many certificates, whose hosts share a Service, has what is edited.
    let edits: &[Edit] = if snapshot.services.len() < 2 {
        &[]
    } else {
        &Edit::ALL
    };
    for round in 0..10 {
        for edit in edits {
            edit.make(round, &mut snapshot, &mut removed);
            agent.publish(&snapshot, |_, _, _| {});
        }
        // The allocator gives back what has not been needed for a second.
        std::thread::sleep(Duration::from_millis(250));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    drop((snapshot, agent));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}
