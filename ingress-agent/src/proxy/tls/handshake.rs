//! A client's handshake, which a name without its key is refused before it begins.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Certificates, is_refused};

/// A fatal alert `unrecognized_name` (RFC 6066 section 3) in its record (RFC 8446 section 5.1). rustls has no word
/// for it: it calls a server without a certificate `access_denied`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Reads the client's hello, and goes on unless it asks for a name whose key is gone. `certificates`: the
/// listener's, as they are when the hello is there.
pub(in crate::proxy) async fn shake_hands<S>(
    config: Arc<ServerConfig>,
    io: S,
    certificates: impl FnOnce() -> Option<Arc<Certificates>>,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    let is_gone = start
        .client_hello()
        .server_name()
        .is_some_and(|name| certificates().is_some_and(|certificates| is_refused(&certificates, name)));
    if is_gone {
        start.io.write_all(&UNRECOGNIZED_NAME).await?;
        start.io.shutdown().await?;
        let refused = "the key of the name's certificate is gone";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused));
    }
    start.into_stream(config).await
}
