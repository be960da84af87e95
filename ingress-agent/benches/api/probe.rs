//! A client that asks the agent again and again, over a kept connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often is asked.
const EVERY: Duration = Duration::from_millis(1);
/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer's status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

pub(crate) struct Probe {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Probe {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Asks every millisecond until the answer holds. When it came.
    pub(crate) fn until(&mut self, host: &str, path: &str, holds: impl Fn(&Answer) -> bool) -> Instant {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask(host, path) {
                Ok(answer) if holds(&answer) => return Instant::now(),
                Ok(_) => {}
                // Nobody listens yet, or the connection was closed.
                Err(_) => self.stream = None,
            }
            assert!(Instant::now() < until, "{host}{path} never answers so");
            sleep(EVERY);
        }
    }

    fn ask(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                self.stream.insert(BufReader::new(stream))
            }
        };
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}
