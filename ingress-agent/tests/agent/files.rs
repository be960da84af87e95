//! OP-13: no file descriptors left. Nothing spins, and once some are free again all is as before.

use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Agent, get};

/// Clock ticks that the process has spent (proc_pid_stat(5): utime and stime; a tick is 10 ms).
fn ticks(agent: &Agent) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn without_files_accepting_pauses_and_goes_on() {
    let mut agent = Agent::under(&["prlimit", "--nofile=64"], &["--max-connections", "0"]);
    let clients: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(agent.plain).unwrap())
        .collect();
    agent.wait_for("accept4");
    let before = ticks(&agent);
    thread::sleep(Duration::from_secs(1));
    let spent = ticks(&agent) - before;
    assert!(spent <= 20, "{spent} ticks within a second");
    drop(clients);
    let start = Instant::now();
    while !agent.exchange(get("/")).starts_with("HTTP/1.1 200 ") {
        assert!(start.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(50));
    }
    assert!(agent.stop());
}

/// A flag becomes a cap.
#[test]
fn connections_beyond_a_flag_are_reset() {
    let mut agent = Agent::start(&["--max-connections-per-source", "3"]);
    let open: Vec<_> = (0..3).map(|_| TcpStream::connect(agent.plain).unwrap()).collect();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(agent.exchange(get("/")), "");
    drop(open);
    let start = Instant::now();
    while !agent.exchange(get("/")).starts_with("HTTP/1.1 200 ") {
        assert!(start.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(50));
    }
    assert!(agent.stop());
}
