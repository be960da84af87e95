//! Single requests: what the client sees, and what the pod saw.

use anyhow::Result;
use xtask::lab::{CLIENT_V4, CLIENT_V6, Echo, VIP_V4, VIP_V6};

use super::{Report, Stage};

pub(super) fn schemes(stage: &mut Stage, report: &mut Report) -> Result<()> {
    for (vip, client) in [(VIP_V4, CLIENT_V4), (VIP_V6, CLIENT_V6)] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://shop.example.test/hello");
            let echo = stage.lab.client().echo(vip, &url)?;
            let seen = echo.header("x-forwarded-for");
            report.claim(
                echo.pod.starts_with("red") && echo.path == "/hello" && seen == client.to_string(),
                format!(
                    "{url} at {vip}: {}, told that the client is {seen}",
                    served(&echo)
                ),
            );
        }
    }
    Ok(())
}

pub(super) fn routes(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let expected = [
        ("http://shop.example.test/", "red"),
        ("http://shop.example.test/blue", "blue"),
        ("http://shop.example.test/blue/berry", "blue"),
        ("http://shop.example.test/blueberry", "red"),
        ("http://any.wild.example.test/", "blue"),
    ];
    for (url, service) in expected {
        let echo = stage.lab.client().echo(VIP_V4, url)?;
        report.claim(echo.pod.starts_with(service), format!("{url}: {}", served(&echo)));
    }
    let answer = stage
        .lab
        .client()
        .curl(VIP_V4, "http://nobody.example.test/", &[])?;
    report.claim(
        answer.status == 404,
        format!("http://nobody.example.test/: {}", answer.status),
    );
    Ok(())
}

/// Who answered, and by which node.
fn served(echo: &Echo) -> String {
    match echo.node() {
        Some(node) => format!("{} by way of node{node}", echo.pod),
        None => format!("{} by way of {}", echo.pod, echo.peer),
    }
}
