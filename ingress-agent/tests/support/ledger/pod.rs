//! A pod that says which request it got, and who it is.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::book::Book;
use super::message::Message;

/// Paths that end so are answered with chunks, one every 50 ms, until [`Pod::end_downloads`].
const DOWNLOAD: &str = "/download";
/// Paths that end so are answered after [`THOUGHT`]: a pod that is killed has requests under way then.
const SLOW: &str = "/slow";
const THOUGHT: Duration = Duration::from_millis(30);

/// What a pod does wrong with every request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It never answers.
    Hang,
    /// It ends the connection with a reset once the request's head has come.
    Reset,
    /// It takes no further connection, and closes each that is there after an answer.
    Refuse,
}

/// A running pod. Its answer's body is `ID TENANT-OF-THE-REQUEST TENANT-OF-THE-POD NAME`. It takes upgrades to
/// `websocket`, and sends back what comes.
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    book: Arc<Book>,
    tenant: String,
    name: String,
    fault: Mutex<Fault>,
    stopped: AtomicBool,
    downloads_end: AtomicBool,
    requests: AtomicU64,
    streams: Mutex<Vec<Weak<TcpStream>>>,
}

impl Pod {
    /// On a port that the kernel picks.
    pub(crate) fn start(book: &Arc<Book>, address: IpAddr, tenant: &str, name: &str) -> Self {
        Self::at(book, (address, 0).into(), tenant, name)
    }

    /// At an address, as a pod that comes back.
    pub(crate) fn at(book: &Arc<Book>, address: SocketAddr, tenant: &str, name: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            book: Arc::clone(book),
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            fault: Mutex::new(Fault::None),
            stopped: AtomicBool::new(false),
            downloads_end: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &accepting));
        Self {
            address,
            shared,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    /// What it does wrong from now on.
    pub(crate) fn fail(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        if fault == Fault::Refuse {
            self.refuse();
        }
    }

    /// Requests whose heads it got.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Lets the downloads under way end well.
    pub(crate) fn end_downloads(&self) {
        self.shared.downloads_end.store(true, Ordering::Relaxed);
    }

    /// Ends as a killed process does: every connection is closed, and no other is taken.
    pub(crate) fn kill(&self) {
        self.refuse();
        let streams = self.shared.streams.lock().unwrap();
        for stream in streams.iter().filter_map(Weak::upgrade) {
            // The agent may have closed it.
            _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn refuse(&self) {
        let Some(accepting) = self.accepting.lock().unwrap().take() else {
            return;
        };
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, with whose end nothing listens.
        _ = TcpStream::connect(self.address);
        _ = accepting.join();
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.kill();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let stream = Arc::new(stream.unwrap());
        stream.set_nodelay(true).unwrap();
        let mut streams = shared.streams.lock().unwrap();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(&stream));
        drop(streams);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A connection that ends is the agent's affair.
            _ = shared.serve(&stream);
        });
    }
}

impl Shared {
    /// Until the connection ends.
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut unread = Vec::new();
        while let Ok(request) = Message::read(&mut stream, &mut unread) {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let id = request.field("x-ledger-id").unwrap_or("none");
            if let Ok(id) = id.parse() {
                self.book.write(id);
            }
            let fault = *self.fault.lock().unwrap();
            let last = if fault == Fault::Refuse {
                "Connection: close\r\n"
            } else {
                ""
            };
            match fault {
                Fault::None | Fault::Refuse => {}
                Fault::Hang => continue,
                Fault::Reset => return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            }
            if request.field("upgrade").is_some() {
                stream.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                )?;
                return echo(stream);
            }
            if request.path().ends_with(SLOW) {
                thread::sleep(THOUGHT);
            }
            if request.path().ends_with(DOWNLOAD) {
                self.download(stream)?;
                continue;
            }
            let tenant = request.field("x-ledger-tenant").unwrap_or("none");
            let body = format!("{id} {tenant} {} {}", self.tenant, self.name);
            let length = body.len();
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\n{last}Content-Length: {length}\r\n\r\n{body}").as_bytes(),
            )?;
            if !last.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn download(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for number in 0.. {
            stream.write_all(format!("8\r\n{number:07}\n\r\n").as_bytes())?;
            if self.downloads_end.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        stream.write_all(b"0\r\n\r\n")
    }
}

fn echo(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            count => stream.write_all(&chunk[..count])?,
        }
    }
}
