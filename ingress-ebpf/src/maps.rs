//! Every map of the programs.
//!
//! The names are final: the agent finds and pins the maps by them. Keys, values and sizes come from
//! `ingress-common`. The lookups of the hot path compile to a few instructions because neither outer map
//! lets its inner maps differ in length (`BPF_F_INNER_MAP` would turn an inlined lookup into a call).

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, SockMap};
use aya_ebpf::macros::btf_map;
use ingress_common::{
    Backend, Heartbeat, Ip, MAX_ADDRESSES, MAX_BACKENDS, MAX_LISTENERS, MAX_NODES, MAX_PEERS, MAX_POOLS,
    MAX_REASONS, MAX_VIPS, Node, Peer, Settings, SlotTable, Traffic, VipAddress,
};

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
