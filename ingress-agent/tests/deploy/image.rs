//! The agent in its image: built as it ships but for the profile, and started in a root that has nothing else.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::image::{ENTRYPOINT, Program, unpack};
use xtask::lab::Scratch;

use crate::rendered::{folder, stdout};

/// Not even /dev: a container has more.
#[test]
fn the_agent_serves_from_an_empty_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: chroot needs root");
        return;
    }
    let scratch = Arc::new(Scratch::begin().unwrap());
    let root = scratch.directory().join("root");
    let program = Program::build("dev").unwrap();
    unpack(&program, &root).unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    let agent = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(&root).arg(ENTRYPOINT).args(arguments);
        command
    };
    // What another thread starts has the file that was just written, until it is that program itself.
    let is_busy = |output: &Output| String::from_utf8_lossy(&output.stderr).contains("Text file busy");
    let begin = Instant::now();
    while is_busy(&agent(&["--version"]).output().unwrap()) && begin.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(10));
    }
    let version = stdout(&mut agent(&["--version"]));
    assert_eq!(
        version.trim(),
        format!("ingress-agent {}", env!("CARGO_PKG_VERSION"))
    );
    let ready = || agent(&["probe", "readyz"]).output().unwrap();
    let why = String::from_utf8(ready().stderr).unwrap();
    assert!(why.contains("no agent answers"), "{why}");

    fs::create_dir(root.join("manifests")).unwrap();
    let class = fs::read_to_string(folder().join("base/class.yaml")).unwrap();
    fs::write(root.join("manifests/class.yaml"), class).unwrap();
    let listen = free_port().to_string();
    let run = [
        "run",
        "--source",
        "file:/manifests",
        "--no-xdp",
        "--listen",
        &listen,
    ];
    let process = scratch.start("agent", &mut agent(&run)).unwrap();
    process
        .wait_for_log("serving without XDP", 0, Duration::from_secs(30))
        .unwrap();
    assert!(ready().status.success());
}

/// One that was free a moment ago.
fn free_port() -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}
