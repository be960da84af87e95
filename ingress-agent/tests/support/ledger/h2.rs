//! A client of HTTP/2.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::book::{Cause, Ledger};
use super::client::handshake_cause;
use super::load::{Clerk, Load, Shared};
use super::message::Message;
use super::target::Target;

type Failed = (Cause, String);
type Sender = SendRequest<Full<Bytes>>;
/// By host.
type Senders = RefCell<HashMap<String, Sender>>;

/// Sends requests until the load ends, as many at a time as it has connections, over one connection per host.
/// One that ends is opened again.
pub(super) fn run(shared: &Shared) -> Ledger {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let senders = Senders::default();
    let streams = (0..shared.load.connections).map(|_| stream(shared, &senders));
    let mut sum = Ledger::default();
    let ledgers = runtime.block_on(join_all(streams));
    ledgers.into_iter().for_each(|ledger| sum.add(ledger));
    sum
}

async fn stream(shared: &Shared, senders: &Senders) -> Ledger {
    let mut clerk = Clerk::new(shared);
    loop {
        let due = clerk.due();
        if let Some(due) = due {
            sleep_until(due.into()).await;
        }
        let Some(turn) = clerk.next(due) else {
            return clerk.close();
        };
        let exchange = exchange(&shared.load, senders, turn.target, turn.id, &mut clerk.ledger);
        let late = |_| Err((Cause::Timeout, "no answer".to_owned()));
        let answer = timeout(shared.load.timeout, exchange).await.unwrap_or_else(late);
        clerk.enter(&turn, answer);
    }
}

async fn exchange(
    load: &Load,
    senders: &Senders,
    target: &Target,
    id: u64,
    ledger: &mut Ledger,
) -> Result<Message, Failed> {
    let open = senders
        .borrow()
        .get(&target.host)
        .filter(|open| !open.is_closed())
        .cloned();
    let mut sender = match open {
        Some(sender) => sender,
        None => {
            let sender = connect(load, &target.host, ledger).await?;
            senders.borrow_mut().insert(target.host.clone(), sender.clone());
            sender
        }
    };
    let request = Request::builder()
        .method(target.method)
        .uri(format!("https://{}{}", target.host, target.path))
        .header("x-ledger-id", id)
        .header("x-ledger-tenant", &target.tenant)
        .body(Full::from(target.body(id)))
        .unwrap();
    let failed = |cause| move |error: hyper::Error| (cause, format!("{error:?}"));
    let response = sender
        .send_request(request)
        .await
        .map_err(failed(Cause::ResetBeforeHead))?;
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(failed(Cause::ResetAfterHead))?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Message::answer(status, body))
}

async fn connect(load: &Load, host: &str, ledger: &mut Ledger) -> Result<Sender, Failed> {
    ledger.connections += 1;
    let refused = |error: io::Error| (Cause::Refused, error.to_string());
    let stream = TcpStream::connect(load.address).await.map_err(refused)?;
    stream.set_nodelay(true).unwrap();
    let trust = load.tls.as_ref().expect("HTTP/2 is spoken over TLS");
    let mut config = (*trust.config).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let before = trust.shown();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| (handshake_cause(&error), error.to_string()))?;
    if !trust.permits(&before, host, stream.get_ref().1) {
        return Err((Cause::Certificate, "one that may not be shown now".to_owned()));
    }
    let spoken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = spoken.map_err(|error| (Cause::Handshake, error.to_string()))?;
    tokio::spawn(connection);
    let ready = poll_fn(|cx| sender.poll_ready(cx)).await;
    ready.map_err(|error| (Cause::Handshake, error.to_string()))?;
    Ok(sender)
}
