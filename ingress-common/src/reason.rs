//! `REASONS`: what became of each packet. Every packet ends with exactly one reason.

/// Entries of `REASONS`: room for reasons to come.
pub const MAX_REASONS: u32 = 64;

/// What the XDP entry answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// To the kernel: `XDP_PASS`.
    Pass,
    /// Back out of the interface it came in by: `XDP_TX`.
    Tx,
    /// `XDP_DROP`.
    Drop,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $verdict:ident;)*) => {
        /// What became of a packet, and why.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name that tools and metrics show.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the packet's end is called in the kernel.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)* }
            }
        }
    };
}

reasons! {
    /// Neither IPv4 nor IPv6.
    NotIp = 0, "not_ip", Pass;
    /// Its destination is no VIP address. Also whatever ends before a destination can be read.
    NotVip = 1, "not_vip", Pass;
    /// ICMP to a VIP address: the kernel answers.
    Icmp = 2, "icmp", Pass;
    /// For a port that its VIP address does not serve, where the policy says pass.
    PortPassed = 3, "port_passed", Pass;
    /// Accepted by this node, where it entered.
    Kept = 4, "kept", Pass;
    /// Accepted by this node, after the tunnel.
    KeptTunnel = 5, "kept_tunnel", Pass;
    /// Sent to another node through the tunnel.
    Forwarded = 6, "forwarded", Tx;
    /// Came through the tunnel, is unknown here, and is sent to the next node it names.
    NextHop = 7, "next_hop", Tx;
    /// A header contradicts itself or its packet.
    Malformed = 8, "malformed", Drop;
    /// The packet ends inside a header.
    Truncated = 9, "truncated", Drop;
    /// For a port that its VIP address does not serve.
    NoPort = 10, "no_port", Drop;
    /// No node serves the pool.
    EmptyPool = 11, "empty_pool", Drop;
    /// A slot or a next hop names a node that does not exist.
    NoNode = 12, "no_node", Drop;
    /// The next hop towards the node is not resolved.
    NoNeighbour = 13, "no_neigh", Drop;
    /// Does not fit the MTU towards the node once it is encapsulated.
    TooBig = 14, "too_big", Drop;
    /// The driver has no room to put the outer header in front.
    Headroom = 15, "headroom", Drop;
    /// A fragment.
    Fragment = 16, "frag_miss", Drop;
    /// An IPv6 extension header stands before the transport header.
    ExtensionHeader = 17, "ext_chain", Drop;
    /// A tunnel packet from an address that is no peer.
    BadPeer = 18, "bad_peer", Drop;
    /// A tunnel packet with a wrong key.
    BadKey = 19, "bad_key", Drop;
    /// A tunnel packet of an unknown version or form.
    BadVersion = 20, "bad_version", Drop;
    /// What a tunnel packet holds is not a packet for a VIP.
    BadInner = 21, "bad_inner", Drop;
    /// Its TTL or hop limit ends here.
    Ttl = 22, "ttl", Drop;
    /// The node is behind another interface.
    RedirectFail = 23, "redirect_fail", Drop;
    /// The agent has not configured the programs yet.
    Unconfigured = 24, "unconfigured", Pass;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_up_and_fit_the_map() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
        assert!(Reason::ALL.len() <= MAX_REASONS as usize);
    }
}
