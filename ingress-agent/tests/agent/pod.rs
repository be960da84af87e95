//! A pod that answers with the head of the request it got.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::address::own_address;

pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Pod {
    /// On an address of this machine that is not loopback: an EndpointSlice may hold no other.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stopped);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                thread::spawn(move || echo(stream.unwrap()));
            }
        });
        Self { address, stopped }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        _ = TcpStream::connect(self.address);
    }
}

fn echo(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.len();
        let answer = format!("HTTP/1.1 200 OK\r\nX-Pod: red\r\nContent-Length: {length}\r\n\r\n{head}");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
