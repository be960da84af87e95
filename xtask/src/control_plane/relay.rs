//! A byte-level relay in front of the API server, for what a network does to connections.
//!
//! In: where to pass bytes to, and what to do with the connections. Out: an address to connect to. It reads none of
//! the bytes; of connections without TLS it can refuse requests.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener as Listener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::lab::Namespace;

/// A running relay; all its connections end when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    line: watch::Sender<Line>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// How the line is.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Nothing is passed, and nobody is told.
    silent: bool,
    /// How often all connections were closed.
    cuts: u64,
    /// What requests are answered with.
    refusal: Option<Refusal>,
    /// How long answers are under way.
    latency: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    status: &'static str,
    /// Of the requests that have this text in their head.
    of: &'static str,
}

impl Relay {
    /// Starts one on loopback in a namespace; `None`: this process's own.
    pub fn start(namespace: Option<&Namespace>, to: SocketAddr) -> Result<Self> {
        let listen = || {
            let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = namespace.map_or_else(listen, |namespace| namespace.run(listen))?;
        let address = listener.local_addr().context("the relay's address")?;
        let (line, state) = watch::channel(Line::default());
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::select! {
                    ended = relay(listener, to, state) => Ok(ended?),
                    // Whether it is told to or its owner is gone.
                    _ = stopped => Ok(()),
                }
            })
        };
        let thread = match namespace {
            Some(namespace) => namespace.spawn(serve)?,
            None => std::thread::spawn(serve),
        };
        Ok(Self {
            address,
            line,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing is passed: connections stay open, new ones too are accepted, and nobody is told.
    pub fn silence(&self) {
        self.line.send_modify(|line| line.silent = true);
    }

    /// New connections are passed again. Those that were there in the silence stay open and dead, as behind a router
    /// that has forgotten them.
    pub fn heal(&self) {
        self.line.send_modify(|line| line.silent = false);
    }

    /// Closes all connections; on new ones every request is answered by a status: `429 Too Many Requests`.
    pub fn refuse(&self, status: &'static str) {
        self.refuse_with("", status);
    }

    /// The same for requests that have a text in their head; the others are passed.
    pub fn refuse_with(&self, text: &'static str, status: &'static str) {
        self.line.send_modify(|line| {
            line.refusal = Some(Refusal { status, of: text });
            line.cuts += 1;
        });
    }

    /// Closes all connections; of new ones what the server sends comes later by so much.
    pub fn slow(&self, latency: Duration) {
        self.line.send_modify(|line| {
            line.latency = latency;
            line.cuts += 1;
        });
    }

    /// Refuses no more.
    pub fn accept(&self) {
        self.line.send_modify(|line| line.refusal = None);
    }

    /// Closes all connections; new ones are passed.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What it ended with matters to nobody once it is told to end.
            drop(thread.join());
        }
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, line: watch::Receiver<Line>) -> io::Result<()> {
    let listener = Listener::from_std(listener)?;
    // Ended, and so closed, when this is dropped.
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        connections.spawn(pass(client, to, line.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection; closed when this returns.
async fn pass(client: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    let Line {
        silent,
        cuts,
        refusal,
        latency,
    } = *line.borrow_and_update();
    if silent {
        pending::<()>().await;
    }
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    // Its ends stay open in a silence.
    let mut exchanged = pin!(exchange(client, server, refusal, latency));
    let disturbed = line.wait_for(|line| line.silent || line.cuts > cuts);
    let is_silent = tokio::select! {
        // How a connection ends is its ends' business.
        _ = &mut exchanged => false,
        line = disturbed => line.is_ok_and(|line| line.silent),
    };
    if is_silent {
        // Neither end hears of anything.
        pending::<()>().await;
    }
}

/// Passes bytes in both directions until the server's are over or a request is refused.
async fn exchange(
    client: TcpStream,
    server: TcpStream,
    refusal: Option<Refusal>,
    latency: Duration,
) -> io::Result<()> {
    let (asks, mut hears) = client.into_split();
    let (answers, takes) = server.into_split();
    let status = {
        let mut answered = pin!(later(answers, &mut hears, latency));
        tokio::select! {
            refused = ask(asks, takes, refusal) => match refused? {
                Some(status) => status,
                None => return answered.await,
            },
            answered = &mut answered => return answered,
        }
    };
    let answer =
        format!("HTTP/1.1 {status}\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    hears.write_all(answer.as_bytes()).await?;
    hears.shutdown().await
}

/// Passes what a client asks, up to what is refused: with which status.
async fn ask(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    refusal: Option<Refusal>,
) -> io::Result<Option<&'static str>> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            to.shutdown().await?;
            return Ok(None);
        }
        let chunk = bytes.get(..count).unwrap_or_default();
        // Each request is taken for the bytes that come at once.
        let head = String::from_utf8_lossy(chunk);
        if let Some(refusal) = refusal.filter(|refusal| head.contains(refusal.of)) {
            return Ok(Some(refusal.status));
        }
        to.write_all(chunk).await?;
    }
}

/// Passes bytes, each of them later by so much.
async fn later(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    latency: Duration,
) -> io::Result<()> {
    if latency.is_zero() {
        tokio::io::copy(&mut from, to).await?;
        return to.shutdown().await;
    }
    let (sender, mut queue) = mpsc::unbounded_channel();
    let read = async move {
        loop {
            let mut bytes = vec![0; 64 * 1024];
            let count = from.read(&mut bytes).await?;
            bytes.truncate(count);
            // The other half may have ended.
            if count == 0 || sender.send((Instant::now() + latency, bytes)).is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some((at, bytes)) = queue.recv().await {
            sleep_until(at).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}
