//! Starts that must be refused, and say why.

use std::fs;
use std::path::Path;
use std::time::Duration;

use xtask::lab::{Agent, Lab, NIC, VIP_V4};

use super::{Running, lab};

/// Waits for an agent that must refuse to run; gives its last words.
fn refused(agent: &Agent) -> String {
    let status = agent.process().wait(Duration::from_secs(20)).unwrap();
    assert!(!status.success());
    agent.log()
}

fn refuses(lab: &Lab, node: u8, words: &[&str]) {
    let log = refused(&lab.try_agent(node, &[]).unwrap());
    for word in words {
        assert!(log.contains(word), "no \"{word}\" in:\n{log}");
    }
}

#[test]
fn a_second_agent_on_the_same_pins_is_refused_and_the_first_serves_on() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    refuses(&lab, 1, &["another", "agent"]);
    for _ in 0..20 {
        lab.client().echo(VIP_V4, "http://shop.example.test/").unwrap();
    }
    drop(agents);
}

#[test]
fn a_foreign_xdp_program_is_named_and_never_detached() {
    let Some(lab) = lab(3) else { return };
    let foreign = lab.attach_foreign_xdp(1).unwrap();
    refuses(&lab, 1, &[NIC, "XDP"]);
    let shown = lab.node(1).unwrap().output("ip", &["link", "show", NIC]).unwrap();
    assert!(shown.contains("prog/xdp"), "it is still attached: {shown}");
    drop(foreign);
    lab.spawn_agent(1, &[]).unwrap();
}

#[test]
fn a_pin_of_another_shape_is_named_and_left_alone() {
    let Some(lab) = lab(3) else { return };
    lab.spawn_agent(1, &[]).unwrap().kill().unwrap();
    let pin = lab.pins(1).join("NODES");
    fs::remove_file(&pin).unwrap();
    make_map(&lab, &pin);
    refuses(&lab, 1, &["NODES"]);
    assert!(pin.exists());
}

#[test]
fn pins_without_a_layout_are_not_taken_over() {
    let Some(lab) = lab(3) else { return };
    let pins = lab.pins(1);
    fs::create_dir_all(&pins).unwrap();
    let pin = pins.join("NODES");
    make_map(&lab, &pin);
    refuses(&lab, 1, &["layout", pins.to_str().unwrap()]);
    assert!(pin.exists());
    fs::remove_file(pin).unwrap();
    lab.spawn_agent(1, &[]).unwrap();
}

/// Pins an array of 8-byte values.
fn make_map(lab: &Lab, pin: &Path) {
    let shape = [
        "type", "array", "key", "4", "value", "8", "entries", "4096", "name", "FOREIGN",
    ];
    let arguments = [&["map", "create", pin.to_str().unwrap()], shape.as_slice()].concat();
    lab.node(1).unwrap().output("bpftool", &arguments).unwrap();
}

#[test]
fn check_finds_nothing_wrong_with_the_labs_manifests() {
    let Some(lab) = lab(3) else { return };
    let folder = lab.manifests().directory().to_str().unwrap();
    let said = lab
        .node(1)
        .unwrap()
        .output(env!("CARGO_BIN_EXE_ingress-agent"), &["check", "-f", folder]);
    eprintln!("{}", said.unwrap());
}
