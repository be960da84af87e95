//! The three settings of each interface without which a VIP does harm.
//!
//! `arp_ignore=1`: the kernel does not answer ARP for a VIP, which only its announcer may. `arp_announce=2`: it does not
//! ask for the gateway in a VIP's name, which would poison the router's cache. `rp_filter=2`: what came through a
//! tunnel may leave by another interface. The kernel takes the larger of an interface's value and `all`'s
//! (Documentation/networking/ip-sysctl.rst), so these are lower bounds, but for `rp_filter`, where 1 is stricter than 2.
//! They are set by netlink (`IFLA_INET_CONF`), which works where /proc/sys cannot be written.

use netlink_packet_route::link::{AfSpecInet, AfSpecUnspec, InetDevConf, LinkAttribute, LinkMessage};

use super::netlink::{Interface, Netlink, NetlinkError};

/// Sets what is not set yet; says whether something was.
pub async fn ensure(netlink: &Netlink, interface: &Interface) -> Result<bool, NetlinkError> {
    if is_set(&interface.conf) {
        return Ok(false);
    }
    let mut conf = InetDevConf::default();
    // Zero means "leave it" in this request.
    conf.arp_ignore = if interface.conf.arp_ignore >= 1 { 0 } else { 1 };
    conf.arp_announce = 2;
    conf.rp_filter = 2;
    let mut message = LinkMessage::default();
    message.header.index = interface.index;
    message
        .attributes
        .push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![
            AfSpecInet::DevConfRequest(conf),
        ])]));
    let what = format!(
        "set arp_ignore, arp_announce and rp_filter of interface {}",
        interface.name
    );
    netlink
        .handle()
        .link()
        .set(message)
        .execute()
        .await
        .map_err(NetlinkError::new(what))?;
    Ok(true)
}

/// Whether an interface is as it has to be. No filter at all (0) is as good as a loose one only if `all` is not 1, so 2
/// it must be.
pub const fn is_set(conf: &InetDevConf) -> bool {
    conf.arp_ignore >= 1 && conf.arp_announce == 2 && conf.rp_filter == 2
}
