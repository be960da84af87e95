//! Readiness probes.

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{self, Container};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::place::Place;
use crate::lab::Namespace;

/// What a probe does.
#[derive(Clone, Debug)]
enum Ask {
    Exec(Vec<String>),
    Connect(SocketAddr),
    Get(SocketAddr, String),
}

/// A readiness probe.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    ask: Ask,
    delay: Duration,
    period: Duration,
    patience: Duration,
    /// So many good answers in a row make the container ready, so many bad ones not ready.
    good: i32,
    bad: i32,
}

impl Probe {
    /// A container's, if it has one; an error: one that is not understood here.
    pub(super) fn of(container: &Container, address: IpAddr) -> Result<Option<Self>> {
        let Some(probe) = &container.readiness_probe else {
            return Ok(None);
        };
        let seconds = |field: Option<i32>, otherwise: u64| {
            let field = field.and_then(|field| field.try_into().ok());
            Duration::from_secs(field.unwrap_or(otherwise))
        };
        Ok(Some(Self {
            ask: ask(probe, container, address)?,
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            patience: seconds(probe.timeout_seconds, 1),
            good: probe.success_threshold.unwrap_or(1),
            bad: probe.failure_threshold.unwrap_or(3),
        }))
    }

    async fn run(&self, place: &Place, ready: &watch::Sender<bool>) {
        sleep(self.delay).await;
        let mut turns = interval_at(Instant::now(), self.period);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut good, mut bad) = (0, 0);
        loop {
            turns.tick().await;
            let asked = timeout(self.patience, once(&self.ask, place, self.patience));
            if asked.await.is_ok_and(|answer| answer.is_ok()) {
                (good, bad) = (good + 1, 0);
            } else {
                (good, bad) = (0, bad + 1);
            }
            if good >= self.good {
                ready.send_replace(true);
            } else if bad >= self.bad {
                ready.send_replace(false);
            }
        }
    }
}

/// Probes a container until this is dropped: tells whether it is ready. Without a probe it is from the start.
pub(super) async fn follow(place: Rc<Place>, ready: watch::Sender<bool>) {
    match &place.probe {
        Some(probe) => probe.run(&place, &ready).await,
        None => {
            ready.send_replace(true);
            pending().await
        }
    }
}

async fn once(ask: &Ask, place: &Place, patience: Duration) -> Result<()> {
    match ask {
        Ask::Exec(command) => {
            let process = place.exec(command)?;
            super::pod::ended(&process).await?;
            let status = process.wait(patience)?;
            ensure!(status.success(), "{status}");
            Ok(())
        }
        Ask::Connect(to) => in_namespace(place, *to, patience, |_| Ok(())).await,
        Ask::Get(to, path) => {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
            let get = move |mut stream: TcpStream| {
                stream.set_read_timeout(Some(patience))?;
                stream.write_all(request.as_bytes())?;
                let mut head = [0; 12];
                stream.read_exact(&mut head)?;
                ensure!(matches!(head, [.., b'2' | b'3', _, _]), "{head:?}");
                Ok(())
            };
            in_namespace(place, *to, patience, get).await
        }
    }
}

/// Connects from the Pod's side of the network, on a thread.
async fn in_namespace(
    place: &Place,
    to: SocketAddr,
    patience: Duration,
    then: impl FnOnce(TcpStream) -> Result<()> + Send + 'static,
) -> Result<()> {
    let namespace: Namespace = place.sandbox.namespace.clone();
    let connect = move || then(TcpStream::connect_timeout(&to, patience)?);
    tokio::task::spawn_blocking(move || namespace.run(connect)).await?
}

fn ask(probe: &v1::Probe, container: &Container, address: IpAddr) -> Result<Ask> {
    let number = |port: &IntOrString| -> Result<u16> {
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_ref() == Some(name))
                .map(|port| port.container_port),
        };
        Ok(number.with_context(|| format!("no port {port:?}"))?.try_into()?)
    };
    if let Some(exec) = &probe.exec {
        return Ok(Ask::Exec(exec.command.clone().unwrap_or_default()));
    }
    if let Some(tcp) = &probe.tcp_socket {
        return Ok(Ask::Connect((address, number(&tcp.port)?).into()));
    }
    match &probe.http_get {
        Some(get) if get.scheme.as_deref().is_none_or(|scheme| scheme == "HTTP") => {
            let to = (address, number(&get.port)?).into();
            Ok(Ask::Get(to, get.path.clone().unwrap_or_else(|| "/".to_owned())))
        }
        _ => bail!("a readiness probe is exec, tcpSocket or httpGet over HTTP here"),
    }
}
