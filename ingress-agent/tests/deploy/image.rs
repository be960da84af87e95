//! The agent in its image: built as it ships but for the profile, and started in a root that has nothing else.

use std::fs;
use std::process::Command;

use xtask::image::{ENTRYPOINT, Image, Program};

use crate::rendered::stdout;

#[test]
fn the_agent_runs_in_an_empty_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: chroot needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let program = Program::build("dev").unwrap();
    Image::new(&program).unwrap().unpack(root.path()).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    let run = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(root.path()).arg(ENTRYPOINT).args(arguments);
        command
    };
    let version = stdout(&mut run(&["--version"]));
    assert_eq!(
        version.trim(),
        format!("ingress-agent {}", env!("CARGO_PKG_VERSION"))
    );
    let probe = run(&["probe", "readyz"]).output().unwrap();
    let why = String::from_utf8(probe.stderr).unwrap();
    assert!(
        probe.status.code() == Some(1) && why.contains("no agent answers"),
        "{why}"
    );
}
