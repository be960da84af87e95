//! One connection of a load.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, HandshakeKind, StreamOwned};
use rustls_pki_types::ServerName;

use super::book::{Cause, Ledger};
use super::load::Load;
use super::message::{Broken, Message};

/// A connection to the agent.
pub(super) struct Connection {
    stream: Stream,
    unread: Vec<u8>,
    /// Requests it has carried.
    pub(super) carried: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, with TLS where the load has it.
    pub(super) fn open(load: &Load, host: &str, ledger: &mut Ledger) -> Result<Self, (Cause, String)> {
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
    pub(super) fn exchange(&mut self, request: &str) -> Result<Message, (Cause, String)> {
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

    /// Whether the agent will close it after this answer.
    pub(super) fn ends_with(answer: &Message) -> bool {
        answer
            .field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
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

fn handshake_cause(error: &io::Error) -> Cause {
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
