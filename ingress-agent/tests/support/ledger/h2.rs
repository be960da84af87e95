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
/// One that ends is opened again, with the requests that it did not take.
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
    let mut request = Request::builder()
        .method(target.method)
        .uri(format!("https://{}{}", target.host, target.path))
        .header("x-ledger-id", id)
        .header("x-ledger-tenant", &target.tenant)
        .body(Full::from(target.body(id)))
        .unwrap();
    let response = loop {
        let open = senders.borrow().get(&target.host).cloned();
        let mut sender = match open {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => connect(load, senders, &target.host, ledger).await?,
        };
        match sender.try_send_request(request).await {
            Ok(response) => break response,
            // Nothing of it was sent, as the agent takes leave: it belongs on the next connection.
            Err(mut failed) => match failed.take_message() {
                Some(unsent) if sender.is_closed() => request = unsent,
                Some(_) | None => {
                    let error = failed.into_error();
                    return Err((Cause::ResetBeforeHead, format!("{error:?}")));
                }
            },
        }
    };
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| (Cause::ResetAfterHead, format!("{error:?}")))?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Message::answer(status, body))
}

async fn connect(load: &Load, senders: &Senders, host: &str, ledger: &mut Ledger) -> Result<Sender, Failed> {
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
    senders.borrow_mut().insert(host.to_owned(), sender.clone());
    Ok(sender)
}
