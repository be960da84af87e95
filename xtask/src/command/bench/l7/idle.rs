//! Memory per idle connection: many connections that asked once and wait.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::place::HOST;
use super::proxies::Proxy;

const CONNECTIONS: usize = 2_000;
/// Asked and closed before, so that what is allocated once is there.
const WARM: usize = 100;

/// Resident bytes of the proxy's process per connection.
pub(super) fn per_connection(proxy: &Proxy) -> Result<f64> {
    drop(open(proxy, WARM)?);
    sleep(Duration::from_millis(300));
    let before = resident(proxy.id())?;
    let connections = open(proxy, CONNECTIONS)?;
    sleep(Duration::from_millis(300));
    let after = resident(proxy.id())?;
    drop(connections);
    Ok((after as f64 - before as f64) / CONNECTIONS as f64)
}

fn open(proxy: &Proxy, count: usize) -> Result<Vec<TcpStream>> {
    (0..count).map(|_| ask_once(proxy)).collect()
}

fn ask_once(proxy: &Proxy) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy.plain).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    // The body is 63 times the same letter, which ends the answer.
    while !answer.ends_with(&[b'x'; 63]) {
        let count = stream.read(&mut chunk).context("read an answer")?;
        ensure!(count > 0, "the connection ended instead of an answer");
        answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "an answer that is not 200");
    Ok(stream)
}

fn resident(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.context("no VmRSS")?.trim().parse().context("VmRSS")?;
    Ok(kibibytes * 1024)
}
