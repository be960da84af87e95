//! A backend without an HTTP library: records every byte per connection, answers from a script.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::reference;

/// What the backend does with one request once it has come whole.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with the backend's name as body.
    Ok,
    /// These bytes, then the next request.
    Bytes(Vec<u8>),
    /// These bytes, after a while, then the next request.
    BytesAfter(Duration, Vec<u8>),
    /// These bytes, then the end of the connection.
    BytesThenClose(Vec<u8>),
    /// The end of the connection, without a byte.
    Close,
    /// A reset.
    Reset,
    /// Nothing, ever.
    Hang,
    /// 200, after a while.
    After(Duration),
    /// These bytes, then whatever comes is sent back.
    Echo(Vec<u8>),
}

/// A running backend.
pub(crate) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    log: Mutex<Vec<Vec<u8>>>,
    streams: Mutex<Vec<Weak<TcpStream>>>,
    script: Mutex<VecDeque<Answer>>,
    always: Mutex<Option<Answer>>,
    stopped: AtomicBool,
    open: AtomicUsize,
}

impl Recorder {
    /// On loopback, on a port of the kernel's choice.
    pub(crate) fn start(name: &str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), name)
    }

    /// At an address, as a pod that comes back.
    pub(crate) fn at(address: SocketAddr, name: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            log: Mutex::default(),
            streams: Mutex::default(),
            script: Mutex::default(),
            always: Mutex::default(),
            stopped: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || {
                    shared.open.fetch_add(1, Ordering::Relaxed);
                    shared.serve(stream.unwrap());
                    shared.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were ever made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log.lock().unwrap().len()
    }

    /// Ends as a killed process does: every connection is closed, and no other is taken.
    pub(crate) fn kill(&self) {
        self.stop_accepting();
        let streams = self.shared.streams.lock().unwrap();
        for stream in streams.iter().filter_map(Weak::upgrade) {
            // The proxy may have closed it.
            _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn stop_accepting(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, if it is still there.
        _ = TcpStream::connect(self.address);
    }

    /// What is done with the next requests; after them, [`Answer::Ok`].
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().unwrap().extend(answers);
    }

    /// What is done with every request from now on, probes too; `None`: what the script says.
    pub(crate) fn always(&self, answer: Option<Answer>) {
        *self.shared.always.lock().unwrap() = answer;
    }

    /// Connections that the proxy has not closed.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Forgets what was to be done.
    pub(crate) fn clear_script(&self) {
        self.shared.script.lock().unwrap().clear();
    }

    /// What came over every connection, in the order they were made; forgets it.
    pub(crate) fn take_log(&self) -> Vec<Vec<u8>> {
        self.shared
            .log
            .lock()
            .unwrap()
            .iter_mut()
            .map(std::mem::take)
            .filter(|bytes| !bytes.is_empty())
            .collect()
    }

    /// The clients' requests since the last look. Panics on anything that is not a strictly well formed request.
    pub(crate) fn take_requests(&self) -> Vec<reference::Request> {
        let log = self.take_log();
        let requests = log.iter().flat_map(|bytes| reference::requests(bytes));
        requests.filter(|request| request.target != "*").collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop_accepting();
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let stream = Arc::new(stream);
        let connection = {
            let mut log = self.log.lock().unwrap();
            log.push(Vec::new());
            self.streams.lock().unwrap().push(Arc::downgrade(&stream));
            log.len() - 1
        };
        let mut unread = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            while let Some(length) = reference::complete(&unread) {
                // The proxy's own, of which no script knows.
                let is_probe = unread.starts_with(b"OPTIONS * ");
                unread.drain(..length);
                let mut answer = self.always.lock().unwrap().clone();
                if answer.is_none() && !is_probe {
                    answer = self.script.lock().unwrap().pop_front();
                }
                let answer = answer.unwrap_or(Answer::Ok);
                if !self.answer(&stream, connection, answer) {
                    return;
                }
            }
            match (&*stream).read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    unread.extend_from_slice(&chunk[..count]);
                    self.log.lock().unwrap()[connection].extend_from_slice(&chunk[..count]);
                }
            }
        }
    }

    /// Whether the connection goes on.
    fn answer(&self, mut stream: &TcpStream, connection: usize, answer: Answer) -> bool {
        let ok = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
            self.name.len(),
            self.name
        );
        match answer {
            Answer::Ok => stream.write_all(ok.as_bytes()).is_ok(),
            Answer::After(pause) => {
                thread::sleep(pause);
                stream.write_all(ok.as_bytes()).is_ok()
            }
            Answer::Bytes(bytes) => stream.write_all(&bytes).is_ok(),
            Answer::BytesAfter(pause, bytes) => {
                thread::sleep(pause);
                stream.write_all(&bytes).is_ok()
            }
            Answer::Echo(bytes) => {
                _ = stream.write_all(&bytes);
                let mut chunk = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    self.log.lock().unwrap()[connection].extend_from_slice(&chunk[..count]);
                    _ = stream.write_all(&chunk[..count]);
                }
                false
            }
            Answer::BytesThenClose(bytes) => {
                _ = stream.write_all(&bytes);
                false
            }
            Answer::Hang => {
                let mut chunk = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    self.log.lock().unwrap()[connection].extend_from_slice(&chunk[..count]);
                }
                false
            }
            Answer::Close => false,
            Answer::Reset => {
                socket2::SockRef::from(stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                false
            }
        }
    }
}
