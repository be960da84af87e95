//! The packet path's surroundings, on the host.

use std::cell::RefCell;

use ingress_common::{Backend, Heartbeat, Ip, Node, Peer, Reason, Settings, Slot, VipAddress};
use ingress_ebpf::header::{IpHeader, TcpHeader};
use ingress_ebpf::{Counter, Cursor, Packet, Socket, Tables, View};

use super::table::world::{Agent, EMPTY_POOL, IFINDEX, POOL, Sockets, World};

/// A frame in memory.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headroom: bool,
}

impl Frame {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            headroom: true,
        }
    }
}

impl Packet for Frame {
    fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap()
    }

    fn ifindex(&self) -> u32 {
        IFINDEX
    }

    fn cursor(&mut self) -> Cursor<'_> {
        Cursor::new(&mut self.bytes)
    }

    /// As `bpf_xdp_adjust_head`: what is left has at least an Ethernet header.
    fn adjust_head(&mut self, bytes: i32) -> Option<()> {
        match usize::try_from(bytes) {
            Ok(less) => {
                if self.bytes.len() < less + 14 {
                    return None;
                }
                self.bytes.drain(..less);
            }
            Err(_) if !self.headroom => return None,
            Err(_) => {
                let more = vec![0xdb; bytes.unsigned_abs() as usize];
                self.bytes.splice(..0, more);
            }
        }
        Some(())
    }
}

/// A world, and what was counted in it.
#[derive(Debug)]
pub(crate) struct Host<'w> {
    world: &'w World,
    pub(crate) counted: RefCell<Counted>,
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) reasons: Vec<(Reason, u32)>,
    pub(crate) vips: Vec<(u16, u32)>,
    pub(crate) nodes: Vec<(u16, u32)>,
}

impl<'w> Host<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            counted: RefCell::default(),
        }
    }
}

const NOW: u64 = 1_000_000_000_000;

impl Tables for Host<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.world.settings)
    }

    fn vip_address(&self, address: &Ip) -> Option<&VipAddress> {
        self.world
            .addresses
            .iter()
            .find(|(key, _)| key == address)
            .map(|(_, value)| value)
    }

    fn peer(&self, address: &Ip) -> Option<&Peer> {
        const PEER: Peer = Peer { node: 0, reserved: 0 };
        self.world.peers.contains(address).then_some(&PEER)
    }

    fn slot(&self, pool: u16, _hash: u64) -> Option<Slot> {
        match pool {
            POOL => Some(self.world.slot),
            EMPTY_POOL => Some(Slot::default()),
            _ => None,
        }
    }

    fn backend(&self, _vip: u16, index: u16) -> Option<Backend> {
        self.world.backends.get(usize::from(index)).copied()
    }

    fn node(&self, number: u16) -> Option<&Node> {
        self.world.nodes.get(usize::from(number))
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        let monotonic_ns = match self.world.agent {
            // The agent's clock may be a tick ahead of the packet's.
            Agent::Fresh => NOW + 1,
            Agent::Hung => NOW - 1_000_000_000,
            Agent::Draining => 0,
        };
        Some(Heartbeat { monotonic_ns })
    }

    fn now(&self) -> u64 {
        NOW
    }

    fn socket<H: IpHeader>(
        &self,
        _ip: View<'_, H>,
        _tcp: View<'_, TcpHeader>,
        cookie: Option<u16>,
    ) -> Socket {
        match self.world.sockets {
            Sockets::None => Socket::None,
            Sockets::Connection => Socket::Connection,
            Sockets::Listener => Socket::Listener { cookie: false },
            Sockets::Cookie => Socket::Listener {
                cookie: cookie.is_some(),
            },
        }
    }

    fn count(&self, counter: Counter, bytes: u32) {
        let mut counted = self.counted.borrow_mut();
        match counter {
            Counter::Reason(reason) => counted.reasons.push((reason, bytes)),
            Counter::Vip(vip) => counted.vips.push((vip, bytes)),
            Counter::Node(node) => counted.nodes.push((node, bytes)),
        }
    }
}
