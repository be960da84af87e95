//! The pods: echo servers with addresses of their own on the pod network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread::JoinHandle;

use anyhow::{Result, bail};
use tokio::sync::oneshot;

use super::{Namespace, echo};

/// The port that every pod listens on.
pub(super) const PORT: u16 = 8080;

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    name: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Pod {
    /// Starts a pod at 10.2.0.LAST and fd00:2::LAST, port 8080, of a pod network.
    pub fn start(network: &Namespace, name: &str, last: u8) -> Result<Self> {
        start_one(network, name.to_owned(), last)
    }

    /// `red-1`, `blue-2`: the Service it belongs to, and its number there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        self.v4
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Ends the pod: its connections are cut, and further ones refused.
    pub fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What the server ended with matters to nobody once it is told to end.
            drop(thread.join());
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a namespace the pod network: gives it a bridge, on which every pod has its addresses.
pub fn network(namespace: Namespace) -> Result<Namespace> {
    namespace.ip("link add pods type bridge mcast_snooping 0\n\
         link set pods up")?;
    Ok(namespace)
}

/// Gives a namespace an interface on a pod network, with 10.2.0.LAST.
pub fn join(network: &Namespace, namespace: &Namespace, last: u8) -> Result<()> {
    // The hardware address follows the address: who knew the one before it has nothing to learn.
    network.ip(&format!(
        "link add pod{last} type veth peer name eth0 netns {} address 02:00:0a:02:00:{last:02x}\n\
         link set pod{last} master pods up",
        namespace.name()
    ))?;
    namespace.ip(&format!(
        "address add 10.2.0.{last}/24 dev eth0\n\
         link set eth0 up"
    ))
}

/// Serves what a pod serves, on port 8080 of every address of the calling thread's namespace, until it is killed.
pub fn serve(name: &str) -> Result<()> {
    // Never sent: the sender lives as long as the server.
    let (_stop, stopped) = oneshot::channel();
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    echo::serve(name, &[everywhere], stopped, || {})
}

/// Starts pods, the first half `red`, the rest `blue`.
pub(super) fn start(network: &Namespace, count: u8) -> Result<Vec<Pod>> {
    let red = count / 2;
    (0..count)
        .map(|index| {
            let name = if index < red {
                format!("red-{}", index + 1)
            } else {
                format!("blue-{}", index - red + 1)
            };
            start_one(network, name, 11 + index)
        })
        .collect()
}

fn start_one(network: &Namespace, name: String, last: u8) -> Result<Pod> {
    let v4 = Ipv4Addr::new(10, 2, 0, last);
    let v6 = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, u16::from(last));
    network.ip(&format!(
        "address add {v4}/24 dev pods\naddress add {v6}/64 dev pods nodad"
    ))?;
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (pod, addresses) = (name.clone(), [IpAddr::V4(v4), IpAddr::V6(v6)]);
    let thread = network.spawn(move || {
        echo::serve(
            &pod,
            &addresses.map(|address| SocketAddr::new(address, PORT)),
            stopped,
            || {
                // The lab stopped waiting only if it failed for another reason.
                ready.send(()).ok();
            },
        )
    })?;
    if is_ready.recv().is_err() {
        match thread.join() {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) | Err(_) => bail!("pod {name} ended at once"),
        }
    }
    Ok(Pod {
        name,
        v4,
        v6,
        stop: Some(stop),
        thread: Some(thread),
    })
}
