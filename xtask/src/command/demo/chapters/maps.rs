//! The pinned maps, as an operator's `bpftool` shows them.

use anyhow::{Context, Result};
use xtask::lab::VIP_V4;

use super::{Report, Stage};

/// A map whose type can carry BTF, and a field of its value.
const MAPS: &[(&str, &str)] = &[
    ("VIP_ADDRS", "\"count\""),
    ("NODES", "\"ifindex\""),
    ("PEERS", "\"node\""),
    ("REASONS", "\"packets\""),
    ("VIP_TRAFFIC", "\"packets\""),
    ("NODE_TRAFFIC", "\"packets\""),
];

pub(super) fn named_fields(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let agent = stage.agents.first().context("no agent runs")?;
    let backends = format!("vips/{VIP_V4}-80-tcp");
    let dump = agent.dump(&backends)?;
    report.claim(
        dump.contains("\"state\"") && dump.contains("\"node\""),
        format!("bpftool map dump pinned {}/{backends}", agent.pins().display()),
    );
    let compact: String = dump.split_whitespace().collect::<Vec<_>>().join(" ");
    let entry = compact
        .split("},{")
        .nth(1)
        .or_else(|| compact.split("}, {").nth(1))
        .unwrap_or_default();
    report.show(format!("{{{}}}", entry.trim()));
    for (map, field) in MAPS {
        report.claim(
            agent.dump(map)?.contains(field),
            format!("{map} shows its field {field}"),
        );
    }
    Ok(())
}
