//! Every map of the programs, and what the library asks of them.
//!
//! The names are final: the agent finds and pins the maps by them. Keys, values and sizes come from
//! `ingress-common`. The lookups of the hot path compile to a few instructions because neither outer map
//! lets its inner maps differ in length (`BPF_F_INNER_MAP` would turn an inlined lookup into a call).

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, SockMap};
use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::{SkLookupContext, XdpContext};
use ingress_common::{
    Backend, Heartbeat, Ip, MAX_ADDRESSES, MAX_BACKENDS, MAX_LISTENERS, MAX_NODES, MAX_PEERS, MAX_POOLS,
    MAX_REASONS, MAX_VIPS, Node, Peer, Settings, Slot, SlotTable, Traffic, VipAddress,
};
use ingress_ebpf::header::{IpHeader, TcpHeader};
use ingress_ebpf::{Counter, Socket, Tables, View};

use crate::sockets;
use crate::stack::Words;

/// The inner map of `SLOTS`: one table, swapped whole.
type Slots = Array<SlotTable, 1>;
/// The inner map of `BACKENDS`: a node's entry is at its number.
type Backends = Array<Backend, { MAX_BACKENDS as usize }>;

#[btf_map]
static VIP_ADDRS: HashMap<Ip, VipAddress, { MAX_ADDRESSES as usize }> = HashMap::new();
#[btf_map]
static SLOTS: ArrayOfMaps<Slots, { MAX_POOLS as usize }> = ArrayOfMaps::new();
#[btf_map]
static BACKENDS: ArrayOfMaps<Backends, { MAX_VIPS as usize }> = ArrayOfMaps::new();
#[btf_map]
static NODES: Array<Node, { MAX_NODES as usize }> = Array::new();
#[btf_map]
static PEERS: HashMap<Ip, Peer, { MAX_PEERS as usize }> = HashMap::new();
#[btf_map]
static CONFIG: Array<Settings, 1> = Array::new();
#[btf_map]
static HEARTBEAT: Array<Heartbeat, 1> = Array::new();
#[btf_map]
static REASONS: PerCpuArray<Traffic, { MAX_REASONS as usize }> = PerCpuArray::new();
#[btf_map]
static VIP_TRAFFIC: PerCpuArray<Traffic, { MAX_VIPS as usize }> = PerCpuArray::new();
#[btf_map]
static NODE_TRAFFIC: PerCpuArray<Traffic, { MAX_NODES as usize }> = PerCpuArray::new();
#[btf_map]
static LISTENERS: SockMap<{ MAX_LISTENERS as usize }> = SockMap::new();

/// The maps, and the kernel's sockets, as one XDP program's run sees them.
pub(crate) struct Maps<'c>(pub(crate) &'c XdpContext);

impl Tables for Maps<'_> {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        CONFIG.get(0)
    }

    #[inline(always)]
    fn vip_address(&self, address: &Ip) -> Option<&VipAddress> {
        vip_address(address)
    }

    #[inline(always)]
    fn peer(&self, address: &Ip) -> Option<&Peer> {
        // SAFETY: the programs never write this map. An entry that the agent removes meanwhile may be
        // reused, so the reference may show another peer's number, which is not looked at.
        unsafe { PEERS.get(Words::new().key(address)) }
    }

    #[inline(always)]
    fn slot(&self, pool: u16, hash: u64) -> Option<Slot> {
        let table = SLOTS.get_value(u32::from(pool), &0)?;
        // The top 16 bits are an index whose bound the verifier sees; `get` would add a check that the
        // compiler then proves away.
        table.slots.get((hash >> 48) as usize).copied()
    }

    #[inline(always)]
    fn backend(&self, vip: u16, index: u16) -> Option<Backend> {
        BACKENDS.get_value(u32::from(vip), &u32::from(index)).copied()
    }

    #[inline(always)]
    fn node(&self, number: u16) -> Option<&Node> {
        NODES.get(u32::from(number))
    }

    #[inline(always)]
    fn heartbeat(&self) -> Option<Heartbeat> {
        HEARTBEAT.get(0).copied()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn socket<H: IpHeader>(&self, ip: View<'_, H>, tcp: View<'_, TcpHeader>, cookie: Option<u16>) -> Socket {
        sockets::ask(self.0, &ip.get(), &tcp.get(), cookie)
    }

    #[inline(always)]
    fn count(&self, counter: Counter, bytes: u32) {
        let entry = match counter {
            Counter::Reason(reason) => REASONS.get_ptr_mut(reason as u32),
            Counter::Vip(vip) => VIP_TRAFFIC.get_ptr_mut(u32::from(vip)),
            Counter::Node(node) => NODE_TRAFFIC.get_ptr_mut(u32::from(node)),
        };
        if let Some(entry) = entry {
            // SAFETY: the entry is this CPU's own, and no other program runs on this CPU meanwhile.
            let entry = unsafe { &mut *entry };
            entry.packets += 1;
            entry.bytes += u64::from(bytes);
        }
    }
}

/// The entry of `VIP_ADDRS` for an address.
#[inline(always)]
pub(crate) fn vip_address(address: &Ip) -> Option<&'static VipAddress> {
    // SAFETY: the programs never write this map. The agent may replace an entry meanwhile; then old and new
    // ports are seen for one packet, each of them whole.
    unsafe { VIP_ADDRS.get(Words::new().key(address)) }
}

/// Gives a connection to a listener.
#[inline(always)]
pub(crate) fn assign(context: &SkLookupContext, listener: u32) -> Result<(), i32> {
    LISTENERS.redirect_sk_lookup(context, listener, 0)
}
