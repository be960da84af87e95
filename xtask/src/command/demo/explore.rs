//! What to try in a lab that stays up.

use xtask::lab::{VIP_V4, VIP_V6};

use super::Stage;
use super::report::Report;

pub(super) fn print(stage: &Stage, keep: bool, report: &mut Report) {
    if !keep {
        report.say(
            "\nTo look around: `cargo xtask demo --keep` leaves the lab up until Ctrl-C, and says what to try.",
        );
        return;
    }
    let lab = &stage.lab;
    let client = format!("nsenter --net={}", lab.client().namespace().path().display());
    report.chapter("The lab stays up until Ctrl-C. In another terminal:");
    report.show("requests");
    report.show(format!(
        "  {client} {}",
        lab.client().command_line(VIP_V4, "http://shop.example.test/")
    ));
    report.show(format!(
        "  {client} {}",
        lab.client()
            .command_line(VIP_V6, "https://shop.example.test/blue")
    ));
    report.show("routing: edit these files, ask again");
    report.show(format!("  {}", lab.manifests().directory().display()));
    for agent in &stage.agents {
        let number = agent.number();
        report.show(format!(
            "node{number}: its maps in words, its backends by bpftool, its log"
        ));
        report.show(format!("  {}", agent.maps_command_line()));
        report.show(format!(
            "  bpftool map dump pinned {}/vips/{VIP_V4}-80-tcp",
            agent.pins().display()
        ));
        report.show(format!(
            "  less {}",
            lab.directory().join(format!("node{number}.log")).display()
        ));
        report.show(format!("  kill -9 {}", agent.process().id()));
    }
}
