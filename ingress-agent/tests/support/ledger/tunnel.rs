//! What outlives a request: tunnels and downloads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that was upgraded to `websocket`; the pod sends back what comes.
pub(crate) struct Tunnel(BufReader<TcpStream>);

impl Tunnel {
    pub(crate) fn open(address: SocketAddr, host: &str) -> Self {
        let more = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let (stream, status) = ask(address, host, "/", more);
        assert!(status.starts_with("HTTP/1.1 101 "), "{host}: {status}");
        Self(stream)
    }

    /// Sends a word through it, which comes back.
    pub(crate) fn assert_open(&mut self, word: u64) {
        let word = word.to_be_bytes();
        self.0.get_mut().write_all(&word).unwrap();
        let mut back = [0; 8];
        self.0
            .read_exact(&mut back)
            .expect("a tunnel that is as open as it was");
        assert_eq!(back, word);
    }
}

/// An answer that takes until [`super::Pod::end_downloads`].
pub(crate) struct Download(JoinHandle<usize>);

impl Download {
    pub(crate) fn begin(address: SocketAddr, host: &str) -> Self {
        let (mut stream, status) = ask(address, host, "/download", "");
        assert!(status.starts_with("HTTP/1.1 200 "), "{host}: {status}");
        Self(thread::spawn(move || {
            for number in 0.. {
                let size = line(&mut stream);
                let text = line(&mut stream);
                if size == "0" {
                    return number;
                }
                // Each chunk holds one number, and its end of line.
                let end = line(&mut stream);
                assert_eq!([&*size, &*text, &*end], ["8", &*format!("{number:07}"), ""]);
            }
            0
        }))
    }

    /// Waits for its end; how many chunks came, all in their order.
    pub(crate) fn finish(self) -> usize {
        self.0.join().unwrap()
    }
}

/// Sends a request and reads its answer's head.
fn ask(address: SocketAddr, host: &str, path: &str, more: &str) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    let status = line(&mut stream);
    while !line(&mut stream).is_empty() {}
    (stream, status)
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    line
}
