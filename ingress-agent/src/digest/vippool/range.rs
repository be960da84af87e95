//! A VipPool's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::digest::{Cause, Fault};

/// Addresses of one family, both ends included.
///
/// A CIDR stands for the addresses that hosts may have: without network and broadcast address (IPv4, up to
/// /30), without the subnet-router anycast address (IPv6, up to /126). `FIRST-LAST` is taken literally.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// The first address.
    pub first: IpAddr,
    /// The last address; never less than the first.
    pub last: IpAddr,
}

impl Range {
    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// One address.
    pub fn single(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }

    /// The first address that is in none of `others`. Steps over each at once: an IPv6 range is not walked.
    pub fn first_outside(&self, others: &[Self]) -> Option<IpAddr> {
        let mut candidate = self.first;
        while let Some(other) = others.iter().find(|other| other.contains(candidate)) {
            if other.last >= self.last {
                return None;
            }
            let (v4, last) = number(other.last);
            candidate = address(v4, last + 1);
        }
        Some(candidate)
    }

    /// The addresses that are in none of `others`, the first one first.
    pub fn outside(self, others: Vec<Self>) -> impl Iterator<Item = IpAddr> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let left = rest.take()?;
            let found = left.first_outside(&others)?;
            rest = left.after(found);
            Some(found)
        })
    }

    /// How many addresses are in none of `others`.
    pub fn count_outside(self, others: &[Self]) -> u128 {
        let mut pieces = vec![self];
        for other in others.iter().filter(|other| other.overlap(&self).is_some()) {
            pieces = pieces
                .into_iter()
                .flat_map(|piece| piece.without(other))
                .collect();
        }
        let sizes = pieces.iter().map(|piece| {
            let ((_, first), (_, last)) = (number(piece.first), number(piece.last));
            (last - first).saturating_add(1)
        });
        sizes.fold(0, u128::saturating_add)
    }

    /// What is behind one of its addresses.
    fn after(self, at: IpAddr) -> Option<Self> {
        let (v4, at) = number(at);
        let first = address(v4, at.checked_add(1)?);
        (first.is_ipv4() == v4 && first <= self.last).then_some(Self { first, ..self })
    }

    /// What is before and behind another.
    fn without(self, other: &Self) -> impl Iterator<Item = Self> + use<> {
        let Some(shared) = self.overlap(other) else {
            return [Some(self), None].into_iter().flatten();
        };
        let (v4, first) = number(shared.first);
        let before = (shared.first > self.first).then(|| Self {
            last: address(v4, first - 1),
            ..self
        });
        [before, self.after(shared.last)].into_iter().flatten()
    }

    /// The addresses both have.
    pub fn overlap(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.first.is_ipv4() == other.first.is_ipv4() && first <= last).then_some(Self { first, last })
    }
}

/// Reads `spec.addresses`; an entry that cannot be read costs itself alone.
pub(super) fn parse(entries: &[String], faults: &mut Vec<Fault>) -> Vec<Range> {
    if entries.is_empty() {
        faults.push(wrong("spec.addresses", "no addresses".to_owned()).so("the pool is not served"));
    }
    let read = |(index, text): (usize, &String)| match entry(text) {
        Ok(range) => Some(range),
        Err(why) => {
            let fault = wrong(
                format!("spec.addresses[{index}]"),
                format!("`{}` ({why})", text.escape_debug()),
            );
            faults.push(fault.so("these addresses are not served"));
            None
        }
    };
    entries.iter().enumerate().filter_map(read).collect()
}

fn wrong(field: impl Into<Arc<str>>, found: String) -> Fault {
    Fault::refused(Cause::PoolAddresses, field)
        .found(found)
        .expected("`ADDRESS`, `CIDR` or `FIRST-LAST` of global or private unicast addresses")
        .change("write addresses that the outside world routes to the nodes")
}

fn entry(text: &str) -> Result<Range, &'static str> {
    let range = match text.split_once('-') {
        Some((first, last)) => Range {
            first: first.trim().parse().map_err(|_| "the first is no address")?,
            last: last.trim().parse().map_err(|_| "the last is no address")?,
        },
        None if text.contains('/') => hosts(text.trim().parse().map_err(|_| "not a CIDR")?),
        None => {
            let address = text.trim().parse().map_err(|_| "not an address")?;
            Range {
                first: address,
                last: address,
            }
        }
    };
    if range.first.is_ipv4() != range.last.is_ipv4() {
        return Err("two families");
    }
    if range.first > range.last {
        return Err("the first is greater than the last");
    }
    if FORBIDDEN
        .iter()
        .any(|forbidden| range.overlap(forbidden).is_some())
    {
        return Err("loopback, link-local, multicast, reserved and IPv4-mapped addresses are never VIPs");
    }
    Ok(range)
}

fn hosts(net: IpNet) -> Range {
    let (v4, first) = number(net.network());
    let (_, last) = number(net.broadcast());
    let (skip_first, skip_last) = match net {
        IpNet::V4(net) => (net.prefix_len() <= 30, net.prefix_len() <= 30),
        IpNet::V6(net) => (net.prefix_len() <= 126, false),
    };
    Range {
        first: address(v4, first + u128::from(skip_first)),
        last: address(v4, last - u128::from(skip_last)),
    }
}

fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (true, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (false, v6.to_bits()),
    }
}

fn address(v4: bool, number: u128) -> IpAddr {
    match u32::try_from(number) {
        Ok(bits) if v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        Ok(_) | Err(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

const fn v4(first: [u8; 4], last: [u8; 4]) -> Range {
    let [a, b, c, d] = first;
    let [e, f, g, h] = last;
    Range {
        first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        last: IpAddr::V4(Ipv4Addr::new(e, f, g, h)),
    }
}

const fn v6(first: u128, last: u128) -> Range {
    Range {
        first: IpAddr::V6(Ipv6Addr::from_bits(first)),
        last: IpAddr::V6(Ipv6Addr::from_bits(last)),
    }
}

/// What no client may dial from elsewhere.
const FORBIDDEN: [Range; 8] = [
    v4([0, 0, 0, 0], [0, 255, 255, 255]),
    v4([127, 0, 0, 0], [127, 255, 255, 255]),
    v4([169, 254, 0, 0], [169, 254, 255, 255]),
    v4([224, 0, 0, 0], [255, 255, 255, 255]),
    v6(0, 1),
    v6(0xffff_0000_0000, 0xffff_ffff_ffff),
    v6(0xfe80 << 112, (0xfec0 << 112) - 1),
    v6(0xff << 120, u128::MAX),
];
