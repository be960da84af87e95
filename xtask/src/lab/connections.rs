//! Many live connections from the client, each asking again and again, each remembering who owned it and
//! how it ended.

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::{Answer, Client};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The server closed it between two requests.
    Closed,
    /// A TCP reset.
    Reset,
    /// Anything else: what was seen.
    Failed(String),
}

/// One connection's story so far.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The node whose agent serves it.
    pub owner: Option<u8>,
    /// How many requests were answered by 200.
    pub answered: u64,
    /// Set when it is over.
    pub end: Option<End>,
}

/// A set of live connections, driven by a thread of their own.
#[derive(Debug)]
pub struct Connections {
    held: Arc<Mutex<Vec<Held>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Connections {
    /// Opens `count` connections to port 80 of a VIP, each asking for `host` once every `pace`, and waits
    /// until all were answered once.
    pub fn open(client: &Client, to: SocketAddr, host: &str, count: usize, pace: Duration) -> Result<Self> {
        let held = Arc::new(Mutex::new(vec![Held::default(); count]));
        let (stop, stopped) = watch::channel(false);
        let (shared, host) = (Arc::clone(&held), host.to_owned());
        let thread = client.namespace().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let tasks = LocalSet::new();
            for index in 0..count {
                // Spread over the first interval, so that the pace is even.
                let delay = pace.mul_f64(index as f64 / count as f64);
                let (shared, host, mut stopped) = (Arc::clone(&shared), host.clone(), stopped.clone());
                tasks.spawn_local(async move {
                    tokio::time::sleep(delay).await;
                    let note = |answer: &Answer| note(&shared, index, answer);
                    tokio::select! {
                        end = hold(to, &host, pace, note) => entry(&shared, index, |held| held.end = Some(end)),
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                });
            }
            runtime.block_on(tasks);
            Ok(())
        })?;
        let connections = Self {
            held,
            stop,
            thread: Some(thread),
        };
        connections.wait_for_answers(1, pace + Duration::from_secs(30))?;
        Ok(connections)
    }

    /// Waits until every connection that is not over has been answered `more` times again.
    pub fn wait_for_answers(&self, more: u64, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let before = self.held();
        loop {
            let now = self.held();
            let waiting = before
                .iter()
                .zip(&now)
                .filter(|(before, now)| now.end.is_none() && now.answered < before.answered + more)
                .count();
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "{waiting} of {} connections were not answered within {deadline:?}",
                    now.len()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every connection's story so far.
    pub fn held(&self) -> Vec<Held> {
        lock(&self.held).clone()
    }

    /// Ends them all; gives their stories.
    pub fn close(mut self) -> Result<Vec<Held>> {
        self.finish()?;
        Ok(self.held())
    }

    fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => bail!("the connections' thread panicked"),
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Whoever wants the outcome calls `close`.
        drop(self.finish());
    }
}

fn lock(held: &Mutex<Vec<Held>>) -> MutexGuard<'_, Vec<Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry(held: &Mutex<Vec<Held>>, index: usize, change: impl FnOnce(&mut Held)) {
    if let Some(held) = lock(held).get_mut(index) {
        change(held);
    }
}

/// Records an answer.
fn note(held: &Mutex<Vec<Held>>, index: usize, answer: &Answer) {
    let owner = answer.echo().ok().and_then(|echo| echo.node());
    entry(held, index, |held| {
        held.answered += 1;
        held.owner = owner.or(held.owner);
    });
}

/// Asks on one connection until it ends.
async fn hold(to: SocketAddr, host: &str, pace: Duration, note: impl Fn(&Answer)) -> End {
    let mut connection = match Connection::open(to).await {
        Ok(connection) => connection,
        Err(error) => return End::Failed(format!("{error:#}")),
    };
    loop {
        match tokio::time::timeout(ANSWER, connection.try_get(host, "/")).await {
            Err(_) => return End::Failed(format!("no answer within {ANSWER:?}")),
            Ok(Err(end)) => return end,
            Ok(Ok(answer)) if answer.status != 200 => {
                return End::Failed(format!("status {}", answer.status));
            }
            Ok(Ok(answer)) => note(&answer),
        }
        tokio::time::sleep(pace).await;
    }
}

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Option<tokio::task::JoinHandle<hyper::Result<()>>>,
}

impl Connection {
    /// Connects. Must run inside a `LocalSet`.
    pub(super) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = connect(to).await.with_context(|| format!("connect to {to}"))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Some(tokio::task::spawn_local(connection)),
        })
    }

    /// Asks once.
    pub(super) async fn get(&mut self, host: &str, path: &str) -> Result<Answer> {
        match self.try_get(host, path).await {
            Ok(answer) => Ok(answer),
            Err(end) => bail!("GET {host}{path}: the connection ended: {end:?}"),
        }
    }

    async fn try_get(&mut self, host: &str, path: &str) -> Result<Answer, End> {
        match self.exchange(host, path).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.end(&error).await),
        }
    }

    async fn exchange(&mut self, host: &str, path: &str) -> hyper::Result<Answer> {
        self.sender.ready().await?;
        let mut request = Request::new(Empty::new());
        // Only names and paths of the lab's manifests come here; another would be refused by the agent.
        *request.uri_mut() = path.parse().unwrap_or_default();
        if let Ok(host) = host.parse() {
            request.headers_mut().insert(header::HOST, host);
        }
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        Ok(Answer { status, body })
    }

    /// Why the connection ended: the driver knows what the socket said.
    async fn end(&mut self, seen: &hyper::Error) -> End {
        let driver = match self.driver.take() {
            Some(driver) => tokio::time::timeout(Duration::from_secs(1), driver).await,
            None => return End::Failed(format!("{seen:?}")),
        };
        match driver {
            Ok(Ok(Ok(()))) if seen.is_canceled() || seen.is_closed() => End::Closed,
            Ok(Ok(Err(error))) if is_reset(&error) => End::Reset,
            Ok(Ok(Err(error))) => End::Failed(format!("{error:?}")),
            _ if is_reset(seen) => End::Reset,
            _ => End::Failed(format!("{seen:?}")),
        }
    }
}

/// Connects from a port that no connection of this process had before: a node that served the earlier one
/// would remember it for a minute (TIME_WAIT), and answer for it.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    /// Below the ports that the kernel gives to others.
    const PORTS: Range<u16> = 10_000..32_000;
    static NEXT: AtomicU16 = AtomicU16::new(PORTS.start);
    let (socket, any) = match to {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    if !PORTS.contains(&port) {
        return Err(io::Error::other(
            "one process has made more connections than there are ports",
        ));
    }
    socket.bind(SocketAddr::new(any, port))?;
    socket.connect(to).await
}

fn is_reset(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    })
}
