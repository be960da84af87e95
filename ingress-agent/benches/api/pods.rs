//! The pods: one server at all their addresses, which answers with the address that was asked.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The pods' addresses.
pub(crate) const NETWORK: &str = "10.8.0.0/15";
/// The port of each.
pub(crate) const PORT: u16 = 8080;

/// The address of a pod that is there at first.
pub(crate) fn old(number: usize) -> IpAddr {
    address(8, number)
}

/// The address of a pod that comes later.
pub(crate) fn new(number: usize) -> IpAddr {
    address(9, number)
}

fn address(second: u8, number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(10, second, high, low).into()
}

/// Serves in the caller's namespace until this process ends.
pub(crate) fn serve() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(stream));
            }
        });
    });
}

async fn connection(stream: TcpStream) {
    let own = stream.local_addr().unwrap().ip();
    let answer = service_fn(move |_: Request<Incoming>| async move {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(own.to_string())))
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    // The agent may end a connection as it likes.
    served.await.ok();
}
