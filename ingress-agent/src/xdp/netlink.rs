//! The network as the kernel has it: interfaces, addresses, and word of every change.
//!
//! In: rtnetlink(7). Out: facts as values, read whole each time; a change is only a reason to read again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, InetDevConf, LinkAttribute, LinkFlags, LinkMessage, LinkXdp,
};
use netlink_packet_route::route::RouteMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};

use super::neighbour::{self, NeighbourKey};

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its MAC address; zero for interfaces without one.
    pub mac: [u8; 6],
    /// Its MTU, in bytes of an IP packet.
    pub mtu: u32,
    /// Whether it is set up (`ip link set up`), with or without carrier.
    pub up: bool,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// The number of the XDP program on it, ours or not.
    pub xdp: Option<u32>,
    /// `net.ipv4.conf.INTERFACE.*`.
    pub conf: InetDevConf,
}

/// A netlink request that failed.
#[derive(Debug, thiserror::Error)]
#[error("netlink: {what}: {cause}")]
pub struct NetlinkError {
    what: String,
    cause: String,
    code: Option<i32>,
}

impl NetlinkError {
    /// For use in `map_err`.
    pub fn new(what: impl fmt::Display) -> impl FnOnce(rtnetlink::Error) -> Self {
        move |error| {
            let (cause, code) = if let rtnetlink::Error::NetlinkError(message) = &error {
                (message.to_io().to_string(), Some(-message.raw_code()))
            } else {
                (error.to_string(), None)
            };
            Self {
                what: what.to_string(),
                cause,
                code,
            }
        }
    }

    fn socket(error: std::io::Error) -> Self {
        Self {
            what: "socket(AF_NETLINK)".to_owned(),
            cause: error.to_string(),
            code: error.raw_os_error(),
        }
    }

    /// The kernel's error number, if it gave one.
    pub const fn errno(&self) -> Option<i32> {
        self.code
    }
}

/// A connection to the kernel's network configuration, in this thread's network namespace.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// Word of every change to links, addresses, routes and neighbours.
#[derive(Debug)]
pub struct Changes {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
}

/// What may have changed.
#[derive(Debug, Default)]
pub struct Change {
    /// More than neighbours.
    pub any: bool,
    /// Neighbours whose state or address changed.
    pub neighbours: BTreeSet<NeighbourKey>,
}

impl Change {
    /// Everything may have changed.
    pub fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    fn add(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        let key = if let NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewNeighbour(neighbour) | RouteNetlinkMessage::DelNeighbour(neighbour),
        ) = &message.payload
        {
            neighbour::key(neighbour)
        } else {
            self.any = true;
            None
        };
        self.neighbours.extend(key);
    }
}

impl Netlink {
    /// Connects. Must be called in a tokio runtime, which the connection then lives in. The kernel filters what it is
    /// asked to list, so that a node with a million routes does not list them all.
    pub fn connect() -> Result<Self, NetlinkError> {
        let (connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(NetlinkError::socket)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// The requests themselves.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// All interfaces, by number.
    pub async fn interfaces(&self) -> Result<BTreeMap<u32, Interface>, NetlinkError> {
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(NetlinkError::new("list interfaces"))?;
        Ok(links
            .into_iter()
            .map(interface)
            .map(|interface| (interface.index, interface))
            .collect())
    }

    /// The routes that a filter describes, as `what` was to be done. A kernel that does not filter gives every route.
    pub async fn routes(
        &self,
        filter: RouteMessage,
        what: &'static str,
    ) -> Result<Vec<RouteMessage>, NetlinkError> {
        let answers = self.handle.route().get(filter).execute();
        answers.try_collect().await.map_err(NetlinkError::new(what))
    }

    /// All of the namespace's own addresses, with their interfaces.
    pub async fn addresses(&self) -> Result<BTreeMap<IpAddr, u32>, NetlinkError> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(NetlinkError::new("list addresses"))?;
        let mut addresses = BTreeMap::new();
        for message in messages {
            let mut address = None;
            for attribute in &message.attributes {
                // `Local` is this side of a point-to-point address, `Address` the other; IPv6 has only `Address`.
                if let AddressAttribute::Local(local) = attribute {
                    address = Some(*local);
                } else if let AddressAttribute::Address(other) = attribute {
                    address.get_or_insert(*other);
                }
            }
            addresses.extend(address.map(|address| (address, message.header.index)));
        }
        Ok(addresses)
    }
}

impl Changes {
    /// Connects. Must be called in a tokio runtime, which the connection then lives in. It is a connection of its own,
    /// because the kernel may drop word of changes when too much comes at once, and answers must not be lost with it.
    pub fn subscribe() -> Result<Self, NetlinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetlinkError::socket)?;
        tokio::spawn(connection);
        Ok(Self { messages })
    }

    /// Waits for a change. `None`: the connection ended.
    pub async fn next(&mut self) -> Option<Change> {
        let (first, _) = self.messages.next().await?;
        let mut change = Change::default();
        change.add(&first);
        Some(change)
    }

    /// Adds what has come by now, without waiting.
    pub fn gather(&mut self, change: &mut Change) {
        while let Ok((next, _)) = self.messages.try_recv() {
            change.add(&next);
        }
    }
}

fn interface(message: LinkMessage) -> Interface {
    let mut interface = Interface {
        name: String::new(),
        index: message.header.index,
        mac: [0; 6],
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        xdp: None,
        conf: InetDevConf::default(),
    };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            interface.name = name;
        } else if let LinkAttribute::Address(mac) = attribute {
            interface.mac = mac.try_into().unwrap_or_default();
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            interface.mtu = mtu;
        } else if let LinkAttribute::Xdp(parts) = attribute {
            interface.xdp = parts.iter().find_map(program);
        } else if let LinkAttribute::AfSpecUnspec(families) = attribute {
            interface.conf = families.iter().find_map(conf).unwrap_or_default();
        }
    }
    interface
}

fn program(part: &LinkXdp) -> Option<u32> {
    if let LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) =
        part
    {
        (*id != 0).then_some(*id)
    } else {
        None
    }
}

fn conf(family: &AfSpecUnspec) -> Option<InetDevConf> {
    let AfSpecUnspec::Inet(parts) = family else {
        return None;
    };
    parts.iter().find_map(|part| {
        if let AfSpecInet::DevConf(conf) = part {
            Some(*conf)
        } else {
            None
        }
    })
}

/// An address's family, as netlink names it.
pub const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
