//! A byte-level relay in front of the API server, for what a network does to connections.
//!
//! In: where to pass bytes to, and what to do with the connections. Out: an address to connect to. It reads none of
//! the bytes, and may pass the server's late; of connections without TLS it can refuse every request.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
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
    /// What every request is answered with.
    refusal: Option<&'static str>,
    /// How late the server's bytes are passed.
    latency: Duration,
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

    /// From now on every byte of the server's comes so late: answers, events and handshakes.
    pub fn delay(&self, latency: Duration) {
        self.line.send_modify(|line| line.latency = latency);
    }

    /// Closes all connections; on new ones every request is answered by a status: `429 Too Many Requests`.
    pub fn refuse(&self, status: &'static str) {
        self.line.send_modify(|line| {
            line.refusal = Some(status);
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
async fn pass(mut client: TcpStream, to: SocketAddr, mut line: watch::Receiver<Line>) {
    let Line {
        silent,
        cuts,
        refusal,
        latency: _,
    } = *line.borrow_and_update();
    if silent {
        pending::<()>().await;
    }
    if let Some(status) = refusal {
        // A client that does not wait for the answer has none.
        return refuse(client, status).await.unwrap_or_default();
    }
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let lately = line.clone();
    let disturbed = line.wait_for(|line| line.silent || line.cuts > cuts);
    let is_silent = tokio::select! {
        // How a connection ends is its ends' business.
        _ = copy(&mut client, &mut server, lately) => false,
        line = disturbed => line.is_ok_and(|line| line.silent),
    };
    if is_silent {
        // Neither end hears of anything.
        pending::<()>().await;
    }
}

/// Passes bytes both ways until both ends have said all.
async fn copy(client: &mut TcpStream, server: &mut TcpStream, line: watch::Receiver<Line>) -> io::Result<()> {
    let (mut asks, answered) = client.split();
    let (answers, mut asked) = server.split();
    let forth = async {
        tokio::io::copy(&mut asks, &mut asked).await?;
        asked.shutdown().await
    };
    tokio::try_join!(forth, copy_late(answers, answered, line)).map(drop)
}

/// Passes what the server says, each byte as late as the line was when it came.
async fn copy_late(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    line: watch::Receiver<Line>,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::unbounded_channel();
    let read = async move {
        loop {
            let mut piece = vec![0; 16 * 1024];
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            piece.truncate(length);
            let due = Instant::now() + line.borrow().latency;
            // Whoever reads ends only with this.
            sender.send((due, piece)).ok();
        }
    };
    let write = async {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

/// Answers one request, which is taken for the first bytes that come.
async fn refuse(mut client: TcpStream, status: &str) -> io::Result<()> {
    let mut request = vec![0; 64 * 1024];
    if client.read(&mut request).await? == 0 {
        return Ok(());
    }
    let answer =
        format!("HTTP/1.1 {status}\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}
