//! Changes under load: of routes, and of nodes.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::lab::{Answer, NodeState, Traffic, VIP_V4, VIP_V6};

use super::{Report, Stage};

/// Edits made and timed.
const EDITS: usize = 6;

pub(super) fn edit(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let (lab, manifests) = (&stage.lab, stage.lab.manifests());
    let mut times = Vec::new();
    for round in 0..EDITS {
        // There and back again: the last edit leaves the folder as it was.
        let (from, to) = if round % 2 == 0 {
            ("blue", "red")
        } else {
            ("red", "blue")
        };
        let path = "{path: /blue, pathType: Prefix, backend: {service: {name: ";
        let time = lab.client().time_until(
            (VIP_V4, "shop.example.test", "/blue"),
            || manifests.edit("ingress.yaml", &format!("{path}{from}"), &format!("{path}{to}")),
            |answer: &Answer| answer.echo().is_ok_and(|echo| echo.pod.starts_with(to)),
            Duration::from_secs(5),
        )?;
        times.push(time);
    }
    let list: Vec<_> = times
        .iter()
        .map(|time| format!("{:.1}", time.as_secs_f64() * 1e3))
        .collect();
    report.claim(
        times.len() == EDITS,
        format!("/blue moved between the services {EDITS} times; ms from the file's rename to the first new answer: {}", list.join(", ")),
    );
    Ok(())
}

pub(super) fn drain_and_stop(stage: &mut Stage, report: &mut Report) -> Result<()> {
    /// Long enough for each step to meet many requests.
    const STEP: Duration = Duration::from_millis(1500);
    let position = stage
        .agents
        .iter()
        .position(|agent| agent.number() == 2)
        .context("node2 has no agent")?;
    let traffic = [
        Traffic::start(stage.lab.client(), VIP_V4, "http://shop.example.test/")?,
        Traffic::start(stage.lab.client(), VIP_V6, "https://shop.example.test/blue")?,
    ];
    let set = |state| {
        use NodeState::Active;
        stage
            .lab
            .manifests()
            .set_nodes(&[(1, Active), (2, state), (3, Active)])
    };
    sleep(STEP);
    set(NodeState::Draining)?;
    sleep(STEP);
    let drained = serves(stage, 2)?;
    report.claim(!drained, "node2 draining: it gets no new connection");
    let status = stage.agents.remove(position).terminate(Duration::from_secs(20))?;
    report.claim(
        status.success(),
        format!("node2's agent, told to stop (SIGTERM): {status}"),
    );
    sleep(STEP);
    let agent = stage.lab.spawn_agent(2, &[])?;
    stage.agents.insert(position, agent);
    set(NodeState::Active)?;
    sleep(STEP);
    report.claim(serves(stage, 2)?, "node2 started again and active: it serves");
    for (traffic, what) in traffic.into_iter().zip(["HTTP, IPv4", "HTTPS, IPv6"]) {
        let sent = traffic.stop()?;
        let said = sent
            .last_failure
            .map(|said| format!(" ({said})"))
            .unwrap_or_default();
        report.claim(
            sent.sent > 0 && sent.failed == 0,
            format!(
                "{what}: {} requests sent meanwhile, each on a new connection; {} failed{said}",
                sent.sent, sent.failed
            ),
        );
    }
    Ok(())
}

/// Whether a node serves any of a number of new connections.
fn serves(stage: &Stage, node: u8) -> Result<bool> {
    for _ in 0..40 {
        if stage
            .lab
            .client()
            .echo(VIP_V4, "http://shop.example.test/")?
            .node()
            == Some(node)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
