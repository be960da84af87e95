//! The pinned maps and links of an agent, as `bpftool` shows them: the lab reads what an operator would.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use ingress_common::Reason;
use serde_json::Value;

use super::namespace::run;

/// How many packets ended for each reason, by the reason's number; only those that occurred.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters(BTreeMap<u32, u64>);

impl Counters {
    /// Reads `REASONS` from a pin directory, summed over the CPUs.
    pub(super) fn read(pins: &Path) -> Result<Self> {
        let entries = dump(&pins.join("REASONS"))?;
        let mut counters = BTreeMap::new();
        for entry in entries.as_array().context("bpftool: not a list")? {
            let entry = entry.get("formatted").context("REASONS carries no BTF")?;
            let key = entry
                .get("key")
                .and_then(Value::as_u64)
                .context("REASONS: no key")?;
            let packets: u64 = entry
                .get("values")
                .and_then(Value::as_array)
                .context("REASONS: no values")?
                .iter()
                .filter_map(|cpu| cpu.get("value")?.get("packets")?.as_u64())
                .sum();
            if packets > 0 {
                counters.insert(u32::try_from(key)?, packets);
            }
        }
        Ok(Self(counters))
    }

    /// Packets that ended for this reason.
    pub fn get(&self, reason: Reason) -> u64 {
        self.0.get(&(reason as u32)).copied().unwrap_or(0)
    }

    /// What was counted after an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |reason| earlier.0.get(reason).copied().unwrap_or(0);
        Self(
            self.0
                .iter()
                .map(|(reason, &count)| (*reason, count.saturating_sub(before(reason))))
                .collect(),
        )
    }

    /// Packets of reasons that drop.
    pub fn dropped(&self) -> u64 {
        let drops = Reason::ALL
            .iter()
            .filter(|reason| reason.verdict() == ingress_common::Verdict::Drop);
        drops.map(|&reason| self.get(reason)).sum()
    }
}

/// A pinned map, as `bpftool -j map dump` shows it.
pub(super) fn dump(pin: &Path) -> Result<Value> {
    json(
        Command::new("bpftool")
            .args(["-j", "map", "dump", "pinned"])
            .arg(pin),
    )
}

/// A pinned map, as `bpftool map dump` prints it.
pub(super) fn dump_text(pin: &Path) -> Result<String> {
    run(
        Command::new("bpftool").args(["map", "dump", "pinned"]).arg(pin),
        "",
    )
}

/// The id of a pinned link.
pub(super) fn link_id(pin: &Path) -> Result<u64> {
    let link = json(
        Command::new("bpftool")
            .args(["-j", "link", "show", "pinned"])
            .arg(pin),
    )?;
    let link = link.as_array().and_then(|links| links.first()).unwrap_or(&link);
    link.get("id")
        .and_then(Value::as_u64)
        .with_context(|| format!("{}: no link id", pin.display()))
}

fn json(command: &mut Command) -> Result<Value> {
    let text = run(command, "")?;
    serde_json::from_str(&text).with_context(|| format!("{command:?} printed:\n{text}"))
}
