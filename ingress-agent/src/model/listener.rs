//! What listens on a VIP, and the site behind it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{Certificate, HostMap, Protocol, Route, Vip};

/// A VIP, or an ordinary listener's address, and what answers there.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where clients dial. An ordinary listener's address may be the unspecified one, which stands for every
    /// address of its family that has no listener of its own on that port.
    pub vip: Vip,
    /// Whether TLS is terminated here: protocol `HTTPS` in the `VipPool`.
    pub tls: bool,
    /// Shared by all listeners of the same classes.
    pub site: Arc<Site>,
}

/// An ordinary listener, where packets come without XDP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opening {
    /// What it is bound to: here it may be a node's own address, or the unspecified one.
    pub vip: Vip,
    /// Whether TLS is terminated here.
    pub tls: bool,
}

/// The ports of a node that serves at its own addresses, and whether TLS ends there: those of a VipPool that names none.
pub const NODE_PORTS: [(u16, bool); 2] = [(80, false), (443, true)];

impl Opening {
    /// At a port of every address, of both families. None: there is no port 0.
    pub fn everywhere(port: u16, tls: bool) -> Vec<Self> {
        let Some(port) = NonZeroU16::new(port) else {
            return Vec::new();
        };
        let at = |address| Self {
            vip: Vip {
                address,
                port,
                protocol: Protocol::Tcp,
            },
            tls,
        };
        vec![at(Ipv4Addr::UNSPECIFIED.into()), at(Ipv6Addr::UNSPECIFIED.into())]
    }
}

/// Everything that is answered behind the VIPs of a set of classes.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Hosts and their routes.
    pub hosts: HostMap<Arc<VirtualHost>>,
    /// What answers when no host or no path matches; `None`: 404.
    pub default: Option<Arc<Route>>,
    /// Which certificate is shown for which server name; never keyed by `Host::Any`. A name that is not
    /// here gets the agent's default certificate.
    pub certificates: HostMap<Arc<Certificate>>,
}

/// One host's routes.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// Best first: sorted by `RouteMatch`, no two alike.
    pub routes: Vec<Arc<Route>>,
}
