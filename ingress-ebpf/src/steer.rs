//! Which listener gets a connection that the kernel looks a socket up for.
//!
//! It runs for every packet that belongs to no connection yet, whichever way it came: from an interface
//! with the XDP program, from another, or from a pod of this node. So this, too, holds a VIP address to the
//! ports that it serves.

use ingress_common::{Be16, Ip, LISTENER_V4, LISTENER_V6, Reason, VipAddress};

use crate::port::{find, not_served};

/// What the kernel does with the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Steer {
    /// It looks for a socket itself.
    Pass,
    /// The listener of this index of `LISTENERS` gets it; if there is none, it is refused.
    Assign(u32),
    /// It is refused.
    Drop,
}

/// Decides by what a client dialled: an address, its entry of `VIP_ADDRS`, and a port of a protocol.
#[inline(always)]
pub fn steer(local: &Ip, address: Option<&VipAddress>, port: Be16, proto: u8) -> Steer {
    let Some(address) = address else {
        return Steer::Pass;
    };
    match find(address, port, proto) {
        Some(_) if local.is_v4() => Steer::Assign(LISTENER_V4),
        Some(_) => Steer::Assign(LISTENER_V6),
        None if not_served(address) == Reason::PortPassed => Steer::Pass,
        None => Steer::Drop,
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use ingress_common::{PORT_TCP, PortPolicy, VipPort};

    use super::*;
    use crate::header::protocol;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10));

    /// An address that serves these TCP ports.
    fn serves(policy: PortPolicy, ports: &[u16]) -> VipAddress {
        let mut address = VipAddress {
            policy: policy as u8,
            ..VipAddress::default()
        };
        for (entry, port) in address.ports.iter_mut().zip(ports) {
            entry.port = Be16::new(*port);
            entry.proto = PORT_TCP;
            address.count += 1;
        }
        address
    }

    fn steered(local: IpAddr, address: Option<&VipAddress>, port: u16, proto: u8) -> Steer {
        steer(&Ip::from(local), address, Be16::new(port), proto)
    }

    #[test]
    fn a_served_port_goes_to_its_familys_listener() {
        let address = serves(PortPolicy::Drop, &[80, 443]);
        assert_eq!(
            steered(V4, Some(&address), 443, PORT_TCP),
            Steer::Assign(LISTENER_V4)
        );
        assert_eq!(
            steered(V6, Some(&address), 80, PORT_TCP),
            Steer::Assign(LISTENER_V6)
        );
    }

    #[test]
    fn another_address_is_not_ours() {
        assert_eq!(steered(V4, None, 443, PORT_TCP), Steer::Pass);
    }

    #[test]
    fn another_port_or_protocol_of_a_vip_follows_its_policy() {
        for (policy, end) in [(PortPolicy::Drop, Steer::Drop), (PortPolicy::Pass, Steer::Pass)] {
            let address = serves(policy, &[443]);
            assert_eq!(steered(V4, Some(&address), 22, PORT_TCP), end);
            assert_eq!(steered(V4, Some(&address), 443, protocol::UDP), end);
        }
    }

    #[test]
    fn every_entry_counts_up_to_the_last() {
        let all: [u16; ingress_common::MAX_PORTS] =
            core::array::from_fn(|index| 1000 + u16::try_from(index).unwrap());
        let address = serves(PortPolicy::Drop, &all);
        for port in all {
            assert_eq!(
                steered(V4, Some(&address), port, PORT_TCP),
                Steer::Assign(LISTENER_V4)
            );
        }
        assert_eq!(steered(V4, Some(&address), 1016, PORT_TCP), Steer::Drop);
        assert_eq!(steered(V4, Some(&address), 0, PORT_TCP), Steer::Drop);
    }

    #[test]
    fn what_lies_behind_the_count_is_no_port() {
        let mut address = serves(PortPolicy::Drop, &[80]);
        address.ports[1] = VipPort {
            port: Be16::new(443),
            proto: PORT_TCP,
            ..VipPort::default()
        };
        assert_eq!(steered(V4, Some(&address), 443, PORT_TCP), Steer::Drop);
    }
}
