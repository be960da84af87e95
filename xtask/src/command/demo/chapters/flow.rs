//! Flows: where they enter, where they end, and the counters that prove it.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use ingress_common::Reason;
use xtask::lab::{Counters, VIP_V4, VIP_V6};

use super::{Report, Stage};

/// Connections made per entry and family.
const CONNECTIONS: u32 = 30;

pub(super) fn any_entry(stage: &mut Stage, report: &mut Report) -> Result<()> {
    sleep(Duration::from_millis(300));
    let before = counters(stage)?;
    for entry in 1..=3 {
        stage.lab.router().enter_at(&[entry])?;
        let mut owners: BTreeMap<u8, u32> = BTreeMap::new();
        for vip in [VIP_V4, VIP_V6] {
            for _ in 0..CONNECTIONS {
                let echo = stage.lab.client().echo(vip, "http://shop.example.test/")?;
                *owners.entry(echo.node().unwrap_or(0)).or_default() += 1;
            }
        }
        let list: Vec<_> = owners
            .iter()
            .map(|(node, count)| format!("node{node} {count}"))
            .collect();
        report.claim(
            owners.keys().eq(&[1, 2, 3]),
            format!(
                "{} connections, all entering at node{entry}, served by: {}",
                2 * CONNECTIONS,
                list.join(", ")
            ),
        );
    }
    stage.lab.router().enter_anywhere()?;
    // The last packets of the last connections are still under way.
    sleep(Duration::from_millis(300));

    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    let mut dropped = 0;
    report.show("packets     kept at entry   forwarded   kept after the tunnel   next hop");
    for ((node, before), (_, after)) in before.iter().zip(counters(stage)?) {
        let counted = after.since(before);
        let row = [
            Reason::Kept,
            Reason::Forwarded,
            Reason::KeptTunnel,
            Reason::NextHop,
        ]
        .map(|reason| {
            let count = counted.get(reason);
            *total.entry(reason.name()).or_default() += count;
            count
        });
        let [kept, forwarded, tunnel, next] = row;
        report.show(format!(
            "node{node}       {kept:>13}   {forwarded:>9}   {tunnel:>21}   {next:>8}"
        ));
        dropped += counted.dropped();
    }
    let of = |reason: Reason| total.get(reason.name()).copied().unwrap_or(0);
    let (forwarded, tunnel) = (of(Reason::Forwarded), of(Reason::KeptTunnel));
    report.claim(
        forwarded > 0 && forwarded == tunnel,
        format!("{forwarded} packets forwarded, {tunnel} accepted after the tunnel: none lost on the way"),
    );
    report.claim(dropped == 0, format!("{dropped} packets dropped"));
    Ok(())
}

fn counters(stage: &Stage) -> Result<Vec<(u8, Counters)>> {
    stage
        .agents
        .iter()
        .map(|agent| Ok((agent.number(), agent.counters()?)))
        .collect()
}
