//! A client of HTTP/1.1.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use rustls::{ClientConnection, HandshakeKind, StreamOwned};
use rustls_pki_types::ServerName;

use super::book::{Cause, Ledger};
use super::load::{Clerk, Load, Shared};
use super::message::{Broken, Message};

/// Sends requests, one after the other, until the load ends. Over TLS each host has a connection of its own.
pub(super) fn run(shared: &Shared) -> Ledger {
    let load = &shared.load;
    let mut clerk = Clerk::new(shared);
    let mut connections = HashMap::new();
    loop {
        let due = clerk.due();
        let pause = due.map(|due| due.saturating_duration_since(Instant::now()));
        pause.into_iter().for_each(thread::sleep);
        let Some(turn) = clerk.next(due) else {
            return clerk.close();
        };
        let host = if load.tls.is_some() {
            &*turn.target.host
        } else {
            ""
        };
        let connection = match connections.remove(host) {
            Some(connection) => Ok(connection),
            None => Connection::open(load, &turn.target.host, &mut clerk.ledger),
        };
        let answer = connection.and_then(|mut connection| {
            let answer = connection.exchange(&turn.target.request(turn.id))?;
            if connection.carried < load.per_connection && !answer.closes {
                connections.insert(host.to_owned(), connection);
            }
            Ok(answer)
        });
        clerk.enter(&turn, answer);
    }
}

/// A connection to the agent.
struct Connection {
    stream: Stream,
    unread: Vec<u8>,
    /// Requests it has carried.
    carried: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, with TLS where the load has it.
    fn open(load: &Load, host: &str, ledger: &mut Ledger) -> Result<Self, (Cause, String)> {
        ledger.connections += 1;
        let stream = TcpStream::connect_timeout(&load.address, load.timeout);
        let stream = stream.map_err(|error| (connect_cause(&error), error.to_string()))?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(load.timeout)).unwrap();
        let stream = match &load.tls {
            None => Stream::Plain(stream),
            Some(trust) => {
                let before = trust.shown();
                let name = ServerName::try_from(host.to_owned()).unwrap();
                let connection = ClientConnection::new(trust.config.clone(), name).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                while stream.conn.is_handshaking() {
                    let went = stream.conn.complete_io(&mut stream.sock);
                    went.map_err(|error| (handshake_cause(&error), error.to_string()))?;
                }
                if !trust.permits(&before, host, &stream.conn) {
                    return Err((Cause::Certificate, "one that may not be shown now".to_owned()));
                }
                ledger.resumed += u64::from(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed));
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self {
            stream,
            unread: Vec::new(),
            carried: 0,
        })
    }

    /// Sends a request and reads its answer.
    fn exchange(&mut self, request: &str) -> Result<Message, (Cause, String)> {
        self.carried += 1;
        // What fails here is seen better by the reading: there may be an answer.
        let written = self.stream.write_all(request.as_bytes());
        let answer = Message::read(&mut self.stream, &mut self.unread);
        answer.map_err(|broken| {
            let (cause, error) = match broken {
                Broken::InHead(error) => (Cause::ResetBeforeHead, error),
                Broken::InBody(error) => (Cause::ResetAfterHead, error),
            };
            let cause = if is_late(&error) { Cause::Timeout } else { cause };
            let carried = self.carried;
            (
                cause,
                format!("{error} (request {carried} of its connection, written: {written:?})"),
            )
        })
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn connect_cause(error: &io::Error) -> Cause {
    if is_late(error) {
        Cause::Timeout
    } else {
        Cause::Refused
    }
}

pub(super) fn handshake_cause(error: &io::Error) -> Cause {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(_)) => Cause::Certificate,
        _ if is_late(error) => Cause::Timeout,
        _ => Cause::Handshake,
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
