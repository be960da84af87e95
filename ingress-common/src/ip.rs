//! One address type for both families, as the maps hold it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

use crate::{Be32, shared};

/// An IPv6 address, or an IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2),
/// as four words in wire order.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Pod, Zeroable)]
pub struct Ip([Be32; 4]);

shared!(Ip, 16);

const MAPPED: Be32 = Be32::new(0xffff);

impl Ip {
    /// An IPv4 address from its word in wire order.
    #[inline(always)]
    pub const fn v4(word: Be32) -> Self {
        Self([Be32::new(0), Be32::new(0), MAPPED, word])
    }

    /// An IPv6 address from its four words in wire order.
    #[inline(always)]
    pub const fn v6(words: [Be32; 4]) -> Self {
        Self(words)
    }

    /// The four words in wire order; an IPv4 address is the last of them.
    #[inline(always)]
    pub const fn words(self) -> [Be32; 4] {
        self.0
    }

    /// Whether this is an IPv4 address in its mapped form.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        let [a, b, c, _] = self.0;
        a.to_wire() == 0 && b.to_wire() == 0 && c.to_wire() == MAPPED.to_wire()
    }

    /// Whether every bit is zero, which stands for "no address".
    #[inline(always)]
    pub const fn is_unset(self) -> bool {
        let [a, b, c, d] = self.0;
        a.to_wire() | b.to_wire() | c.to_wire() | d.to_wire() == 0
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        let octets = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self(bytemuck::cast(octets))
    }
}

impl From<Ip> for IpAddr {
    fn from(ip: Ip) -> Self {
        let octets: [u8; 16] = bytemuck::cast(ip.0);
        if ip.is_v4() {
            let [.., a, b, c, d] = octets;
            Self::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            Self::V6(Ipv6Addr::from(octets))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_come_back() {
        for text in ["192.0.2.10", "2001:db8::10", "::", "0.0.0.0"] {
            let address: IpAddr = text.parse().unwrap();
            let ip = Ip::from(address);
            assert_eq!(IpAddr::from(ip), address);
            assert_eq!(ip.is_v4(), address.is_ipv4());
        }
    }
}
